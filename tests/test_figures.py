"""The figures: each has an entry, is drawn where it has something to show,
and says below what a reader needs to judge it."""

import re
import subprocess
import sys

import numpy as np
import pytest
from common import ROOT
from records import comparison, make

from bench.analyse.found import Found
from bench.report import output
from bench.report.figures.registry import FIGURES, draw

PROVED = True, "parity proved", None
RUNGS = (("jax", "step", 0.5), ("torch", "eager", 0.7))
SIZES = (16, 64, 128, 256, 512, 1024, 4096)


def runs(sizes, seeds=3, **more):
    return [make(name, rung, size, seed, seed, second, **more)
            for seed in range(seeds) for size in sizes
            for name, rung, second in RUNGS]


def certificate(*families):
    """families: (optimizer, lr, precision)"""
    return {"rows": [{
        "contender": name, "rung": rung, "feed": "device",
        "optimizer": optimizer, "lr": lr, "precision": precision,
        "batch_size": 256, "seed": 0, "epochs": 1, "steps": 100, "steps_bounded": 100,
        "reference": "torch eager",
        "losses": list(1 / np.arange(1, 101) + tiny)}
        for optimizer, lr, precision in families
        for name, rung, tiny in (("torch", "eager", 0), ("jax", "step", 1e-12))
    ]}


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """A Found -> {name: figure} of what is drawn, without the files."""
    from bench.report.figures import style
    figures = {}
    monkeypatch.setattr(style, "save", lambda figure, folder, stem:
                        figures.update({stem: figure}))

    def of(found):
        style.plt.close("all")
        figures.clear()
        assert draw(tmp_path, found) == list(figures)
        return dict(figures)
    yield of
    style.plt.close("all")


def words(figure):
    """Title and the text below."""
    return figure.get_suptitle(), figure.get_supxlabel().replace("\n", " ")


def test_the_registry_is_there_without_matplotlib():
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from bench.report.figures import "
         "registry; assert 'matplotlib' not in sys.modules"], cwd=ROOT)
    assert done.returncode == 0


def test_an_entry_says_what_its_figure_shows():
    assert len({entry.title for entry in FIGURES.values()}) == len(FIGURES)
    assert all(len(entry.caption) > 20 for entry in FIGURES.values())


def test_a_figure_is_drawn_where_it_has_something_to_show(drawn):
    assert set(drawn(Found(runs([256], 1, epochs=1), PROVED, [], {}))) == {
        "seconds", "parts", "final", "throughput"}
    figures = drawn(Found(runs(SIZES), PROVED, [], {}))
    assert set(figures) == set(FIGURES) - {
        "answers", "energy", "waterfall", "parity"}
    title, below = words(figures["parts"])
    assert title.replace("\n", " ").startswith("Training is 55% of a run of torch")
    assert below.endswith("adam lr 0.001; 42 of 42 runs; 3 of 7 batch sizes "
                          "parity proved")
    assert "batch sizes" not in words(figures["ratios"])[1]
    # What is seen at once fits a phone, and two of it a page.
    assert {stem for stem, one in figures.items() if one.get_figwidth() == 3.4} == {
        stem for stem in figures if FIGURES[stem].open}


def test_what_is_not_proved_is_said_in_the_title(drawn):
    figures = drawn(Found(comparison(), (False, "parity NOT PROVED: x", None),
                          [], {}))
    for stem, figure in figures.items():
        assert "(parity NOT PROVED)" in words(figure)[0].replace("\n", " ")
        assert FIGURES[stem].open or words(figure)[1].endswith("parity NOT PROVED: x")


@pytest.mark.parametrize("records, unfair", [([], []), (comparison(), ["x"])])
def test_without_a_fair_comparison_there_is_only_the_certificate(
        drawn, records, unfair):
    found = Found(records, (*PROVED[:2], certificate(("sgd", 0.1, "fp64"))),
                  [], {})
    found.unfair = unfair
    figures = drawn(found)
    assert list(figures) == ["parity"]
    assert words(figures["parity"])[0].startswith("Relative differences of all")


def test_where_only_the_control_has_finished_nothing_is_drawn(drawn):
    found = Found([make("jax-again")], PROVED, [], {}, control="jax-again")
    assert drawn(found) == {} and found.done


@pytest.mark.parametrize("families, shown", [
    # As a comparison makes it, and as `--only certify` does.
    ([("adam", 1e-3, "fp64"), ("sgd", 0.1, "fp32")], "adam lr 0.001"),
    ([("adam", 1e-3, "fp64"), ("sgd", 0.1, "fp64"), ("sgd", 0.1, "fp32")],
     "sgd lr 0.1")])
def test_the_certificate_is_shown_of_one_optimizer(drawn, families, shown):
    figure = drawn(Found([], (*PROVED[:2], certificate(*families)), [], {})
                   )["parity"]
    assert figure.axes[0].get_ylabel() == f"training loss, {shown}"
    # The reference is not compared with itself.
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "jax step"]


def test_a_run_that_was_not_steady_has_a_cross_at_its_slowest_epoch(drawn):
    records = comparison(blocks=3)
    records[0]["timing"]["epoch_s"][2] = 2.0
    axes, = drawn(Found(records, PROVED, [], {}))["epochs"].axes
    crosses = [line for line in axes.lines if line.get_marker() == "x"]
    assert [(*line.get_xdata(), *line.get_ydata()) for line in crosses] == [
        (3, 2.0)]


def test_answers_are_drawn_and_listed_where_each_was_waited_for(drawn):
    from bench.report.costs import answers
    records = comparison(blocks=1)
    for r in records:
        # Of the first epoch none counts; then 1 to 100 ms.
        steps = r["steps_per_epoch"]
        r["timing"]["answer_s"] = [9.0] * steps + [
            1e-3 * (1 + 99 * n / (2 * steps - 1)) for n in range(2 * steps)]
    found = Found(records, PROVED, [], {})
    axis, = drawn(found)["answers"].axes
    spans = [line.get_xdata() for line in axis.lines if len(line.get_xdata()) == 2]
    np.testing.assert_allclose(spans, [[50.5, 99.01]] * 2)
    assert [line.get_xdata()[0] for line in axis.lines
            if line.get_marker() == "o"] == pytest.approx([50.5] * 2)
    assert [row[3:] for row in answers(found)[0].texts()][1:] == [
        ["50.5", "95.0", "99.0", "5,069.3"]] * 2
    assert not answers(Found(comparison(), PROVED, [], {}))


def test_energy_is_drawn_where_it_was_measured(drawn):
    weighed = [{"kind": "energy", "block": 0, "contender": "jax",
                "rung": "step", "feed": "device", "batch_size": 256, "seed": 0,
                "measurements": {"gross": {"value": 20.0},
                                 "net": {"value": 12.0}}}]
    axis, = drawn(Found(comparison(), PROVED, [], {}, weighed))["energy"].axes
    assert [value for line in axis.lines for value in line.get_xdata()] == [
        20.0, 12.0]
    assert [line.get_markerfacecolor() == "white" for line in axis.lines
            if len(line.get_xdata())] == [False, True]


def test_a_variant_has_a_shade_of_its_frameworks_colour():
    from bench.report.figures.style import COLOURS, SHADES, looks
    known = ["torch", "jax-adam", "mine", "jax", "jax-warm", "yours"]
    paints = {key[0]: look["color"] for key, look in looks(
        (name, "step", "device") for name in known).items()}
    assert len(set(paints.values())) == len(known)
    assert (paints["jax"], paints["torch"]) == tuple(COLOURS.values())
    assert {paints["jax-adam"], paints["jax-warm"]} < set(SHADES["jax"])


def test_the_same_records_give_the_same_bytes(tmp_path):
    found = Found(comparison(), PROVED, [], {})
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        draw(folder, found)
    files = sorted((tmp_path / "a").iterdir())
    assert {path.suffix for path in files} == {".png", ".svg"}
    assert all(path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
               for path in files)


def test_marks_say_what_they_are_and_colours_follow_the_page(tmp_path):
    from bench.report.figures.svg import inline
    draw(tmp_path, Found(comparison(), PROVED, [], {}))
    text = (tmp_path / "seconds.svg").read_text("utf-8")
    part = inline(text, "seconds", 'a "label"')
    told = re.findall(r'class="mark" data-tell="([^"]*)"', part)
    assert any(re.match(r"jax step, batch 256: 0\.5\d+ \(.*\) s, 3 runs", one)
               for one in told)
    assert sum(one.endswith(" s, block 1, seed 0") for one in told) == 4
    assert "var(--jax)" in part and "#0072b2" not in part and "#0072b2" in text
    assert not re.search(r' id="(?!seconds-)', part) and "a &quot;label&quot;" in part
    # Letters stay letters, and no number of them is cut.
    shown, drawn_ = (re.findall(r">([^<>]+)</text>", one) for one in (part, text))
    assert shown == drawn_ and "0.508" in shown


def test_a_bar_of_a_waterfall_reaches_as_far_as_its_seconds(drawn):
    found = Found(comparison(), PROVED, [], {})
    bar = ("torch", "eager"), ("torch", "step")
    found.waterfalls = {("torch", 256): [(bar, [1e-3] * 3), (
        ("bare", "products"), [-2e-4] * 3), (("products", None), [2e-3] * 3)]}
    axis, = drawn(found)["waterfall"].axes
    (label,) = axis.get_yticklabels()
    assert label.get_text() == "torch eager, batch 256"
    ends = sorted((bar.get_x(), bar.get_x() + bar.get_width(), bar.get_hatch())
                  for bar in axis.patches)
    steps = 50_000 // 256
    np.testing.assert_allclose([end[:2] for end in ends], np.multiply(steps, [
        (0, 2e-3), (1.8e-3, 2.8e-3), (2e-3, 1.8e-3)]))
    assert [bool(hatch) for *_, hatch in ends] == [False, False, True]
    found.waterfalls = {("torch", 256): [(("products", None), [1e-3, 2e-3, 3e-3])]}
    line, = drawn(found)["waterfall"].axes[0].lines
    # Student's t of two degrees of freedom: 4.303.
    np.testing.assert_allclose(line.get_xdata(), steps * (
        2e-3 + np.array([-1, 1]) * 4.303e-3 / 3**0.5), rtol=1e-3)


def test_many_libraries_of_which_one_does_not_tell_a_curve(drawn, recwarn):
    """The legend has room, and what is not told is not drawn."""
    records = runs((64,))
    for number in range(10):
        for r in runs((64,)):
            records.append({**r, "contender": f"library-{number}"})
    for r in records:
        if r["contender"] == "library-3":
            r["epochs"] = [{**row, "train_accuracy": None, "val_accuracy": None}
                           for row in r["epochs"]]
    figure = drawn(Found(records, PROVED, [], {}))["learning"]
    figure.draw_without_rendering()
    assert not [w for w in recwarn if "collapsed" in str(w.message)]
    labels = [{line.get_label() for line in axis.lines} for axis in figure.axes]
    assert [sum("library-3" in label for label in one) for one in labels] == [2, 0]


@pytest.mark.parametrize("stem, mark", [("pair", "D"), ("ratios", "o")])
@pytest.mark.parametrize("jax, torch, who", [
    (0.5, 0.7, "jax"), (0.7, 0.5, "torch"), (0.5, 0.5, None)])
def test_a_ratio_is_drawn_where_it_is(drawn, stem, mark, jax, torch, who):
    from bench.report.figures.style import COLOURS, QUIET
    what = Found(comparison(jax, torch), PROVED, [], {})
    what.width = 0.01
    axis, = drawn(what)[stem].axes
    at = {kind: [x for line in axis.lines if line.get_marker() == kind
                 for x in line.get_xdata()] for kind in "oD"}
    mean, = (line for line in axis.lines if line.get_marker() == mark)
    span, = (line.get_xdata() for line in axis.lines if line.get_linewidth() == 2)
    assert at[mark][0] == pytest.approx(jax / torch, rel=0.02)
    assert span[0] < at[mark][0] < span[1]
    assert mean.get_color() == COLOURS.get(who, QUIET)
    assert np.exp(np.mean(np.log(at["o"]))) == pytest.approx(at[mark][0])
    assert axis.patches[0].get_x() == pytest.approx(np.exp(-0.01))


def test_bars_of_seconds_reach_their_medians(drawn):
    what = Found(comparison(), PROVED, [], {})
    what.floors = {256: {n: {"floor": bound} for n, bound in enumerate((
        0.1, 0.3, 0.2))}}
    left, right = drawn(what)["seconds"].axes
    for axis, field in ((left, "steady_epoch_s"), (right, "first_epoch_s")):
        assert [bar.get_width() for bar in axis.patches] == [
            row[field] for row in what.rows]
    bound, *spans = (tuple(line.get_xdata()) for line in left.lines
                     if line.get_color() == "black")
    assert bound == (0.2, 0.2)
    assert spans == [(row["steady_low_s"], row["steady_high_s"]) for row in what.rows]


def test_the_curve_of_payoff_and_where_it_is_repaid(drawn):
    axis, = drawn(Found(runs((256,), compile_s=1.0), PROVED, [], {}))["payoff"].axes
    curve, = (line for line in axis.lines if len(line.get_xdata()) == 100)
    dot, = (line for line in axis.lines if line.get_marker() == "o")
    fast, slow = 0.5 * 1.015, 0.7 * 1.015
    np.testing.assert_allclose(curve.get_ydata(), (
        1 / curve.get_xdata() + fast) / slow)
    np.testing.assert_allclose([*dot.get_xdata(), *dot.get_ydata()], [
        1 / (slow - fast), 1])


def test_the_certificate_is_drawn_as_far_off_as_it_is(drawn):
    proof = (*PROVED[:2], certificate(("adam", 1e-3, "fp64")))
    _, gap = drawn(Found([], proof, [], {}))["parity"].axes
    line, = (line for line in gap.lines if line.get_label() == "jax step")
    np.testing.assert_allclose(line.get_ydata(), 1e-12 * np.arange(1, 101), rtol=0.01)
    assert [list(line.get_ydata()) for line in gap.lines
            if line.get_color() == "black"] == [[1e-10] * 2]


def test_curves_are_those_of_the_records(drawn):
    records = comparison(blocks=2)
    records[0]["epochs"][1]["val_accuracy"] = 0.5
    r, figures = records[0], drawn(Found(records, PROVED, [], {}))
    loss, score = (
        {line.get_label(): line for line in axis.lines}["jax step"].get_ydata()
        for axis in figures["learning"].axes)
    np.testing.assert_allclose(score, [0.97, 0.735, 0.97])
    np.testing.assert_allclose(loss, [0.5, 0.25, 0.5 / 3])
    seconds, work = (figures[stem].axes[0].lines[0]
                     for stem in ("epochs", "wall_clock"))
    assert list(seconds.get_ydata()) == [
        r["timing"]["first_epoch_s"], *r["timing"]["epoch_s"][1:]]
    np.testing.assert_allclose(work.get_xdata(), [
        row["worked_s"] for row in r["epochs"]])


def test_the_accuracy_of_every_run_is_drawn(drawn):
    records = comparison(blocks=2)
    records[0]["final"]["test_accuracy"] = 0.95
    axis, = drawn(Found(records, PROVED, [], {}))["final"].axes
    at = [[x for line in axis.lines if line.get_marker() == mark
           for x in line.get_xdata()] for mark in "o|"]
    np.testing.assert_allclose(at[0], [0.95, 0.97, 0.97, 0.97])
    np.testing.assert_allclose(at[1], [0.96, 0.97])


def test_the_parts_of_a_run_are_its_seconds(drawn):
    axis, = drawn(Found([make()], PROVED, [], {}))["parts"].axes
    assert {one.get_label(): one.patches[0].get_width() for one in axis.containers
            } == pytest.approx({"import": 1.0, "data": 0.35, "compile": 0.6,
                                "train": 1.515, "evaluate": 0.3, "rest": 0.0515})
    ends = [one.patches[0].get_x() for one in axis.containers]
    np.testing.assert_allclose(ends, np.cumsum([0, 1.0, 0.35, 0.6, 1.515, 0.3]))


def test_images_a_second_are_drawn_and_written_with_their_interval(drawn):
    what, images = Found(comparison(), PROVED, [], {}), 195 * 256
    what.floors = {256: {0: {"floor": 0.1}}}
    axis, = drawn(what)["throughput"].axes
    wanted = [[images / row[f"steady_{end}_s"] for end in ("epoch", "high", "low")]
              for row in what.rows]
    np.testing.assert_allclose([row[4:] for row in output.speeds(what)], wanted)
    np.testing.assert_allclose([bar.get_width() for bar in axis.patches], [
        row[0] for row in wanted])
    np.testing.assert_allclose([line.get_xdata() for line in axis.lines], [
        pair for row in wanted for pair in (row[1:], [images / 0.1] * 2)])


def test_the_line_of_a_step_is_the_fitted_one(drawn):
    sizes = (64, 128, 256, 512)
    what = Found([make("jax", "step", size, n, n, 50_000 // size * (2e-4 + 1e-6 * size))
                  for n in range(3) for size in sizes], PROVED, [], {})
    axis, = drawn(what)["steps"].axes
    dots, line = axis.lines
    assert line.get_label() == "jax step: 203 µs + 1015 ns a sample"
    np.testing.assert_allclose(dots.get_ydata(), [
        1.015e3 * (2e-4 + 1e-6 * size) for size in sizes])
    np.testing.assert_allclose(line.get_ydata(), 1.015e3 * (
        2e-4 + 1e-6 * line.get_xdata()))
