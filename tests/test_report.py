"""What the report is made of: tables, pages, a PDF; and that they stand alone."""

import json
import re
import shutil
from html import escape
from pathlib import Path

import pytest
from common import ROOT
from records import NOT_PROVED, PROVED, comparison, failed, found, make

from bench.kit.cli import Fault
from bench.report import answer as first
from bench.report import output, page, paper, render
from bench.report.figures.registry import FIGURES
from bench.report.sections import QUESTIONS, SECTIONS, head, sections
from bench.report.table import Bold, Table
from bench.report.words import TEXTS
from bench.run import plan
from bench.tools import book

# -------------------------------------------------------------- the tables

ODD = Table(["name", "share", "seconds", "first | second"], [
    ("a|b & <c> 5 % _", 0.5, Bold((1.234, (1.2, 1.3))), None),
    ("long " * 12, 1, (0.1, 0.02, None), (None, None))],
    {"share": "{:.0%}".format})


def test_a_table_looks_as_its_values_are():
    assert ODD.right() == [False, True, True, True]
    assert list(ODD.texts())[1:] == [
        ["a|b & <c> 5 % _", "50%", "1.23 (1.20 to 1.30)", "-"],
        ["long " * 12, "1", "0.100 ± 0.0200", "-"]]
    lines = render.as_markdown(["above", ODD]).splitlines()
    assert lines[2:4] == [r"| name | share | seconds | first \| second |",
                          "| --- | --: | --: | --: |"]
    assert r"| a\|b & <c> 5 % _ | 50% | **1.23 (1.20 to 1.30)** | - |" in lines
    page = render.as_html(["1 < 2", ODD])
    assert "<p>1 &lt; 2</p>" in page and "a|b &amp; &lt;c&gt; 5 % _" in page
    assert '<td class="n"><b>1.23 (1.20 to 1.30)</b></td>' in page
    assert r"a|b \& <c> 5 \% \_ & 50\% & \textbf{1.23" in render.as_latex(ODD)
    terminal = render.as_terminal([ODD])
    assert "*1.23 (1.20 to 1.30)*" in terminal
    assert max(map(len, terminal.splitlines())) <= render.WIDTH
    assert render.as_csv(["a", "b"], [[None, 'x"y'], [1, "u,v"]]) == (
        'a,b\n,"x""y"\n1,"u,v"\n')


def test_every_text_above_a_table_is_of_a_section():
    assert {*TEXTS["sections"]} <= {*SECTIONS}
    assert len(TEXTS["glossary"]) == 10


# --------------------------------------------------------------- the pages

CASES = {
    "full": [make(name, rung, size, seed, seed, second)
             for seed in range(3) for size in (64, 256, 1024)
             for name, rung, second in (
                 ("jax", "step", 0.5), ("jax", "epoch", 0.4),
                 ("torch", "eager", 0.7), ("torch", "step", 0.6))],
    "one seed": [make(name, rung, 256) for name, rung in (
        ("jax", "step"), ("torch", "eager"))],
    "one framework": [make("jax", "step", size, seed, seed)
                      for size in (64, 256) for seed in range(3)],
    "twenty seeds": [make(name, rung, 1024, seed, seed)
                     for seed in range(20)
                     for name, rung in (("jax", "step"), ("torch", "eager"))],
    "seven sizes": [make(name, rung, size, seed, seed, 0.3 + 20 / size)
                    for seed in range(2)
                    for size in (128, 192, 256, 384, 512, 768, 1024)
                    for name, rung in (("jax", "step"), ("jax", "epoch"),
                                       ("torch", "eager"), ("torch", "step"))],
    "one failed": [*comparison(), failed(make("torch", "step", 256), "failed",
                                         "<b>why & where</b>")],
    "none finished": [failed(r, "failed", "why") for r in comparison()]}


@pytest.fixture(scope="module", params=list(CASES))
def made(request, tmp_path_factory):
    """(folder that everything was written to, Found)"""
    folder = tmp_path_factory.mktemp("report")
    (folder / "figures").mkdir()
    what = found(CASES[request.param])
    assert output.write(folder, what)
    return folder, what


def test_the_page_has_every_table_figure_and_sentence(made):
    folder, what = made
    text = (folder / "report.html").read_text("utf-8")
    titles = re.findall(r"^### (.*)$", (folder / "summary.md").read_text("utf-8"), re.M)
    assert set(titles) <= set(SECTIONS) and ("Audit" in titles) == bool(what.verdicts)
    for title in titles:
        assert f"<summary>{title}</summary>" in text
    drawn = [path.stem for path in (folder / "figures").glob("*.svg")]
    assert text.count("<figure") == text.count("<svg") == len(drawn)
    for stem in drawn:
        assert f'<figure id="figure-{stem}">' in text
    for sentence in first.screen(what):
        if isinstance(sentence, str):
            assert escape(sentence) in text
    assert "<b>why & where</b>" not in text
    assert len(text) < 1_500_000
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    outside = re.sub(r'href="(runs/|[a-z.]+\.(csv|md|json))"', "", text)
    outside = re.sub(r"base64,[A-Za-z0-9+/=\s]+|http://www.w3.org/1999/xlink", "",
                     outside)
    assert not re.search(r"https?:|//\w+\.|@import|url\((?!#)", outside)


def test_every_section_and_every_figure_answers_one_question():
    titles = [title for question in QUESTIONS.values() for title in question.sections]
    assert sorted(["Answer", *titles]) == sorted(SECTIONS)
    assert {figure.question for figure in FIGURES.values()} <= set(QUESTIONS)
    assert [stem for stem, figure in FIGURES.items() if figure.open] == [
        "pair", "seconds", "learning", "payoff", "waterfall"]


def test_the_tables_that_answer_first_are_open():
    text = page.question("speed", ["Said."], {
        title: ["A table."] for title in QUESTIONS["speed"].sections}, {})
    assert [(title, bool(open_)) for open_, title in re.findall(
        r"<details id=\S+?( open)?><summary>(.*?)<", text)] == [
            ("Speed", True), ("Peers", True), ("Ratios", False), ("Answers", False)]
    beside, below = text.split("</div></div>")
    assert "Speed" in beside and "Ratios" not in beside and "Peers" in below


def test_the_terminal_shows_a_table_whole_in_a_hundred_columns(made):
    _, what = made
    text = output.printed(what, ("Answer", "Speed", "Audit", "Parity"))
    assert max(map(len, text.splitlines())) <= 100
    speed = text[text.index("\nSpeed\n"):text.index("\nAudit\n")]
    for row in what.rows:
        assert re.search(rf"^{row['batch_size']} .*{row['contender']} "
                         rf"{row['rung']} ", speed, re.M)
    assert not re.search(r"^\|", text, re.M) and "**" not in text


def test_the_tables_for_latex_are_whole(made):
    folder, _ = made
    text = (folder / "summary.tex").read_text("utf-8")
    blocks = re.findall(r"\\begin\{tabular\}\{([lr]+)\}\n(.*?)\\end\{tabular\}",
                        text, re.S)
    assert blocks and text.count(r"\begin{") == len(blocks)
    for columns, body in blocks:
        rows = [line for line in body.splitlines() if line.endswith(r"\\")]
        assert rows
        for row in rows:
            assert len(re.findall(r"(?<!\\)&", row)) == len(columns) - 1, row
            assert not re.search(r"(?<!\\)[%$#_]", re.sub(
                r"\$\\(pm|mu)\$", "", row)), row
    assert text.isascii() or not re.search(r"[±µ]", text)


def test_the_pdf_has_two_pages_at_most(made):
    pytest.importorskip("typst", reason="the optional package typst")
    folder, what = made
    if not what.done:
        with pytest.raises(Exception, match="no run has finished"):
            paper.write(folder, what)
        return
    (folder / "reflection.txt").write_text("What surprised me.\n\nMore.", "utf-8")
    paper.write(folder, what, "A. Author")
    content = (folder / "report.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    counts = re.findall(rb"/Type\s*/Pages\b[^>]*?/Count\s+(\d+)"
                        rb"|/Count\s+(\d+)[^>]*?/Type\s*/Pages\b", content)
    assert counts and max(int(a or b) for a, b in counts) <= 2
    told = json.loads((folder / "paper/paper.json").read_text("utf-8"))
    assert told["author"] == "A. Author"
    assert told["reflection"] == ["What surprised me.", "More."]
    assert "stand in the table" not in str(told["figures"])  # it has none of that name
    assert (folder / "paper/paper.typ").exists()


# ----------------------------------------------------------------- browser

@pytest.fixture(scope="module")
def browser():
    sync = pytest.importorskip("playwright.sync_api",
                               reason="the package playwright")
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no chromium")
    with sync.sync_playwright() as tool:
        opened = tool.chromium.launch(executable_path=path,
                                      args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.mark.parametrize("width, scheme", [(1280, "light"), (390, "dark")])
@pytest.mark.parametrize("which", ["report", "book"])
def test_a_page_works_offline_on_any_screen_and_by_keyboard(
        browser, tmp_path, which, width, scheme):
    path = book.PAGE
    if which == "report":
        path, what = tmp_path / "report.html", found(CASES["full"])
        (tmp_path / "figures").mkdir()
        output.draw_all(tmp_path, what)
        path.write_text(page.page(tmp_path, what, sections(what)), "utf-8")
    context = browser.new_context(viewport={"width": width, "height": 800},
                                  color_scheme=scheme, offline=True)
    view, asked, errors = context.new_page(), [], []
    view.on("request", lambda request: asked.append(request.url))
    view.on("console", lambda message: errors.append(message.text)
            if message.type in ("error", "warning") else None)
    view.on("pageerror", lambda error: errors.append(str(error)))
    view.goto(f"file://{path}")
    view.wait_for_load_state()
    assert not errors
    assert [url for url in asked if not url.startswith(("file://", "data:"))
            ] == [] and sum(url.startswith("file://") for url in asked) == 1
    assert view.evaluate("document.documentElement.scrollWidth") <= width
    assert view.evaluate("[...document.images].filter(i => !i.alt || "
                         "!i.naturalWidth).length") == 0
    view.keyboard.press("Tab")
    assert view.evaluate("document.activeElement.className") == "skip"
    view.keyboard.press("Enter")
    assert view.evaluate("location.hash") in ("#speed", "#s0")
    if which == "book":
        view.keyboard.press("7")
        assert view.evaluate("location.hash") == "#s7"
        code = view.locator("#s7 pre").first
        before, size = code.inner_text(), "parseFloat(getComputedStyle(e).fontSize)"
        small = code.evaluate(f"e => {size}")
        view.keyboard.press("+")
        assert code.evaluate(f"e => {size}") > small
        view.keyboard.press("c")
        bare = view.locator("main").inner_text()
        assert "#" not in re.sub(r'".*?"', "", bare) and "def evaluate" in bare
        view.keyboard.press("c")
        view.keyboard.press("-")
        assert code.inner_text() == before
        assert code.evaluate(f"e => {size}") == pytest.approx(small)
    else:
        # When, how long, by which versions, on its first screen.
        assert head(what)["runs"] in " ".join(
            view.inner_text("header").split())
        closed = view.locator("details:not([open]) > summary").first
        closed.focus()
        view.keyboard.press("Enter")
        assert view.evaluate("document.activeElement.parentElement.open")
        worked_by_keyboard(view)
    assert contrast(view) >= 4.5
    context.close()


def worked_by_keyboard(view):
    """Figures tell their marks, tables sort and filter, words say what they mean."""
    tell = view.locator("#tell")
    view.locator("#figure-seconds svg").focus()
    view.keyboard.press("ArrowRight")
    told = tell.inner_text()
    view.keyboard.press("ArrowRight")
    assert re.match(r"jax epoch, batch 64: 0\.40\d.* s, ", told)
    assert tell.inner_text() != told
    view.keyboard.press("Escape")
    assert tell.is_hidden()
    view.locator("abbr").first.focus()
    assert tell.is_visible() and len(tell.inner_text()) > 20
    column = view.locator("#table-speed tbody tr td:nth-child(4)")
    before = column.all_inner_texts()
    view.locator("#table-speed th:nth-child(4) button").focus()
    view.keyboard.press("Enter")
    up = column.all_inner_texts()
    view.keyboard.press("Enter")
    assert up == sorted(before, key=lambda cell: float(cell.split()[0])) != before
    assert column.all_inner_texts()[0] == up[-1]
    view.locator("nav select").select_option("256")
    rows = view.locator("#table-speed tbody tr:visible td:first-child")
    assert {*rows.all_inner_texts()} == {"256"}
    view.locator("nav select").select_option("all")
    # A mark leads to its row; the browser's search finds the letters of a figure.
    view.locator("#figure-seconds .mark").first.dispatch_event("click")
    assert view.locator("tr.on").count() >= 1
    assert view.evaluate("find('steady epoch, s', true, false, true)")


def contrast(view):
    """The least contrast of text with what it stands on (WCAG 2.1, 1.4.3)."""
    return view.evaluate("""() => {
      const canvas = document.createElement("canvas").getContext("2d");
      const light = paint => {
        canvas.fillStyle = paint; canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map(v => v / 255)
          .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
          .reduce((sum, v, n) => sum + v * [0.2126, 0.7152, 0.0722][n], 0);
      };
      const back = part => {
        for (; part; part = part.parentElement) {
          const paint = getComputedStyle(part).backgroundColor;
          if (!/, 0\\)$|transparent/.test(paint)) return paint;
        }
        return "white";
      };
      let least = 99;
      for (const part of document.querySelectorAll(
          "p, td, th, dd, dt, summary, a, h1, h2, figcaption, .seal, svg text, pre, " +
          "code span")) {
        if (!part.textContent.trim()) continue;
        const style = getComputedStyle(part);
        const two = [light(part.tagName === "text" ? style.fill : style.color),
                     light(back(part))].sort((a, b) => a - b);
        least = Math.min(least, (two[1] + 0.05) / (two[0] + 0.05));
      }
      return least;
    }""")


def test_the_readme_names_what_the_report_makes():
    text = "".join(Path(ROOT, name).read_text("utf-8")
                   for name in ("README.md", "docs/using.md"))
    for name in ("report.html", "report.pdf", "summary.tex", "make report",
                 "make book", "side_by_side.html"):
        assert name in text


def test_published_results_are_copied_and_the_readme_joined_from_them(
        tmp_path, monkeypatch):
    from bench.tools import publish
    target = tmp_path / "docs/results/abacus"
    kept = target / "limit"  # before there was an answer.json
    kept.mkdir(parents=True)
    (kept / "summary.md").write_text("# Earlier\n")
    (target / "all").mkdir()
    (target / "all" / "old.png").write_bytes(b"old")
    monkeypatch.setattr(publish, "ROOT", tmp_path)
    monkeypatch.setattr("sys.argv", ["publish.py", "abacus"])
    with pytest.raises(Fault, match="nothing to publish"):
        publish.main()
    out, what = tmp_path / "results", found(CASES["full"])
    (out / "figures").mkdir(parents=True)
    output.write(out, what)
    (out / "scale").mkdir()
    (out / "scale/scale.md").write_text("of several processes")
    readme = tmp_path / "README.md"
    readme.write_text("before\n" + "old\n".join(publish.MARKS) + "after\n")
    assert publish.main() == 0 and not (target / "all" / "old.png").exists()
    page = (target / "README.md").read_text()
    names = re.findall(r"\]\(([^)]+)\)", page)
    assert all((target / name).exists() for name in names)
    assert {"all/seconds.png", "all/answer.json",
            "limit/summary.md", "scale/scale.md"} <= {*names}
    said = json.loads((target / "all/answer.json").read_text())
    assert said["environment"]["cpu_model"] == ["a processor"]
    text = readme.read_text()
    assert text.startswith("before") and text.endswith("after\n")
    assert "old\n" not in text and first.answer(what)[0] in text
    assert "(docs/results/abacus/all/pair.png)" in text
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert table[0].startswith("| batch | jax epoch: epoch, s | torch step: "
                               "epoch, s | ratio | ")
    assert len(table) == 2 + 3


SEALS = ("Same computation", "Same conditions", "Steady machine")


@pytest.mark.parametrize("broken", SEALS)
def test_a_seal_says_no_where_it_is_broken(tmp_path, broken):
    records = comparison()
    if broken == SEALS[2]:
        records[0]["timing"]["epoch_s"][2] = 9.0
    what = found(records, NOT_PROVED if broken == SEALS[0] else PROVED)
    what.unfair = what.verdicts[:1] if broken == SEALS[1] else []
    text = page.page(tmp_path, what, sections(what))
    assert re.findall(r'class="seal( bad)?"><b>([^:]*): (yes|NO)', text) == [
        (" bad" * (one == broken), one, "NO" if one == broken else "yes")
        for one in SEALS]


def test_a_finished_job_is_a_line_and_the_pdf_counts():
    job = plan.Job(plan.Variant("jax", "step", "device"), 256, 0, 0)
    assert output.line(job, make(accuracy=0.98)).endswith(
        "test 98.00%, first epoch 1.10 s, then 0.508 s")
    assert output.line(job, failed(make(), "oom", "why")).endswith("OOM: why")
    assert output.line(job, "no counter").endswith(": not measured: no counter")
    records = [make(name, "step", size, epochs=5) for size in (64, 256)
               for name in ("jax", "torch")]
    records[0]["parameters"] = 1000
    said = paper.content(found(records), [], None, [])
    assert (said["epochs"], said["batches"], said["parameters"]) == (
        "5", "64 and 256", "1,000")


def test_the_table_comes_before_what_is_said_of_it():
    parts = first.apart(first.screen(found(comparison())))
    assert [*parts["answer"]] == [parts["answer"][0]] and len(parts["table"]) == 1
    assert parts["answer"][0].endswith("of PyTorch's time.")
    assert parts["notes"][0].startswith("Compared are ")
    none = first.apart(["No run finished"])
    assert none == {"answer": ["No run finished"], "table": [], "notes": []}
