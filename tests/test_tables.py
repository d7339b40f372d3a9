"""Tables hold any value: each renderer keeps their shape."""

import csv
import io
import re
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as some

from bench.report import render
from bench.report.table import Bold, Table

TEXTS = some.text(some.characters(exclude_categories=("C", "Z")), min_size=1)
NUMBERS = some.floats(0, 1e6, allow_nan=False)
SPANS = some.tuples(NUMBERS, some.none() | some.tuples(NUMBERS, NUMBERS))
CELLS = some.none() | TEXTS | NUMBERS | SPANS | some.builds(Bold, NUMBERS)


@some.composite
def tables(draw):
    """Tables of one to four columns and up to five rows."""
    width = draw(some.integers(1, 4))
    return Table([draw(TEXTS) for _ in range(width)], draw(some.lists(
        some.tuples(*[CELLS] * width), max_size=5)))


@given(tables())
def test_markdown_has_a_line_a_row_and_a_bar_between_cells(table):
    lines = render.as_markdown([table]).split("\n")
    assert len(lines) == len(table.rows) + 2
    for line in lines:
        assert len(re.findall(r"(?<!\\)\|", line)) == len(table.heads) + 1


class Cells(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)

    def handle_data(self, data):
        self.texts.append(data)


@given(tables())
def test_html_says_what_the_table_says_and_no_text_becomes_a_tag(table):
    found = Cells(render.as_html([table]))
    assert set(found.tags) <= {"div", "table", "thead", "tbody", "tr", "th",
                               "td", "b"}
    assert found.tags.count("th") == len(table.heads)
    assert found.tags.count("td") == len(table.heads) * len(table.rows)
    said = "".join(found.texts)
    assert all(text in said for row in table.texts() for text in row)


@given(tables())
def test_latex_has_as_many_cells_as_the_table(table):
    rows = re.findall(r"(.*) \\\\\n", render.as_latex(table))
    assert len(rows) == len(table.rows) + 1
    for row in rows:
        assert len(re.findall(r"(?<!\\) & ", f" {row} ")) >= (
            len(table.heads) - 1)


@given(some.lists(some.tuples(TEXTS | some.none(), NUMBERS), max_size=5))
def test_csv_comes_back_as_it_was_written(rows):
    text = render.as_csv(["a", "b"], rows)
    assert list(csv.reader(io.StringIO(text))) == [
        ["a", "b"], *([name or "", str(value)] for name, value in rows)]
