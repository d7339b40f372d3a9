"""report.html: everything that a comparison has found, in one file.

Pictures are inside, nothing comes from elsewhere, and it works without a
network, in the dark, on paper and by keyboard.
"""

import base64
import json
import re
from html import escape
from pathlib import Path

from bench.proof import audit
from bench.report import words
from bench.report.document import document
from bench.report.figures.registry import FIGURES
from bench.report.proof import steadiness
from bench.report.reasons import reasons
from bench.report.render import as_html
from bench.report.sections import head
from bench.report.table import Table

OPEN = ("Speed", "Ratios", "Accuracy", "Floor")  # tables shown at once
MOST = 400_000  # bytes of an SVG above which the PNG is smaller to read
TABLES = ("results.csv", "iterations.csv", "summary.csv", "summary.md")
DATA = (*TABLES, "certificate.json")


def page(out, found, sections):
    """The page's HTML; sections: {title: blocks}."""
    top = head(found)
    tables = {**sections, "Glossary": [Table(
        ["word", "what it means"], [*words.TEXTS["glossary"].items()])]}
    answer, why = tables.pop("Answer"), reasons(found)
    title = escape(f"{words.called(found.done)} on {top['where'].split(',')[0]}"
                   if found.done else "No run finished")
    return document(
        "report", title=title, place=escape(top["where"]),
        runs=escape(top["runs"]), answer=as_html(answer),
        seals=seal("Same computation", found.proof[0], found.proof[1])
        + seal("Same conditions", not found.unfair,
               audit.line(found.verdicts) + ".")
        + seal("Steady machine", *steadiness(found.done)),
        contents="".join(
            f'<a href="#{anchor(name)}">{escape(name)}</a>'
            for name in ("Figures", *tables, "Environment", "Data")),
        reasons='<h2 id="why">Why they differ</h2><dl>' * bool(why) + "".join(
            f"<dt>{escape(claim)}</dt><dd>{escape(sentence)}</dd>"
            for claim, sentence in why) + "</dl>" * bool(why),
        pictures="".join(pictures(Path(out, "figures"))),
        tables="".join(
            f'<details id="{anchor(name)}"{" open" * (name in OPEN)}>'
            f"<summary>{escape(name)}</summary>{as_html(blocks)}</details>"
            for name, blocks in tables.items()),
        environment=as_html([Table(["of the machine", "value"], [
            (key.replace("_", " "), ", ".join(
                value if isinstance(value, str) else json.dumps(value)
                for value in values))
            for key, values in words.environment(found.done).items()])]),
        data="".join(f'<li><a href="{name}">{name}</a></li>' for name in DATA
                     if Path(out, name).exists()))


def anchor(name):
    """The address of a part of the page."""
    return re.sub(r"\W+", "-", name.lower())


def seal(name, good, text):
    """A box: is this as it must be?"""
    return (f'<div class="seal{"" if good else " bad"}"><b>{name}: '
            f'{"yes" if good else "NO"}</b>{escape(text)}</div>')


def pictures(folder):
    """A <figure> for each figure that there is."""
    for stem, figure in FIGURES.items():
        path = folder / f"{stem}.svg"
        if not path.exists():
            continue
        # Letters of one size in all of them: none is drawn larger than it is.
        content, kind = path.read_bytes(), "svg+xml"
        inches = float(re.search(rb'width="([\d.]+)pt"', content)[1]) / 72
        if len(content) > MOST:
            content, kind = path.with_suffix(".png").read_bytes(), "png"
        content = base64.b64encode(content).decode()
        title, caption = escape(figure.title), escape(figure.caption)
        yield (f'<figure id="{anchor(stem)}"><img alt="{title}. {caption}" '
               f'style="max-width:{90 * inches:.0f}px" '
               f'src="data:image/{kind};base64,{content}">'
               f"<figcaption><b>{title}.</b> {caption}</figcaption></figure>")
