"""The one look of all figures.

One colour per framework (Okabe and Ito's palette, told apart by colour-blind
readers and in grey) and one line style per rung, in every figure.
"""

import io

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter  # noqa: E402

from bench.record import write_atomic  # noqa: E402

COLOURS = {"jax": "#0072B2", "torch": "#D55E00"}
OTHERS = ("#009E73", "#CC79A7", "#56B4E9", "#E69F00")
STYLES = {"eager": ":", "step": "-", "epoch": "--"}
plt.rcParams.update({
    "font.size": 9, "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "grid.alpha": 0.25, "grid.linewidth": 0.6,
    "figure.dpi": 110, "savefig.dpi": 150, "svg.hashsalt": "mlp",
    "legend.frameon": False, "figure.constrained_layout.use": True})


def colour(contender, known):
    """A framework's colour; other contenders take the next free one."""
    others = sorted({c for c in known if c not in COLOURS})
    return COLOURS.get(contender) or OTHERS[
        others.index(contender) % len(OTHERS)]


def width(contender, known):
    """The first contender's lines are wide and lie below the others', so
    that curves that coincide are both seen."""
    return 3.2 if contender == known[0] else 1.2


def save(figure, folder, stem):
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # laid out once, not once a format
    for kind in ("png", "svg"):
        buffer = io.BytesIO()
        # No date in the file: the same records give the same bytes.
        figure.savefig(buffer, format=kind, metadata={
            "Date" if kind == "svg" else "Software": None})
        write_atomic(folder / f"{stem}.{kind}", buffer.getvalue())
    plt.close(figure)


def caption(figure, title, text, proof):
    """Title, and below it what a reader needs to judge the picture."""
    flag = "" if proof[0] else " (parity NOT PROVED)"
    figure.suptitle(title + flag, x=0.01, ha="left", fontsize=12,
                    fontweight="bold")
    figure.supxlabel(f"{text}\n{proof[1]}", x=0.01, ha="left", fontsize=7.5,
                     color="#555555")


def plain_log(axis):
    """Ticks of a log axis at 1, 2, 5, 10, … written as plain numbers."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
