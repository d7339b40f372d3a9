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

from bench.report import messages
from bench.report.words import chosen, where


class Figure(NamedTuple):
    """caption: what it shows, in the report and for those who cannot see it;
    function: "module:name" in this folder, which makes a matplotlib figure
    out of a Found, or None where that has nothing to show in it; message: the
    function of messages.py that says in a sentence what it shows; question: the
    one of sections.py that it answers; open: is it seen at once, and so as wide as
    a phone, or folded; below: text under the picture; panels: has it a part for
    each batch size, of many for some of them; fair: does it need finished runs that
    may be compared; published: folders of results/ that it is published from, ""
    for that of `make all`."""

    title: str
    caption: str
    function: str
    message: str = ""
    question: str = "rest"
    open: bool = False
    below: str = ""
    panels: bool = False
    fair: bool = True
    published: list = [""]

    def says(self, found):
        """Its title: the message, else its name."""
        return self.message and getattr(messages, self.message)(found) or self.title


FIGURES = {stem: Figure(**entry) for stem, entry in tomllib.loads(
    Path(__file__).with_name("figures.toml").read_text("utf-8")).items()}


def draw(folder, found):
    """Every figure that there is something for -> their names."""
    os.environ["MPLBACKEND"] = "agg"  # never a window, whatever is set
    from bench.report.figures import style
    place, _, rest = where(found.done).partition(", ")
    rest += f"; {len(found.done)} of {len(found.records)} runs"
    shown, sizes = len(chosen(found.sizes)), len(found.sizes)
    some = f"; {shown} of {sizes} batch sizes" * (shown < sizes)
    drawn = []
    for stem, entry in FIGURES.items():
        if entry.fair and (found.unfair or not found.groups):
            continue
        figure = pkgutil.resolve_name(
            f"bench.report.figures.{entry.function}")(found)
        if figure is not None:
            about = f"{place}, {rest}" * entry.fair + some * entry.panels
            style.caption(figure, entry.says(found), found.proof, (
                entry.below, some[2:] * entry.panels) if entry.open else (
                entry.below, about, found.proof[1]))
            style.save(figure, folder, stem)
            drawn.append(stem)
    return drawn
