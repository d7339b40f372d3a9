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
    ends = sorted((bar.get_x(), bar.get_x() + bar.get_width(), bar.get_hatch())
                  for bar in axis.patches)
    steps = 50_000 // 256
    np.testing.assert_allclose([end[:2] for end in ends], np.multiply(steps, [
        (0, 2e-3), (1.8e-3, 2.8e-3), (2e-3, 1.8e-3)]))
    assert [bool(hatch) for *_, hatch in ends] == [False, False, True]


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
