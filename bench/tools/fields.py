"""docs/record.md, made from the fields that bench/run/record.py declares.

    python -m bench.tools.fields [OUT.md]
"""

import sys
from pathlib import Path

from bench.kit import cli, files
from bench.report.render import as_markdown
from bench.report.table import Table
from bench.run.record import FIELDS, STATES

PAGE = files.ROOT / "docs" / "record.md"
HEAD = f"""# The record of a run

A run leaves one JSON file in `runs/`. A script (`--json FILE`) writes what only
it knows; the lab adds what it sees from outside. `null` means "not measured".
A file that breaks a line of these tables is set aside and the run is made
again. Its states are {', '.join(f'`{state}`' for state in STATES)}.

`a.b` is the field b of the object a, `a[]` every entry of the list a. The page
is made from `bench/run/record.py` by `make book`."""


def span(field):
    """The range of a number in words."""
    if field.type not in ("whole", "number"):
        return ""
    return " ".join(f"{word} {end:g}" for word, end in (
        ("from", field.low), ("to", field.high)) if abs(end) < float("inf"))


def page():
    """The whole page."""
    blocks = [HEAD]
    for title, fields in FIELDS.items():
        blocks += [f"## {title[:1].upper()}{title[1:]}", Table(
            ["field", "type", "unit", "range", "may", "written by", "meaning"],
            [(f"`{field.name}`", field.type, field.unit, span(field),
              field.may, field.writer, field.meaning) for field in fields])]
    return as_markdown(blocks) + "\n"


def main():
    out = Path(*sys.argv[1:2] or [PAGE])
    files.write_atomic(out, page())
    print(f"page     {out}")
    return cli.OK


if __name__ == "__main__":
    cli.guard(main, "fields.py")
