"""The two scripts side by side, as one page: `make book`.

    python bench/book.py [OUT.html]

Everything on the page comes from the files themselves: sections from the
rulers, rows from the functions that both have, what a section teaches from
the table in the README.
"""

import difflib
import html
import io
import keyword
import re
import sys
import tokenize
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench import cli, record  # noqa: E402
from bench.document import document  # noqa: E402

PAGE = ROOT / "docs" / "side_by_side.html"
PAIR = {"jax": "mlp_jax.py", "torch": "mlp_torch.py"}
RULER = re.compile(r"\s*# -{4,} (\d\. \w.*)$")
DEFINED = re.compile(r"(?:    )?(?:def|class) (\w+)")
KEYS = """document.addEventListener("keydown", event => {
  const link = document.querySelector(`nav a[data-key="${event.key}"]`);
  if (link && !event.ctrlKey && !event.metaKey && !event.altKey) link.click();
});"""


def coloured(source):
    """Python text -> its lines as HTML; comments, strings, keywords marked."""
    marks = {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        kind = {tokenize.COMMENT: "c", tokenize.STRING: "s"}.get(token.type)
        if token.type == tokenize.NAME and keyword.iskeyword(token.string):
            kind = "k"
        if kind is None:
            continue
        (row, start), (last, end) = token.start, token.end
        for line in range(row, last + 1):
            marks.setdefault(line, []).append((
                start if line == row else 0,
                end if line == last else None, kind))
    lines = []
    for number, text in enumerate(source.splitlines(), 1):
        parts, done = [], 0
        for start, end, kind in marks.get(number, []):
            parts += [html.escape(text[done:start]), f'<span class="{kind}">',
                      html.escape(text[start:end]), "</span>"]
            done = len(text) if end is None else end
        lines.append("".join(parts) + html.escape(text[done:]))
    return lines


def sections(source):
    """{title: [(name of a function or "", its lines as HTML), …]}, in order;
    what comes before the first ruler is "0. What"."""
    found = {"0. What to expect": [("", [])]}
    title, comments = "0. What to expect", []
    for text, line in zip(source.splitlines(), coloured(source)):
        ruler = RULER.match(text)
        if ruler:
            title, comments = ruler[1], []
            found[title] = [("", [])]
            continue
        chunks = found[title]
        defined = DEFINED.match(text)
        # A method opens a row of its own only where its section begins in
        # the middle of its class.
        if defined and (not text.startswith(" ") or title[0] == "4"):
            # Decorators and comments right above belong to it.
            chunks[-1][1][len(chunks[-1][1]) - len(comments):] = []
            chunks.append((defined[1], [*comments, line]))
            comments = []
            continue
        chunks[-1][1].append(line)
        loose = text.startswith(("#", "@")) or text.startswith("    #")
        comments = [*comments, line] if loose and title else []
    return {title: [(name, trimmed) for name, lines in chunks
                    if (trimmed := trim(lines))]
            for title, chunks in found.items()}


def trim(lines):
    """Without the empty lines at both ends."""
    while lines and not lines[0].strip():
        lines = lines[1:]
    while lines and not lines[-1].strip():
        lines = lines[:-1]
    return lines


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


def lessons():
    """{number of a section: (JAX, PyTorch)} from the README's table."""
    text = (ROOT / "README.md").read_text("utf-8")
    return {found[1]: tuple(
        re.sub(r"`(.+?)`", r"<code>\1</code>", html.escape(cell.strip()))
        for cell in (found[2], found[3])) for found in re.finditer(
            r"^\| (\d) [\w ]+\|([^|]+)\|([^|]+)\|$", text, re.M)}


def cell(side, lines):
    if lines is None:
        return '<div class="cell none"></div>'
    return (f'<div class="cell {side}"><pre tabindex="0" role="group" '
            f'aria-label="{PAIR[side]}"><code>' + "\n".join(lines)
            + "</code></pre></div>")


def page():
    """The whole page."""
    left, right = (sections((ROOT / name).read_text("utf-8"))
                   for name in PAIR.values())
    taught, parts, links = lessons(), [], []
    for title in left:
        number, _, words = title.partition(". ")
        links.append(f'<li><a href="#s{number}" data-key="{number}">{number} '
                     f"{html.escape(words)}</a></li>")
        lesson = "" if number not in taught else (
            '<div class="heads">' + "".join(
                f'<p class="lesson"><b class="{side}">{name}:</b> {text}</p>'
                for side, name, text in zip(PAIR, ("JAX", "PyTorch"),
                                            taught[number])) + "</div>")
        parts.append(f'<section id="s{number}"><h2>{html.escape(title)}</h2>'
                     + lesson + "".join(
                         f'<div class="row">{cell("jax", a)}'
                         f'{cell("torch", b)}</div>'
                         for a, b in rows(left[title], right[title]))
                     + "</section>")
    title = "One MLP, twice: JAX and PyTorch side by side"
    return document(title, "book", ("#s0", "Skip to the scripts"), f"""<header>
<h1>{title}</h1>
<p>The same network, trained on the same batches from the same weights, by two
scripts with one outline. Left <code>mlp_jax.py</code>, right
<code>mlp_torch.py</code>; functions of the same name stand side by side, and
an empty half is something that one framework does not need. The keys 0 to 9
jump to the sections.</p>
</header>
<nav aria-label="Sections"><ol>{"".join(links)}</ol></nav>
<main>
{"".join(parts)}
</main>
<footer><p>Made from the two files by <code>make book</code>.</p></footer>""",
                    KEYS)


def main():
    out = Path(*sys.argv[1:2] or [PAGE])
    record.write_atomic(out, page())
    print(f"page     {out}")
    return cli.OK


if __name__ == "__main__":
    cli.guard(main, "book.py")
