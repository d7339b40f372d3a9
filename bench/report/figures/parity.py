"""The figure of the parity certificate."""

import numpy as np

from bench.proof.judging import bound, differences
from bench.proof.traces import SEED, key
from bench.report.figures.axes import panels
from bench.report.figures.style import SOFT, legend, looks, note
from bench.report.words import name


def parity(found):
    """The losses of every step on top of each other and, below, how far each
    is from the reference; None without a certificate."""
    rows = _of_one_optimizer(found.proof[2])
    if not rows:
        return None
    figure, columns = panels(
        sorted({row["batch_size"] for row in rows}), "step",
        [f"training loss, {rows[0]['optimizer']} lr {rows[0]['lr']:g}",
         f"relative difference from {rows[0]['reference']}"], 2.7)
    for size, axes in columns.items():
        for precision, text in (("fp64", "float64"), ("fp32", "float32")):
            mine = [row for row in rows if row["precision"] == precision
                    and (row["batch_size"], row["seed"]) == (size, SEED)]
            if mine:
                _compare(*axes, mine)
                allowed = bound(mine[0], "loss")
                axes[1].plot([1, max(row["steps_bounded"] for row in mine)],
                             [allowed] * 2, color="black", lw=1)
                note(axes[1], f"allowed in {text}", (1, allowed), (2, 5))
        axes[1].set_ylim(1e-17, 1)
    legend(figure)
    return figure


def _of_one_optimizer(certificate):
    """Rows with losses of the optimizer that has most in float64, then most
    at all: that of the comparison; of several, the one with float32, too."""
    families = {}
    for row in certificate["rows"] if certificate else ():
        if row.get("losses"):
            families.setdefault((row["optimizer"], row["lr"]), []).append(row)
    return max(families.values(), default=[], key=lambda rows: (
        sum(row["precision"] == "fp64" for row in rows), len(rows)))


def _compare(loss, gap, rows):
    """The reference wide, or where it is not there the longest; all others
    thin on top of it. Steps without a difference are not drawn."""
    first = min(rows, key=lambda row: (name(key(row)) != row["reference"],
                                       -row["steps"]))
    loss.plot(range(1, len(first["losses"]) + 1), first["losses"], color=SOFT,
              lw=4, rasterized=True)
    for row, look in zip(rows, looks(map(key, rows)).values()):
        steps = np.arange(1, len(row["losses"]) + 1)
        loss.plot(steps, row["losses"], lw=0.8, **{**look, "label": None},
                  rasterized=True)
        if row is not first:
            values = differences(row["losses"], first["losses"])
            seen = values > 0
            gap.plot(steps[:len(values)][seen], values[seen], lw=0.8,
                     alpha=0.8, rasterized=True, **look)
