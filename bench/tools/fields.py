"""docs/record.md, made from the fields that bench/run/record.py declares.

    python -m bench.tools.fields [OUT.md]
"""

from string import Template

from bench.kit import cli, files
from bench.report.document import read, save
from bench.report.render import as_markdown
from bench.report.table import Table
from bench.run.record import FIELDS, STATES

PAGE = files.ROOT / "docs" / "record.md"


def span(field):
    """The range of a number in words; nothing else has one."""
    return " ".join(f"{word} {end:g}" for word, end in (
        ("from", field.low), ("to", field.high)) if abs(end) < float("inf"))


def page():
    """The whole page."""
    blocks = [Template(read("record.md")).substitute(
        states=", ".join(f"`{state}`" for state in STATES))]
    for title, fields in FIELDS.items():
        blocks += [f"## {title[:1].upper()}{title[1:]}", Table(
            ["field", "type", "unit", "range", "may", "written by", "meaning"],
            [(f"`{field.name}`", field.type, field.unit, span(field),
              field.may, field.writer, field.meaning) for field in fields])]
    return as_markdown(blocks) + "\n"


if __name__ == "__main__":
    cli.guard(lambda: save(page(), PAGE), "fields.py")
