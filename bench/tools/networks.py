"""What `make vision` has left -> one table and one figure of all networks.

    python -m bench.tools.networks FOLDER

FOLDER has a comparison for each network and work, NETWORK_WORK; the table goes to
the terminal and to FOLDER/networks.md and .tex, the figure to FOLDER/networks.png.
A network of which nothing has finished, or that was not run, has a row that says so.
"""

import os
import sys
from itertools import product
from pathlib import Path
from typing import NamedTuple

from bench.kit import cli, files, network
from bench.kit.cli import ENVIRONMENT, USAGE, Fault
from bench.report.render import as_latex, as_markdown, as_terminal
from bench.report.table import PERCENT, Table

WORKS = {"train": "training", "answer": "answering"}
BEST = 3  # place of the batch size in a key
SHARE = "the fastest, of a large product's speed"
FLOOR = "of the speed of its products alone"
UNFAIR = "not fair"
MARKS = {"step": "o", "eager": "s", "model": "^"}


class Row(NamedTuple):
    """speeds: {variant: (images a second, interval or None)}; ratio: jax step's
    seconds over those of PyTorch's fastest, (value, interval or None), None, or UNFAIR;
    share: of the speed of a large product that the fastest reaches, or None; floor: of
    that of this network's products alone, (value, interval or None), or None; lacking:
    why there is nothing, or None."""

    network: str
    work: str
    size: int = None
    speeds: dict = {}
    ratio: tuple = None
    share: float = None
    floor: tuple = None
    lacking: str = None


def rows(folder):
    """Row of each network, work and batch size; one without a size where nothing
    has finished or nothing was run."""
    for name, work in product(network.VISION, WORKS):
        place = folder / f"{name}_{work}"
        found = files.read_json(place / "answer.json")
        sizes = sorted({row[BEST] for row in found.get("speeds", ())})
        if not sizes:
            yield Row(name, work, lacking=(
                "nothing finished" if place.is_dir() else "not run"))
        for size in sizes:
            speeds = {f"{row[0]} {row[1]}": (row[4], row[5] and (*row[5:],))
                      for row in found["speeds"] if row[BEST] == size}
            peak = files.read_json(place / "peak.json")
            one = network.of({"network": name, "work": work, "dataset": "mnist"})
            share = peak and one.operations * max(speeds.values())[0] / peak[
                "measurements"]["flops"]["value"]
            best = max(speeds, key=lambda name: speeds[name][0])
            floor = [(row[4], row[5] and (*row[5:],)) for row in found.get("shares", ())
                     if (f"{row[0]} {row[1]}", row[BEST]) == (best, size)]
            yield Row(name, work, size, speeds, against(found, size), share or None,
                      *floor)


def against(found, size):
    """JAX's seconds over those of PyTorch's fastest variant at a batch size; UNFAIR
    where the audit has refused the comparison."""
    if "NOT FAIR" in found.get("verdicts", ""):
        return UNFAIR
    others = [row for row in found["speeds"]
              if row[BEST] == size and row[0].startswith("torch")]
    best = max(others, key=lambda row: row[4], default=[])[:4]
    for one, two, value, span in found["ratios"]:
        if one[0] == "jax" and two == best:
            return value, span and (*span,)
    return None


def table(found):
    """-> Table of rows()"""
    variants = list(dict.fromkeys(name for row in found for name in row.speeds))
    return Table(
        ["network", "work", "batch", *(f"{name}, images/s" for name in variants),
         "jax step over the fastest of torch, seconds", SHARE,
         FLOOR],
        [(row.network, WORKS[row.work], row.size or row.lacking,
          *map(row.speeds.get, variants), row.ratio, row.share, row.floor)
         for row in found],
        {SHARE: PERCENT, FLOOR: PERCENT})


def draw(found, path):
    """Images a second with their intervals, a panel for each work and batch size. Dots,
    not bars: networks differ a hundredfold, so the axis has no 0."""
    os.environ["MPLBACKEND"] = "agg"
    from bench.report.figures import style
    panels = sorted({(row.work, row.size) for row in found if row.size})
    names = list(dict.fromkeys(name for row in found for name in row.speeds))
    look = style.looks({(*name.split(), "device"): None for name in names})
    figure, axes = style.plt.subplots(len(panels), squeeze=False, figsize=(
        8, 2.6 * len(panels)))
    for (axis,), panel in zip(axes, panels):
        mine = [row for row in found if (row.work, row.size) == panel]
        for n, name in enumerate(names):
            for place, row in enumerate(mine):
                if name in row.speeds:
                    dot(axis, place + (n - (len(names) - 1) / 2) / (len(names) + 1),
                        row.speeds[name], label=name, marker=MARKS[name.split()[1]],
                        color=look[(*name.split(), "device")]["color"])
        axis.set_xticks(range(len(mine)), [
            row.network + f"\n{UNFAIR}" * (row.ratio == UNFAIR) for row in mine])
        axis.set_yscale("log")
        axis.set(ylabel="images a second", title=f"{WORKS[panel[0]]}, batch {panel[1]}")
    style.legend(figure)
    figure.savefig(path, dpi=120, bbox_inches="tight")


def dot(axis, place, speed, **look):
    """A value and its interval."""
    value, span = speed
    axis.plot(place, value, ls="", **look)
    if span:
        axis.plot([place, place], span, color=look["color"], lw=1)


def main():
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        raise Fault(USAGE, "argument FOLDER: the folder that make vision has filled")
    folder = Path(sys.argv[1])
    found = list(rows(folder))
    if not any(row.size for row in found):
        raise Fault(ENVIRONMENT, f"{str(folder)!r}: nothing has finished there. Run "
                                 "make vision")
    one = table(found)
    print(as_terminal([one]))
    files.write_atomic(folder / "networks.md", as_markdown([one]) + "\n")
    files.write_atomic(folder / "networks.tex", as_latex(one))
    draw(found, folder / "networks.png")
    return cli.OK


if __name__ == "__main__":
    cli.guard(main, "networks.py")
