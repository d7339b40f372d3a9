"""What the report says follows from the numbers, and its pages stand alone."""

import json
import math
import re
import shutil
from pathlib import Path

import pytest
from common import ROOT
from records import comparison, make

from bench.analyse import ratios
from bench.analyse.found import Found
from bench.kit.cli import Fault
from bench.proof import audit
from bench.report import answer as first
from bench.report import output, page, paper, render
from bench.report.reasons import reasons
from bench.report.sections import SECTIONS, head, sections
from bench.report.table import Bold, Table
from bench.report.words import TEXTS
from bench.tools import book

FLOOR = {"flops": 200e9, "device": "cpu"}
PROVED = True, "parity proved: 3 float64 traces", None
NOT_PROVED = False, "parity NOT PROVED: no float64 trace of jax step", None
SCRIPTS = {"jax": "a", "torch": "b"}


def found(records, proof=PROVED, width=None, measured=()):
    one = Found(records, proof, audit.audit(records, (), FLOOR), SCRIPTS,
                measured)
    one.width = width
    return one


def answer(records, proof=PROVED, width=None):
    return " ".join(first.answer(found(records, proof, width)))


def failed(r, status, tail):
    """The record of a run that ended otherwise."""
    kept = ("schema", "framework", "contender", "script", "config",
            "repeat", "block", "order_seed")
    return {**{key: r[key] for key in kept}, "status": status,
            "exit": {"code": 6, "signal": None, "tail": [tail]}}


def test_jax_wins():
    text = answer(comparison(jax=0.5, torch=0.7))
    assert "at batch size 256 JAX is faster (jax step takes 0.71" in text
    assert "of the time of torch eager)" in text and "PyTorch is" not in text


def test_pytorch_wins_and_the_ratio_is_turned_round():
    text = answer(comparison(jax=0.7, torch=0.5))
    assert "PyTorch is faster (torch eager takes 0.71" in text
    assert "of the time of jax step)" in text and "JAX is faster" not in text


def test_nothing_differs():
    text = answer(comparison(jax=0.5, torch=0.5))
    assert "no difference is shown" in text and "faster" not in text
    assert "no pair by more than the noise of the seeds" in text


def test_a_difference_below_the_control_is_not_named():
    text = answer(comparison(jax=0.5, torch=0.55), width=0.5)
    assert "smaller than what one script shows against itself" in text
    assert "faster" not in text


def test_two_blocks_are_too_few():
    text = answer(comparison(blocks=2))
    assert "too few blocks to say" in text and "faster (" not in text
    assert "too few seeds to say more" in text


def test_accuracy_that_differs_is_named():
    records = comparison()
    for r in records:
        if r["contender"] == "torch":
            r["final"]["test_accuracy"] -= 0.01
            r["epochs"][-1]["test_accuracy"] -= 0.01
    assert "jax step is higher than torch eager at batch size 256" in (
        answer(records))


def test_an_unfair_comparison_has_no_ratio_in_any_sentence():
    records = comparison()
    records[0]["environment"]["threads"] = 1
    text = answer(records)
    assert text.startswith("These runs may not be compared: the audit finds "
                           "them unfair (threads)")
    assert "faster" not in text and "Steady epochs" not in text


def test_a_missing_certificate_comes_first():
    text = answer(comparison(), NOT_PROVED)
    assert text.startswith("That the variants compute the same is not proved "
                           "(no float64 trace of jax step)")


@pytest.mark.parametrize("status", ["diverged", "failed", "unavailable"])
def test_a_run_that_is_not_ok_is_counted_and_not_averaged(status):
    records = comparison()
    whole = answer(records)
    spoilt = [*records, failed(make("torch", "step", 256), status, "why")]
    text = answer(spoilt)
    assert f"1 run of torch step ended as {status}; 6 of 7 finished." in text
    assert text.endswith(whole[whole.index("Steady"):])
    assert answer([failed(r, status, "why") for r in records]).startswith(
        "No run finished")


def test_a_warm_cache_is_said_beside_the_compile_seconds():
    assert "with an empty cache)" in answer(comparison())
    warm = [{**r, "cache": "warm"} for r in comparison()]
    assert "with a cache that was filled before)" in answer(warm)
    warm[0]["cache"] = "cold"  # as in the first block: it alone counts
    assert "with an empty cache)" in answer(warm)


def test_one_framework_alone_is_compared_with_nothing():
    records = [r for r in comparison() if r["contender"] == "jax"]
    text = answer(records)
    assert "nothing to compare with; a steady epoch takes jax step 0.5" in text
    assert "PyTorch" not in text


def test_an_explanation_needs_its_number():
    same, faster = ([make(name, rung, 256, seed, seed, second / (
        1 + (rung == "step") * (factor - 1)), compile_s=5.0)
        for seed in range(4) for name, rung in (
            ("jax", "step"), ("torch", "eager"), ("torch", "step"))
        for second in [0.5 + 0.05 * ((seed + (rung == "step")) % 2)]]
        for factor in (1, 2))
    assert not reasons(found(same))
    claims = dict(reasons(found(faster)))
    assert "torch step takes 0.5" in claims["Compilation"]
    assert "torch step at batch size 256 after" in claims["Amortisation"]
    faster[0]["environment"]["threads"] = 1
    assert reasons(found(faster)) == []
    del faster[0]
    what = found(faster)
    bar = ("jax-unfused", "step"), ("jax", "step")
    what.waterfalls = {("jax", 64): [(bar, [1e-4, 1.1e-4, 0.9e-4])]}
    assert dict(reasons(what))["Fusion"].startswith(
        "Fusing operations saves jax 100 µs")
    what.waterfalls = {("jax", 64): [(bar, [1e-4, -1e-4, 2e-4])]}
    assert "Fusion" not in dict(reasons(what))


def test_what_makes_a_library_slower_is_said_by_its_largest_factor():
    def compared(fit, step):
        records = [make(name, rung, 256, seed, seed, seconds * (1 + 0.01 * (
            (seed * 7 + n) % 3 - 1))) for seed in range(4)
            for n, (name, rung, seconds) in enumerate((
                ("peer", "fit", fit), ("peer", "step", step), ("jax", "step", 0.8),
                ("jax", "epoch", 0.5)))]
        for r in records[::4] + records[1::4]:
            r["environment"]["jax"] = "1.0"
        return records

    records = compared(3.0, 1.0)
    what = found(records)
    ((whole, parts),) = ratios.peer_parts(what)
    assert whole.first[:2] == ("peer", "fit") and whole.second[:2] == ("jax", "epoch")
    assert [round(part.value, 1) for part in parts] == [3.0, 1.2, 1.6]
    assert math.prod(part.value for part in parts) == pytest.approx(whole.value)
    (line,) = [text for claim, text in reasons(what) if claim == "Other libraries"]
    assert "peer fit at batch size 256: its own loop over its steps, 2.99" in line
    assert "its own loop" in str(SECTIONS["Peers"](what)[1])
    assert "its step over the pair's, 3.7" in dict(reasons(found(
        compared(3.1, 3.0))))["Other libraries"]
    assert "Other libraries" not in dict(reasons(found(
        [r for r in records if r["config"]["rung"] != "step"])))


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
    titles = re.findall(r"^## (.*)$", (folder / "summary.md").read_text(
        "utf-8"), re.M)
    for title in [*titles[1:], "Glossary"]:  # the answer stands above
        assert f"<summary>{title}</summary>" in text
    assert text.count("<figure") == len(list((folder / "figures").glob(
        "*.svg")))
    assert len(re.findall(r'<img alt="[^"]{20,}"', text)) == text.count("<img")
    for sentence in first.answer(what):
        assert sentence.replace("'", "&#x27;") in text
    assert "<b>why & where</b>" not in text
    outside = re.sub(r'href="(runs/|[a-z.]+\.(csv|md|json))"', "", text)
    outside = re.sub(r"base64,[A-Za-z0-9+/=]+", "", outside)
    assert not re.search(r"https?:|//\w+\.|@import|url\(", outside)


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
    paper.write(folder, what)
    content = (folder / "report.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    counts = re.findall(rb"/Type\s*/Pages\b[^>]*?/Count\s+(\d+)"
                        rb"|/Count\s+(\d+)[^>]*?/Type\s*/Pages\b", content)
    assert counts and max(int(a or b) for a, b in counts) <= 2


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
    assert view.evaluate("location.hash") in ("#figures", "#s0")
    if which == "book":
        view.keyboard.press("7")
        assert view.evaluate("location.hash") == "#s7"
    else:
        # When, how long, by which versions, on its first screen.
        assert head(what)["runs"] in " ".join(
            view.inner_text("header").split())
        closed = view.locator("details:not([open]) > summary").first
        closed.focus()
        view.keyboard.press("Enter")
        assert view.evaluate("document.activeElement.parentElement.open")
    context.close()


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
    assert "(docs/results/abacus/all/ratios.png)" in text
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert table[0].startswith("| seconds an epoch, batch | jax epoch |")
    assert len(table) == 2 + 3 and re.match(r"\| 64 \| \*\*0\.", table[2])
