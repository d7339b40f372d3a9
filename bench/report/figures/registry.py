"""Every figure of a comparison, in the order of report.html.

To add one: an entry here, and the function that it names. matplotlib is
imported only when something is drawn, because compare.py works without it.
"""

import importlib
from typing import NamedTuple

from bench.report.words import where


class Figure(NamedTuple):
    """caption: what it shows, in the report and for those who cannot see it;
    function: "module:name" in this folder, which makes a matplotlib figure
    out of a Found, or None where that has nothing to show in it; below: text
    under the picture; panels: has it a part for each batch size, of many for
    some of them; fair: does it need finished runs that may be compared;
    paper: is it in report.pdf; published: folders of results/ that it is
    published from, "" for that of `make all`; front: is it in the README."""

    title: str
    caption: str
    function: str
    below: str = ""
    panels: bool = False
    fair: bool = True
    paper: bool = False
    published: tuple = ("",)
    front: bool = False


FLOORS = "", "floor", "floor_one_thread", "floor_tf32"
TARGETS = "", "target_64", "target_256", "target_1024"
FIGURES = {
    "seconds": Figure(
        "Seconds per epoch",
        "Steady epochs and the first one with its compilation, by variant and "
        "batch size; the numbers stand in the table Speed.", "rows:seconds",
        "filled: steady epochs, median and 95 % interval; hollow: the first "
        "epoch with compilation", panels=True, paper=True, published=FLOORS),
    "ratios": Figure(
        "JAX over PyTorch",
        "Every rung of JAX over every rung of PyTorch; grey where no "
        "difference is shown. The numbers stand in the table Ratios.",
        "rows:ratios",
        "geometric mean over blocks and 95 % interval; grey: no difference "
        "shown", paper=True, published=FLOORS, front=True),
    "wall_clock": Figure(
        "Seconds until it is good",
        "Test accuracy against seconds since the process was created: which "
        "is faster for one who waits for a result.", "curves:wall_clock",
        "a line per run, a dot per epoch; imports, data and compilation "
        "included", panels=True, published=TARGETS),
    "throughput": Figure(
        "Images per second",
        "Training speed against batch size, with the floor of the machine "
        "where it was measured.", "sizes:throughput",
        "steady epochs, median over runs", published=FLOORS),
    "parts": Figure(
        "What the seconds of a run go into",
        "Importing, data, compiling, training and evaluating, median over "
        "runs.", "rows:parts", "train: all epochs", panels=True, paper=True,
        published=("", "waterfall")),
    "epochs": Figure(
        "Every epoch of every run",
        "The first epoch, hollow, includes the compilation; the others show "
        "how steady the machine was.", "curves:epochs",
        "hollow: the first epoch, with compilation", panels=True),
    "curves_epoch": Figure(
        "Learning per epoch",
        "Loss and accuracy on training and validation data; lines of two "
        "frameworks that lie on each other are what parity looks like.",
        "curves:learning",
        "thick: mean over runs; band: its standard error; thin: every run",
        panels=True, paper=True),
    "final": Figure(
        "Accuracy and memory",
        "Test accuracy of every run with the interval that the test set's "
        "size allows, and the peak memory.", "rows:final",
        published=TARGETS),
    "energy": Figure(
        "Energy",
        "Joules of an epoch by the device's counter, with and without what "
        "the device takes when idle.", "rows:energy",
        "filled: all of it; hollow: less what the idle device takes"),
    "steps": Figure(
        "Seconds per step",
        "Time per step against batch size with the fitted fixed cost and cost "
        "per sample.", "sizes:steps",
        "dots: steady epochs, median; lines: fixed cost and cost per sample, "
        "mean fit", published=("", "steps")),
    "waterfall": Figure(
        "Where the time goes",
        "From the eager rungs down to the matrix products alone; each bar is "
        "the difference of two runs.", "rows:waterfall",
        "each bar is the difference of two runs; lines: 95 % intervals",
        panels=True, published=("", "waterfall")),
    "parity": Figure(
        "One computation",
        "Above, the loss of every step, all variants on top of each other; "
        "below, how far each is from the reference.", "parity:parity",
        "the reference is wide, all others thin on top of it; steps without a "
        "difference are not drawn", panels=True, fair=False),
}


def draw(folder, found):
    """Every figure that there is something for -> their names."""
    from bench.report.figures import axes, style
    place, _, rest = where(found.records).partition(", ")
    rest += f"; {len(found.done)} of {len(found.records)} runs"
    shown, sizes = len(axes.chosen(found.sizes)), len(found.sizes)
    some = f"; {shown} of {sizes} batch sizes" * (shown < sizes)
    drawn = []
    for stem, entry in FIGURES.items():
        if entry.fair and (found.unfair or not found.done):
            continue
        module, _, function = entry.function.partition(":")
        figure = getattr(importlib.import_module(
            f"bench.report.figures.{module}"), function)(found)
        if figure is not None:
            style.caption(
                figure, entry.title + f" on {place}" * entry.fair,
                (entry.below, (rest + some * entry.panels) * entry.fair),
                found.proof)
            style.save(figure, folder, stem)
            drawn.append(stem)
    return drawn
