"""report.pdf, two pages, by typst; and summary.tex, tables for LaTeX.

Optional: `make report` installs the Python package typst. What the pages say
of the two frameworks' style is the same for every run; every number is of
this run.
"""

import json
import shutil
import tempfile
from pathlib import Path

from bench import record, sentences, summary, tables
from bench.cli import ENVIRONMENT, Fault

TEMPLATE = Path(__file__).resolve().with_name("templates") / "paper.typ"
MOST_ROWS = 28  # of the table, so that it ends on its page
FIGURES = (("curves_epoch", "Loss and accuracy per epoch."),
           ("ratios", "JAX over PyTorch with 95 % intervals."),
           ("seconds", "Seconds per epoch: steady (filled) and first "
            "(hollow)."),
           ("parts", "What the seconds of a run go into."))
STYLES = (
    "In JAX the network is a pure function of its weights, forward(params, "
    "x), and a training step takes the old state and returns the new one; "
    "nothing is changed in place, randomness is a key that is passed on, and "
    "what is not an argument does not exist. In PyTorch the weights live in "
    "objects: a Module registers them, autograd records what is done with "
    "them on a tape, and the optimizer changes them where they are. The pair "
    "shows both in nine sections under the same names.")
TRANSFORMS = (
    "grad (here value_and_grad) turns the objective into a function that "
    "returns its derivative by the weights; PyTorch reaches the same by "
    "playing a tape backwards, or in the compiled rungs by "
    "torch.func.grad_and_value. jit traces a function once for given shapes "
    "and has XLA compile the trace into one program; scan puts the loop over "
    "the batches into it. torch.compile does for a step what jit does; a CUDA "
    "graph records it once and replays it, so that an epoch needs no Python.")


def content(found, measured, waterfalls, figures):
    """What the template needs, as plain data."""
    r = found.done[0]
    hidden = " - ".join(map(str, r["config"]["hidden"]))
    sizes = r["dataset"]["sizes"]
    names = {"mnist": "MNIST", "digits": "generated digits (not MNIST)"}
    batches = sentences.listed([str(size) for size in found.sizes])
    rows = [row for row in found.rows if row["ok"]]
    trained = sentences.listed(sorted({
        f"{r['config']['optimizer']} with learning rate {r['config']['lr']:g}"
        for r in found.done}))
    epochs = " or ".join(map(str, sorted(
        {r["config"]["epochs"] for r in found.done})))
    left = len(rows) - MOST_ROWS
    return {
        "title": f"One MLP in {found.called()}",
        "where": summary.where(found.records).split(", ")[0],
        "answer": sentences.answer(found),
        "architecture": (
            f"A multilayer perceptron 784 - {hidden} - 10 with ReLU, "
            f"{r['parameters']:,} parameters, He initialisation, softmax "
            f"cross-entropy on one-hot labels, {trained}, {epochs} epochs, "
            f"batch sizes {batches}."),
        "setup": (
            f"{names[r['dataset']['name']]}: {sizes['train']:,} training, "
            f"{sizes['val']:,} validation and {sizes['test']:,} test images. "
            f"{summary.where(found.records)}. "
            f"{summary.versions(found.records)}. Every "
            "run is a fresh process from the same initial weights on the same "
            "batches; the clock starts before the batch order of an epoch is "
            "made and stops after a fence. "
            f"{found.proof[1][:1].upper()}{found.proof[1][1:]}."),
        "styles": STYLES, "transforms": TRANSFORMS,
        "why": [list(pair) for pair in sentences.explanations(
            found, measured, waterfalls)],
        "table": [tables.SPEED, *map(tables.speed_cells, rows[:MOST_ROWS])],
        "note": ("Seconds: median over processes and 95 % interval of their "
                 "geometric mean. Test accuracy: mean ± standard deviation "
                 "over seeds." + (f" {left} more rows: summary.md."
                                 if left > 0 else "")),
        "figures": figures}


def write(out, found, measured, waterfalls):
    """OUT/report.pdf. Fault 4 without typst or without a finished run."""
    try:
        import typst
    except ImportError as error:
        raise Fault(ENVIRONMENT, f"report.pdf needs the package typst: "
                                 f"{error}. Install it: pip install typst"
                    ) from error
    if not found.done:
        raise Fault(ENVIRONMENT, "report.pdf: no run has finished")
    with tempfile.TemporaryDirectory(prefix="mlp-paper-") as folder:
        figures = []
        for stem, caption in FIGURES:
            path = Path(out, "figures", f"{stem}.svg")
            if path.exists():
                shutil.copy(path, folder)
                figures.append([path.name, caption])
        Path(folder, "paper.json").write_text(json.dumps(content(
            found, measured, waterfalls, figures)), "utf-8")
        source = shutil.copy(TEMPLATE, folder)
        record.write_atomic(Path(out, "report.pdf"), typst.compile(
            source, root=folder))


# ------------------------------------------------------------------- LaTeX

SPECIAL = {"\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$",
           "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
           "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
           "±": r"$\pm$", "µ": r"$\mu$"}


def tex(text):
    """The tables of summary.md as LaTeX tabulars, for \\input."""
    title, tables = "", []
    for block in text.split("\n\n"):
        lines = block.strip().splitlines()
        if lines and lines[0].startswith("## "):
            title = lines[0].lstrip("# ")
        if not lines or not lines[0].startswith("|"):
            continue
        rows = [[_escaped(cell.strip()) for cell in
                 line.strip().strip("|").split("|")] for line in lines]
        head, rule, *body = rows
        tables += [f"% {title}", r"\begin{tabular}{" + "".join(
            "r" if mark.endswith(":") else "l" for mark in rule) + "}",
            r"\hline", " & ".join(head) + r" \\", r"\hline",
            *(" & ".join(row) + r" \\" for row in body), r"\hline",
            r"\end{tabular}", ""]
    return "\n".join(tables) + "\n"


def _escaped(cell):
    bold = cell.startswith("**") and cell.endswith("**")
    text = "".join(SPECIAL.get(letter, letter)
                   for letter in cell.strip("*").replace("`", ""))
    return rf"\textbf{{{text}}}" if bold else text
