"""report.pdf, two pages, by typst; what it is made from stays beside it, in OUT/paper.

Optional: `make report` installs the Python package typst. What is the same
for every run stands in the template; every number is of this run.
"""

import json
import re
import time
from pathlib import Path

from bench.analyse.groups import key
from bench.kit import files, network
from bench.kit.cli import ENVIRONMENT, STORAGE, Fault
from bench.report import words
from bench.report.answer import apart, screen
from bench.report.document import TEMPLATES
from bench.report.figures.registry import FIGURES
from bench.report.reasons import sentences
from bench.report.sections import QUESTIONS, asked, head
from bench.report.table import SHARE, by_variant

MOST_ROWS = 15  # of the table, so that it ends on its page
WIDE, TALL = 235, 305  # pt: a figure of the page's width; no taller
# In a caption: a table that is on the page alone.
ELSEWHERE = re.compile(r"\s*The numbers stand in the table \w+\.")
REFLECTION = "reflection.txt"  # in OUT: what the author writes


def content(found, figures, author, reflection):
    """What the template needs, as plain data."""
    r, rows = found.done[0], [row for row in found.rows if row["ok"]]
    top, first = head(found), apart(screen(found))
    configs = [one["config"] for one in found.done]
    says = {name: text for name, (text, _) in asked(found, {})}
    return {
        "title": f"One {r['config'].get('network') or 'MLP'} in "
                 f"{words.called(found.done)}",
        "author": author or "", "date": time.strftime("%Y-%m-%d"),
        "first": first["answer"], "notes": first["notes"],
        "beside": [list(part.texts()) for part in first["table"]],
        "network": r["config"].get("network") or (
            "A multilayer perceptron {} with ReLU".format(
                " - ".join(map(str, network.of(r["config"]).sizes)))),
        "parameters": f"{r['parameters']:,}",
        "trained": words.listed(sorted({"{} with learning rate {:g}".format(
            c["optimizer"], c["lr"]) for c in configs})),
        "epochs": " or ".join(map(str, sorted({c["epochs"] for c in configs}))),
        "batches": words.listed(found.sizes),
        "images": "{train:,} training, {val:,} validation and {test:,} test "
                  "images".format(**r["dataset"]["sizes"]),
        "platform": f"{top['where']}. {top['runs'][:-1]}",
        "questions": [[QUESTIONS[name].title, says[name]] for name in (
            "accuracy", "compiling", "floor", "memory", "proof") if says.get(name)],
        "why": sentences(found),
        "table": list(by_variant(["n", "steady epoch, s", "first epoch, s",
                                  "test accuracy"], [
            (key(row), row["ok"], row["steady_epoch_s"], row["first_epoch_s"],
             row["test_accuracy"]) for row in rows[:MOST_ROWS]],
            {"test accuracy": SHARE}).texts()),
        "left": max(0, len(rows) - MOST_ROWS), "figures": figures,
        "reflection": reflection}


def reflection(out):
    """Paragraphs of OUT/reflection.txt; none without it. Fault 5 where it cannot be
    read."""
    path = Path(out, REFLECTION)
    if not path.exists():
        return []
    try:
        text = path.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise Fault(STORAGE, f"cannot read: {str(path)!r}: {error}. Make it a text "
                             "file in UTF-8, or remove it") from error
    return [" ".join(part.split()) for part in re.split(r"\n\s*\n", text)
            if part.strip()]


def write(out, found, author=None):
    """OUT/report.pdf. Fault 4 without typst or without a finished run."""
    try:
        import typst
    except ImportError as error:
        raise Fault(ENVIRONMENT, f"report.pdf needs the package typst: {error}"
                                 ". Install it: pip install typst") from error
    if not found.done:
        raise Fault(ENVIRONMENT, "report.pdf: no run has finished")
    told, folder = reflection(out), Path(out, "paper")
    files.make_folder(folder)
    figures = []
    for stem, figure in FIGURES.items():
        path = Path(out, "figures", f"{stem}.svg")
        if figure.open and path.exists():
            files.write_atomic(folder / path.name, path.read_bytes())
            wide, tall = map(float, re.search(
                r'width="([\d.]+)pt" height="([\d.]+)pt"',
                path.read_text("utf-8")).groups())
            width = min(WIDE, TALL * wide / tall)
            figures.append([path.name, width, ELSEWHERE.sub("", figure.caption)])
    files.write_atomic(folder / "paper.json", json.dumps(content(
        found, figures, author, told), indent=1))
    source = folder / "paper.typ"
    files.write_atomic(source, (TEMPLATES / source.name).read_bytes())
    files.write_atomic(Path(out, "report.pdf"), typst.compile(
        source, root=folder, font_paths=fonts()))


def fonts():
    """Where the letters are that the figures are drawn with, if they are."""
    try:
        import matplotlib
    except ImportError:
        return []
    return [Path(matplotlib.get_data_path(), "fonts", "ttf")]
