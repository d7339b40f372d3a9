"""Records -> tables and figures, each rebuilt whole at every call.

results.csv      a row per run and epoch (a failed run: one row, no metrics)
iterations.csv   a row per run and step
summary.csv      a row per point and batch size
summary.md       the same to read, with ratios and the runs that failed
"""

import csv
import io
import json
import os
from pathlib import Path

from bench import stats
from bench.cli import STORAGE, Fault, clean, warn
from bench.record import make_folder, write_atomic
from bench.summary import (
    SUMMARY,
    devices,
    group,
    name,
    paired,
    summarise,
    three,
    versions,
    where,
)

RUN = ("contender", "mode", "feed", "batch_size", "seed", "repeat", "block",
       "status", "dataset", "split", "optimizer", "lr", "precision",
       "device_name")
EPOCH = ("epoch", "epoch_s", "compile_s", "first_epoch_s", "start_s", "end_s",
         "train_loss", "train_accuracy", "val_loss", "val_accuracy",
         "test_accuracy")


def check_targets(out):
    """Fault 5 before the grid when a table or the figures cannot be written
    because a folder or a file is in their place."""
    targets = [Path(out, name) for name in (
        "results.csv", "iterations.csv", "summary.csv", "summary.md")]
    for path in [*targets, *Path(out, "figures").glob("*.[ps][nv]g")]:
        if path.is_dir():
            raise Fault(STORAGE, f"cannot write: {str(path)!r}: is a folder. "
                                 "Remove it or choose another --out")
    make_folder(Path(out, "figures"))


# ------------------------------------------------------------------ tables

def run_cells(r):
    """The columns that tell which run a row belongs to."""
    c = r["config"]
    return [r["contender"], c["mode"], c["feed"], c["batch_size"], c["seed"],
            r["repeat"], r["block"], r["status"], c["dataset"], c["split"],
            c["optimizer"], c["lr"], c["precision"],
            r.get("environment", {}).get("device_name", "")]


def table(header, rows):
    """CSV text; None is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def epoch_rows(records):
    for r in records:
        if r["status"] != "ok":
            # JSON, so that a text that starts with = is no formula.
            why = json.dumps(clean(" | ".join(r["exit"]["tail"][-3:])))
            yield [*run_cells(r), *[None] * len(EPOCH), why]
            continue
        timing = r["timing"]
        for entry, seconds in zip(r["epochs"], timing["epoch_s"]):
            yield [*run_cells(r), *({
                **entry, "epoch_s": seconds, "compile_s": timing["compile_s"],
                "first_epoch_s": timing["first_epoch_s"]}[column]
                for column in EPOCH), None]


def step_rows(records):
    for r in records:
        if r["status"] == "ok":
            for step, (loss, accuracy) in enumerate(zip(
                    r["steps"]["loss"], r["steps"]["accuracy"]), 1):
                yield [*run_cells(r)[:7], step, loss, accuracy]


# ---------------------------------------------------------------- markdown

def with_span(value, low, high):
    return "" if value is None else three(value) + (
        f" ({three(low)} to {three(high)})" if low is not None else "")


def markdown_summary(records, rows):
    """summary.md: speed, ratios, accuracy, failed runs."""
    groups = group(records)
    done = sum(r["status"] == "ok" for r in records)
    lines = [
        f"# {where(records)}", "",
        f"{done} of {len(records)} runs finished. {versions(records)}. Median "
        "over processes and, in brackets, the 95 % interval of their "
        "geometric mean; bold where the interval of the ratio to the "
        "runner-up lies below 1. The first epoch includes compilation.", "",
        "| batch | point | n | steady epoch, s | first epoch, s | compile, s "
        "| test accuracy |", "|--:|---|--:|--:|--:|--:|--:|"]
    for row in rows:
        key = tuple(row[c] for c in SUMMARY[:4])
        rivals = sorted((r for r in rows if r["batch_size"] == key[3]
                         and r["steady_epoch_s"] is not None),
                        key=lambda r: r["steady_epoch_s"])
        steady = with_span(row["steady_epoch_s"], row["steady_low_s"],
                           row["steady_high_s"])
        if len(rivals) > 1 and rivals[0] is row and (
                len(devices(records)) == 1):
            found = paired(groups, key, tuple(
                rivals[1][c] for c in SUMMARY[:4]))
            if found and found[1] and found[1][1] < 1:
                steady = f"**{steady}**"
        score = "" if row["test_accuracy"] is None else (
            f"{row['test_accuracy']:.2%}" + (
                f" ± {row['test_accuracy_sd']:.2%}"
                if row["test_accuracy_sd"] is not None else ""))
        n = (f"{row['ok']}" if row["ok"] == row["runs"]
             else f"{row['ok']} of {row['runs']}")
        lines.append(f"| {key[3]} | {name(key)} | {n} | {steady or '-'} | "
                     f"{three(row['first_epoch_s']) or '-'} | "
                     f"{three(row['compile_s']) or '-'} | {score or '-'} |")
    lines += ["", "Test accuracy: mean ± standard deviation over runs; the "
              "finite test set alone leaves it uncertain by about 0.3 points."]
    if len(devices(records)) > 1:
        return "\n".join([*lines, "", "**Not comparable: the runs were on "
                          f"{' and '.join(devices(records))}.** No ratios, no "
                          "figures.", *failed_lines(records)]) + "\n"
    lines += ["", "## Ratios of steady epochs", "",
              "Geometric mean over blocks with its 95 % interval; above 1 the "
              "first is slower.", "",
              "| batch | first / second | ratio | blocks | verdict |",
              "|--:|---|--:|--:|---|"]
    for first in groups:
        for second in groups:
            if first[3] == second[3] and first[0] < second[0] and (
                    found := paired(groups, first, second)):
                value, span, blocks = found
                verdict = ("too few blocks to say" if span is None else
                           "no difference shown" if not stats.decided(span)
                           else f"{name(first if value < 1 else second)} "
                                "is faster")
                lines.append(
                    f"| {first[3]} | {name(first)} / {name(second)} | "
                    f"{with_span(value, *(span or (None, None)))} | "
                    f"{blocks} | {verdict} |")
    return "\n".join(lines + failed_lines(records)) + "\n"


def failed_lines(records):
    """The table of runs that are not ok; nothing if there are none."""
    lines = ["", "## Runs that are not ok", "", "| run | state | reason |",
             "|---|---|---|"]
    failed = [r for r in records if r["status"] != "ok"]
    for r in failed:
        c, ending = r["config"], r["exit"]
        how = ending["signal"] or (
            "" if ending["code"] is None else f"exit {ending['code']}")
        tail = clean(ending["tail"][-1] if ending["tail"] else "", 300)
        lines.append(
            f"| {r['contender']} {c['mode']} {c['feed']}, batch "
            f"{c['batch_size']}, seed {c['seed']}, repeat {r['repeat']} | "
            f"{r['status']} | {how} {tail.replace('|', '/')} |")
    return lines if failed else []


# ---------------------------------------------------------------- terminal

def progress(number, total, job, r, left):
    """One line for a finished run."""
    line = (f"[{number:3}/{total}] {str(job.point):14} batch "
            f"{job.batch_size:<5} seed {job.seed:<3}")
    if r["status"] == "ok":
        steady = r["timing"]["steady_epoch_s"]
        line += (f" test {r['final']['test_accuracy']:.2%}, first epoch "
                 f"{three(r['timing']['first_epoch_s'])} s"
                 + (f", then {three(steady)} s" if steady else ""))
    else:
        tail = r["exit"]["tail"]
        line += f" {r['status'].upper()}: {clean(tail[-1] if tail else '', 90)}"
    return line + (f"   ({left / 60:.0f} min left)" if left >= 60 else "")


def terminal_table(out):
    """The first table of summary.md, aligned for a terminal."""
    lines = Path(out, "summary.md").read_text("utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("|"))
    cells = [[cell.strip().strip("*") for cell in line.strip("|").split("|")]
             for line in lines[start:] if line.startswith("|")
             and not line.startswith("|--")]
    cells = cells[:next((i for i, c in enumerate(cells)
                         if i and c[0] == "batch"), len(cells))]
    cells = [row for row in cells if len(row) == len(cells[0])]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    body = "\n".join("  ".join(
        cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
        for row in cells)
    return f"\n{lines[0].lstrip('# ')}\n{body}\n"


# -------------------------------------------------------------------- all

def write(out, records):
    """Make every table and figure -> number of runs that are not ok."""
    rows = summarise(records)
    out = Path(out)
    write_atomic(out / "results.csv", table(
        [*RUN, *EPOCH, "reason"], epoch_rows(records)))
    write_atomic(out / "iterations.csv", table(
        [*RUN[:7], "step", "loss", "accuracy"], step_rows(records)))
    write_atomic(out / "summary.csv", table(
        SUMMARY, [[row[c] for c in SUMMARY] for row in rows]))
    write_atomic(out / "summary.md", markdown_summary(records, rows))
    os.environ["MPLBACKEND"] = "agg"  # never a window, whatever is set
    try:
        from bench import plots
    except ImportError as error:
        warn("compare.py", f"no figures: {error}")
        return max(1, sum(r["status"] != "ok" for r in records))
    bad = sum(r["status"] != "ok" for r in records)
    if len(devices(records)) > 1:
        warn("compare.py", "not comparable: the runs were on "
                           f"{' and '.join(devices(records))}; name one with "
                           "--device")
        return max(1, bad)
    plots.draw(out / "figures", records, rows)
    return bad
