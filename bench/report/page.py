"""report.html: everything that a comparison has found, in one file.

Nothing comes from elsewhere, and it works without a network, in the dark, on
paper, on a phone and by keyboard.
"""

import json
import re
from html import escape
from pathlib import Path

from bench.proof import audit
from bench.report import words
from bench.report.answer import apart, screen
from bench.report.document import document
from bench.report.figures.registry import FIGURES
from bench.report.figures.svg import inline
from bench.report.proof import control, steadiness
from bench.report.render import as_html
from bench.report.sections import QUESTIONS, asked, head
from bench.report.table import Table

FIRST = "pair"  # the figure of the first screen
OPEN = ("Speed", "Peers")  # tables shown at once
BESIDE = ("Speed",)  # of these, narrow enough to stand beside a figure
TABLES = ("results.csv", "iterations.csv", "summary.csv", "summary.md")
DATA = (*TABLES, "certificate.json")


def page(out, found, sections):
    """The page's HTML; sections: {title: blocks}."""
    top, shown = head(found), dict(pictures(Path(out, "figures")))
    title = escape(words.titled(found.done) if found.done else "No run finished")
    first, parts = apart(screen(found)), dict(asked(found, sections))
    for name, figure in FIGURES.items():  # where there is no section of it
        if name in shown:
            parts.setdefault(figure.question, ([], {}))
    names = [name for name in QUESTIONS if name in parts]
    return document(
        "report", title=title, place=escape(top["where"]),
        runs=escape(top["runs"]), control=escape(control(found)),
        **{name: as_html(blocks) for name, blocks in first.items()},
        picture=shown.get(FIRST, ""),
        seals=seal("Same computation", found.proof[0], words.capital(found.proof[1])
                   + ".")
        + seal("Same conditions", not found.unfair,
               audit.line(found.verdicts) + ".")
        + seal("Steady machine", *steadiness(found.done)),
        words="".join(f"<div><dt>{escape(word)}</dt><dd>{escape(text)}</dd></div>"
                      for word, text in words.TEXTS["glossary"].items()),
        contents="".join(f'<a href="#{name}">{escape(QUESTIONS[name].title)}</a>'
                         for name in names),
        questions="".join(question(name, *parts[name], shown) for name in names),
        environment=as_html([Table(["of the machine", "value"], [
            (key.replace("_", " "), ", ".join(
                value if isinstance(value, str) else json.dumps(value)
                for value in values))
            for key, values in words.environment(found.done).items()])]),
        data="".join(f'<li><a href="{name}">{name}</a></li>' for name in DATA
                     if Path(out, name).exists()))


def question(name, says, tables, shown):
    """A part of the page: sentences and narrow tables beside open figures, and below
    them the rest, as wide as the page, most of it folded."""
    mine = {stem: figure for stem, figure in FIGURES.items() if figure.question == name
            and stem in shown and stem != FIRST}
    open_ = "".join(shown[stem] for stem, figure in mine.items() if figure.open)
    beside, below = ("".join(
        f'<details id="{place}"{" open" * (title in OPEN)}><summary>{escape(title)}'
        f"</summary>{content}</details>"
        for place, title, content in (
            *((anchor(title), title, as_html(blocks))
              for title, blocks in tables.items()),
            *((stem, f"Figure: {figure.title}", shown[stem])
              for stem, figure in mine.items() if not figure.open))
        if (title in BESIDE) == wanted) for wanted in (True, False))
    return (f'<section id="{name}"><h2>{escape(QUESTIONS[name].title)}</h2>'
            f'<div class="asked"><div>{explained(as_html(says))}{beside}</div>{open_}'
            f"</div>{below}</section>")


def anchor(name):
    """The address of a part of the page."""
    return "table-" + re.sub(r"\W+", "-", name.lower())


def seal(name, good, text):
    """A box: is this as it must be?"""
    return (f'<div class="seal{"" if good else " bad"}"><b>{name}: '
            f'{"yes" if good else "NO"}</b>{escape(text)}</div>')


def explained(html):
    """The first of each word of the glossary says what it means."""
    for word, meaning in words.TEXTS["glossary"].items():
        html = re.sub(rf"(?<![\w>])({word}s?)(?![\w<])(?![^<]*>)", (
            rf'<abbr tabindex="0" data-tell="{escape(meaning)}">\1</abbr>'), html,
            count=1)
    return html


def pictures(folder):
    """(stem, a <figure>) of each figure that there is."""
    for stem, figure in FIGURES.items():
        path = folder / f"{stem}.svg"
        if path.exists():
            drawn = inline(path.read_text("utf-8"), stem,
                           f"{figure.title}. {figure.caption}")
            yield stem, (f'<figure id="figure-{stem}"><div class="scroll">{drawn}'
                         f"</div><figcaption>{escape(figure.caption)}</figcaption>"
                         "</figure>")
