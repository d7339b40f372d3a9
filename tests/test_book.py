"""The side-by-side page: complete, up to date, in need of nothing else."""

import html
import re
import sys

import pytest
from common import ROOT

from bench.kit.cli import Fault
from bench.tools import book


def test_the_page_is_that_of_the_files_as_they_are():
    assert book.PAGE.read_text("utf-8") == book.page(), "run: make book"
    assert book.SCALE_PAGE.read_text("utf-8") == book.page(book.SCALE), "make book"


@pytest.mark.parametrize("pair", [book.PAIR, book.SCALE], ids=["lesson", "scale"])
@pytest.mark.parametrize("side", list(book.PAIR))
def test_every_line_of_both_scripts_is_there_once(side, pair):
    source = (ROOT / pair[side]).read_text("utf-8")
    cells = re.findall(rf'<div class="cell {side}"><pre[^>]*><code>(.*?)'
                       "</code></pre>", book.page(pair), re.S)
    shown = [line for cell in cells
             for line in html.unescape(re.sub("<[^>]+>", "", cell)).split("\n")]
    wanted = [line for line in source.splitlines()
              if line.strip() and not book.RULER.match(line)]
    assert [line for line in shown if line.strip()] == wanted


def test_functions_of_one_name_stand_in_one_row():
    left, right = (dict(book.sections((ROOT / name).read_text("utf-8")))
                   for name in book.PAIR.values())
    assert list(left) == list(right) and len(left) == 10
    both = {name for title in left for name, _ in left[title]} & {
        name for title in right for name, _ in right[title]} - {""}
    assert {"train_step", "forward", "evaluate", "adam", "build"} <= both
    paired = [a for title in left
              for a, b in book.rows(left[title], right[title])
              if a is not None and b is not None]
    for name in both:
        assert any(f"{name}(" in re.sub("<[^>]+>", "", "\n".join(lines))
                   for lines in paired), name


def test_every_section_says_what_it_teaches_and_the_readme_the_same():
    readme = re.sub(r"\s+", " ", (ROOT / "README.md").read_text("utf-8"))
    assert list(book.LESSONS) == list(book.sections(
        (ROOT / book.PAIR["jax"]).read_text("utf-8")))[1:]
    for title, lessons in book.LESSONS.items():
        cells = (title.replace(".", ""), *(
            re.sub("</?code>", "`", lesson) for lesson in lessons))
        assert f"| {' | '.join(cells)} |" in readme, title
        for lesson in lessons:
            assert f":</b> {lesson}</p>" in book.page()


def test_without_pygments_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pygments", None)
    with pytest.raises(Fault, match="make book needs pygments: .* -m pip "
                                    "install pygments") as fault:
        book.page()
    assert fault.value.code == 4


def test_comments_strings_and_keywords_are_marked_line_by_line():
    assert book.coloured('"""a\n\nb"""\nif x not in y:  # <c>\n') == [
        '<span class="s">&quot;&quot;&quot;a</span>', "",
        '<span class="s">b&quot;&quot;&quot;</span>',
        '<span class="k">if</span> x <span class="k">not</span> '
        '<span class="k">in</span> y:  <span class="c"># &lt;c&gt;</span>']


def test_rows_that_have_no_partner_stay_in_order():
    left = [("", ["a"]), ("f", ["b"]), ("g", ["c"])]
    right = [("", ["d"]), ("h", ["e"]), ("g", ["f"])]
    assert book.rows(left, right) == [
        (["a"], ["d"]), (["b"], None), (None, ["e"]), (["c"], ["f"])]


def test_the_page_asks_for_nothing_from_elsewhere():
    text = re.sub("<pre.*?</pre>", "", book.page(), flags=re.S)
    assert not re.search(r"https?:|//\w|@import|url\(", text)
