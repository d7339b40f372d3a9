"""The two scripts side by side, as one page: `make book`.

    python -m bench.tools.book [OUT.html]

The code on the page is that of the files: sections come from their rulers,
rows from the functions that both have. LESSONS says what a section teaches;
the README has the same sentences in a table, and a test compares them.
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

PAGE = ROOT / "docs" / "side_by_side.html"
PAIR = {"jax": "mlp_jax.py", "torch": "mlp_torch.py"}
HEAD = "0. What to expect"  # of what stands above the first ruler
RULER = re.compile(r"\s*# -{4,} (\d\. \w.*)$")
DEFINED = re.compile(r"(?:    )?(?:def|class) (\w+)")
# {section: (what JAX, what PyTorch has in it)}, as HTML
LESSONS = {
    "1. Setup": ("on a GPU float32 means TF32 unless told",
                 "float32 means float32; denormals flushed, as XLA does"),
    "2. Settings": ("constants never vary, flags do", "the same text"),
    "3. Parameters": ("values in a pytree, drawn from a key that is split",
                      "objects that a Module registers, drawn from a "
                      "generator"),
    "4. Model": ("weights are an argument: <code>forward(params, x)</code>",
                 "weights are in <code>self</code>; autograd records a tape"),
    "5. Loss": ("log-softmax, one-hot labels", "the same, one call"),
    "6. One step": ("returns new state", "changes state in place"),
    "7. One epoch": ("jit compiles, scan loops, donation reuses memory",
                     "compile fuses"),
    "8. Evaluate": ("nothing to switch off", "<code>no_grad</code>: no tape"),
    "9. Train": ("the loop, the clock, the fence, the record",
                 "the same text but for the fence")}


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
    title, comments = HEAD, []
    found = {title: [("", [])]}
    for text, line in zip(source.splitlines(), coloured(source)):
        if ruler := RULER.match(text):
            title, comments = ruler[1], []
            found[title] = [("", [])]
            continue
        chunks, defined = found[title], DEFINED.match(text)
        # A method opens a row of its own only where its section begins in
        # the middle of its class.
        if defined and (not text.startswith(" ") or title[0] == "4"):
            # Decorators and comments right above belong to it.
            del chunks[-1][1][len(chunks[-1][1]) - len(comments):]
            chunks.append((defined[1], comments))
            comments = []
        chunks[-1][1].append(line)
        loose = text.startswith(("#", "@", "    #"))
        comments = [*comments, line] if loose else []
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


def cell(side, lines):
    if lines is None:
        return '<div class="cell none"></div>'
    return (f'<div class="cell {side}"><pre tabindex="0" role="group" '
            f'aria-label="{PAIR[side]}"><code>' + "\n".join(lines)
            + "</code></pre></div>")


def section(title, lesson, left, right):
    heads = "".join(f'<p class="lesson"><b class="{side}">{name}:</b> {text}'
                    "</p>" for (side, name), text in zip(
                        FRAMEWORKS.items(), lesson))
    return (f'<section id="s{title[0]}"><h2>{html.escape(title)}</h2>'
            + f'<div class="heads">{heads}</div>' * bool(heads) + "".join(
                f'<div class="row">{cell("jax", a)}{cell("torch", b)}</div>'
                for a, b in rows(left, right)) + "</section>")


def page():
    """The whole page."""
    left, right = (sections((ROOT / name).read_text("utf-8"))
                   for name in PAIR.values())
    links = "".join(
        f'<li><a href="#s{title[0]}" data-key="{title[0]}">'
        f'{html.escape(title.replace(".", "", 1))}</a></li>' for title in left)
    parts = "".join(section(title, LESSONS.get(title, ()), left[title],
                            right[title]) for title in left)
    return document("book", links=links, parts=parts,
                    title="One MLP, twice: JAX and PyTorch side by side")


if __name__ == "__main__":
    cli.guard(lambda: save(page(), PAGE), "book.py")
