"""Planted faults, one at a time: the certificate or the audit names each.
The lists are in planted.py."""

import json
from copy import deepcopy
from types import SimpleNamespace

import numpy as np
import pytest
from common import DATASET, FOLDER, ROOT, call, train
from planted import JAX, PAGE, RECORD_FAULTS, SCRIPT_FAULTS, SLOW_FAULTS, TORCH, page
from records import comparison, count, make

import compare
from bench.proof import audit, certificate, judging, losses
from bench.proof.rules import UNFAIR
from bench.proof.traces import _read
from bench.run import record
from bench.run.plan import Variant

CHILD = str(ROOT / "bench" / "proof" / "certify.py")
FLOOR = {"flops": 200e9, "device": "cpu"}

RATES = {"sgd": 0.1, "adam": 1e-3}


def flags_of(optimizer, rung, weights, precision="fp64", batch_size=64,
             feed="device", schedule="cosine"):
    return [f"--dataset={DATASET}", f"--data-dir={FOLDER}",
            f"--optimizer={optimizer}", f"--lr={RATES[optimizer]}",
            f"--rung={rung}", "--examples=1300", f"--precision={precision}",
            f"--batch-size={batch_size}", f"--init={weights}", "--epochs=2",
            f"--feed={feed}", f"--schedule={schedule}",
            "--hidden", "128", "128"]


# All of them in one process: importing a framework takes longer than a look.
LOOKS = """
import json, sys
from bench.proof import certify
for script, flags, sizes, out in json.loads(sys.argv[1]):
    try:
        certify.logits_and_gradients(script, flags, sizes, out)
    except Exception as error:
        with open(out + ".txt", "w") as file:
            json.dump({"unavailable": False,
                       "reason": f"{type(error).__name__}: {error}"}, file)
"""


def traces_of(folder, programs):
    """{name: (script, optimizer, rung, precision, batch size, …)} -> {name:
    trace or reason}, made as a certificate makes them."""
    weights, jobs, looks, rows = folder / "init.npz", [], [], {}
    assert call(JAX, "--epochs", 0, "--hidden", 128, 128, "--dataset", DATASET,
                "--data-dir", FOLDER, "--save", weights).returncode == 0
    for n, (name, (script, optimizer, rung, precision, size, *more)
            ) in enumerate(programs.items()):
        flags = flags_of(optimizer, rung, weights, precision, size, *more)
        out = folder / str(n)
        jobs.append([str(out), [CHILD, "program", str(script), *flags,
                                f"--json={out}.json", f"--save={out}.npz"]])
        looks.append([str(script), flags, [size], str(folder / f"f{n}")])
        rows[name] = {"feed": "device", "batch_size": size, "seed": 0}
    (folder / "jobs.json").write_text(json.dumps(jobs), "utf-8")
    for command in ([CHILD, folder / "jobs.json"],
                    ["-c", LOOKS, json.dumps(looks)]):
        done = call(*command, env={"PYTHONPATH": str(ROOT)}, timeout=600)
        assert done.returncode == 0, done.stderr
    return {name: _read(row, folder / str(n), folder / f"f{n}")
            for n, (name, row) in enumerate(rows.items())}


def judge(optimizer, trace, expected, precision="fp64", batch_size=64):
    """The certificate's row about a trace against a reference."""
    rows = [dict(zip(certificate.KEY, (
        *variant, optimizer, 0.1, precision, batch_size, 0)),
        epochs=2, steps=2 * (1300 // batch_size)) for variant in (
            Variant("mutant", "step", "device"), Variant(*judging.REFERENCE))]
    found = dict(zip(map(certificate.key, rows), (trace, expected)))
    return judging.judge(rows, found)


def mutants(folder, faults):
    """{fault: trace or reason} of every mutant, and of the true pair."""
    programs = {}
    for number, (fault, script, old, new, optimizer, _, *more) in enumerate(
            faults):
        rung, *feed = more or ["step" if script == JAX else "eager"]
        source = script.read_text("utf-8")
        assert source.count(old) == 1, (fault, source.count(old))
        mutant = folder / f"{script.stem}_{number}.py"
        mutant.write_text(source.replace(old, new), "utf-8")
        programs[fault] = mutant, optimizer, rung, "fp64", 64, *feed
    for script, rung in ((JAX, "step"), (TORCH, "eager")):
        for optimizer in RATES:
            programs[script.stem, optimizer] = (script, optimizer, rung,
                                                "fp64", 64)
    return traces_of(folder, programs)


@pytest.fixture(scope="module")
def traces(tmp_path_factory):
    return mutants(tmp_path_factory.mktemp("mutants"), SCRIPT_FAULTS)


@pytest.fixture(scope="module")
def more_traces(tmp_path_factory):
    return mutants(tmp_path_factory.mktemp("mutants"), SLOW_FAULTS)


@pytest.mark.parametrize("optimizer", RATES)
def test_the_true_pair_is_proved(traces, optimizer):
    rows = judge(optimizer, traces["mlp_jax", optimizer],
                 traces["mlp_torch", optimizer])
    assert all(row["proved"] for row in rows), certificate.line(rows)
    assert rows[0]["loss"] < 1e-13 and rows[0]["steps_bounded"] == 40
    assert all(rows[0][name] is not None for name in judging.FOUND)
    assert "parity proved" in certificate.line(rows)


def test_the_line_of_a_certificate_has_its_largest_differences():
    def line(*found):
        return certificate.line([{
            "contender": "jax", "rung": "step", "feed": "device", "proved": True,
            "optimizer": "adam", "lr": 1e-3, "batch_size": 64, "seed": 0,
            "reference": "torch eager", "precision": precision, "loss": loss,
            "steps": steps, "steps_bounded": steps}
            for precision, loss, steps in found])
    assert line(("fp64", 1e-15, 40), ("fp64", 2e-15, 30)) == (
        "parity proved: in float64 the losses of 2 traces agree with those of torch "
        "eager within 2.0e-15 (relative) over up to 40 steps")
    assert "losses of 1 trace agree with" in line(("fp64", 3e-15, 50)) and (
        "within 3.0e-15 (relative) over up to 50 steps" in line(("fp64", 3e-15, 50)))
    assert line(("fp64", 1e-15, 40), ("fp32", 4e-3, 90)).endswith(
        "rounding grows step by step, within 4.0e-03 over up to 90 steps")


def is_named(traces, fault):
    name, _, _, _, optimizer, named, *_ = fault
    rows = judge(optimizer, traces[name], traces["mlp_torch", optimizer])
    assert not rows[0]["proved"]
    line = certificate.line(rows)
    assert "NOT PROVED" in line and f" {named}" in line, line


@pytest.mark.parametrize("fault", SCRIPT_FAULTS, ids=lambda f: f[0])
def test_a_fault_in_a_script_is_named(traces, fault):
    is_named(traces, fault)


@pytest.mark.slow
@pytest.mark.parametrize("fault", SLOW_FAULTS, ids=lambda f: f[0])
def test_another_fault_in_a_script_is_named(more_traces, fault):
    is_named(more_traces, fault)


def test_tf32_called_float32_is_named_at_any_batch_size(tmp_path):
    """By its logits: honest losses may differ by more than TF32's rounding."""
    old, mutant = "x @ w + b)", tmp_path / "mlp_jax_tf32.py"
    mutant.write_text(JAX.read_text("utf-8").replace(old, (
        "jax.lax.reduce_precision(x, 8, 10) @ "
        "jax.lax.reduce_precision(w, 8, 10) + b)")), "utf-8")
    found = traces_of(tmp_path, {
        "mutant": (mutant, "sgd", "step", "fp32", 256),
        "torch": (TORCH, "sgd", "eager", "fp32", 256)})
    judged = judge("sgd", *found.values(), "fp32", 256)
    assert [row["proved"] for row in judged] == [False, True]
    assert judged[0]["loss"] < 1e-3 < 100 * judged[0]["logits"]
    assert ": logits differs" in certificate.explain(judged[0])


def test_rates_that_fall_only_in_the_timed_schedule_are_named(tmp_path):
    """By the row of another seed, which trains with it."""
    old, mutant = "np.full(steps, args.lr, args.dtype)", tmp_path / "falls.py"
    mutant.write_text(JAX.read_text("utf-8").replace(old, (
        "np.full(steps, args.lr * 0.9 ** epoch, args.dtype)")), "utf-8")
    found = traces_of(tmp_path, {
        script.stem: (script, "sgd", rung, "fp64", 64, "device", "constant")
        for script, rung in ((mutant, "step"), (TORCH, "eager"))})
    judged = judge("sgd", *found.values())
    assert [row["proved"] for row in judged] == [False, True]
    assert ": loss differs" in certificate.explain(judged[0])


# Honest ones were seen (SGD at batch 32, Adam at a rate of 0.004); others are larger
# than any.
@pytest.mark.parametrize("optimizer, lr, step, gap, proved", [
    ("sgd", 0.1, 1, 4e-5, True), ("sgd", 0.1, 60, 0.04, True),
    ("sgd", 0.1, 1, 2e-4, False), ("sgd", 0.1, 60, 0.2, False),
    ("sgd", 0.01, 1, 2e-4, False), ("adam", 1e-3, 1, 2e-4, False),
    ("adam", 1e-3, 6, 0.1, False), ("adam", 4e-3, 1, 3e-4, True),
    ("adam", 4e-3, 6, 0.13, True), ("adam", 4e-3, 1, 4e-3, False)])
def test_float32_losses_may_part_late_and_never_early(optimizer, lr, step, gap, proved):
    """One activation that rounding moves across zero is honest; a difference
    in the first steps is not rounding."""
    trace = {"loss": np.ones(100), "accuracy": np.ones(100),
             "evaluation": np.ones((1, 4)), "w0": np.ones(3)}
    other = {**trace, "loss": trace["loss"].copy()}
    other["loss"][step:] += gap
    rows = [dict(zip(certificate.KEY, (*variant, optimizer, lr, "fp32", 64, 0)),
                 epochs=1, steps=100) for variant in (
        Variant("jax", "step", "device"), Variant(*judging.REFERENCE))]
    found = dict(zip(map(certificate.key, rows), (other, trace)))
    judged = judging.judge(rows, found)
    assert [row["proved"] for row in judged] == [proved, True]


@pytest.mark.parametrize("spoiled, words", [
    ("a NaN", "weights differs"),
    ("a short reference", "the reference, returned 1 of 40 losses"),
    ("a short trace", "returned 1 of 40 losses")])
def test_what_is_not_there_proves_nothing(spoiled, words):
    """A NaN beside finite differences; a reference, or a trace, that ended
    after one step."""
    trace = {"loss": np.ones(40), "accuracy": np.ones(40),
             "evaluation": np.ones((1, 4)), "w0": np.ones(3), "w1": np.ones(3)}
    other, first = dict(trace), dict(trace)
    if spoiled == "a NaN":
        other["w1"] = np.array([1, np.nan, 1])
    else:
        short = first if "reference" in spoiled else other
        short["loss"] = short["loss"][:1]
    judged, _ = judge("sgd", other, first)
    assert not judged["proved"]
    assert words in certificate.explain(judged)


def test_feeds_and_rungs_meet_the_same_rates():
    """Whoever is compared runs the same epochs: a falling rate that is
    stretched over another number of steps would be another computation."""
    variants = [Variant("torch", "eager", "host"), Variant("jax", "eager", "device"),
              Variant(*judging.REFERENCE)]
    for n in (1300, 50_000):
        rows = certificate.required(dict.fromkeys(variants, {"sgd": 0.1}),
                                    [64, 1024], n)
        for size in (64, 1024):
            (epochs, steps), = {(row["epochs"], row["steps"]) for row in rows
                                if row["batch_size"] == size}
            assert steps == epochs * (n // size)
            assert steps >= 100 or epochs == 3


# ---------------------------------------------------------------- the audit

def test_true_records_are_fair():
    records = comparison()
    for r in records:
        record.check(r)
    verdicts = audit.audit(records, peak=FLOOR)
    assert {v.level for v in verdicts} == {audit.FAIR}, verdicts
    assert all(v.words for v in verdicts)


@pytest.mark.parametrize("fault", RECORD_FAULTS, ids=lambda f: f[0])
def test_a_fault_in_a_record_is_named(fault):
    name, edit, rule = fault
    records = comparison()
    edit(records[2])
    verdicts = audit.audit(records, peak=FLOOR)
    broken = {v.rule: v for v in verdicts if v.level != audit.FAIR}
    assert rule in broken, broken
    level = (audit.WARNING if rule in ("better than chance", "a block is one block")
             else audit.UNFAIR)
    assert broken[rule].level == level
    if level == audit.UNFAIR:
        assert "jax" in broken[rule].words and "seed 1" in broken[rule].words


def test_a_record_that_was_copied_is_named():
    records = comparison()
    broken, = (v for v in audit.audit([*records, records[2]], peak=FLOOR)
               if v.rule == "runs are counted once")
    assert broken.level == audit.UNFAIR
    assert "has the seconds of jax step, batch 256, seed 1" in broken.words


@pytest.mark.parametrize("what", ["init_sha256", "order_sha256"])
def test_a_seed_that_is_not_used_is_named(what):
    """Both frameworks alike, so no difference between them shows it."""
    records = comparison()
    for r in records:
        r[what] = "c" * 64
    broken = audit.unfair(audit.audit(records, peak=FLOOR))
    assert [v.rule for v in broken] == ["every seed is another run"]


def test_a_compile_clock_that_starts_late_is_seen_over_all_runs():
    """One run may be late, beside other work; all of a variant are not."""
    records = comparison()
    for number, r in enumerate(records[::2]):
        r["turns"]["ready_s"] += 20
        count(r)
        broken = audit.unfair(audit.audit(records, peak=FLOOR))
        assert bool(broken) == (number == 2)
    assert broken[0].rule == "little before the first turn"


@pytest.mark.parametrize("kind, parameters, seconds, named", [
    ("cpu", 10**8, 7, False), ("cpu", 10**5, 7, True), ("cpu", 10**8, 10, True),
    ("cuda", 10**8, 10, False), ("cuda", 10**5, 10, True)])
def test_a_gpu_and_many_weights_take_time_to_begin(kind, parameters, seconds, named):
    records = comparison()
    for r in records:
        r["environment"]["device_kind"], r["parameters"] = kind, parameters
        r["turns"]["ready_s"] += seconds
        count(r)
    broken = audit.unfair(audit.audit(records, peak=FLOOR))
    assert ("little before the first turn" in {v.rule for v in broken}) == named


@pytest.mark.parametrize("step, who, forms, named", [
    # Keras' form of Adam moves the second loss of both that have it, the first of none.
    (1, ("keras", "other"), {}, True),
    (1, ("keras", "other"), {"keras": "adam-keras", "other": "adam-keras"}, False),
    (1, ("keras",), {"keras": "adam-keras", "other": "adam-keras"}, True),
    (0, ("keras", "other"), {"keras": "adam-keras", "other": "adam-keras"}, True)])
def test_first_losses_are_those_of_the_same_form_of_adam(step, who, forms, named):
    records = comparison()
    for name in ("keras", "other"):
        for old in comparison(blocks=1):
            records.append({**old, "contender": name})
    for r in records:
        assert r["config"]["optimizer"] == "adam"
        if r["contender"] in who:
            r["steps"] = deepcopy(r["steps"])
            r["steps"]["loss"][step] *= 1.002
    broken = {v.rule for v in losses.losses(records, forms) if v.level == UNFAIR}
    assert broken == ({"the first losses agree"} if named else set())


@pytest.mark.parametrize("network, apart, named", [
    ("resnet50", 0.2, False), ("resnet50", 0.5, True), (None, 0.2, True)])
def test_a_network_of_a_large_loss_may_differ_by_more(network, apart, named):
    one, two = ({
        "contender": "jax", "config": {"network": network, "rung": "step"},
        "dataset": {"sizes": dict.fromkeys(("train", "val", "test"), 3200)},
        "epochs": [{"epoch": 1, "train_loss": loss, "val_loss": 1, "test_loss": 1}]}
        for loss in (4.0, 4.0 + apart))
    assert bool(losses._means(one, two)) == named


@pytest.mark.parametrize("network, step, apart, named", [
    ("resnet50", 0, 5e-5, False), ("resnet50", 0, 2e-4, True),
    ("resnet50", 1, 1e-2, False), ("resnet50", 1, 4e-2, True), (None, 1, 1e-2, True),
    ("resnet50", 5, 0.1, False), ("resnet50", 5, 0.4, True)])
def test_the_first_losses_of_a_network_are_held_together(network, step, apart, named):
    one, two = ({
        "contender": "jax", "config": {"network": network, "rung": "step",
                                       "optimizer": "sgd", "lr": 1e-3},
        "steps": {"loss": [7.0 * (1 + by * (n == step)) for n in range(9)]}}
        for by in (apart, 0))
    assert bool(losses._first(one, (two, losses.STEPS))) == named


def test_who_evaluates_too_little_accuses_nobody():
    records = [make("torch", rung, 256) for rung in ("eager", "model", "step")]
    records[0]["turns"]["epoch_to_done_s"] = [0.001] * 3
    records[0]["timing"]["evaluate_s"] = 0.003
    count(records[0])
    assert not audit.unfair(audit.audit(records, peak=FLOOR))


def test_caches_are_compared_inside_a_block():
    """Of what compiles: the first block has empty ones, the others do not."""
    records = [make(name, "step", 256, block, block, compile_s=0.1)
               for block in range(2) for name in ("jax", "torch")]
    for r in records[2:]:
        r["cache"] = "warm"
    assert not audit.unfair(audit.audit(records, peak=FLOOR))
    records[2]["cache"] = "cold"
    (broken,) = audit.unfair(audit.audit(records, peak=FLOOR))
    assert broken.rule == "compile cache"


def test_what_varies_on_purpose_is_no_fault():
    records = comparison()
    for r in records[::2]:
        r["config"]["optimizer"] = "sgd"
    assert audit.unfair(audit.audit(records, peak=FLOOR))
    verdicts = audit.audit(records, vary=("optimizer",), peak=FLOOR)
    assert not audit.unfair(verdicts)
    assert not audit.comparable(records[::2], records[1::2])


def test_a_control_that_is_fed_by_the_host_is_no_other_program():
    """Two feeds of one program beside another's one, and the first once more."""
    records = comparison()
    for seed in range(3):
        for place, contender in enumerate(("jax", "jax-again"), 10):
            r = {**make("jax", "eager", seed=seed, block=seed, feed="host"),
                 "contender": contender}
            r["turns"]["position"] = [place] * 3
            records.append(r)
    assert not audit.unfair(audit.audit(records, peak=FLOOR))
    two = [r for r in records if (r["contender"], r["config"]["feed"]) != (
        "jax", "device")]
    assert {v.rule for v in audit.unfair(audit.audit(two, peak=FLOOR))} == {
        "residency of the data"}


def test_what_a_compiler_is_told_varies_on_purpose_or_is_named():
    records = comparison()
    records[0]["environment"]["variables"] = {"XLA_FLAGS": "--no"}
    records[1]["environment"]["modes"]["torch compiles with inductor"] = False
    assert {v.rule for v in audit.unfair(audit.audit(records, peak=FLOOR))} == {
        "variables", "modes that change speed"}
    verdicts = audit.audit(records, vary=("compiler",), peak=FLOOR)
    assert not audit.unfair(verdicts) and "varied on purpose" in {
        v.rule: v.words for v in verdicts}["speed is left alone"]
    records[1]["environment"]["modes"]["torch profiler"] = True
    assert audit.unfair(audit.audit(records, vary=("compiler",), peak=FLOOR))


def test_the_list_of_planted_faults_is_documented():
    text = PAGE.read_text("utf-8")
    assert text == page(text), "python tests/planted.py writes it"


def test_a_missing_fence_is_seen_in_a_real_run(tmp_path):
    source = JAX.read_text("utf-8")
    old = "    jax.block_until_ready(values)\n"
    assert source.count(old) == 1
    mutant = tmp_path / "mlp_unfenced.py"
    mutant.write_text(source.replace(old, "    pass\n"), "utf-8")
    r = train(mutant, tmp_path / "r.json", "--rung", "epoch", "--epochs", 2,
              "--batch-size", 1024, env={"PYTHONPATH": str(ROOT)})
    broken = [v.rule for v in audit.unfair(audit.audit([r]))]
    assert "the clock waits" in broken


def test_an_unfair_comparison_prints_no_ratio_and_draws_no_figure(tmp_path):
    recipe = tmp_path / "unfair.toml"
    recipe.write_text(
        'title = "unfair"\nvariants = ["jax:step", "torch:eager"]\n'
        f'dataset = "{DATASET}"\nexamples = 640\nbatch_sizes = [64]\n'
        'seeds = [0]\nepochs = 2\n[jax]\noptimizer = "sgd"\nlr = 0.01\n')
    done = call(ROOT / "compare.py", "--recipe", recipe, "--data-dir", FOLDER,
                "--out", tmp_path / "out")
    assert done.returncode == 1, done.stderr
    assert "NOT FAIR: optimizer: differs: sgd" in done.stderr
    text = (tmp_path / "out" / "summary.md").read_text("utf-8")
    assert "NOT FAIR" in text and "## Ratios" not in text
    assert "NOT PROVED: jax trains with" in text
    assert not list((tmp_path / "out" / "figures").glob("*g"))


def test_a_certificate_is_judged_again_when_it_is_read(tmp_path):
    trace = {"loss": np.ones(40), "accuracy": np.ones(40),
             "evaluation": np.ones((1, 4)), "w0": np.ones(3)}
    path, run = tmp_path / "certificate.json", [make("mutant", "step", 64)]
    for change, proved in ((None, True), ("losses", False),
                           ("logits", False), ("steps", False)):
        rows = judge("sgd", trace, trace)
        if change == "losses":
            rows[0]["losses"][7] = 1.001
        elif change:  # a hand that changes a number
            rows[0][change] = 41 if change == "steps" else 1e-3
        path.write_text(json.dumps(
            {"schema": 2, "identity": "x", "rows": rows}))
        found = certificate.verdict(certificate.load(path), run)
        assert found[0] is proved, (change, found[1])
        assert ("NOT PROVED" in found[1]) is not proved
    for text in ("", "[]", "{}", '{"schema": 2, "rows": []}', "[" * 100_000,
                 '{"schema": 2, "identity": "x", "rows": [{"steps": 1}]}'):
        path.write_text(text)
        assert certificate.load(path) is None, text


def test_what_was_compared_with_nothing_is_not_proved():
    trace = {"loss": np.ones(20), "accuracy": np.ones(20),
             "evaluation": np.ones((1, 4)), "w0": np.ones(3)}
    rows = [dict(zip(certificate.KEY, (*variant, optimizer, 0.1, "fp64", 64, 0)),
                 epochs=1, steps=20) for variant, optimizer in (
        (Variant("jax", "step", "device"), "sgd"),
        (Variant(*judging.REFERENCE), "adam"))]
    found = {certificate.key(row): trace for row in rows}
    judged = judging.judge(rows, found)
    assert not any(row["proved"] for row in judged)
    assert "NOT PROVED" in certificate.line(judged)


def test_a_step_that_is_not_compiled_is_not_called_compiled(tmp_path):
    r = train(ROOT / "recipes" / "jax_logged.py", tmp_path / "r.json",
              "--examples", 640, "--epochs", 3,
              env={"PYTHONPATH": str(ROOT)})
    broken = {v.rule: v.words for v in audit.unfair(audit.audit([r]))}
    assert "what ran is not what was compiled" in broken["compilations"]


def test_a_speed_of_another_device_judges_nothing():
    verdicts = audit.audit(comparison(), peak={**FLOOR, "device": "other"})
    (speed,) = [v for v in verdicts if v.rule == "possible speed"]
    assert speed.level == audit.UNKNOWN


def test_sgd_is_gentler_on_more_inputs(monkeypatch, tmp_path):
    asked, variants = [], [Variant("jax", "step", "device"),
                           Variant("torch", "eager", "device")]
    monkeypatch.setattr(certificate, "obtain", lambda grid, rows: asked.append(
        {row["optimizer"]: row["lr"] for row in rows}) or {"rows": []})
    monkeypatch.setattr(compare.output, "draw_all", lambda *_: None)
    for dataset, sgd in (("mnist", 0.1), ("cifar10", 0.1 * 784 / 3072)):
        grid = SimpleNamespace(
            chosen=lambda name: {"optimizer": "adam", "lr": 1e-4}, own={}, scripts={},
            size=lambda: 40_000, settings={"dataset": dataset, "hidden": [256, 128]},
            out=tmp_path)
        certificate.for_comparison(grid, variants, [128], [0], [])
        compare.certify(SimpleNamespace(
            network=None, variants=variants, batch_sizes=[128], seeds=[0],
            out=str(tmp_path)), grid)
        assert asked[-2:] == [{"adam": lr, "sgd": pytest.approx(sgd)}
                              for lr in (1e-4, 1e-3)]
