"""Results of a machine -> docs/results/NAME, and the table in the README.

    python bench/publish.py NAME

Takes what `make all` and `make limit` left in results/. Nothing is typed by
hand: summaries, tables and figures are copied, the environment is that of the
records, and the README's first screen is joined from a summary.
"""

import json
import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench import cli, record  # noqa: E402
from bench.cli import USAGE, Fault  # noqa: E402

# Folders of results/, and those of their figures that are worth a repository's
# megabytes: what a comparison was made for.
COMPARISONS = {
    "": ("*",), "limit": ("seconds", "throughput", "ratios"),
    "limit_one_thread": ("seconds", "throughput", "ratios"),
    "limit_tf32": ("seconds", "throughput", "ratios"),
    "waterfall": ("waterfall", "parts"), "steps": ("steps",),
    "target_64": ("wall_clock", "final"), "target_256": ("wall_clock", "final"),
    "target_1024": ("wall_clock", "final")}
FILES = ("summary.md", "summary.csv", "results.csv")
PICTURE = "all/ratios.png"  # in the README
MARKS = "<!-- results -->\n", "<!-- end of results -->\n"


def section(text, title):
    """Rows of the last table of a section of a summary, as lists of cells;
    empty where there is none."""
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", text, re.S | re.M)
    tables = [block for block in (found[1] if found else "").split("\n\n")
              if block.lstrip().startswith("|")]
    return [[cell.strip() for cell in line.strip("| ").split("|")]
            for line in (tables[-1].strip().splitlines() if tables else [])]


def environment(out):
    """What all records of a comparison say about where it ran, as JSON."""
    seen = {}
    for path in sorted((out / "runs").glob("*.json")):
        try:
            r = record.read(path)
        except record.BadRecord:
            continue
        if r["status"] == "ok":
            found = {**r["environment"], "affinity": r["affinity"],
                     "dataset": r["dataset"]["sha256"]}
            for key, value in found.items():
                seen.setdefault(key, [])
                if value not in seen[key]:
                    seen[key].append(value)
    return json.dumps({key: values[0] if len(values) == 1 else values
                       for key, values in sorted(seen.items())}, indent=1)


def first_screen(text, folder):
    """What the README shows of a comparison: a row per batch size, a column
    per rung of the two frameworks, what was run, the answer, one picture."""
    seconds = {}
    for row in section(text, "Speed"):
        if row[0].isdigit() and re.fullmatch(r"(jax|torch) \w+", row[1]):
            seconds.setdefault(int(row[0]), {})[row[1]] = row[3]
    points = list(dict.fromkeys(
        point for cells in seconds.values() for point in cells))
    head, answer, *_ = text.split("\n## ")
    lines = ["| seconds an epoch, batch | " + " | ".join(points) + " |",
             "|--:|" + "--:|" * len(points), *(
        f"| {size} | " + " | ".join(cells.get(point, "-") for point in points)
        + " |" for size, cells in sorted(seconds.items())),
        "", *head.lstrip("# ").splitlines(), "",
        *answer.partition("\n")[2].strip().split("\n\n")[:1], ""]
    picture = folder / PICTURE
    if picture.exists():
        lines += [f"![{picture.stem}]({picture.relative_to(ROOT)})", ""]
    return "\n".join(lines) + "\n"


def main():
    name, *rest = sys.argv[1:] or [""]
    if rest or not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        raise Fault(USAGE, "argument NAME: of a machine, in a-z, 0-9 and -")
    done = [comparison for comparison in COMPARISONS
            if (ROOT / "results" / comparison / "summary.md").exists()]
    if not done:
        raise Fault(USAGE, "nothing to publish: run make all and make limit")
    target, lines = ROOT / "docs" / "results" / name, []
    for comparison in done:  # others that were published before stay
        out, stems = ROOT / "results" / comparison, COMPARISONS[comparison]
        folder = target / (comparison or "all")
        shutil.rmtree(folder, ignore_errors=True)
        record.make_folder(folder)
        for path in (*(out / file for file in FILES), *(
                path for stem in stems
                for path in (out / "figures").glob(f"{stem}.png"))):
            shutil.copy(path, folder)
        record.write_atomic(folder / "environment.json",
                            environment(out) + "\n")
    for folder in (target / (comparison or "all")
                   for comparison in COMPARISONS):
        if not folder.is_dir():
            continue
        text = (folder / "summary.md").read_text("utf-8")
        lines += [f"## {folder.name}", "",
                  text.split("\n## ")[0].lstrip("# ").strip(), "",
                  f"[summary]({folder.name}/summary.md), [epochs]("
                  f"{folder.name}/results.csv), [environment]("
                  f"{folder.name}/environment.json)", ""]
        lines += [f"![{path.stem}]({folder.name}/{path.name})"
                  for path in sorted(folder.glob("*.png"))] + [""]
    record.write_atomic(target / "README.md",
                        f"# Results of {name}\n\n" + "\n".join(lines))
    readme, mine = ROOT / "README.md", ROOT / "results/summary.md"
    text = readme.read_text("utf-8")
    if mine.exists() and all(mark in text for mark in MARKS):
        head, rest = text.split(MARKS[0])
        record.write_atomic(readme, head + MARKS[0] + first_screen(
            mine.read_text("utf-8"), target) + MARKS[1]
            + rest.split(MARKS[1])[1])
    return cli.OK


if __name__ == "__main__":
    cli.guard(main, "publish.py")
