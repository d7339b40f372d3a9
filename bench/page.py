"""report.html: everything that a comparison has found, in one file.

Pictures are inside, nothing comes from elsewhere, and it works without a
network, in the dark, on paper and by keyboard. The tables are those of
summary.md.
"""

import base64
import html
import json
import re
from pathlib import Path

from bench import attribution, audit, sentences, summary
from bench.document import document

# What a link or the address names is opened; on paper everything is.
REVEAL = """
function reveal() {
  const target = location.hash && document.querySelector(location.hash);
  if (target && target.tagName === "DETAILS") target.open = true;
}
addEventListener("hashchange", reveal);
addEventListener("beforeprint", () => document.querySelectorAll("details")
  .forEach(part => part.open = true));
reveal();
"""
# (stem, title, what it shows: caption and, with the title, the text for those
# who cannot see it)
FIGURES = (
    ("seconds", "Seconds per epoch", "Steady epochs and the first one with "
     "its compilation, by point and batch size; the numbers stand in the "
     "table Speed."),
    ("ratios", "JAX over PyTorch", "Every rung of JAX over every rung of "
     "PyTorch; grey where no difference is shown. The numbers stand in the "
     "table Ratios."),
    ("wall_clock", "Seconds until it is good", "Test accuracy against seconds "
     "since the process was created: which is faster for one who waits for a "
     "result."),
    ("throughput", "Images per second", "Training speed against batch size, "
     "with the limit of the machine where it was measured."),
    ("parts", "What the seconds of a run go into", "Importing, data, "
     "compiling, training and evaluating, median over runs."),
    ("epochs", "Every epoch of every run", "The first epoch, hollow, includes "
     "the compilation; the others show how steady the machine was."),
    ("curves_epoch", "Learning per epoch", "Loss and accuracy on training and "
     "validation data; lines of two frameworks that lie on each other are "
     "what parity looks like."),
    ("curves_iteration", "Learning per iteration", "Training loss and "
     "accuracy of every step."),
    ("effects", "The effect of seed and batch size", "Validation loss per "
     "epoch and per step; lines of one colour differ only by their seed."),
    ("final", "Accuracy and memory", "Test accuracy of every run with the "
     "interval that the test set's size allows, and the peak memory."),
    ("steps", "Seconds per step", "Time per step against batch size with the "
     "fitted fixed cost and cost per sample."),
    ("waterfall", "Where the time goes", "From the eager rungs down to the "
     "matrix products alone; each bar is the difference of two runs."))
OPEN = ("Speed", "Ratios", "Accuracy", "Limit")  # tables shown at once
MOST = 400_000  # bytes of an SVG above which the PNG is smaller to read
DATA = ("results.csv", "iterations.csv", "summary.csv", "summary.md",
        "certificate.json")


def write(out, found, verdicts, measured, text):
    """The page's HTML. found: sentences.Found; text: summary.md."""
    head, *parts = text.split("\n## ")
    (_, answer), *sections = [part.partition("\n")[::2] for part in parts]
    figures = list(pictures(Path(out, "figures")))
    body = [
        "<header>", f"<h1>{title(found)}</h1>",
        f'<p class="where">{html.escape(head.splitlines()[0].lstrip("# "))}. '
        f"{html.escape(summary.versions(found.records))}.</p>",
        f'<div class="answer">{markdown(answer.splitlines())}</div>',
        '<div class="seals">', seal("Same computation", found.proof[0],
                                    found.proof[1]),
        seal("Same conditions", not found.unfair, audit.line(verdicts) + "."), "</div>",
        "</header>", "<main>",
        '<nav aria-label="Contents"><a href="#figures">Figures</a>'
        + "".join(f'<a href="#{anchor(name)}">{html.escape(name)}</a>'
                  for name, _ in sections)
        + '<a href="#environment">Environment</a><a href="#data">Data</a>'
        "</nav>"]
    why = sentences.explanations(found, measured, waterfalls(found, measured))
    if why:
        body += ['<h2 id="why">Why they differ</h2><dl>', *(
            f"<dt>{html.escape(claim)}</dt>"
            f"<dd>{html.escape(sentence)}</dd>"
            for claim, sentence in why), "</dl>"]
    body += ['<h2 id="figures">Figures</h2>', *figures]
    body += ['<h2 id="tables">Tables</h2>']
    for name, lines in sections:
        body.append(
            f'<details id="{anchor(name)}"{" open" * (name in OPEN)}>'
            f"<summary>{html.escape(name)}</summary>"
            f"{markdown(lines.strip().splitlines())}</details>")
    body += ['<h2 id="environment">Environment</h2>', environment(found),
             '<h2 id="data">Data</h2><ul>', *(
                 f'<li><a href="{name}">{name}</a></li>' for name in DATA
                 if Path(out, name).exists()),
             '<li><a href="runs/">runs/</a>: a record per run</li></ul>',
             "</main>"]
    body.append("""<footer>Made by compare.py from the records in runs/. Every
sentence follows from their numbers: where an interval contains 1, no
difference is shown.</footer>""")
    return document(title(found), "report", ("#figures", "Skip to the figures"),
                    "\n".join(body), REVEAL)


def title(found):
    if not found.done:
        return "No run finished"
    return html.escape(f"{found.called()} on "
                       + summary.where(found.records).split(",")[0])


def anchor(name):
    return re.sub(r"\W+", "-", name.lower())


def seal(name, good, words):
    return (f'<div class="seal{"" if good else " bad"}"><b>{name}: '
            f'{"yes" if good else "NO"}</b>{html.escape(words)}</div>')


def waterfalls(found, measured):
    return attribution.waterfalls(found.groups, attribution.floors(
        found.records, measured))


def pictures(folder):
    """A <figure> for each figure that there is."""
    parity = sorted(path.stem for path in folder.glob("parity_*.png"))
    for stem, name, words in (*FIGURES, *(
            (stem, f"One computation ({stem.split('_')[1]})", "Above, the "
             "loss of every step, all points on top of each other; below, how "
             "far each is from the reference.") for stem in parity)):
        path = folder / f"{stem}.svg"
        if not path.exists():
            continue
        if path.stat().st_size > MOST:
            path = path.with_suffix(".png")
        kind = {".svg": "image/svg+xml", ".png": "image/png"}[path.suffix]
        # Letters of one size in all of them: none is drawn larger than it is.
        inches = float(re.search(r'width="([\d.]+)pt"', path.with_suffix(
            ".svg").read_text("utf-8"))[1]) / 72
        content = base64.b64encode(path.read_bytes()).decode()
        yield (f'<figure id="{anchor(stem)}"><img alt="{html.escape(name)}. '
               f'{html.escape(words)}" style="max-width:{90 * inches:.0f}px" '
               f'src="data:{kind};base64,{content}">'
               f"<figcaption><b>{html.escape(name)}.</b> "
               f"{html.escape(words)}</figcaption></figure>")


def environment(found):
    """What all finished runs say of where they ran."""
    seen = {}
    for r in found.done:
        for key, value in r["environment"].items():
            text = value if isinstance(value, str) else json.dumps(value)
            if text not in ("", "null", "{}"):
                seen.setdefault(key, []).append(text)
    rows = [f"| {key.replace('_', ' ')} | "
            f"{', '.join(dict.fromkeys(values))} |"
            for key, values in sorted(seen.items())]
    return markdown(["| | |", "|---|---|", *rows])


# ---------------------------------------------------------------- Markdown

def inline(text):
    """Bold and code of one line -> HTML."""
    text = html.escape(text)
    text = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", text)
    return re.sub(r"`(.+?)`", r"<code>\1</code>", text)


def markdown(lines):
    """Paragraphs and tables, which is all that summary.md has -> HTML."""
    result, table = [], []
    for line in [*lines, ""]:
        if line.startswith("|"):
            table.append([cell.strip() for cell in line.strip("|").split("|")])
            continue
        if table:
            result.append(tabulated(table))
            table = []
        if line:
            result.append(f"<p>{inline(line)}</p>")
    return "\n".join(result)


def tabulated(rows):
    """Header, alignment, rows -> <table>"""
    head, rule, *body = rows
    classes = [' class="n"' if mark.endswith(":") else "" for mark in rule]

    def row(cells, tag, scope=""):
        return "<tr>" + "".join(
            f"<{tag}{kind}{scope}>{inline(cell)}</{tag}>"
            for cell, kind in zip(cells, classes)) + "</tr>"
    top = ("<thead>" + row(head, "th", ' scope="col"') + "</thead>"
           if any(head) else "")
    return (f'<div class="scroll" tabindex="0" role="region" '
            f'aria-label="Table"><table>{top}<tbody>'
            + "".join(row(cells, "td") for cells in body)
            + "</tbody></table></div>")
