"""report.pdf, two pages, by typst.

Optional: `make report` installs the Python package typst. What is the same
for every run stands in the template; every number is of this run.
"""

import json
import shutil
import tempfile
from pathlib import Path

from bench.kit import files, network
from bench.kit.cli import ENVIRONMENT, Fault
from bench.report import words
from bench.report.answer import answer
from bench.report.document import TEMPLATES
from bench.report.figures.registry import FIGURES
from bench.report.reasons import reasons
from bench.report.sections import head
from bench.report.speed import speed_table

MOST_ROWS = 26  # of the table, so that it ends on its page


def content(found, figures):
    """What the template needs, as plain data."""
    r, rows = found.done[0], [row for row in found.rows if row["ok"]]
    top = head(found)
    configs = [one["config"] for one in found.done]
    return {
        "title": f"One {r['config'].get('network') or 'MLP'} in "
                 f"{words.called(found.done)}",
        "where": top["where"].split(", ")[0], "answer": answer(found),
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
        "proof": words.capital(found.proof[1]), "why": reasons(found),
        "table": list(speed_table(rows[:MOST_ROWS]).texts()),
        "left": len(rows) - MOST_ROWS, "figures": figures}


def write(out, found):
    """OUT/report.pdf. Fault 4 without typst or without a finished run."""
    try:
        import typst
    except ImportError as error:
        raise Fault(ENVIRONMENT, f"report.pdf needs the package typst: {error}"
                                 ". Install it: pip install typst") from error
    if not found.done:
        raise Fault(ENVIRONMENT, "report.pdf: no run has finished")
    with tempfile.TemporaryDirectory(prefix="mlp-paper-") as folder:
        figures = []
        for stem, figure in FIGURES.items():
            path = Path(out, "figures", f"{stem}.svg")
            if figure.paper and path.exists():
                shutil.copy(path, folder)
                figures.append([path.name, figure.title + "."])
        Path(folder, "paper.json").write_text(json.dumps(content(
            found, figures)), "utf-8")
        source = shutil.copy(TEMPLATES / "paper.typ", folder)
        files.write_atomic(Path(out, "report.pdf"), typst.compile(
            source, root=folder))
