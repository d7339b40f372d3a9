"""Runs that take turns: the protocol, what the parent's clock finds, and what
one run's end means for its neighbours."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from functools import partial

import numpy as np
import pytest
from common import DATASET, FOLDER, ROOT, train
from records import comparison, make

from bench.analyse import costs, groups, ratios, stats
from bench.analyse.found import Found
from bench.kit import files, network
from bench.proof import clocks
from bench.proof.rules import FAIR, UNFAIR
from bench.report import answer, sections
from bench.run import environment, plan, record, turns, watch
from bench.run.grid import Grid

FAKE = """
import os, signal, sys, time
print("ready", flush=True)
for n in range(1, 5):
    if not sys.stdin.readline():
        sys.exit(130)
    if n == 2:
        FAULT
    print(f"epoch {n} 0.01", flush=True)
    print(f"done {n}", flush=True)
"""
# (what goes wrong in the second turn, state, words of the reason)
FAULTS = {
    "pass": ("ok", ""), "os._exit(0)": ("ok", ""),
    "raise RuntimeError('planted')": ("failed", "planted"),
    "os.kill(os.getpid(), signal.SIGKILL)": ("killed", "out of memory?"),
    "time.sleep(60)": ("timeout", "no end within 2 s"),
    "sys.exit(6)": ("diverged", ""),
    "print('epoch 7 0.1', flush=True)": ("failed", "said 'epoch 7 0.1' and"),
    "print('x' * 2**25, flush=True)": ("failed", "bytes of output")}


def play(tmp_path, faults, told=lambda *_: None, timeout=2, shuffle=None,
         abreast=1):
    """{fault: outcome} of fakes that take turns."""
    starts = {}
    for n, fault in enumerate(faults):
        script = tmp_path / f"fake{n}.py"
        script.write_text(FAKE.replace("FAULT", fault))
        starts[fault] = script, [], None, timeout, None
    return turns.play(tmp_path, lambda: (starts, abreast), 4,
                      shuffle or random.Random(0).shuffle, told)


@pytest.mark.parametrize("abreast", [1, 2])
def test_one_that_fails_does_not_stop_its_neighbours(tmp_path, abreast):
    """Nor does time that is waited count against a limit: the hang alone
    takes as long as anybody may work."""
    found = play(tmp_path, FAULTS, abreast=abreast)
    for fault, (state, words) in FAULTS.items():
        status, ending, seen = found[fault]
        assert (status, words in " ".join(ending["tail"])) == (state, True), (
            fault, status, ending)
        whole = 4 if fault == "pass" else 1
        assert {len(seen["turns"][name]) for name in turns.SEEN} == {whole}
    assert not list(tmp_path.glob(".tmp-*"))


@pytest.mark.parametrize("abreast", [1, 2])
def test_so_many_start_at_a_time(tmp_path, abreast):
    """One: it compiles alone. All of them, however few they are."""
    log = tmp_path / "log"
    note = (f"open({str(log)!r}, 'a').write(WORD + ' '); "
            "time.sleep(0.2)").replace
    fake = tmp_path / "fake.py"
    fake.write_text("import sys, time\n" + note("WORD", "'begins'") + "\n"
                    + note("WORD", "'ready'") + FAKE.replace("FAULT", "pass"))
    for count in (1, 3):
        log.write_text("")
        starts = {n: (fake, [], None, 9, None) for n in range(count)}, abreast
        found = turns.play(tmp_path, partial(tuple, starts), 4,
                           random.Random(0).shuffle, lambda *_: None)
        assert {status for status, *_ in found.values()} == {"ok"}
        first = log.read_text().split()[:2]
        assert first == ["begins", "ready" if min(abreast, count) == 1
                         else "begins"]


def test_rounds_are_shuffled_and_told(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(turns, "EVERY", 2)
    found = play(tmp_path, ["pass", "pass  # 2", "pass  # 3"],
                 lambda *words: said.append(words))
    places = [found[job][2]["turns"]["position"] for job in found]
    assert [sorted(column) for column in zip(*places)] == [[0, 1, 2]] * 4
    assert len({*zip(*places)}) > 1  # not the same order in each round
    assert [words for words, *job in said if not job] == [
        "round 2 of 4", "round 4 of 4"]


@pytest.mark.fault("P16")
def test_a_run_that_was_stopped_and_goes_on_has_its_block_repeated(tmp_path):
    said, marker = [], tmp_path / "once"
    stop = (f"import pathlib; p = pathlib.Path({str(marker)!r}); old = "
            "p.exists(); p.touch(); old or os.kill(os.getpid(), "
            "signal.SIGSTOP)")

    def go_on():
        while not marker.exists():
            time.sleep(0.01)
        time.sleep(0.3)
        for pid in subprocess.run(["pgrep", "-f", str(tmp_path)], text=True,
                                  capture_output=True).stdout.split():
            os.kill(int(pid), signal.SIGCONT)

    thread = threading.Thread(target=go_on)
    thread.start()
    found = play(tmp_path, [stop, "pass"], lambda *words: said.append(words[0]),
                 timeout=20)
    thread.join()
    assert [status for status, *_ in found.values()] == ["ok", "ok"]
    assert [len(seen["turns"]["position"]) for *_, seen in found.values()] == (
        [4, 4])
    assert sum("starts again" in words for words in said) == 1


def test_a_machine_that_slept_has_its_block_repeated(tmp_path, monkeypatch):
    slept = iter([0.0, 0.0, 0.0, 60.0])
    monkeypatch.setattr(watch, "_slept", lambda: next(slept, 60.0))
    said = []
    play(tmp_path, ["pass"], lambda *words: said.append(words[0]))
    assert sum("starts again" in words for words in said) == 1


def test_the_parent_sleeps_while_it_waits(tmp_path):
    before = time.process_time()
    play(tmp_path, ["time.sleep(1)"])
    assert time.process_time() - before < 0.5


def test_a_block_is_cold_or_warm_as_a_whole(tmp_path, monkeypatch):
    """The first is cold, again when it is repeated; a later one where the
    cache of one of its runs was never filled, because that run had failed."""
    grid, seen = Grid.__new__(Grid), []
    grid.out, grid.alike, grid.timeout = tmp_path, {}, 1
    for name, value in (
            ("config", lambda job: {"epochs": 1}), ("_warm", lambda job: False),
            ("_kept", lambda job: tmp_path / job.variant.contender),
            ("_start", lambda job, cold, written: cold)):
        monkeypatch.setattr(grid, name, value, raising=False)
    def play_(out, starts, *_):
        (one, abreast), (again, _) = starts(), starts()
        seen.append([abreast, *one.values(), *again.values()])
        return {}
    monkeypatch.setattr(turns, "play", play_)
    jobs = [plan.Job(plan.Variant(name, "step", "device"), 64, 0, 0)
            for name in plan.SCRIPTS]
    grid.run(jobs, 0, {}, None)
    for name in plan.SCRIPTS:
        grid.run(jobs, 1, {}, None)
        files.make_folder(tmp_path / name)
        (tmp_path / name / "filled").touch()
    grid.run(jobs, 1, {}, None)
    assert seen == [[1] + [True] * 4] * 3 + [[2] + [False] * 4]


# ------------------------------------------------- what its clock finds

# (name, text of mlp_jax.py, what takes its place, rule that names it)
PLANTED = [
    ("fence missing in the last epoch only",
     "        fence((state, metrics))\n",
     "        if epoch + 1 < args.epochs:\n"
     "            fence((state, metrics))\n",
     "no epoch ends in the evaluation"),
    ("next epoch's batches cut outside the clock",
     "        print(words, flush=True)\n",
     "        print(words, flush=True)\n"
     "        if wait and CUT:\n"
     "            CUT[0][np.random.permutation(len(CUT[0]))]\n"
     "            CUT[0][np.random.permutation(len(CUT[0]))]\n",
     "who waits sleeps"),
    ("evaluation that does training work",
     "    begin, epoch = clock(), len(record[\"epochs\"]) + 1\n",
     "    for _ in range(9):\n"
     "        to_host(evaluate(state, *sets[\"train\"]))\n"
     "    begin, epoch = clock(), len(record[\"epochs\"]) + 1\n",
     "evaluation only evaluates"),
    ("a clock that runs at 0.8",
     "clock = time.perf_counter  #",
     "clock = lambda: 0.8 * time.perf_counter()  #",
     "the parent's clock agrees"),
    ("sleeping outside the clock",
     "        before, start = compilations(), clock()\n",
     "        time.sleep(0.2)\n"
     "        before, start = compilations(), clock()\n",
     "the parent's clock agrees")]


@pytest.fixture(scope="module")
def block(tmp_path_factory):
    """{name: record} of one block of the true script and all mutants."""
    folder, starts = tmp_path_factory.mktemp("planted"), {}
    source = (ROOT / "mlp_jax.py").read_text("utf-8")
    mutants = {"true": source}
    for name, old, new, _ in PLANTED:
        assert source.count(old) == 1, name
        mutants[name] = source.replace(old, new).replace(
            "def tell(", "CUT = []\n\n\ndef tell(").replace(
            "    tell(args, \"ready\"", "    CUT.append(np.asarray(sets["
            "\"train\"][0]))\n    tell(args, \"ready\"")
    for n, (name, text) in enumerate(mutants.items()):
        script = folder / f"mlp_mutant{n}.py"
        script.write_text(text, "utf-8")
        starts[name] = script, plan.flags({
            "rung": "epoch", "epochs": 5, "batch_size": 128,
            "dataset": DATASET, "data_dir": FOLDER,
            "json": folder / f"{n}.json"}), None, 120, None
    outcomes = turns.play(folder, lambda: (starts, 1), 5, random.Random(0).shuffle,
                          lambda *_: None)
    found = {}
    for name, (status, ending, seen) in outcomes.items():
        assert status == "ok", (name, ending)
        seen["block_started_unix_s"] = 1.0
        r = json.loads((folder / f"{[*mutants].index(name)}.json").read_text())
        found[name] = {**record.complete(r, seen), "contender": name}
        record.check(found[name])
    return found


def broken(records):
    return {v.rule for v in clocks.clocks(records) if v.level == UNFAIR}


def test_a_true_run_keeps_every_rule_of_the_clock(block):
    assert broken([block["true"]]) == set()


@pytest.mark.parametrize("name, rule", [
    (name, rule) for name, *_, rule in PLANTED])
def test_a_planted_clock_is_named(block, name, rule):
    assert rule in broken([block["true"], block[name]])


def test_an_evaluation_that_was_disturbed_is_no_missing_fence():
    """Where there are few epochs; where there are five, no epoch is shorter than
    the others for that."""
    for epochs, rules in ((2, set()), (5, {"no epoch ends in the evaluation"})):
        r = make(epoch_s=0.1, epochs=epochs)
        r["timing"]["epoch_s"][-1] = r["turns"]["go_to_epoch_s"][-1] = 0.01
        r["turns"]["epoch_to_done_s"][-1] += 0.2
        assert broken([r]) == rules
        r["turns"]["epoch_to_done_s"][-1] += 0.8  # half of it is the usual one
        assert broken([r]) == {"no epoch ends in the evaluation"}


def test_work_after_an_epoch_needs_a_neighbour_to_show():
    """Of one framework, in one block."""
    records = [make("jax", rung, 256) for rung in ("step", "epoch")]
    assert {v.level for v in clocks.clocks(records)} == {FAIR}
    records[0]["turns"]["epoch_to_done_s"] = [0.6] * 3
    assert broken(records) == {"evaluation only evaluates"}
    records[1]["block_started_unix_s"] += 1
    assert broken(records) == set()


def test_an_evaluation_that_varies_by_itself_is_not_work_after_an_epoch():
    """Seen of Keras on TensorFlow; the best of one is held against the usual of the
    other, not against its best."""
    records = [make("jax", rung, 1024, epoch_s=0.72, epochs=5)
               for rung in ("step", "epoch")]
    for r, tails in zip(records, ([0.82, 0.65, 0.48, 0.60, 0.44],
                                  [0.72, 0.54, 0.35, 0.25, 0.25])):
        r["turns"]["epoch_to_done_s"] = tails
    assert broken(records) == set()
    records[0]["turns"]["epoch_to_done_s"] = [one + 0.5 for one in tails]
    assert broken(records) == {"evaluation only evaluates"}


# ------------------------------------------------------------- statistics

def test_a_ratio_is_that_of_the_quietest_epochs():
    """Noise leaves it as it is, whichever of the two it slows; epochs of two
    blocks that were not alive together are no pair."""
    one, two = np.full(9, 0.5), np.full(9, 1.0)
    two[:8] = [1.3, 1.1, 2, 9, 1.1, 1.1, 1.2, 4]
    assert stats.log_ratio(one, two) == pytest.approx(np.log(0.5))
    one[:8] *= 10
    assert stats.log_ratio(one, two) == pytest.approx(np.log(0.5))
    records = comparison()
    keys = [*groups.group(records)]
    assert len(groups.log_ratios(groups.group(records), *keys)) == 3
    records[0]["block_started_unix_s"] += 1
    assert len(groups.log_ratios(groups.group(records), *keys)) == 2


def test_one_ratio_stands_for_all_batch_sizes():
    """Of the variants that are fastest over all sizes together, not of those
    that win at one."""
    records = []
    for size, slow in ((64, 2.0), (256, 1.0), (1024, 0.5)):
        for block in range(3):
            for rung, factor in (("step", 1.0), ("epoch", 0.9)):
                records.append(make("jax", rung, size, block, block,
                                    0.3 * slow * factor))
            records.append(make("torch", "step", size, block, block,
                                0.6 * slow))
        for rung, seconds in (("eager", 0.5 if size == 1024 else 9),):
            records += [make("torch", rung, size, block, block, seconds * slow)
                        for block in range(3)]
    found = Found(records, (True, "", None), [], {})
    two = ratios.pooled(found)
    assert [key[:2] for key in (two.first, two.second)] == [
        ("jax", "epoch"), ("torch", "step")]
    assert two.value == pytest.approx(0.45) and two.count == 3
    assert answer.headline(found, two).startswith("JAX takes 0.450")
    lacking = [r for r in records if (r["contender"], r["block"]) != (
        "torch", 0) or r["config"]["batch_size"] != 64]
    assert ratios.pooled(Found(lacking, (True, "", None), [], {})).count == 2
    # Of one block nothing can be said, not even that there is no difference.
    found = Found([r for r in records if r["block"] == 0], (True, "", None), [], {})
    assert answer.screen(found)[0].startswith("Too few blocks to say which is faster")


def test_waiting_for_turns_is_nobodys_work(block):
    """Not in the seconds until a network is good, nor in those of a run."""
    r = block["true"]
    turns_ = r["turns"]
    worked = [entry["worked_s"] for entry in r["epochs"]]
    assert worked[0] == turns_["ready_s"] + turns_["go_to_epoch_s"][0]
    assert np.diff(worked) == pytest.approx(np.add(
        turns_["epoch_to_done_s"][:-1], turns_["go_to_epoch_s"][1:]))
    assert r["timing"]["total_s"] == pytest.approx(
        worked[-1] + turns_["epoch_to_done_s"][-1])
    # Five neighbours trained meanwhile.
    assert worked[-1] < 0.7 * r["epochs"][-1]["end_s"]
    assert sum(costs.parts(r).values()) == pytest.approx(r["timing"]["total_s"])


def test_a_machine_that_was_not_steady_is_said():
    records = comparison(blocks=5)
    head = sections.head(Found(records, (True, "", None), [], {}))
    assert head["verdicts"].endswith("The machine was steady.")
    assert "10 of 10 runs finished, from 2001-09-09 on, in 7 minutes" in (
        head["runs"])
    records[3]["timing"]["epoch_s"][2] *= 1.6
    records[3]["environment"]["commit"] = "0123abcdef+"
    head = sections.head(Found(records, (True, "", None), [], {}))
    assert ("not steady: in 1 of 10 runs the steady epochs spread by more than "
            "1.5 times (torch eager at batch size 256)") in head["verdicts"]
    assert "minutes. commit 0123abcdef+, jax 1.0, " in head["runs"]


def test_the_control_is_counted_and_not_shown():
    records = comparison(blocks=5) + [
        {**make("jax", "step", 256, block, block, 0.5 * (
            1 + 0.01 * (block % 2))), "contender": "jax-again"}
        for block in range(5)]
    hashes = {"jax": "x", "jax-again": "x", "torch": "y"}
    found = Found(records, (True, "", None), [], hashes, control="jax-again")
    assert len(found.done) == 15 and found.width > 0.001
    assert {key[0] for key in found.groups} == {"jax", "torch"}
    assert {row["contender"] for row in found.rows} == {"jax", "torch"}
    (value, span, count), = found.controls.values()
    assert count == 5 and span[0] < value < span[1]


def test_a_comparison_gets_the_cheapest_control():
    both = [plan.Variant("torch", "step", "device"),
            plan.Variant("jax", "epoch", "device")]
    scripts, own = dict(plan.SCRIPTS), {"jax": {"lr": 0.1}}
    variants = list(both)
    assert plan.add_control(variants, scripts, own) == "jax-again"
    assert variants[2] == plan.Variant("jax-again", "epoch", "device")
    assert scripts["jax-again"] == scripts["jax"]
    assert own["jax-again"] == own["jax"]
    # Of a large network what is not compiled.
    assert plan.add_control([*both, plan.Variant("torch", "eager", "device")], dict(
        plan.SCRIPTS), {}, True) == "torch-again"
    # There is one already; nothing is compared.
    assert plan.add_control(variants, scripts, own) is None
    assert plan.add_control(both[:1], scripts, own) is None
    # Another setting of one script is no control.
    scripts, own = {**plan.SCRIPTS, "slow": plan.SCRIPTS["jax"]}, {
        "slow": {"lr": 0.1}}
    two = [plan.Variant(name, "epoch", "device") for name in ("jax", "slow")]
    assert plan.add_control(two, scripts, own) == "jax-again"


NOISES = ("quiet", "drift", "bursts", "neighbour", "outliers", "all")


def noise(kind, rng, cases, blocks=5, rounds=9, runs=7):
    """Log slowdowns that two of seven runs meet: (2, cases, blocks, rounds).
    drift: 3 % a turn, random; bursts: a neighbour takes 20 to 200 % for a few
    turns; neighbour: half of the speed for a third of a block or more;
    outliers: ten times as long, one turn in fifty."""
    turn, shape = np.arange(rounds * runs), (cases, blocks, rounds * runs)
    seen = np.zeros(shape)
    if kind in ("drift", "all"):
        seen += np.cumsum(rng.normal(0, 0.03, shape), axis=-1)
    if kind in ("bursts", "all"):
        size = np.where(rng.random(shape) < 0.06,
                        rng.uniform(0.2, 1.1, shape), 0)
        last = rng.geometric(0.25, shape)
        for lag in range(8):
            seen[..., lag:] += (size * (last > lag))[..., :len(turn) - lag]
    if kind in ("neighbour", "all"):
        begin = rng.integers(-len(turn), len(turn), shape[:2])[..., None]
        long = rng.integers(len(turn) // 3, len(turn), shape[:2])[..., None]
        here = (begin <= turn) & (turn < begin + long)
        seen += np.log(2) * here * (rng.random(shape[:2]) < 0.5)[..., None]
    order = rng.random((cases, blocks, rounds, runs)).argsort(axis=-1)
    seen = np.take_along_axis(seen.reshape(order.shape), order, axis=-1)
    seen += rng.normal(0, 0.03, seen.shape)  # of an epoch
    seen += rng.normal(0, 0.015, (cases, blocks, 1, runs))  # of a process
    if kind in ("outliers", "all"):
        seen += np.log(10) * (rng.random(seen.shape) < 0.02)
    return np.moveaxis(seen[..., :2], -1, 0)


@pytest.mark.parametrize("kind", NOISES)
def test_the_interval_covers_the_truth(kind):
    """In at least 93 % of cases, whatever the noise: so two equal runs are
    called different in at most 7 %."""
    cases = 400
    one, two = noise(kind, np.random.default_rng(0), cases)
    covered = 0
    for first, second in zip(one, two):
        value, (low, high) = stats.across([
            stats.log_ratio(np.exp(a), np.exp(b))
            for a, b in zip(first, second)])
        covered += low <= 1 <= high
    assert covered >= 0.93 * cases


def test_a_script_without_turns_says_nothing_on_stdout(tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / "mlp_jax.py", "--epochs", "1", "--examples",
         "640", "--dataset", DATASET, "--data-dir", FOLDER],
        capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stdout == ""
    assert train("mlp_jax.py", tmp_path / "r.json", "--epochs", 1,
                 "--examples", 640)["status"] == "ok"


VARIANTS = [plan.Variant(name, "eager", "device") for name in "abcde"]


def test_groups_have_the_cheapest_in_common():
    assert plan.together(VARIANTS, 5) == [VARIANTS]
    a, b, c, d, e = VARIANTS
    parts = plan.together(VARIANTS, 3)
    assert parts == [[a, b, c], [a, d, e]]
    made = plan.blocks(parts, [64, 256], [0, 7], 2, lambda *_: [])
    assert len(made) == 2 * 2 * 2 * 2 and [b.number for b in made[:5]] == [0] * 4 + [1]
    jobs = [job for block in made for job in block.jobs]
    assert len(jobs) == len(set(jobs))
    assert {job.repeat for job in jobs if job.variant == a} == {0, 1, 2, 3}
    assert {job.repeat for job in jobs if job.variant != a} == {0, 1}
    for block in made:
        assert len({job.seed for job in block.jobs}) == 1


def test_two_that_never_met_are_compared_through_a_third():
    def run(name, seconds, started):
        r = make(contender=name, rung="eager", epoch_s=seconds)
        r["block_started_unix_s"] = started
        return r

    # In the second group everything takes twice as long.
    met = [run("a", 1.0, 10.0), run("b", 2.0, 10.0), run("a", 2.0, 99.0),
           run("c", 6.0, 99.0)]
    met[2]["repeat"] = 1
    found = groups.group(met)
    a, b, c = sorted(found)
    assert np.exp(groups.log_ratios(found, b, c)[0]) == pytest.approx(2 / 3)
    assert np.exp(groups.log_ratios(found, a, c)[0]) == pytest.approx(1 / 3)
    assert clocks._together(met).level == FAIR
    assert clocks._together(met[:2] + met[3:]).level == "warning"
    assert groups.log_ratios(groups.group(met[:2] + met[3:]), b, c) == {}


def test_what_memory_admits_is_decided_once(tmp_path, monkeypatch):
    settings = {"dataset": "mnist", "split": "standard", "precision": "fp32",
                "hidden": [256, 128], "device": "cpu"}
    grid = Grid(tmp_path, settings, plan.SCRIPTS, None, 10, FOLDER, {})
    free = [None, 10 * 2**30, 6 * 2**30]
    monkeypatch.setattr(environment, "free_bytes", lambda gpu: free.pop(0))
    assert grid.at_once(VARIANTS, 64, False) == 5 == grid.at_once(VARIANTS, 64, False)
    assert grid.at_once(VARIANTS, 64, False) == 3 == grid.at_once(VARIANTS, 64, True)
    assert not free and grid.at_once(VARIANTS, 64, False) == 3
    free += [6 * 2**30, 2**40]
    assert grid.at_once(VARIANTS[:4], 64, True) == 4  # nothing is decided to look
    kept = tmp_path / "together.json"  # what cannot be believed is decided anew
    kept.write_text(kept.read_text().replace("3", '"x"'))
    assert grid.at_once(VARIANTS, 64, False) > 5


def test_what_a_gpu_admits_counts_too(tmp_path, monkeypatch):
    said = tmp_path / "nvidia-smi"
    said.write_text("#!/bin/sh\necho 4096\necho 80000\n")
    said.chmod(0o755)
    host = environment.free_bytes()
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert environment.free_bytes(True) == min(host, 2**32)
    assert environment.free_bytes() > 2**32 or host < 2**32
    config = {"dataset": "mnist", "precision": "fp32", "network": "resnet50"}
    assert 13e9 < network.run_bytes(config, 1280, 128) < 17e9
    assert 5e9 < network.run_bytes({**config, "work": "answer"}, 1280, 128) < 8e9


LITTLE = """
import sys
sys.path.insert(0, {root!r})
import compare
from bench.run import environment
environment.free_bytes = lambda gpu: {free}
compare.cli.guard(compare.main, "compare.py")
"""


def test_a_comparison_in_groups(tmp_path):
    """Four stubs where three fit: all are compared, and again nothing is to do."""
    stub = ROOT / "tests" / "stub.py"
    names = ["stub", "stubb", "stubc", "stubd"]
    flags = ["--dataset", DATASET, "--data-dir", FOLDER, "--examples", "640",
             "--batch-sizes", "64", "--seeds", "0", "1", "--epochs", "2",
             "--optimizer", "sgd", "--out", str(tmp_path / "out"), "--variants",
             *(f"{name}:eager" for name in names)]
    for name in names:
        flags += ["--contender", f"{name}={stub}"]
    for free, todo in ((2**30, "10 to run"), (2**40, "0 to run")):
        done = subprocess.run(
            [sys.executable, "-c", LITTLE.format(root=str(ROOT), free=free), *flags],
            capture_output=True, text=True, cwd=ROOT, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "4 runs do not fit into the memory together: 3 at a time" in done.stderr
        assert todo in done.stdout
    text = (tmp_path / "out" / "summary.md").read_text("utf-8")
    assert "stubb eager / stubd eager" in text.partition("## Ratios")[2]
    assert "| a block is one block | fair |" in text


def test_where_a_gpu_admits_one_process_runs_follow_each_other(tmp_path):
    """What takes turns elsewhere: first, and alone."""
    probe = plan.Job(VARIANTS[0], 64, 0, 0)  # stands for a measurement
    alone = plan.blocks(plan.together(VARIANTS[:3], 1), [64], [0], 1,
                        lambda *_: [probe])
    assert [(len(b.jobs), len(b.beside)) for b in alone] == [(0, 1)] + 3 * [(1, 0)]
    assert {job.repeat for block in alone for job in block.jobs} == {0}
    told = tmp_path / "nvidia-smi"
    told.write_text("#!/bin/sh\necho Exclusive_Process\n")
    told.chmod(0o755)
    done = subprocess.run(
        [sys.executable, ROOT / "compare.py", "--dataset", DATASET, "--data-dir",
         FOLDER, "--examples", "640", "--batch-sizes", "64", "--seeds", "0", "1",
         "--epochs", "2", "--optimizer", "sgd", "--out", tmp_path / "out",
         "--contender", f"stub={ROOT / 'tests' / 'stub.py'}", "--contender",
         f"stubb={ROOT / 'tests' / 'stub.py'}", "--variants", "stub:eager",
         "stubb:eager"], capture_output=True, text=True, timeout=300,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "one process at a time" in done.stderr
    text = (tmp_path / "out" / "summary.md").read_text("utf-8")
    assert "stub eager / stubb eager" in text.partition("## Ratios")[2]
    assert "| a block is one block | warning |" in text
    starts = [json.loads(path.read_text())["block_started_unix_s"]
              for path in (tmp_path / "out" / "runs").glob("*.json")]
    assert len(starts) == len({*starts}) == 4
