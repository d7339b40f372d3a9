"""The one look of all figures.

One colour per framework (Okabe and Ito's palette, told apart by colour-blind
readers and in grey) and one line style per rung, in every figure.
"""

import io
import itertools
import textwrap

import matplotlib.pyplot as plt

from bench.kit.files import write_atomic
from bench.kit.rungs import RUNGS
from bench.report.words import name

SHADES = {"jax": ("#0072B2", "#56B4E9", "#00334F"),
          "torch": ("#D55E00", "#E69F00", "#6E3000"),
          "": ("#009E73", "#CC79A7", "#882255", "#999933")}
COLOURS = {framework: SHADES[framework][0] for framework in ("jax", "torch")}
QUIET, SOFT = "#777777", "#bbbbbb"  # what belongs to no framework
FAINT = "#555555"  # text that stands back
NARROW = 3.4  # inches: of a figure for a phone, two of which fit beside each other
plt.rcParams.update({
    "font.size": 9, "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "axes.axisbelow": True, "grid.alpha": 0.25,
    "grid.linewidth": 0.6, "figure.dpi": 110, "savefig.dpi": 160,
    "svg.hashsalt": "mlp", "svg.fonttype": "none", "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.w_pad": 0.1})


def looks(keys):
    """{key of a variant: how its line is drawn and what it is called}. The
    rung gives the line. A framework's contender has its colour, its variants
    ("jax-adam") a shade of it; a script of somebody's own has the next free
    one."""
    keys = list(keys)
    shades = {kin: itertools.cycle(paints) for kin, paints in SHADES.items()}
    paint = {contender: next(shades.get(contender.partition("-")[0],
                                        shades[""]))
             for contender in sorted({key[0] for key in keys})}
    return {key: {"color": paint[key[0]], "ls": RUNGS[key[1]].line,
                  "label": name(key)} for key in keys}


def note(axis, text, at, by=(4, 0), **style):
    """A few letters at a point of the data, moved by so many points of
    print."""
    axis.annotate(text, at, xytext=by, textcoords="offset points",
                  **{"fontsize": 8, "va": "center", **style})


def tell(artist, key, text):
    """What is shown where somebody points at a mark: 'jax epoch, batch 64: text'.
    An SVG has it as the mark's name."""
    size = f", batch {key[3]}" if key[3:] and key[3] else ""
    artist.set_gid(f"tell {name(key)}{size}: {text}")


def legend(figure):
    """One legend for all panels: on their right, where no title is; of a narrow
    figure below."""
    handles, where, form = {}, "outside right center", {}
    for axis in figure.axes:
        handles.update(zip(*axis.get_legend_handles_labels()[::-1]))
    if figure.get_figwidth() == NARROW:
        where = "outside lower left"
        columns = 1 + (max(map(len, handles)) < 18)
        form = {"ncols": columns, "fontsize": 7.5, "columnspacing": 1}
        # Four lines have room below the panels; more would lie upon them.
        more = max(0, -(-len(handles) // columns) - 4)
        figure.set_figheight(figure.get_figheight() + 0.17 * more)
    figure.legend(handles.values(), handles.keys(), handlelength=2.6, loc=where,
                  **form)


def caption(figure, title, proof, below):
    """Title, and below the picture what a reader needs to judge it."""
    inches = figure.get_figwidth()
    size = 10 if inches == NARROW else 12
    flag = "" if proof[0] else " (parity NOT PROVED)"
    # So many letters of these sizes fit into an inch.
    figure.suptitle(textwrap.fill(title + flag, int(114 / size * inches)), x=0.01,
                    ha="left", fontsize=size, fontweight="bold")
    figure.supxlabel("\n".join(
        textwrap.fill(line, int(17 * inches)) for line in below if line), x=0.01,
        ha="left", fontsize=7.5, color=FAINT)


def save(figure, folder, stem):
    figure.draw_without_rendering()
    if any(len(label.get_text()) > 9 for axis in figure.axes
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
