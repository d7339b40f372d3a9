"""Every figure of a comparison: figures.toml has an entry for each, whose
function makes it.

matplotlib is imported only when something is drawn, because compare.py works
without it.
"""

import os
import pkgutil
import tomllib
from pathlib import Path
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
    published: list = [""]
    front: bool = False


FIGURES = {stem: Figure(**entry) for stem, entry in tomllib.loads(
    Path(__file__).with_name("figures.toml").read_text("utf-8")).items()}


def draw(folder, found):
    """Every figure that there is something for -> their names."""
    os.environ["MPLBACKEND"] = "agg"  # never a window, whatever is set
    from bench.report.figures import axes, style
    place, _, rest = where(found.done).partition(", ")
    rest += f"; {len(found.done)} of {len(found.records)} runs"
    shown, sizes = len(axes.chosen(found.sizes)), len(found.sizes)
    some = f"; {shown} of {sizes} batch sizes" * (shown < sizes)
    drawn = []
    for stem, entry in FIGURES.items():
        if entry.fair and (found.unfair or not found.groups):
            continue
        figure = pkgutil.resolve_name(
            f"bench.report.figures.{entry.function}")(found)
        if figure is not None:
            style.caption(
                figure, entry.title + f" on {place}" * entry.fair,
                (entry.below, (rest + some * entry.panels) * entry.fair),
                found.proof)
            style.save(figure, folder, stem)
            drawn.append(stem)
    return drawn
