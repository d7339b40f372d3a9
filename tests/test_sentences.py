"""Every sentence of the first screen, every reason and every title of a figure
follows from the numbers: other numbers, other words."""

import math
import re

import pytest
from records import NOT_PROVED, PROVED, comparison, failed, found, make

from bench.analyse import ratios
from bench.report import answer as first
from bench.report import (
    compiling,
    costs,
    floor,
    messages,
    paper,
    proof,
    render,
    speed,
)
from bench.report.reasons import reasons
from bench.report.sections import SECTIONS, asked, head, sections
from bench.report.words import TEXTS, titled


def answer(records, proof=PROVED, width=None):
    return render.as_markdown(first.answer(found(records, proof, width)))


# ------------------------------------------------------------ first screen

def test_jax_wins():
    text = answer(comparison(jax=0.5, torch=0.7))
    assert text.startswith("JAX takes 0.71")
    assert "of PyTorch's time.\n\n| batch |" in text
    assert ("Compared are the steady epochs (every epoch after the first) of jax step "
            "and torch eager, the fastest variant of each script; the ratio is the "
            "geometric mean over 3 blocks, in brackets its") in text
    assert ('"eager": Python starts every operation, one by one; "step": a whole step '
            "is compiled. Sec") in text and '"epoch": a whole' not in text
    row, = re.findall(r"^\| 256 \|.*$", text, re.M)
    assert re.match(r"\| 256 \| 0.508 \| 0.710 \| 0.714 \(.*\) \| JAX \| 1.10 \|", row)
    assert ("| batch | jax step: epoch, s | torch eager: epoch, s | ratio | faster | "
            "jax step: first epoch, s | torch eager: first epoch, s |") in text
    assert "; a ratio is of the shortest steady epochs of both in a block, the" in text
    assert "PyTorch is" not in text


def test_pytorch_wins_and_the_ratio_is_turned_round():
    text = answer(comparison(jax=0.7, torch=0.5))
    assert text.startswith("PyTorch takes 0.71") and "of JAX's time" in text
    assert "first) of torch eager and jax step" in text and "| PyTorch |" in text


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
    assert "| JAX |" not in text and "| within the control |" in text
    told = '; "within the control": a difference smaller than what one script shows'
    assert told in text and told not in answer(comparison(jax=0.5, torch=0.55))


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
        r"size 1024\.\n(?s:.*)Compared are .* of jax step and torch eager, .* the "
        "geometric mean over 2 batch sizes and 3 blocks, in brackets", text)
    assert "but" not in answer([r for size in (64, 1024) for r in comparison(
        jax=0.3, torch=0.7, batch_size=size)])[:200]
    even = answer([r for size, jax in ((64, 0.5), (1024, 0.98))
                   for r in comparison(jax=jax, torch=0.7, batch_size=size)])
    assert even.startswith("No difference is shown") and (
        "but JAX is faster at batch size 64 and PyTorch is faster at batch size 1024."
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


@pytest.mark.parametrize("seconds, named", [(0.3, True), (0.501, False), (0.6, False)])
def test_another_script_of_the_same_framework_is_named_where_it_is_faster(seconds,
                                                                          named):
    records = comparison(jax=0.9, torch=0.5, blocks=4)
    for block in range(4):
        r = make("torch", "eager", 256, block, block,
                 seconds * (1 + 0.01 * (block % 2)))
        r["turns"]["position"] = make("torch-turned", "eager")["turns"]["position"]
        records.append({**r, "contender": "torch-turned"})
    row, = re.findall(r"^\| 256 \|.*$", answer(records), re.M)
    assert ("| PyTorch; torch-turned eager takes 0.6" in row) == named
    assert ("| PyTorch |" in row) != named


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
                           "them unfair (threads), so no ratio is shown.")
    assert "faster" not in text and "takes" not in text and "less" not in text
    spoilt = found(records)
    assert [name for name, _ in asked(spoilt, sections(spoilt))] == ["speed", "proof"]


def test_a_missing_certificate_comes_first():
    text = answer(comparison(), NOT_PROVED)
    assert text.startswith("That the variants compute the same is not proved "
                           "(no float64 trace of jax step), so a difference in speed "
                           "may be one in what is computed.")


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
    assert ("Before its first step a run compiles: jax step 0.600 s (medians, by batch "
            "size, with an empty cache); torch eager compiles nothing ahead.") in (
        answer(comparison()))
    warm = [{**r, "cache": "warm"} for r in comparison()]
    assert "with a cache that was filled before)" in answer(warm)
    warm[0]["cache"] = "cold"  # as in the first block: it alone counts
    assert "with an empty cache)" in answer(warm)


@pytest.mark.parametrize("compile_s, jax, words", [
    (1.0, 0.5, "after 4.93 epochs"), (20.0, 0.5, "after 98.5 epochs"),
    (1.0, 0.9, "whose median epoch is no faster than torch eager's in one block at "
               "least")])
def test_when_compiling_is_repaid_is_said_of_every_variant(compile_s, jax, words):
    records = [make(name, rung, 256, seed, seed, second, compile_s=compile_s)
               for seed in range(3) for name, rung, second in (
                   ("jax", "step", jax), ("torch", "eager", 0.7))]
    said = (f"Not repaid: jax step at batch size 256, {words}" if "whose" in words else
            f"torch eager repay compiling: jax step {words} at batch size 256")
    assert f"{said}." in answer(records)
    few = answer(records[:4])
    assert (f"{said}." in few if "whose" in words else
            f"{said} (some: of too few blocks for an interval)." in few.replace(
                "after some", "after"))


def test_compiling_once_is_held_against_the_epochs_of_every_block():
    """Only the first block has an empty cache."""
    def said(slow):
        records = [make(name, rung, 256, block, block, second, compile_s=(
            0.1 if block else 1.0)) for block in range(4) for name, rung, second in (
                ("jax", "step", 0.9 if block == slow else 0.5),
                ("torch", "eager", 0.7))]
        for r in records[2:]:
            r["cache"] = "warm"
        return re.search(r"^(?:Faster .* repay compiling: |(?=Not repaid))(.*)\.$",
                         answer(records), re.M)[1]
    assert said(None) == "jax step after 4.93 epochs at batch size 256"
    assert said(3) == ("Not repaid: jax step at batch size 256, whose median epoch is "
                       "no faster than torch eager's in one block at least")


def test_of_variants_that_are_not_compared_it_is_said_where_they_are_repaid():
    records = [make(name, rung, size, seed, seed, second, compile_s=1.0)
               for seed in range(3) for size in (64, 256) for name, rung, second in (
                   ("jax", "epoch", 0.3), ("jax", "step", 0.5 + 0.3 * (size == 256)),
                   ("torch", "eager", 0.7))]
    assert ("repay compiling: jax epoch after 2.46 and 2.46 epochs at batch sizes 64 "
            "and 256; of the others jax step at batch size 64. Not repaid: jax "
            "step at batch size 256, whose median epoch is no faster than torch "
            "eager's in one block at least.") in answer(records)


def test_all_epochs_with_compiling_are_told():
    def told(compile_s, epochs=3):
        return re.search(r"(\d) epochs, the first with compiling: (.*) at batch size "
                         r"256\.", answer([
            make(name, rung, 256, seed, seed, second, epochs, compile_s=compile_s)
            for seed in range(3) for name, rung, second in (
                ("jax", "step", 0.5), ("torch", "eager", 0.7))]))
    assert told(1.0).groups() == ("3", "jax step 2.52 s; torch eager 2.12 s")
    assert told(2.0)[2].startswith("jax step 3.52 s; ") and told(1.0, 1) is None


def test_one_framework_alone_is_compared_with_nothing():
    records = [r for r in comparison() if r["contender"] == "jax"]
    text = answer(records)
    assert re.search(r"nothing to compare with; a steady epoch takes jax step 0\.5\S+ "
                     r"\(.*\) s at batch size 256\.", text)
    assert "PyTorch" not in text
    for seed in range(3):
        records.append(make("peer", "step", 256, seed, seed, 0.9))
        records[-1]["environment"]["jax"] = "1.0"
    assert ("The ratios stand in the table Ratios; a steady epoch takes jax step 0.5"
            in answer(records))


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
    assert text.startswith("PyTorch takes 0.5") and "of torch model and jax step" in (
        text)
    assert "Test accuracy is" not in text
    where, text = screen(2.0, 4.0, 1000)
    assert text.startswith("JAX takes 0.5") and "Test accuracy is 97.00%" in text


def test_what_is_said_of_the_products_follows_from_them():
    def said(jax, torch, spread=0.001, more=(0, 0, 0, 0)):
        records = comparison(jax=0.5, torch=1.0, blocks=4)
        what = found(records)
        what.floors = {256: {seed: {"libraries": {
            "jax": jax and jax * (1 + spread * seed),
            "torch": more[seed] + torch * (
                1 + spread * (3 - seed) - 3 * spread * (spread < 1))}}
            for seed in range(4)}}
        claims = dict(reasons(what))
        return claims.get("Products") or claims.get("Uncertain")
    assert said(0.2, 0.6).startswith("Most of the gap at batch size 256 is the matrix "
                                     "products: PyTorch's take 2.99")
    assert "JAX's, which alone would make 0.4 s an epoch; the whole gap is 0.51 s" in (
        said(0.2, 0.6))
    assert said(0.2, 0.35).startswith("Part of the gap at batch size 256 is")
    assert said(0.3, 0.2).startswith("The matrix products do not explain the gap")
    assert said(0.1, 0.1, more=(0.2, 0.6, 0.5, 0.35)).startswith(
        "At least part of the gap at batch size 256 is the matrix products: PyTorch's")
    assert "of JAX, which is faster, take 1.50 (1.50 to 1.51) times" in said(0.3, 0.2)
    assert said(None, 0.2) is None
    assert said(0.2, 0.25, 5).startswith(
        "These runs do not tell whether the matrix products explain the gap at batch "
        "size 256: PyTorch's take 1.25 (")
    assert said(0.2, 0.25, 0.03).startswith(
        "The matrix products are less than half of the gap at batch size 256: PyTorch")


def test_what_python_costs_is_said_of_the_smallest_batches():
    def said(epoch):
        records = [make("jax", rung, size, seed, seed, second * (1 + 0.01 * seed))
                   for seed in range(3) for size in (64, 256)
                   for rung, second in (("step", 0.6), ("epoch", epoch))]
        return dict(reasons(found(records))).get("Dispatch")
    assert said(0.4).startswith(
        "Starting work from Python costs time at every step: at batch size 64 jax "
        "epoch, which Python starts once an epoch, saves 263 (")
    assert re.search(r"\) of the 7\d\d µs of a step of jax step\.$", said(0.4))
    assert "saves 394 (" in said(0.3) and said(0.6) is None
    torch = [make("torch", rung, 64, seed, seed, second * (1 + 0.01 * seed))
             for seed in range(3) for rung, second in (("eager", 0.8), ("step", 0.4))]
    assert re.search(r"torch step, where .* started together and fused, saves 525 \(.*"
                     r"\) of the .* of torch eager",
                     dict(reasons(found(torch)))["Dispatch"])


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
    exact = {
        "payoff": ("Within 4 epochs compiling is repaid by jax step (n 4)",
                   "Within 4 epochs compiling is not repaid by jax step (n 4)"),
        "pairs": ("Of 2 pairs JAX is faster in 2, PyTorch in 0",
                  "Of 2 pairs JAX is faster in 0, PyTorch in 2"),
        "target": ("97% after 2.10 (torch eager, batch 64) to 2.20 s (jax step, batch "
                   "256)", "No variant reaches 97% in more than half of its runs"),
        "throughput": ("69,916 (torch eager, batch 256) to 163,346 images a second "
                       "(jax step, batch 64)", "15,600 (jax step, batch 256) to 70,006 "
                       "images a second (torch eager, batch 64)"),
        "scores": ("Test accuracy is 97.00% to 97.00%, the mean over seeds",
                   "Test accuracy is 50.00% to 97.00%, the mean over seeds"),
        "steadiness": ("Every run was steady", "2 of 16 runs were not steady"),
        "parts": ("Training is 61% of a run of torch eager at batch size 256",
                  "Compiling is 61% of a run of torch eager at batch size 256")}
    assert message not in exact or (said(False), said(True)) == exact[message]


def test_the_title_of_payoff_says_what_the_runs_show():
    def said(jax, cost):
        return messages.payoff(found([
            make(*one, 256, n, n, second, compile_s=cost) for n, fast in enumerate(jax)
            for one, second in ((("jax", "step"), fast), (("torch", "eager"), 0.7))]))
    assert said([0.5] * 3, 20.0) == (
        "Within 3 epochs compiling is not repaid by jax step (n 3)")
    assert not said([0.5, 0.9, 0.5], 0.1)
    # At some batch sizes only, where it is said of no variant at all of them.
    def at(second, model=None):
        return messages.payoff(found([
            make(*one, size, n, n, fast, compile_s=0.1) for n in range(3)
            for size, step in ((64, second), (256, 0.8))
            for one, fast in ((("jax", "step"), step), (("torch", "eager"), 0.7),
                              (("torch", "model"), model)) if fast]))
    assert at(0.5, 0.9) == (
        "Within 3 epochs compiling is repaid at least by jax step at batch size 64, "
        "not by torch model (n 3)")
    assert at(0.5) == (
        "Within 3 epochs compiling is repaid at least by jax step at batch size "
        "64 (n 3)")
    assert at(0.8) == "Within 3 epochs compiling is not repaid by jax step (n 3)"


def test_what_a_figure_says_of_measurements_changes_with_them():
    what = found(comparison(), measured=[{
        "kind": "energy", "block": 0, "contender": name, "rung": "step",
        "feed": "device", "batch_size": 256, "seed": 0,
        "measurements": {"gross": {"value": joules}}}
        for name, joules in (("jax", 20.0), ("torch", 30.0))])
    assert messages.energy(what) == ("An epoch takes 20.0 (jax step, batch 256) to "
                                     "30.0 J (torch step, batch 256)")
    what.measured[0]["measurements"]["gross"]["value"] = 40.0
    assert messages.energy(what) == ("An epoch takes 30.0 (torch step, batch 256) to "
                                     "40.0 J (jax step, batch 256)")
    bar = ("torch", "eager"), ("torch", "step")
    for gap, said in ((3e-4, "Python dispatch and fusion is 60%"),
                        (4e-4, "Python dispatch and fusion is 67%")):
        what.waterfalls = {("torch", 64): [
            (bar, [gap] * 3), (("products", None), [2e-4] * 3)]}
        assert messages.waterfall(what).startswith(said)
    # Of a framework whose eager rung was not run, of the first that was.
    what.waterfalls["jax", 64] = [
        ((("jax", "step"), ("jax", "epoch")), [1e-4] * 3),
        (("products", None), [3e-4] * 3)]
    assert messages.waterfall(what) == (
        "A call from Python per step is 25% of jax step at batch size 64 and Python "
        "dispatch and fusion is 67% of torch eager at batch size 64")
    what.waterfalls = {("torch", 64): [
        ((("torch", "eager"), ("torch-traced", "step")), [1e-4] * 3),
        ((("torch-traced", "step"), ("torch", "step")), [3e-4] * 3),
        (("products", None), [6e-4] * 3)]}
    assert messages.waterfall(what).startswith(
        "Python per operation, and fusion is 30%")
    rows = [{"contender": name, "rung": "step", "feed": "device", "precision": "fp64",
             "optimizer": "adam", "batch_size": 64, "seed": 0,
             "reference": "torch step", "losses": [1.0, 0.5 + tiny]}
            for name, tiny in (("torch", 0), ("jax", 1e-9))]
    what.proof = (*PROVED[:2], {"rows": rows})
    assert messages.parity(what).endswith("in float64 are at most 2e-09")
    rows[1]["losses"] = [1.0, 0.5 + 1e-7]
    assert messages.parity(what).endswith("at most 2e-07")
    sizes = (64, 128, 256, 512)
    runs = [make("jax", "step", size, seed, seed, 50_000 // size * (1e-4 + 1e-6 * size))
            for seed in range(3) for size in sizes]
    assert messages.steps(found(runs)) == (
        "Whatever its batch size, a step takes 101 µs (jax step)")
    for r in runs:
        r["timing"]["answer_s"] = [0.002] * 3 * r["steps_per_epoch"]
    assert "there within 2.00 (jax step, batch" in messages.answers(found(runs))
    for r in runs:
        r["timing"]["answer_s"] = [0.004] * 3 * r["steps_per_epoch"]
        r["timing"]["steady_epoch_s"] *= 2
    assert "within 4.00 (" in messages.answers(found(runs))
    assert "takes 203 µs" in messages.steps(found(runs))


def test_the_pair_is_one_of_one_feed():
    records = [make(name, rung, 256, seed, seed, second, feed=feed)
               for seed in range(3) for name, rung, feed, second in (
                   ("jax", "step", "host", 0.3), ("jax", "step", "device", 0.5),
                   ("torch", "eager", "device", 0.7), ("torch", "eager", "host", 0.9))]
    assert "jax step (host feed) and torch eager (host feed)" in answer(records)
    assert "jax step and torch eager, the" in answer(
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
    assert claims["Compilation"].startswith(
        "Handing more of the work to a compiler saves time here: torch step takes 0.5")
    faster[0]["environment"]["threads"] = 1
    assert reasons(found(faster)) == []
    del faster[0]
    what = found(faster)
    bar = ("jax-unfused", "step"), ("jax", "step")
    what.waterfalls = {("jax", 64): [(bar, [1e-4, 1.1e-4, 0.9e-4])]}
    assert dict(reasons(what))["Fusion"].startswith(
        "Fusing operations saves jax 100 µs (75.2 to 125) a step at batch size 64.")
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
    assert line.startswith(
        "The largest factor between another library and the pair's fastest variant: "
        "peer fit at batch size 256: its own loop over its steps, 2.99")
    assert "its own loop" in str(SECTIONS["Peers"](what)[1])
    assert "its step over the pair's, 3.7" in dict(reasons(found(
        compared(3.1, 3.0))))["Other libraries"]
    assert "a call from Python per step, 1.6" in dict(reasons(found(
        compared(0.82, 0.81))))["Other libraries"]
    assert "Other libraries" not in dict(reasons(found(
        [r for r in records if r["config"]["rung"] != "step"])))


# ------------------------------------------------ the other questions, in words

def test_of_one_epoch_none_is_steady():
    once, twice = ([make(name, rung, 256, epochs=epochs) for name, rung in (
        ("jax", "step"), ("torch", "eager"))] for epochs in (1, 2))
    assert "No run had a second epoch, so no steady epoch was timed." in answer(once)
    assert "No run had" not in answer(twice)


def test_variants_that_share_no_batch_size_are_told_size_by_size():
    """jax epoch at 64 alone and jax step at 256 alone: neither is at every size."""
    def said(jax):
        return answer([
            make(name, rung, size, seed, seed, second * (1 + 0.01 * (seed % 2)))
            for seed in range(4) for name, rung, size, second in (
                ("jax", "epoch", 64, 0.4), ("torch", "eager", 64, 0.8),
                ("jax", "step", 256, jax), ("torch", "eager", 256, 0.6))])
    text = said(0.3)
    assert text.startswith("Steady epochs, the fastest rung of each framework at each "
                           "batch size: ")
    assert ("JAX is faster at batch sizes 64 and 256 (jax epoch takes 0.500 (0.500 to "
            "0.500) of the time of torch eager; jax step takes 0.500") in text
    assert "with 95 % intervals over 4 blocks" in text
    assert "PyTorch is faster at batch size 256 (torch eager takes 0.667" in said(0.9)


def test_of_many_libraries_the_first_and_the_last_are_told():
    def said(*factors):
        records = comparison(blocks=4)
        for n, factor in enumerate(factors):
            for block in range(4):
                r = make(f"peer-{n}", "step", 256, block, block, factor * 0.5)
                r["environment"]["jax"] = "1.0"
                records.append(r)
        return answer(records)
    text = said(4.0, 2.0, 3.0)
    assert "Of 3 other variants the first and the last: peer-1 step takes 2.0" in text
    assert "; peer-0 step takes 4.0" in text and "peer-2 step takes" not in text
    assert "other variants" not in said(4.0, 2.0)


def test_what_processes_and_devices_held_is_said():
    records = comparison()
    assert [*costs.peaks(found(records))] == [
        "At its peak a process held: jax step 477 and torch eager 477 MiB."]
    for r in records[1::2]:
        r["memory"].update(host_peak_bytes=2**30, device_peak_bytes=2**20)
    for r in records[::2]:
        r["memory"].update(device_peak_bytes=3 * 2**20)
    assert [*costs.peaks(what := found(records))] == [
        "At its peak a process held: jax step 477 and torch eager 1024 MiB.",
        "At its peak a device held: jax step 3.00 and torch eager 1.00 MiB."]
    assert re.match(r"JAX returns new arrays where PyTorch changes them in place\. At "
                    r"most the device held jax step 3\.00 MiB, where \d+ must exist "
                    r"and torch eager 1\.00 MiB", dict(reasons(what))["Immutability"])


def test_the_share_of_the_floor_is_of_each_framework_s_fastest_variant():
    def said(products):
        what = found(comparison(jax=0.5, torch=1.0, blocks=4))
        what.floors = {256: {block: {
            "rounds": [products] * 3, "dispatch": 0.01, "memory": 0.02,
            "started": 1e9 + 100 * block} for block in range(4)}}
        return [*floor.closeness(what)]
    assert re.match(r"Of the speed that the floor allows: jax step 50% .* and torch "
                    r"eager 25% .* at batch size 256\.$", *said(0.25))
    assert re.match(r"Of the speed that the floor allows: jax step 89% ", *said(0.45))
    what = found(comparison())
    what.vision = True
    assert [*floor.closeness(what)] == []


def test_what_drawing_the_batch_order_takes_is_said():
    def said(order_s):
        records = comparison()
        for r in records:
            r["timing"]["order_s"] = [order_s] * 3
        what = found(records)
        what.floors = {256: {0: {"floor": 0.1, "dispatch": 0.01, "memory": 0.01,
                                 "libraries": {"jax": 0.1}, "rounds": [0.1] * 3,
                                 "started": 1e9}}}
        return floor.floor(what)[-1]
    assert "takes 1.00 ms an epoch at most, 0.2% of an epoch of jax step" in said(0.001)
    assert "takes 5.00 ms an epoch at most, 1.0% of an epoch of jax step" in said(0.005)


def test_the_seals_say_what_the_control_tells_apart():
    what = found(comparison())
    assert proof.control(what) == (
        "Control: not measured, so a small ratio may be the machine's.")
    what.width, what.controls = 0.05, {64: (1.02, (0.97, 1.05), 4)}
    assert proof.control(what) == (
        "Control: one script against itself comes out as 1.02 (0.970 to 1.05) at batch "
        "size 64: this machine tells 5.1% apart, and nothing smaller is named.")
    what.width, what.controls = 0.1, {64: (1.0, (0.95, 1.05), 4),
                                      256: (0.99, (0.905, 1.08), 4)}
    assert ("(0.950 to 1.05) at batch size 64 and 0.990 (0.905 to 1.08) at batch size "
            "256: this machine tells 10.5% apart") in proof.control(what)
    proved, audited, steady, control = proof.seals(what)
    assert proved.startswith("Parity proved") and steady == "The machine was steady."
    assert audited.startswith("Audit: ") and control.startswith("Control: one")
    records = comparison()
    records[0]["timing"]["epoch_s"] = [0.5, 0.5, 9.0]
    assert proof.steadiness(records) == (False, (
        "The machine was not steady: in 1 of 6 runs the steady epochs spread by more "
        "than 1.5 times (jax step at batch size 256). Ratios are of the shortest "
        "epochs, which that disturbs least."))


def test_above_all_stands_what_ran_and_whether_it_may_be_believed():
    records = comparison()
    top = head(found(records))
    assert "fp32, adam lr 0.001" in top["where"] and "a processor, 2" in top["where"]
    assert top["runs"].startswith("6 of 6 runs finished, from 2001-09-09 on, in ")
    assert top["verdicts"].startswith("Parity proved: 3 float64 traces. Audit: ")
    for r in records:
        r["config"].update(optimizer="sgd", lr=0.1, schedule="cosine")
    assert "sgd lr 0.1 cosine" in head(found(records))["where"]
    records[0]["environment"]["threads"] = 1
    said = head(found([*records, failed(make(), "failed", "")]))
    assert said["runs"].startswith("6 of 7 runs")
    assert "NOT FAIR: threads. No ratios, no joint figures: see Audit." in (
        said["verdicts"])
    assert head(found([failed(make(), "failed", "")]))["where"] == "no finished run"


def test_how_few_kernels_are_left_is_said_where_fusion_was_not_measured():
    def said(run):
        return dict(reasons(found(comparison(), measured=[{
            "kind": "operations", "block": 0, "contender": "jax", "rung": "step",
            "feed": "device", "batch_size": 256, "seed": 0,
            "measurements": {"written": {"value": 94}, "run": {"value": run}}}])))
    assert said(31)["Fusion"] == ("Of 94 operations as written, 31 kernels are left in "
                                  "the compiled program of jax step.")
    assert ", 12 kernels" in said(12)["Fusion"]


def test_the_first_epoch_and_what_repays_it_are_judged():
    records = comparison(blocks=4)
    words = [row[-1] for row in speed.first_epochs(found(records))[0].texts()]
    assert words == ["verdict", "the first epoch takes longer", "no warm-up shown"]
    few = [row[-1] for row in speed.first_epochs(found(records[:2]))[0].texts()]
    assert few[1:] == ["too few runs to say"] * 2
    (*_, verdict), = [*speed.break_even(found(records))[0].texts()][1:]
    assert verdict == "repaid in a run of 4 epochs or more"
    assert speed.break_even(found(records[::2])) == [
        "There is none beside torch eager here."]


@pytest.mark.parametrize("again, scripts, words", [
    ((0.5, 0.5), {"jax": "a", "torch": "b", "jax-again": "a"},
     "no difference shown, as it must be"),
    ((0.6, 0.6), {"jax": "a", "torch": "b", "jax-again": "a"},
     "FALSE ALARM: the two are the same script"),
    ((0.6, 0.6), {"jax": "a", "torch": "b", "jax-again": "c"}, "jax step is faster"),
    ((0.4, 0.4), {"jax": "a", "torch": "b", "jax-again": "c"},
     "jax-again step is faster"),
    ((0.4, 0.7), {"jax": "a", "torch": "b", "jax-again": "c"}, "no difference shown"),
    ((0.6,), {"jax": "a", "torch": "b", "jax-again": "c"}, "too few blocks to say")])
def test_one_script_under_two_names_is_no_winner(again, scripts, words):
    records = comparison(blocks=4)
    for block in range(4 if len(again) > 1 else 1):
        r = make("jax-again", "step", 256, block, block,
                 again[block % len(again)] * (1 + 0.01 * ((block + 1) % 3 - 1)))
        r["framework"], r["environment"]["jax"] = "jax", "1.0"
        records.append(r)
    what = found(records)
    what.scripts = scripts
    _, table = speed.ratio_section(what)
    (row,) = [row for row in table.texts() if row[1] == "jax step / jax-again step"]
    assert row[-1] == words
    what.width = 0.5
    (row,) = [row for row in speed.ratio_section(what)[1].texts()
              if row[1] == "jax step / torch eager"]
    assert row[-1] == "within the control"


@pytest.mark.parametrize("jax, compile_s, verdict", [
    ((0.9, 0.9, 0.9), (1, 1, 1), "never (epochs are slower)"),
    ((0.5, 0.9, 0.5), (1, 1, 1), "not shown (in some blocks epochs are not faster)"),
    ((0.5, 0.6, 0.69), (0.1, 9, 90), "too uncertain to say"),
    ((0.5,), (1,), "too few blocks to say")])
def test_where_compiling_is_not_repaid_the_table_says_why(jax, compile_s, verdict):
    records = [make(name, rung, 256, block, block, second, compile_s=cost)
               for block, (fast, cost) in enumerate(zip(jax, compile_s))
               for name, rung, second in (("jax", "step", fast),
                                          ("torch", "eager", 0.7))]
    what = found(records)
    table, = speed.break_even(what)
    assert [*table.texts()][1][-1] == verdict
    what.unfair = []
    assert ("Too uncertain to say" in " ".join(compiling.repaid(what))) == (
        "uncertain" in verdict)


@pytest.mark.parametrize("jax, torch, verdict", [
    ((0.97, 0.971, 0.972), (0.96, 0.961, 0.962), "jax step is higher"),
    ((0.95, 0.951, 0.952), (0.96, 0.961, 0.962), "torch eager is higher"),
    ((0.96, 0.97, 0.95), (0.96, 0.961, 0.962), "no difference shown"),
    ((0.97,), (0.96,), "too few seeds to say")])
def test_the_table_of_accuracies_says_which_is_higher(jax, torch, verdict):
    records = [make(name, rung, 256, seed, seed, accuracy=score)
               for name, rung, scores in (("jax", "step", jax),
                                          ("torch", "eager", torch))
               for seed, score in enumerate(scores)]
    for r in records:
        r["final"]["test_accuracy"] = r["epochs"][-1]["test_accuracy"]
    assert [*SECTIONS["Accuracy"](found(records))[1].texts()][1][-1] == verdict


def test_a_bar_without_words_of_its_own_names_its_levels():
    assert floor.bar_words((("jax", "step"), ("jax", "scan"))) == "from step to scan"
    assert floor.bar_words((("jax", "step"), ("jax", "loop"))) == "from step to loop"


def test_the_pdf_says_what_was_trained():
    records = comparison()
    said = paper.content(found(records), [], None, [])
    assert said["title"] == "One MLP in JAX and PyTorch"
    assert said["network"] == ("A multilayer perceptron 784 - 256 - 128 - 10 with ReLU")
    assert said["trained"] == "adam with learning rate 0.001"
    assert said["images"].startswith("50,000 training, 10,000 validation and 10,000")
    for r in records:
        r["config"].update(optimizer="sgd", lr=0.1, hidden=[8])
        r["dataset"]["sizes"]["train"] = 5000
    said = paper.content(found(records), [], None, [])
    assert said["network"].startswith("A multilayer perceptron 784 - 8 - 10")
    assert said["trained"] == "sgd with learning rate 0.1"
    assert said["images"].startswith("5,000 training")


def test_a_title_names_the_network():
    records = comparison()
    assert titled(records) == "JAX and PyTorch on MNIST"
    for r in records:
        r["config"]["network"] = "resnet50"
    assert titled(records) == "resnet50 in JAX and PyTorch on MNIST"


def test_nothing_is_said_of_accuracy_where_nothing_was_learned():
    what = found(comparison())
    assert SECTIONS["Time to accuracy"](what)[0].rows
    assert "No run gets to 97%." in SECTIONS["Time to accuracy"](found([
        make(name, epochs=2, accuracy=0.5) for name in ("jax", "torch")]))
    what.only_timed = True
    assert not SECTIONS["Time to accuracy"](what) and not SECTIONS["Accuracy"](what)


def test_an_interval_is_turned_with_its_ratio():
    keys = ("jax", "step", "device", None), ("torch", "eager", "device", None)
    two = ratios.Compared(*keys, 1.25, (1.1, 1.5), 4, ratios.SECOND)
    what = found(comparison())
    assert first.claim(what, two) == (
        "PyTorch takes 0.800 (0.667 to 0.909) of JAX's time")
    even = two._replace(value=1.02, span=(0.98, 1.06), verdict=ratios.NONE)
    assert "more than 6.0% would have been seen" in first.claim(what, even)


def test_the_headline_counts_its_blocks_and_two_reasons_follow():
    assert "mean over 4 blocks, in brackets its 95 % interval." in answer(
        comparison(blocks=4))
    assert "mean over 2 blocks." in answer(comparison(blocks=2))
    text = answer([make(name, rung, 256, n, n, second * (1 + 0.01 * n))
                   for n in range(4) for name, rung, second in (
                       ("jax", "step", 0.6), ("torch", "eager", 1.0),
                       ("torch", "step", 0.5))])
    assert "Starting work from Python" in text and "Handing more of the work" in text


def test_pytorch_is_more_accurate():
    records = comparison()
    for r, score in zip(records[::2], (0.96, 0.961, 0.963)):
        r["final"]["test_accuracy"] = r["epochs"][-1]["test_accuracy"] = score
    assert ("Test accuracy is 96.00% to 97.00% over 6 runs. Between the frameworks: "
            "torch eager is more accurate; jax step less torch eager is -0.87 (-1.25 "
            "to -0.49) percentage points, over 3 seeds.") in answer(records)


def test_the_fastest_is_named_only_where_it_is_shown():
    even = found(comparison(torch=0.5))
    assert messages.fastest(even) == "No variant is shown to be the fastest"
    assert "**" not in render.as_markdown(speed.speed(even))
    some = found([r for size, torch in ((64, 0.7), (256, 0.5))
                  for r in comparison(torch=torch, batch_size=size)])
    assert messages.fastest(some) == "jax step is the fastest at batch size 64"
    text = render.as_markdown(speed.speed(some))
    assert "| 64 | jax step | 3 | **0.508" in text and text.count("**") == 2


@pytest.mark.parametrize("torch, blocks, width, words", [
    (0.5, 3, None, "no difference is shown at batch size 256, with"),
    (0.7, 2, None, "there are too few blocks to say which is faster at batch size "),
    (0.55, 3, 0.5, "the difference is smaller than what one script shows"),
    (0.7, 3, None, "JAX is faster at batch size 256 (jax step takes 0.71")])
def test_which_is_faster_is_said_as_far_as_it_is_known(torch, blocks, width, words):
    text, = first.speed(found(comparison(torch=torch, blocks=blocks), width=width))
    assert f"at each batch size: {words}" in text


@pytest.mark.parametrize("factor, words", [(1.0, " (no difference shown)"), (2.0, "")])
def test_of_a_library_it_is_said_where_no_difference_is_shown(factor, words):
    records = comparison(blocks=4)
    for block in range(4):
        records.append(make("peer", "step", 256, block, block,
                            factor * 0.5 * (1 + 0.01 * (block % 2))))
        records[-1]["environment"]["jax"] = "1.0"
    assert re.search(r"peer step takes \S+ \(.*?\) times as long as jax step at batch "
                     rf"size 256{re.escape(words)}\.", answer(records))


def test_the_textbook_loop_is_told_beside_faster_ones():
    assert ("jax step 2.52 s; torch step 2.82 s; torch eager 2.12 s at batch size 256."
            ) in answer([make(name, rung, 256, n, n, second, compile_s=1.0)
                         for n in range(3) for name, rung, second in (
                             ("jax", "step", 0.5), ("torch", "step", 0.6),
                             ("torch", "eager", 0.7))])


def test_what_compiling_takes_is_a_range_over_batch_sizes():
    assert ("a run compiles: jax step 0.600 to 0.900 s and torch step 6.00 to 9.00 s "
            "(medians, by batch size, with an empty cache).") in answer([
        make(name, "step", size, n, n, 0.5, compile_s=cost * factor) for n in range(3)
        for size, cost in ((64, 0.6), (256, 0.9))
        for name, factor in (("jax", 1), ("torch", 10))])


def test_the_rung_that_hands_over_the_most_is_told():
    text = dict(reasons(found([
        make("jax", rung, 256, n, n, second) for n in range(4) for rung, second in (
            ("eager", 0.9), ("step", 0.6), ("epoch", 0.3))])))["Compilation"]
    assert "jax epoch takes 0.333" in text and "jax step" not in text


def test_the_table_parity_says_what_is_not_proved():
    row = {"contender": "jax", "rung": "step", "feed": "device", "optimizer": "adam",
           "lr": 1e-3, "precision": "fp64", "batch_size": 64, "seed": 0, "steps": 100,
           "loss": 1e-13, "proved": True}
    lost = {**row, "batch_size": 256, "loss": 3e-12, "proved": False,
            "reason": "killed"}
    def said(*rows):
        what = found(comparison())
        what.proof = (*PROVED[:2], {"rows": rows})
        return [*proof.parity(what)[0].texts()][1]
    assert said(row)[-1] == "proved" and said(row, lost)[-1] == "not compared: killed"
    assert "1.0e-13" in said(row) and "3.0e-12" in said(row, lost)
