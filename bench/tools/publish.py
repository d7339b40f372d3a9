"""Results of a machine -> docs/results/NAME, and the table in the README.

    python -m bench.tools.publish NAME

Takes what `make all`, `make floor` and `make scale` left in results/. Nothing is
typed by hand: summaries, tables and figures are copied, the environment is that of the
records, and the README's first screen is joined from a summary. What was
published before and is not in results/ stays as it is.
"""

import re
import shutil
import sys

from bench.kit import cli, files
from bench.kit.cli import USAGE, Fault
from bench.kit.files import ROOT
from bench.report.figures.registry import FIGURES
from bench.report.page import FIRST
from bench.report.render import as_markdown

FILES = ("summary.md", "summary.csv", "results.csv", "answer.json", "scale.md",
         "scale.png")
MARKS = "<!-- results -->\n", "<!-- end of results -->\n"


def first_screen(folder):
    """What the README shows of a comparison: where it was, the answer, one picture
    after its table, whether it can be trusted, what was run."""
    said, picture = files.read_json(folder / "answer.json"), folder / f"{FIRST}.png"
    above, table, below = said["answer"].partition("|\n\n")
    return as_markdown([
        f"{said['where']}:", above + table.strip(),
        *[f"![{FIGURES[FIRST].title}]({picture.relative_to(ROOT)})",
          FIGURES[FIRST].caption] * picture.exists(),
        *filter(None, [below]), said["verdicts"], said["runs"]]) + "\n\n"


def copy(comparison, folder):
    """A comparison in results/ to its folder, which is made anew."""
    out = ROOT / "results" / comparison
    shutil.rmtree(folder, ignore_errors=True)
    files.make_folder(folder)
    pictures = [f"figures/{stem}.png" for stem, figure in FIGURES.items()
                if comparison in figure.published]
    for path in map(out.joinpath, (*FILES, *pictures)):
        if path.exists():
            shutil.copy(path, folder)


def listed(folder):
    """The blocks of a published folder in the page of its machine. One that
    was published before there was an answer.json has no sentences here."""
    answer = files.read_json(folder / "answer.json")
    return [f"## {folder.name}",
            *(answer[part] for part in ("where", "runs", "verdicts")
              if answer),
            ", ".join(f"[{path.name}]({folder.name}/{path.name})"
                      for path in sorted(folder.glob("*.[cjm]*"))),
            *(f"![{path.stem}]({folder.name}/{path.name})"
              for path in sorted(folder.glob("*.png")))]


def main():
    machine, *rest = sys.argv[1:] or [""]
    if rest or not re.fullmatch(r"[a-z0-9][a-z0-9-]*", machine):
        raise Fault(USAGE, "argument NAME: of a machine, in a-z, 0-9 and -")
    # Folders of results/ that a figure is published from; "" is what `make
    # all` leaves.
    done = {folder for figure in FIGURES.values() for folder in figure.published
            if (ROOT / "results" / folder / "answer.json").exists()}
    if (ROOT / "results/scale/scale.md").exists():
        done.add("scale")
    if not done:
        raise Fault(USAGE, "nothing to publish: run make all and make floor")
    target = ROOT / "docs" / "results" / machine
    for comparison in done:
        copy(comparison, target / (comparison or "all"))
    files.write_atomic(target / "README.md", as_markdown([
        f"# Results of {machine}", *(
            block for folder in sorted(target.iterdir()) if folder.is_dir()
            for block in listed(folder))]) + "\n")
    if "" in done:
        readme = ROOT / "README.md"
        files.write_atomic(readme, re.sub(
            f"(?s)(?<={MARKS[0]}).*?(?={MARKS[1]})",
            lambda _: first_screen(target / "all"), readme.read_text("utf-8")))
    return cli.OK


if __name__ == "__main__":
    cli.guard(main, "publish.py")
