"""Tables as objects: what they hold is decided here, how they look in
render.py. A block of a report is a paragraph (a text) or a Table."""

from typing import NamedTuple

from bench.report.words import name, three, with_span

PERCENT, SHARE = "{:.0%}".format, "{:.2%}".format


class Bold(NamedTuple):
    """A value that is to be seen first."""

    value: object


class Table(NamedTuple):
    """heads: of the columns, with their units; rows: a value for each; forms:
    {head: text of a number, where three figures are not what it needs}.

    Values are numbers, texts, None where nothing was measured, or tuples: a
    number, then its standard deviation and its interval (low, high)."""

    heads: list
    rows: list
    forms: dict = {}

    def right(self):
        """Of each column: does it hold numbers, which stand on the right?"""
        return [any(not isinstance(row[n], (str, type(None)))
                    for row in self.rows) for n in range(len(self.heads))]

    def texts(self, bold="{}", escape=str):
        """The heads, then every row, as texts; bold: what stands round a
        value that is to be seen first."""
        yield list(map(escape, self.heads))
        forms = [self.forms.get(head, three) for head in self.heads]
        for row in self.rows:
            yield [bold.format(escape(text(value.value, form)))
                   if isinstance(value, Bold) else escape(text(value, form))
                   for value, form in zip(row, forms)]


def text(value, form):
    """A value as people read it."""
    if isinstance(value, (str, int)):
        return str(value)
    return with_span(*value if isinstance(value, tuple) else [value], form=form)


def by_variant(heads, numbers, forms=None):
    """Table of (key, value, …): a row per batch size and variant."""
    return Table(["batch", "variant", *heads], [
        (key[3], name(key), *values) for key, *values in numbers], forms or {})
