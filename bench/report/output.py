"""Records -> tables, page and figures, at the end of a comparison; figures only
when what they show has changed.

results.csv      a row per run and epoch (a failed run: one row, no metrics)
iterations.csv   a row per run and step
summary.csv      a row per variant and batch size
summary.md       the same to read, with ratios, certificate, audit, failures
summary.tex      its tables for LaTeX
answer.json      its first sentences, and where they were found
report.html      all of it on one page, with the figures inside
report.pdf       the short form, when it is asked for, from what lies in paper/
figures/         each as .png and .svg
"""

import hashlib
import itertools
import json
from pathlib import Path

from bench.analyse import ratios
from bench.analyse.floor import shares
from bench.analyse.groups import SUMMARY, key, only_timed
from bench.kit.cli import STORAGE, Fault, clean, warn
from bench.kit.files import make_folder, write_atomic
from bench.report import paper, words
from bench.report.figures.registry import FIGURES, draw
from bench.report.page import DATA, TABLES, page
from bench.report.render import as_csv, as_latex, as_markdown, as_terminal
from bench.report.sections import QUESTIONS, asked, head, sections
from bench.report.table import Table
from bench.run import environment

RUN = ("contender", "rung", "feed", "batch_size", "seed", "repeat", "block",
       "status", "dataset", "split", "optimizer", "lr", "precision",
       "device_name")
EPOCH = ("epoch", "epoch_s", "compile_s", "first_epoch_s", "start_s", "end_s",
         "train_loss", "train_accuracy", "val_loss", "val_accuracy",
         "test_accuracy")
PAGES = ("summary.tex", "answer.json", "report.html", "report.pdf")
PICTURES = "figures/*.[ps][nv]g"
STAMP = "figures/.drawn"  # what they were drawn from


def check_targets(out):
    """Fault 5 before the grid when a table or the figures cannot be written
    because a folder or a file is in their place."""
    for path in (*map(out.joinpath, (*TABLES, *PAGES)), *out.glob(PICTURES)):
        if path.is_dir():
            raise Fault(STORAGE, f"cannot write: {str(path)!r}: is a folder. "
                                 "Remove it or choose another --out")
    make_folder(out / "figures")


# -------------------------------------------------------------- rows of CSV

def run_cells(r):
    """The columns that tell which run a row belongs to."""
    seen = {"device_name": "", **r.get("environment", {}), **r, **r["config"]}
    return [seen[name] for name in RUN]


def epoch_rows(records):
    """A row per run and epoch; of a run that is not ok one row, its reason."""
    for r in records:
        if r["status"] != "ok":
            # JSON, so that a text that starts with = is no formula.
            why = json.dumps(clean(" | ".join(r["exit"]["tail"][-3:])))
            yield [*run_cells(r), *[None] * len(EPOCH), why]
        else:
            for entry, seconds in zip(r["epochs"], r["timing"]["epoch_s"]):
                row = {**entry, **r["timing"], "epoch_s": seconds}
                yield [*run_cells(r), *map(row.get, EPOCH), None]


def step_rows(records):
    """A row per run and step."""
    for r in records:
        if r["status"] == "ok":
            for step in zip(itertools.count(1), r["steps"]["loss"],
                            r["steps"]["accuracy"] or itertools.repeat(None)):
                yield [*run_cells(r)[:7], *step]


def speeds(found):
    """[[contender, rung, feed, batch size, images a second, lowest and highest of
    the interval or None]] of steady epochs."""
    images = {r["config"]["batch_size"]: r["samples_per_epoch"] for r in found.done}
    return [[*key(row), *(seconds and images[row["batch_size"]] / seconds
                          for seconds in map(row.get, (
                              "steady_epoch_s", "steady_high_s", "steady_low_s")))]
            for row in found.rows if row["steady_epoch_s"]]


# ---------------------------------------------------------------- terminal

def line(job, found):
    """A finished job in a line; found: the record of a run, or why a
    measurement could not be taken."""
    if not isinstance(found, dict):
        return f"{job}: " + (f"not measured: {clean(found, 90)}" if found
                             else "measured")
    text = f"{job.variant!s:14} batch {job.batch_size:<5} seed {job.seed:<3} "
    if found["status"] != "ok":
        why = "".join(found["exit"]["tail"][-1:])
        return f"{text}{found['status'].upper()}: {clean(why, 90)}"
    first, steady = (words.three(found["timing"][name]) for name in (
        "first_epoch_s", "steady_epoch_s"))
    if not only_timed(found):
        text += f"test {found['final']['test_accuracy']:.2%}, "
    return (f"{text}first epoch {first} s" + (f", then {steady} s" if steady else ""))


def printed(found, titles):
    """The head and some sections for a terminal."""
    return "\n\n".join([as_terminal(head(found).values()), *(
        f"{title}\n{as_terminal(blocks)}"
        for title, blocks in sections(found).items() if title in titles)]
        ) + "\n"


# -------------------------------------------------------------------- all

def write(out, found, pdf=False, author=None):
    """Make every table and figure -> were the figures made? pdf: report.pdf of
    this author, too."""
    parts, top = sections(found), head(found)
    for name, text in {
            "results.csv": as_csv(
                [*RUN, *EPOCH, "reason"], epoch_rows(found.records)),
            "iterations.csv": as_csv([*RUN[:7], "step", "loss", "accuracy"],
                                     step_rows(found.records)),
            "summary.csv": as_csv(SUMMARY, map(dict.values, found.rows)),
            "summary.md": as_markdown(summary(found, parts)) + "\n",
            "summary.tex": "\n".join(
                f"% {title}\n{as_latex(block)}"
                for title, blocks in parts.items()
                for block in blocks if isinstance(block, Table)),
            "answer.json": json.dumps({
                **top, "answer": as_markdown(parts["Answer"]),
                "speeds": speeds(found), "shares": [
                    [*one, value, *(span or (None, None))]
                    for one, _, _, (value, span) in shares(found)
                    if not found.unfair], "ratios": [
                    [two.first, two.second, two.value, two.span]
                    for two in ratios.every(found) if not found.unfair],
                "environment": words.environment(found.done)}, indent=1
                ) + "\n"}.items():
        write_atomic(out / name, text)
    # Drawing takes seconds; else these are of the same tables.
    drawn = _read(out / STAMP) == _stamp(out) or draw_all(out, found)
    write_atomic(out / "report.html", page(out, found, parts))
    if pdf:
        paper.write(out, found, author)
    return drawn


def summary(found, parts):
    """Blocks of summary.md: the answer, then every question with its sections."""
    yield from (f"# {as_markdown(head(found).values())}", "## Answer")
    yield from parts["Answer"]
    for name, (says, made) in asked(found, parts):
        yield from (f"## {QUESTIONS[name].title}", *says)
        for title, blocks in made.items():
            yield from (f"### {title}", *blocks)


def draw_all(out, found):
    """All figures; False where there is nothing to draw with."""
    try:
        drawn = draw(out / "figures", found)
    except ImportError as error:
        warn("compare.py", f"no figures: {error}")
        return False
    if found.records:  # else it is the certificate alone
        # Those of an earlier comparison must not stay beside this one.
        for path in out.glob(PICTURES):
            if path.stem not in drawn and path.stem in FIGURES:
                path.unlink()
        write_atomic(out / STAMP, _stamp(out))
    return True


def _stamp(out):
    """What the figures are made from: tables, certificate, code, library;
    and which figures are there."""
    digest = hashlib.sha256(str(environment.version("matplotlib")).encode())
    for path in (*map(out.joinpath, DATA),
                 *sorted(Path(__file__).parent.rglob("*.py")),
                 *sorted(Path(__file__).parent.rglob("*.toml"))):
        digest.update(_read(path).encode())
    return " ".join([digest.hexdigest(), *sorted(
        path.name for path in out.glob(PICTURES))]) + "\n"


def _read(path):
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return ""
