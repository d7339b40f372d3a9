"""The two scripts side by side, as one page, and the two of the second chapter, for
several devices, as another: `make book`.

    python -m bench.tools.book [OUT.html]

The code on the page is that of the files: sections come from their rulers,
rows from the functions that both have. What a section teaches is in a table
of the README.
Pygments, of requirements-test.txt, colours the code.
"""

import difflib
import html
import itertools
import re
import sys

from bench.kit import cli
from bench.kit.cli import ENVIRONMENT, Fault
from bench.kit.files import ROOT
from bench.report.document import document, save
from bench.report.words import FRAMEWORKS

PAGE, SCALE_PAGE = (ROOT / "docs" / f"side_by_side{end}.html" for end in ("", "_scale"))
PAIR = {"jax": "mlp_jax.py", "torch": "mlp_torch.py"}
SCALE = {"jax": "scale/parallel_jax.py", "torch": "scale/parallel_torch.py"}
HEAD = "0. What to expect"  # of what stands above the first ruler
RULER = re.compile(r"\s*# -{4,} (\d\. \w.*)$")
DEFINED = re.compile(r"(?:    )?(?:def|class) (\w+)")
# {section: (what JAX, what PyTorch has in it)} of the README's table, as HTML
LESSONS = {
    f"{number}. {title}": [re.sub("`(.*?)`", r"<code>\1</code>", cell)
                           for cell in cells]
    for number, title, *cells in re.findall(
        r"^\| (\d) (\w.*) \| (.*) \| (.*) \|$",
        (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)}


def coloured(source):
    """Python text -> its lines as HTML; comments, strings, keywords marked."""
    try:
        from pygments import lex, token
        from pygments.lexers import PythonLexer
    except ImportError as error:
        raise Fault(ENVIRONMENT, f"make book needs pygments: {sys.executable} "
                                 "-m pip install pygments") from error
    marks = {token.Comment: "c", token.String: "s", token.Keyword: "k",
             token.Operator.Word: "k"}
    text = ""
    for mark, tokens in itertools.groupby(
            lex(source, PythonLexer(stripnl=False)), lambda found: next(
                (marks[kind] for kind in found[0].split()
                 if kind in marks), None)):
        part = html.escape("".join(words for _, words in tokens))
        text += re.sub("(.+)", rf'<span class="{mark}">\1</span>', part
                       ) if mark else part
    return text.splitlines()


def sections(source):
    """{title: [(name of a function or "", its lines as HTML), …]}, in
    order."""
    title, above = HEAD, []
    found = {title: [("", [])]}
    for text, line in zip(source.splitlines(), coloured(source)):
        if ruler := RULER.match(text):
            found[title][-1][1].extend(above)
            title, above = ruler[1], []
            found[title] = [("", [])]
            continue
        above.append(line)
        if text.startswith(("#", "@", "    #")) or not text.strip():
            continue  # above a function it belongs to that
        # A method opens a row of its own only where its section begins in
        # the middle of its class.
        if (defined := DEFINED.match(text)) and (
                not text.startswith(" ") or title[0] == "4"):
            found[title].append((defined[1], []))
        found[title][-1][1].extend(above)
        above = []
    found[title][-1][1].extend(above)
    return {title: [(name, trimmed) for name, lines in chunks
                    if (trimmed := "\n".join(lines).strip("\n").split("\n"))
                    != [""]] for title, chunks in found.items()}


def rows(left, right):
    """Two lists of (name, lines) -> [(left lines or None, right lines or
    None), …]: what has one name in both stands in one row."""
    names = [[name for name, _ in side] for side in (left, right)]
    result, i, j = [], 0, 0
    for a, b, size in difflib.SequenceMatcher(
            None, *names, autojunk=False).get_matching_blocks():
        result += [(lines, None) for _, lines in left[i:a]]
        result += [(None, lines) for _, lines in right[j:b]]
        result += [(left[a + n][1], right[b + n][1]) for n in range(size)]
        i, j = a + size, b + size
    return result


def cell(side, lines, pair):
    if lines is None:
        return '<div class="cell none"></div>'
    return (f'<div class="cell {side}"><pre tabindex="0" role="group" '
            f'aria-label="{pair[side]}"><code>' + "".join(map(noted, lines))
            + "</code></pre></div>")


def noted(line):
    """A line of code; one that is a comment and nothing else can be hidden."""
    if re.fullmatch(r'\s*<span class="c">.*</span>', line):
        return f'<span class="note">{line}\n</span>'
    return f"{line}\n"


def section(title, lesson, left, right, pair):
    heads = "".join(f'<p class="lesson"><b class="{side}">{name}:</b> {text}'
                    "</p>" for (side, name), text in zip(
                        FRAMEWORKS.items(), lesson))
    names = "".join(f'<b class="{side}">{name} <code>{pair[side]}</code></b>'
                    for side, name in FRAMEWORKS.items())
    cells = "".join(
        f'<div class="row">{cell("jax", a, pair)}{cell("torch", b, pair)}</div>'
        for a, b in rows(left, right))
    return (f'<section id="s{title[0]}"><div class="bar"><h2>{html.escape(title)}</h2>'
            f"{names}</div>" + f'<div class="heads">{heads}</div>' * bool(heads)
            + f"{cells}</section>")


def page(pair=PAIR):
    """The whole page, of the lesson or of another pair."""
    lessons, end = (LESSONS, "") if pair is PAIR else ({}, ", on several devices")
    left, right = (sections((ROOT / name).read_text("utf-8"))
                   for name in pair.values())
    links = "".join(
        f'<li><a href="#s{title[0]}" data-key="{title[0]}">'
        f'{html.escape(title.replace(".", "", 1))}</a></li>' for title in left)
    parts = "".join(section(title, lessons.get(title, ()), left[title],
                            right[title], pair) for title in left)
    return document("book", links=links, parts=parts, **pair,
                    measured="../README.md" if pair is PAIR else "scale.md",
                    title=f"One MLP, twice: JAX and PyTorch side by side{end}")


def main():
    """Both pages; with a path only the lesson's."""
    if len(sys.argv) < 2:
        save(page(SCALE), SCALE_PAGE)
    return save(page(), PAGE)


if __name__ == "__main__":
    cli.guard(main, "book.py")
