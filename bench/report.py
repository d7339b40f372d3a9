"""Records -> tables and figures, each rebuilt whole at every call.

results.csv      a row per run and epoch (a failed run: one row, no metrics)
iterations.csv   a row per run and step
summary.csv      a row per point and batch size
summary.md       the same to read, with ratios, certificate, audit, failures
summary.tex      its tables for LaTeX
report.html      all of it on one page, with the figures inside
aa.json          what two runs of one script differ by, after `make aa`
"""

import csv
import hashlib
import io
import json
import math
import os
import textwrap
from pathlib import Path

from bench import (
    audit,
    certificate,
    environment,
    page,
    paper,
    record,
    sentences,
    tables,
)
from bench.cli import STORAGE, Fault, clean, warn
from bench.record import make_folder, write_atomic
from bench.summary import SUMMARY, group, paired, summarise, three

RUN = ("contender", "rung", "feed", "batch_size", "seed", "repeat", "block",
       "status", "dataset", "split", "optimizer", "lr", "precision",
       "device_name")
EPOCH = ("epoch", "epoch_s", "compile_s", "first_epoch_s", "start_s", "end_s",
         "train_loss", "train_accuracy", "val_loss", "val_accuracy",
         "test_accuracy")
WIDTH = 100  # columns of a terminal that tables fit

TABLES = ("results.csv", "iterations.csv", "summary.csv", "summary.md")
PAGES = ("summary.tex", "report.html", "report.pdf")
ROOT = Path(__file__).resolve().parent.parent
FIGURES = ("curves_epoch", "curves_iteration", "effects", "seconds", "epochs",
           "throughput", "wall_clock", "parts", "ratios", "final", "steps",
           "waterfall", "parity_")  # beginnings of the names that it draws
STAMP = ".drawn"  # in figures/: what they were drawn from


def check_targets(out):
    """Fault 5 before the grid when a table or the figures cannot be written
    because a folder or a file is in their place."""
    for path in (*(Path(out, name) for name in (*TABLES, *PAGES)),
                 *Path(out, "figures").glob("*.[ps][nv]g")):
        if path.is_dir():
            raise Fault(STORAGE, f"cannot write: {str(path)!r}: is a folder. "
                                 "Remove it or choose another --out")
    make_folder(Path(out, "figures"))


# ------------------------------------------------------------------ tables

def run_cells(r):
    """The columns that tell which run a row belongs to."""
    c = r["config"]
    return [r["contender"], c["rung"], c["feed"], c["batch_size"], c["seed"],
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


# ---------------------------------------------------------------- terminal

def progress(job, r):
    """A finished run in a line."""
    line = (f"{str(job.point):14} batch {job.batch_size:<5} seed "
            f"{job.seed:<3}")
    if r["status"] == "ok":
        steady = r["timing"]["steady_epoch_s"]
        return line + (
            f" test {r['final']['test_accuracy']:.2%}, first epoch "
            f"{three(r['timing']['first_epoch_s'])} s"
            + (f", then {three(steady)} s" if steady else ""))
    tail = r["exit"]["tail"]
    return line + (f" {r['status'].upper()}: "
                   f"{clean(tail[-1] if tail else '', 90)}")


def measured_line(probe, reason):
    """A finished measurement in a line."""
    return f"{probe}: " + (f"not measured: {clean(reason, 90)}" if reason
                           else "measured")


def time_left(seconds):
    return f"   ({seconds / 60:.0f} min left)" if seconds >= 60 else ""


def terminal_tables(out, sections):
    """Some sections of summary.md, their tables aligned for a terminal."""
    text = Path(out, "summary.md").read_text("utf-8").replace(
        "; bold where", "; * where").replace("**", "*")
    head, *parts = text.split("\n## ")
    lines = aligned(head.lstrip("# ").splitlines())
    for part in parts:
        title, _, body = part.partition("\n")
        if title in sections:
            lines += ["", f"{title}", *aligned(body.strip().splitlines())]
    return "\n".join(lines) + "\n"


def aligned(lines):
    """Markdown lines with every table in columns and without its bars, in
    WIDTH columns."""
    table, result = [], []
    for line in [*lines, ""]:
        if line.startswith("|"):
            table.append([cell.strip()
                          for cell in line.strip("|").split("|")])
            continue
        table = [row for row in table if not set("".join(row)) <= set("-: ")]
        widths = [max(len(row[i]) for row in table)
                  for i in range(len(table[0]))] if table else []
        last = sum(width + 2 for width in widths[:-1])
        for row in table:
            result += folded("  ".join(cell.ljust(width) for cell, width
                                       in zip(row, widths)), last)
        table = []
        result += folded(line)
    return result[:-1]


def folded(line, indent=0):
    """A line in lines of WIDTH columns, the further ones indented."""
    indent = indent if indent <= WIDTH - 40 else 4
    return textwrap.wrap(line, WIDTH, subsequent_indent=" " * indent,
                         break_long_words=False, break_on_hyphens=False
                         ) or [""]


# ------------------------------------------------------------- A/A control

def find_width(records, scripts):
    """The largest |log ratio| that the intervals of two runs of one script
    reach, or None where there are no such two."""
    groups, ends = group(records), []
    for first, second in tables.pairs(groups):
        if tables.same_script(first, second, scripts):
            found = paired(groups, first, second)
            if found and found[1]:
                ends += [abs(math.log(end)) for end in found[1]]
    return max(ends) if ends else None


def known_width(out, machine):
    """The width that `make aa` found on this machine, or None."""
    for folder in (Path(out, "aa"), ROOT / "results" / "aa"):
        found = record.read_json(folder / "aa.json")
        width = found.get("log_width")
        if found.get("machine") == machine and isinstance(width, float) and (
                0 < width < 10):
            return width
    return None


# -------------------------------------------------------------------- all

def write_certificate(out, found, ran):
    """The parity figures alone; ran: the rows that could run here."""
    os.environ["MPLBACKEND"] = "agg"
    from bench import plots_parity
    plots_parity.draw(Path(out, "figures"), (
        all(row["proved"] for row in ran), certificate.line(ran), found))


def write(out, records, proof, verdicts, scripts, machine, measured=(),
          missing=None, pdf=False):
    """Make every table and figure -> were the figures made?

    proof: (proved, line, certificate or None); verdicts: the audit's;
    scripts: {contender: hash of its code}; machine: what an A/A width is
    valid for; measured, missing: of bench/probe.py; pdf: report.pdf, too."""
    rows = summarise(records)
    out = Path(out)
    width = find_width(records, scripts)
    if width is not None:
        write_atomic(out / "aa.json", record.dumps(
            {"log_width": width, "machine": machine}))
    else:
        width = known_width(out, machine)
    write_atomic(out / "results.csv", table(
        [*RUN, *EPOCH, "reason"], epoch_rows(records)))
    write_atomic(out / "iterations.csv", table(
        [*RUN[:7], "step", "loss", "accuracy"], step_rows(records)))
    write_atomic(out / "summary.csv", table(
        SUMMARY, [[row[c] for c in SUMMARY] for row in rows]))
    found = sentences.Found(records, rows, proof, verdicts, width, scripts)
    write_atomic(out / "summary.md", tables.summary(
        records, rows, proof, verdicts, width, scripts, measured, missing,
        sentences.answer(found)))
    # Drawing takes seconds; else these are of the same tables.
    drawn = _read(out / "figures" / STAMP) == _stamp(out) or _draw(
        out, records, rows, proof, verdicts, measured, width)
    text = _read(out / "summary.md")
    write_atomic(out / "summary.tex", paper.tex(text))
    write_atomic(out / "report.html", page.write(out, found, verdicts,
                                                 measured, text))
    if pdf:
        paper.write(out, found, measured, page.waterfalls(found, measured))
    return drawn


def _draw(out, records, rows, proof, verdicts, measured, width):
    """All figures -> False where there is nothing to draw with."""
    os.environ["MPLBACKEND"] = "agg"  # never a window, whatever is set
    try:
        from bench import plots, plots_parity
    except ImportError as error:
        warn("compare.py", f"no figures: {error}")
        return False
    drawn = plots_parity.draw(out / "figures", proof) if proof[2] else []
    if not audit.unfair(verdicts):
        drawn += plots.draw(out / "figures", records, rows, proof,
                            measured, width)
    # Those of an earlier comparison must not stay beside this one.
    for path in (out / "figures").glob("*.[ps][nv]g"):
        if path.stem not in drawn and path.stem.startswith(FIGURES):
            path.unlink()
    write_atomic(out / "figures" / STAMP, _stamp(out))
    return True


def _stamp(out):
    """What the figures are made from: tables, certificate, code, library;
    and which figures are there."""
    digest = hashlib.sha256(str(environment.version("matplotlib")).encode())
    for path in (*(out / name for name in TABLES), out / "certificate.json",
                 *(Path(__file__).with_name(f"{name}.py") for name in (
                     "plots", "plots_time", "plots_limit", "plots_parity",
                     "style"))):
        digest.update(_read(path).encode())
    return " ".join([digest.hexdigest(), *sorted(
        path.name for path in (out / "figures").glob("*.[ps][nv]g"))]) + "\n"


def _read(path):
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return ""
