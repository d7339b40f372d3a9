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
from bench.report import messages, output, page, paper, render
from bench.report.figures.registry import FIGURES
from bench.report.reasons import reasons
from bench.report.sections import QUESTIONS, SECTIONS, asked, head, sections
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
    return render.as_markdown(first.answer(found(records, proof, width)))


def failed(r, status, tail):
    """The record of a run that ended otherwise."""
    kept = ("schema", "framework", "contender", "script", "config",
            "repeat", "block", "order_seed")
    return {**{key: r[key] for key in kept}, "status": status,
            "exit": {"code": 6, "signal": None, "tail": [tail]}}


# ------------------------------------------------------------ first screen

def test_jax_wins():
    text = answer(comparison(jax=0.5, torch=0.7))
    assert text.startswith("JAX takes 0.71")
    assert "of PyTorch's time: steady epochs, jax step against torch eager, the " \
           "fastest variant of each, in 3 blocks, in brackets the 95 % inter" in text
    assert "jax step: a whole step is compiled; torch eager: Python starts" in text
    row, = re.findall(r"^\| 256 \|.*$", text, re.M)
    assert re.match(r"\| 256 \| 0.508 \| 0.710 \| 0.714 \(.*\) \| JAX \| 1.10 \|", row)
    assert "PyTorch is" not in text


def test_pytorch_wins_and_the_ratio_is_turned_round():
    text = answer(comparison(jax=0.7, torch=0.5))
    assert text.startswith("PyTorch takes 0.71") and "of JAX's time" in text
    assert "torch eager against jax step" in text and "| PyTorch |" in text


def test_nothing_differs():
    text = answer(comparison(jax=0.5, torch=0.5))
    assert text.startswith("No difference is shown: ") and "| JAX |" not in text
    said = r"a difference of more than (\S+)% would have been seen"
    seen = float(re.search(said, text)[1])
    assert 0 < seen < 10
    wider = [make(name, rung, 256, seed, seed, 0.5 * (1 + 0.2 * ((seed + n) % 3)))
             for seed in range(3) for n, (name, rung) in enumerate((
                 ("jax", "step"), ("torch", "eager")))]
    assert float(re.search(said, answer(wider))[1]) > seen
    # Nothing below the control would be named.
    assert "more than 64.9% would" in answer(comparison(jax=0.5, torch=0.5), width=0.5)
    assert "Between the frameworks: no difference shown" in text


def test_a_difference_below_the_control_is_not_named():
    text = answer(comparison(jax=0.5, torch=0.55), width=0.5)
    assert "less than what one script shows against itself on this machine (64.9%)" in (
        text)
    assert "| JAX |" not in text


def test_two_blocks_are_too_few():
    text = answer(comparison(blocks=2))
    assert text.startswith("Too few blocks to say which is faster")
    assert "Between the frameworks: too few seeds to say" in text


def test_where_it_is_the_other_way_round_is_said():
    records = [r for size, jax in ((64, 0.3), (1024, 0.8))
               for r in comparison(jax=jax, torch=0.7, batch_size=size)]
    text = answer(records)
    assert re.match(
        r"JAX takes 0\.7\S+ \(.*\) of PyTorch's time, but PyTorch is faster at batch "
        "size 1024: steady epochs, jax step against torch eager, .*, geometric mean "
        "over 2 batch sizes, in 3 blocks, in brackets", text)
    assert "but" not in answer([r for size in (64, 1024) for r in comparison(
        jax=0.3, torch=0.7, batch_size=size)])[:200]
    even = answer([r for size, jax in ((64, 0.5), (1024, 0.98))
                   for r in comparison(jax=jax, torch=0.7, batch_size=size)])
    assert even.startswith("No difference is shown") and (
        "but JAX is faster at batch size 64 and PyTorch is faster at batch size 1024:"
        in even)


def test_a_rung_that_is_faster_at_one_size_is_named_there():
    records = [make(name, rung, size, seed, seed, second * (1 + 0.01 * (seed % 2)))
               for seed in range(4) for name, rung, seconds in (
                   ("jax", "step", (0.5, 0.5)), ("torch", "step", (0.4, 0.9)),
                   ("torch", "eager", (0.9, 0.7)))
               for size, second in zip((64, 256), seconds)]
    rows = re.findall(r"^\| (?:64|256) \|.*$", answer(records), re.M)
    assert "torch eager takes 0.778" in rows[1] and "of torch step" in rows[1]
    assert "takes" not in rows[0]


def test_accuracy_that_differs_is_named_once():
    """jax step and jax epoch have the same losses: they are one finding."""
    records = [make(name, rung, 256, seed, seed, second) for seed in range(3)
               for name, rung, second in (("jax", "step", 0.5), ("jax", "epoch", 0.4),
                                          ("torch", "eager", 0.7))]
    said = ("Between the frameworks: {}; jax epoch less torch eager is {} percentage "
            "points, over 3 seeds.")
    text = answer(records)
    assert said.format("no difference shown", "+0.00 (+0.00 to +0.00)") in text
    for r in records:
        if r["contender"] == "torch":
            r["final"]["test_accuracy"] -= 0.01
            r["epochs"][-1]["test_accuracy"] -= 0.01
    text = answer(records)
    assert said.format("jax epoch is more accurate", "+1.00 (+1.00 to +1.00)") in text
    assert text.count("more accurate") == 1


def test_an_unfair_comparison_has_no_ratio_in_any_sentence():
    records = comparison()
    records[0]["environment"]["threads"] = 1
    text = answer(records)
    assert text.startswith("These runs may not be compared: the audit finds "
                           "them unfair (threads)")
    assert "faster" not in text and "takes" not in text and "less" not in text
    spoilt = found(records)
    assert [name for name, _ in asked(spoilt, sections(spoilt))] == ["speed", "proof"]


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
    assert text.endswith(whole[whole.index("JAX takes"):])
    assert answer([failed(r, status, "why") for r in records]).startswith(
        "No run finished")


def test_a_warm_cache_is_said_beside_the_compile_seconds():
    assert "with an empty cache)" in answer(comparison())
    warm = [{**r, "cache": "warm"} for r in comparison()]
    assert "with a cache that was filled before)" in answer(warm)
    warm[0]["cache"] = "cold"  # as in the first block: it alone counts
    assert "with an empty cache)" in answer(warm)


@pytest.mark.parametrize("compile_s, jax, words", [
    (1.0, 0.5, "after 4.93 epochs"), (20.0, 0.5, "after 98.5 epochs"),
    (1.0, 0.9, "never (epochs are slower)")])
def test_when_compiling_is_repaid_is_said_of_every_variant(compile_s, jax, words):
    records = [make(name, rung, 256, seed, seed, second, compile_s=compile_s)
               for seed in range(3) for name, rung, second in (
                   ("jax", "step", jax), ("torch", "eager", 0.7))]
    said = "repay compiling: " + (
        f"{words}: jax step at batch size 256" if "never" in words else
        f"jax step {words} at batch size 256")
    assert f"{said}." in answer(records)
    few = answer(records[:4])
    assert f"{said} (some: of too few" in few.replace("after some", "after") or (
        "never" in words and "not shown (in some blocks epochs are not faster): jax" in
        few)


def test_compiling_once_is_held_against_the_epochs_of_every_block():
    """Only the first block has an empty cache."""
    def said(slow):
        records = [make(name, rung, 256, block, block, second, compile_s=(
            0.1 if block else 1.0)) for block in range(4) for name, rung, second in (
                ("jax", "step", 0.9 if block == slow else 0.5),
                ("torch", "eager", 0.7))]
        for r in records[2:]:
            r["cache"] = "warm"
        return re.search(r"repay compiling: (.*)\.$", answer(records), re.M)[1]
    assert said(None) == "jax step after 4.93 epochs at batch size 256"
    assert said(3) == ("not shown (in some blocks epochs are not faster): jax step at "
                       "batch size 256")


def test_all_epochs_with_compiling_are_told():
    def told(compile_s, epochs=3):
        return re.search(r"(\d) epochs, the .*?: (.*) at batch size 256\.", answer([
            make(name, rung, 256, seed, seed, second, epochs, compile_s=compile_s)
            for seed in range(3) for name, rung, second in (
                ("jax", "step", 0.5), ("torch", "eager", 0.7))]))
    assert told(1.0).groups() == ("3", "jax step 2.52 s; torch eager 2.12 s")
    assert told(2.0)[2].startswith("jax step 3.52 s; ") and told(1.0, 1) is None


def test_one_framework_alone_is_compared_with_nothing():
    records = [r for r in comparison() if r["contender"] == "jax"]
    text = answer(records)
    assert "nothing to compare with; a steady epoch takes jax step 0.5" in text
    assert "PyTorch" not in text


def test_another_library_stands_beside_the_pair():
    def beside(factor):
        records = comparison(blocks=4)
        for r in comparison(blocks=4)[::2]:
            r = make("peer", "step", 256, r["block"], r["block"], factor * 0.5 * (
                1 + 0.01 * (r["block"] % 2)))
            r["environment"]["jax"] = "1.0"
            records.append(r)
        return answer(records)
    assert re.search(r"peer step takes 2.\d\d \(.*\) times as long as jax step", (
        text := beside(2.0))) and text.startswith("JAX takes 0.7")
    assert "peer step takes 3." in beside(3.0)


def test_a_vision_network_is_named_and_its_accuracy_is_not():
    def screen(jax, torch, shown):
        records = []
        for seed in range(4):
            for name, rung, seconds in (("jax", "step", jax), ("torch", "eager", 9),
                                        ("torch", "model", torch)):
                r = make(name, rung, 8, seed, seed, seconds * (1 + 0.01 * (seed % 2)),
                         network="resnet50", work="train", size=None, evaluate=shown,
                         optimizer="sgd", examples=24)
                r["dataset"]["sizes"] = {"train": 24, "val": shown, "test": shown}
                records.append(r)
        one = found(records)
        one.unfair = []  # made up: its steps are those of the perceptron
        return head(one)["where"], render.as_markdown(first.answer(one))
    where, text = screen(4.0, 2.0, 8)
    assert "resnet50 at 224 x 224 pixels" in where
    assert text.startswith("PyTorch takes 0.5") and "torch model against jax step" in (
        text)
    assert "Test accuracy is" not in text
    where, text = screen(2.0, 4.0, 1000)
    assert text.startswith("JAX takes 0.5") and "Test accuracy is 97.00%" in text


def test_what_is_said_of_the_products_follows_from_them():
    def said(jax, torch, spread=0.001):
        records = comparison(jax=0.5, torch=1.0, blocks=4)
        what = found(records)
        what.floors = {256: {seed: {"libraries": {
            "jax": jax and jax * (1 + spread * seed),
            "torch": torch * (1 + spread * (3 - seed) - 3 * spread * (spread < 1))}}
            for seed in range(4)}}
        return dict(reasons(what)).get("Products")
    assert said(0.2, 0.6).startswith("Most of the gap at batch size 256 is the matrix "
                                     "products: PyTorch's take 2.99")
    assert "JAX's, which makes 0.4 s an epoch, and the whole gap is 0.51 s" in (
        said(0.2, 0.6))
    assert said(0.2, 0.35).startswith("Part of the gap at batch size 256 is")
    assert said(0.3, 0.2).startswith("The matrix products do not explain the gap")
    assert "those of JAX, which is faster, take 1.50" in said(0.3, 0.2)
    assert said(None, 0.2) is None and said(0.2, 0.25, 5) is None  # not certain enough


def test_what_python_costs_is_said_of_the_smallest_batches():
    def said(epoch):
        records = [make("jax", rung, size, seed, seed, second * (1 + 0.01 * seed))
                   for seed in range(3) for size in (64, 256)
                   for rung, second in (("step", 0.6), ("epoch", epoch))]
        return dict(reasons(found(records))).get("Dispatch")
    assert "at batch size 64 a call of JAX's compiled step takes 263" in said(0.4)
    assert "takes 394" in said(0.3) and said(0.6) is None


@pytest.mark.parametrize("message, change", [
    ("pair", lambda r: r["contender"] == "jax"),
    ("fastest", lambda r: r["contender"] == "jax"),
    ("pairs", lambda r: r["contender"] == "jax"),
    ("throughput", lambda r: r["contender"] == "jax"),
    ("steadiness", lambda r: r["contender"] == "jax" and r["block"] == 0),
    ("learning", lambda r: r["contender"] == "jax"),
    ("scores", lambda r: r["contender"] == "jax"),
    ("target", lambda r: True), ("payoff", lambda r: r["contender"] == "jax"),
    ("parts", lambda r: True)])
def test_what_a_figure_says_changes_with_the_numbers(message, change):
    def said(spoil):
        records = [make(name, rung, size, seed, seed, second, epochs=4,
                        compile_s=0.5) for seed in range(4) for size in (64, 256)
                   for name, rung, second in (
                       ("jax", "step", 0.3), ("torch", "eager", 0.7))]
        for r in filter(change, records if spoil else ()):
            r["timing"]["epoch_s"] = [9.0, 3.2, 2.0, 3.2]
            r["timing"].update(steady_epoch_s=3.2, compile_s=30.0)
            for row in r["epochs"]:
                row.update(val_accuracy=0.5, test_accuracy=0.5, worked_s=99.0)
            r["final"]["test_accuracy"] = 0.5
        return getattr(messages, message)(found(records))
    assert said(False) and said(True) and said(False) != said(True)
    if message == "payoff":
        assert (said(False), said(True)) == (
            "Within 4 epochs compiling is repaid by jax step (n 4)",
            "Within 4 epochs compiling is not repaid by jax step (n 4)")


def test_what_a_figure_says_of_measurements_changes_with_them():
    what = found(comparison(), measured=[{
        "kind": "energy", "block": 0, "contender": name, "rung": "step",
        "feed": "device", "batch_size": 256, "seed": 0,
        "measurements": {"gross": {"value": joules}}}
        for name, joules in (("jax", 20.0), ("torch", 30.0))])
    assert messages.energy(what) == ("An epoch takes 20.0 (jax step, batch 256) to "
                                     "30.0 J (torch step, batch 256)")
    bar = ("torch", "eager"), ("torch", "step")
    for gap, said in ((3e-4, "Python dispatch and fusion is 60%"),
                        (4e-4, "Python dispatch and fusion is 67%")):
        what.waterfalls = {("torch", 64): [
            (bar, [gap] * 3), (("products", None), [2e-4] * 3)]}
        assert messages.waterfall(what).startswith(said)
    rows = [{"contender": name, "rung": "step", "feed": "device", "precision": "fp64",
             "optimizer": "adam", "batch_size": 64, "seed": 0,
             "reference": "torch step", "losses": [1.0, 0.5 + tiny]}
            for name, tiny in (("torch", 0), ("jax", 1e-9))]
    what.proof = (*PROVED[:2], {"rows": rows})
    assert messages.parity(what).endswith("in float64 are at most 2e-09")
    sizes = (64, 128, 256, 512)
    runs = [make("jax", "step", size, seed, seed, 50_000 // size * (1e-4 + 1e-6 * size))
            for seed in range(3) for size in sizes]
    assert messages.steps(found(runs)) == (
        "Whatever its batch size, a step takes 101 µs (jax step)")
    for r in runs:
        r["timing"]["answer_s"] = [0.002] * 3 * r["steps_per_epoch"]
    assert "there within 2.00 (jax step, batch" in messages.answers(found(runs))


def test_the_pair_is_one_of_one_feed():
    records = [make(name, rung, 256, seed, seed, second, feed=feed)
               for seed in range(3) for name, rung, feed, second in (
                   ("jax", "step", "host", 0.3), ("jax", "step", "device", 0.5),
                   ("torch", "eager", "device", 0.7), ("torch", "eager", "host", 0.9))]
    assert "jax step (host feed) against torch eager (host feed)" in answer(records)
    assert "jax step against torch eager, the" in answer(
        [r for r in records if r["config"]["feed"] == "device"])


def test_every_part_of_a_waterfall_has_a_colour():
    from bench.report.figures.bars import LEVELS
    assert {*TEXTS["bars"].values()} <= {*LEVELS}


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
            assert sentence.replace("'", "&#x27;") in text
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
