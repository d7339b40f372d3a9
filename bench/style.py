"""The one look of all figures.

One colour per framework (Okabe and Ito's palette, told apart by colour-blind
readers and in grey) and one line style per rung, in every figure.
"""

import io
import math
import textwrap

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.patheffects import withStroke  # noqa: E402
from matplotlib.ticker import (  # noqa: E402
    FuncFormatter,
    Locator,
    LogLocator,
    MaxNLocator,
    NullFormatter,
)

from bench.record import write_atomic  # noqa: E402

SHADES = {"jax": ("#0072B2", "#56B4E9", "#00334F"),
          "torch": ("#D55E00", "#E69F00", "#6E3000"),
          "": ("#009E73", "#CC79A7", "#882255", "#999933")}
COLOURS = {framework: SHADES[framework][0] for framework in ("jax", "torch")}
HALO = [withStroke(linewidth=2.5, foreground="white")]  # of text on lines
STYLES = {"eager": ":", "model": "-.", "step": "-", "epoch": "--",
          "graph": "--"}
plt.rcParams.update({
    "font.size": 9, "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "grid.alpha": 0.25, "grid.linewidth": 0.6,
    "figure.dpi": 110, "savefig.dpi": 150, "svg.hashsalt": "mlp",
    "legend.frameon": False, "figure.constrained_layout.use": True,
    "figure.constrained_layout.w_pad": 0.1})


def family(contender):
    """jax-adam -> jax; "" for a script of somebody's own."""
    first = contender.partition("-")[0]
    return first if first in SHADES else ""


def colour(contender, known):
    """A framework's colour, its variants' a shade of it; others take the next
    free one."""
    kin = sorted({c for c in known if family(c) == family(contender)})
    shades = SHADES[family(contender)]
    return shades[kin.index(contender) % len(shades)]


def width(contender, known):
    """The first contender's lines are wide and lie below the others', so
    that curves that coincide are both seen."""
    return 3.2 if contender == known[0] else 1.2


def wide(count):
    """Inches of a figure with so many panels side by side."""
    return max(6.6, 3.3 * count + 1)


def save(figure, folder, stem):
    figure.draw_without_rendering()
    if any(len(label.get_text()) > 12 for axis in figure.axes
           for label in axis.get_yticklabels()):
        figure.draw_without_rendering()  # now it knows how long they are
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
    most = int(figure.get_figwidth() * 17)  # letters of this size in a line
    lines = [line for part in f"{text}\n{proof[1]}".splitlines() if part
             for line in textwrap.wrap(part, most)]
    figure.suptitle("\n".join(textwrap.wrap(title + flag, int(
        figure.get_figwidth() * 9.5))), x=0.01, ha="left", fontsize=12,
        fontweight="bold")
    figure.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=7.5,
                     color="#555555")


class PlainLog(Locator):
    """Ticks of a log axis at 1, 2, 5, 10, …; of a short one evenly spaced; of
    a long one at powers of ten."""

    def __call__(self):
        return self.tick_values(*self.axis.get_view_interval())

    def tick_values(self, low, high):
        if high < 4 * low:
            ticks = MaxNLocator(5, steps=(1, 2, 5, 10)).tick_values(low, high)
            return [tick for tick in ticks if tick > 0]
        return LogLocator(subs=(1, 2, 5) if high < 1000 * low else (1,)
                          ).tick_values(low, high)


def plain_log(axis, form="g"):
    """A log axis whose ticks are plain numbers, in a format."""
    axis.set_major_locator(PlainLog())
    axis.set_major_formatter(FuncFormatter(
        lambda value, _: format(round(value, 12), form)))
    axis.set_minor_formatter(NullFormatter())


def chosen(sizes, most=3):
    """Batch sizes for panels side by side: all, or of more than `most` the
    smallest, the largest and those in the middle."""
    sizes = sorted(sizes)
    if len(sizes) <= most:
        return sizes
    last = len(sizes) - 1
    return [sizes[round(n * last / (most - 1))] for n in range(most)]


def legend(figure, axes):
    """One legend for all panels: above them, beside the title, or where that
    would be too long on their right."""
    handles = {}
    for axis in axes:
        handles.update(zip(*axis.get_legend_handles_labels()[::-1]))
    inches = 5.2 + sum(0.55 + 0.075 * len(text) for text in handles)
    above = inches < figure.get_figwidth()
    figure.legend(handles.values(), handles.keys(), handlelength=2.6,
                  loc="outside upper right" if above else
                  "outside right upper", ncols=len(handles) if above else 1)


def label_ends(axis, ends):
    """Names at the right ends of lines, [(x, y, text, colour), …], on a log
    axis moved apart where they would lie on each other."""
    low, high = (math.log(end) for end in axis.get_ylim())
    gap, last = (high - low) / 16, -math.inf
    for x, y, text, paint in sorted(ends, key=lambda end: end[1]):
        last = max(math.log(y), last + gap)
        axis.annotate(text, (x, math.exp(last)), xytext=(8, 0), color=paint,
                      textcoords="offset points", va="center", fontsize=8,
                      annotation_clip=False)
