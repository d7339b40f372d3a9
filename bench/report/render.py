"""Blocks -> text for a terminal, Markdown and HTML; tables -> LaTeX, CSV."""

import csv
import html
import io
import textwrap

from bench.report.table import Table

WIDTH = 100  # columns of a terminal that tables fit
SPECIAL = str.maketrans({
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$",
    "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "±": r"$\pm$", "µ": r"$\mu$"})


# ---------------------------------------------------------------- terminal

def as_terminal(blocks):
    """Every table in columns, a bold cell between stars, in WIDTH columns."""
    return "\n\n".join("\n".join(
        _aligned(block) if isinstance(block, Table) else _folded(block))
        for block in blocks)


def _aligned(table):
    rows = list(table.texts("*{}*"))
    widths = [max(map(len, column)) for column in zip(*rows)]
    last = sum(width + 2 for width in widths[:-1])
    return [line for row in rows for line in _folded("  ".join(
        text.ljust(width) for text, width in zip(row, widths)), last)]


def _folded(line, indent=0):
    """A line in lines of WIDTH columns, the further ones indented."""
    indent = indent if indent <= WIDTH - 40 else 4
    return textwrap.wrap(line, WIDTH, subsequent_indent=" " * indent,
                         break_long_words=False, break_on_hyphens=False)


# ---------------------------------------------------------- Markdown, HTML

def as_markdown(blocks):
    """Paragraphs, and tables between bars."""
    return "\n\n".join(_pipes(block) if isinstance(block, Table) else block
                       for block in blocks)


def _pipes(table):
    heads, *rows = table.texts("**{}**", lambda text: text.replace("|", r"\|"))
    rule = ["--:" if right else "---" for right in table.right()]
    return "\n".join(f"| {' | '.join(row)} |" for row in (heads, rule, *rows))


def as_html(blocks):
    """Paragraphs, and tables that scroll by themselves where the screen is
    narrow."""
    return "\n".join(
        _grid(block) if isinstance(block, Table)
        else f"<p>{html.escape(block)}</p>" for block in blocks)


def _grid(table):
    kinds = [' class="n"' * right for right in table.right()]

    def line(row, tag, scope=""):
        cells = [f"<{tag}{kind}{scope}>{text}</{tag}>"
                 for text, kind in zip(row, kinds)]
        return f"<tr>{''.join(cells)}</tr>"
    heads, *rows = table.texts("<b>{}</b>", html.escape)
    head = line(heads, "th", ' scope="col"')
    body = "".join(line(row, "td") for row in rows)
    return ('<div class="scroll" tabindex="0" role="region" '
            f'aria-label="Table"><table><thead>{head}</thead><tbody>{body}'
            "</tbody></table></div>")


# -------------------------------------------------------------- LaTeX, CSV

def as_latex(table):
    """A tabular, for \\input."""
    heads, *rows = [" & ".join(row) + r" \\" for row in table.texts(
        r"\textbf{{{}}}", lambda text: text.translate(SPECIAL))]
    sides = "".join("lr"[right] for right in table.right())
    return "\n".join([rf"\begin{{tabular}}{{{sides}}}", r"\hline", heads,
                      r"\hline", *rows, r"\hline", r"\end{tabular}", ""])


def as_csv(header, rows):
    """Values as they are (RFC 4180, but with plain newlines); None is an
    empty cell."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue()
