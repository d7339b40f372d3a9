"""The floor and what is derived from it: arithmetic on made-up measurements,
and the children that measure, each run once."""

import json
import re
import sys
import types

import numpy as np
import pytest
import torch
from common import DATASET, FOLDER, ROOT, call, train
from records import make

from bench.analyse import costs
from bench.analyse.floor import fit, floors
from bench.analyse.found import Found
from bench.analyse.groups import group
from bench.analyse.waterfall import waterfall
from bench.kit import flags, program
from bench.kit.cli import Fault
from bench.measure import measures, operations
from bench.measure.registry import MEASURES
from bench.proof import certificate, losses
from bench.report import accuracy
from bench.report import floor as floor_sections
from bench.report.sections import sections
from bench.report.table import Table
from bench.run import sweep


def measured(kind, block=0, batch_size=0, contender="", rung="", feed="",
             **found):
    """One made-up measurement, in three turns where its kind takes any; __ in
    a name stands for a space."""
    return {"schema": 2, "kind": kind, "block": block, "device": "cpu",
            "batch_size": batch_size, "contender": contender, "rung": rung,
            "feed": feed, "block_started_unix_s": 1e9 + 100 * block,
            "measurements": {
                key.replace("__", " "): {"value": value, "unit": "s", "n": 3,
                                         "method": "made up",
                                         "turns": [value] * 3}
                for key, value in found.items()}}


def made_of(records, beside=(), missing=None):
    """{title: its blocks}, tables as lists of texts."""
    found = Found(records, (True, "", None), [], {}, beside, missing)
    return {title: [list(block.texts())[1:] if isinstance(block, Table)
                    else block for block in blocks]
            for title, blocks in sections(found).items()}


def floors_of(block, size, products=1e-3, bare=1.1e-3):
    return [measured("floor", block, size, products__numpy=products,
                     products__torch=2 * products, bare__numpy=bare,
                     bare__torch=2 * bare),
            measured("dispatch", block, jax__chain=1e-6,
                     torch__operation=5e-6, bandwidth=1e10)]


def test_the_floor_is_the_largest_of_three_floors():
    records, steps = [make(batch_size=500)], 100
    found = floors(records, floors_of(0, 500))[500][0]
    assert found["products"] == pytest.approx(steps * 1e-3)
    assert found["bare"] == pytest.approx(steps * 1.1e-3)
    assert found["dispatch"] == pytest.approx(steps * 7 * 1e-6)
    assert found["memory"] == pytest.approx(50_000 * 784 * 4 / 1e10)
    assert found["floor"] == found["products"] and found["library"] == "numpy"
    slow = floors_of(0, 500)
    slow[1]["measurements"]["bandwidth"]["value"] = 1e9
    found = floors(records, slow)[500][0]
    assert found["floor"] == found["memory"] > found["products"]


def test_the_share_of_the_floor_is_taken_inside_a_block():
    """The machine is twice as slow in the second block: the share stays."""
    records, beside = [], []
    for block, slower in enumerate((1, 2, 1.5)):
        records.append(make(batch_size=500, seed=block, block=block, epochs=2,
                            epoch_s=0.2 / 1.01 * slower))
        beside += floors_of(block, 500, 1e-3 * slower, 1.1e-3 * slower)
    assert made_of(records, beside)["Floor"][3] == [
        ["500", "jax step", "3", "2.00 (2.00 to 2.00)", "50% (50% to 50%)"]]


def test_the_share_of_the_floor_is_taken_between_turns_of_one_round():
    """A neighbour takes half of the machine for three of five rounds: no
    ratio moves. A floor of another evening is no pair."""
    records, beside = [], []
    for block in range(3):
        slower = np.array([1, 1, 2, 2, 2, 1])
        r = make(batch_size=500, seed=block, block=block, epochs=6)
        r["timing"]["epoch_s"] = list(0.2 * slower)
        records.append(r)
        beside += floors_of(block, 500)
        beside[-2]["measurements"]["products numpy"]["turns"] = list(
            1e-3 * slower)

    def row():
        return made_of(records, beside)["Floor"][3][0][2:]
    assert row() == ["3", "2.00 (2.00 to 2.00)", "50% (50% to 50%)"]
    records[0]["block_started_unix_s"] += 1
    assert row()[0] == "2"


def test_the_fit_finds_the_line_and_says_how_far_off_it_is():
    sizes = np.array([16, 64, 256, 1024, 4096])
    fixed, each, misfit = fit(sizes, 50e-6 + 400e-9 * sizes)
    assert (fixed, each) == (pytest.approx(50e-6), pytest.approx(400e-9))
    assert misfit < 1e-9
    bent = (50e-6 + 400e-9 * sizes) * [1, 1, 1.5, 1, 1]
    assert fit(sizes, bent)[2] > 0.1


def ladder(blocks=3, again=0.0):
    """Records of both waterfalls at batch 500, and the floors; `again` is by
    how much the control's ends differ from the others."""
    records, beside = [], []
    seconds = {("jax", "eager"): 2.0, ("jax-unfused", "step"): 0.5,
               ("jax", "step"): 0.3, ("jax", "epoch"): 0.25,
               ("torch", "eager"): 0.6, ("torch", "step"): 0.4,
               ("jax-again", "eager"): 2.0 * (1 + again),
               ("torch-again", "eager"): 0.6}
    for block in range(blocks):
        drift = 1 + 0.1 * block
        for (name, rung), second in seconds.items():
            r = make(name, rung, 500, block, block, second * drift / 1.01,
                     epochs=2)
            r["framework"] = name.partition("-")[0]
            records.append(r)
        beside += floors_of(block, 500, 1e-3 * drift, 1.1e-3 * drift)
        control, _ = floors_of(block, 500, 1e-3 * drift, 1.1e-3 * drift)
        beside.append({**control, "kind": "floor-again"})
    return records, beside


def test_the_bars_of_a_waterfall_lead_from_eager_to_the_products():
    records, beside = ladder()
    groups, found = group(records), floors(records, beside)

    def words(bars):
        return [floor_sections.bar_words(bar) for bar, _ in bars]
    bars = waterfall(groups, found, "jax", 500)
    assert words(bars) == [
        "Python per operation", "fusion", "a call from Python per step",
        "softmax, update, loop", "gathering the batch", "the products"]
    assert np.sum([values[0] for _, values in bars]) == pytest.approx(0.02)
    assert bars[1][1][0] == pytest.approx(0.2 / 100)
    bars = waterfall(groups, found, "torch", 500)
    assert words(bars) == [
        "Python dispatch and fusion", "softmax, update, loop",
        "another library's products", "gathering the batch", "the products"]
    assert bars[2][1][0] == pytest.approx(1.1e-3)  # torch's take twice as long
    # Without eager they begin at the first rung that was run.
    fewer = group(r for r in records if r["config"]["rung"] != "eager")
    bars = waterfall(fewer, found, "jax", 500)
    assert words(bars)[0] == "fusion" and np.sum([
        values[0] for _, values in bars]) == pytest.approx(0.005)
    assert words(waterfall(fewer, found, "torch", 500))[0] == "softmax, update, loop"
    assert waterfall(groups, {}, "jax", 500) == waterfall({}, found, "jax", 500) == []
    only = [r for r in records if r["config"]["rung"] == "eager"]
    assert words(waterfall(group(only), found, "jax", 500))[0] == (
        "all but batch and products")


@pytest.mark.parametrize("again, words", [
    (0.0, "no difference shown."), (0.5, "THEY DIFFER.")])
def test_the_two_ends_run_again_are_compared_with_the_bars(again, words):
    def said(records, beside):
        return [block for block in made_of(records, beside)[
            "Where the time goes"] if "run again" in block]
    records, beside = ladder(again=again)
    first, second = said(records, beside)
    assert first.endswith(words) and second.endswith("no difference shown.")
    if again == 0.5:
        assert re.search(r"add up to: 20900 \(.* by themselves: 31900 \(", first)
    # Paired by block, not by position: the machine drifts.
    records, beside = ladder(blocks=4, again=again)
    lost = [r for r in records if (r["contender"], r["block"]) != ("jax", 0)]
    assert ("THEY DIFFER" in " ".join(said(lost, beside))) == (again > 0)
    assert "too few blocks to say whether they differ" in said(
        *ladder(blocks=2))[0]
    # A rung may take less than the products: its end is below zero.
    below = [{**r, "timing": {**r["timing"], "steady_epoch_s": 0.05}}
             for r in records]
    assert "too few" not in " ".join(said(below, beside))
    assert all(text.endswith("the two ends were not run again.") for text in said(
        records, [m for m in beside if m["kind"] != "floor-again"]))


def test_time_to_accuracy_counts_compilation_and_imports():
    r = make(epoch_s=1.0, epochs=3, accuracy=0.96)
    for entry, score in zip(r["epochs"], (0.96, 0.975, 0.981)):
        entry["test_accuracy"] = score
    assert (costs.reached(r, 0.97), costs.reached(r, 0.99)) == (1, None)
    worked = r["epochs"][1]["worked_s"]
    assert costs.waits([r], 0.97) == (
        1, (pytest.approx(0.6 + 1.0 + 1.01), None), (worked, None))
    warm = make(epoch_s=1.0, compile_s=0.1)  # counts as if it had been cold
    warm.update(cache="warm", epochs=r["epochs"])
    *_, (_, training, since) = costs.ends([r, warm])
    assert training[1] == pytest.approx(0.6 + 1.0 + 1.01)
    assert since[1] == pytest.approx(worked + 0.5)  # ready 0.5 s too early
    table = made_of([r, make(seed=1)])["Time to accuracy"][1]
    assert [row[2:4] for row in table] == [["97%", "2 of 2"],
                                           ["98%", "1 of 2"]]
    assert [row[4] for row in table] == ["1.85", "-"]  # half never end


def test_where_training_would_have_stopped():
    r = make(epoch_s=1.0, compile_s=0.5)
    curve = [0.4, 0.6, 0.5, 0.6, 0.9]
    r["epochs"] = [{**r["epochs"][0], "val_accuracy": value, "test_accuracy": value / 2}
                   for value in curve]
    r["timing"]["epoch_s"] = [1.0, 2.0, 3.0, 4.0, 5.0]
    for patience, row in ((2, ["0", "4", "2", "10.5", "60.00%", "30.00%"]),
                          (3, ["0", "not in 5", "5", "15.5", "90.00%", "45.00%"])):
        found = Found([r], (True, "", None), [], {}, patience=patience)
        table = accuracy.early_stopping(found)[0]
        assert list(table.texts())[1][2:] == row
    assert "Early stopping" not in made_of([r])


def test_dropout_is_said_and_its_masks_are_not_compared():
    runs = [make(contender=name, dropout=0.3) for name in ("jax", "torch")]
    runs[1]["steps"]["loss"] = [2 * one for one in runs[1]["steps"]["loss"]]
    first = losses.losses(runs, {})[0]
    assert first.level == "fair"
    for r in runs:
        del r["config"]["dropout"]
    assert losses.losses(runs, {})[0].level == "UNFAIR"
    one = certificate.verdict(None, [make(dropout=0.3)])[1]
    assert one.endswith("Dropout is off in what is compared: each library draws "
                        "masks of its own")


def test_bytes_that_must_exist():
    data = 70_000 * (784 + 10) * 4
    assert costs.needed(make()) == data + 4 * 235_146 * 4
    assert costs.needed(make(optimizer="sgd")) == data + 2 * 235_146 * 4
    host = make(feed="host", precision="fp64")
    assert costs.needed(host) == 8 * (20_000 * (784 + 10) + 4 * 235_146)


def test_a_cosine_schedule_falls_from_lr_to_nothing():
    args = flags.parse("x", flags.RUNGS, "eager", [
        "--schedule=cosine", "--lr=0.2", "--epochs=4", "--batch-size=100"])
    run = program.Run(args, "x")
    run.n = 1000
    rates = np.concatenate([run.schedule(epoch) for epoch in range(4)])
    assert rates[0] == np.float32(0.2) and len(rates) == 40
    assert (np.diff(rates) < 0).all() and 0 < rates[-1] < 0.001
    assert rates[20] == pytest.approx(0.1)  # half-way down, half-way through


def test_the_schedule_reaches_the_steps(tmp_path):
    """With a rate that falls to nothing the losses are others."""
    flat, cosine = (train(script, tmp_path / "r.json", "--examples", "512",
                          "--epochs", "2", "--schedule", schedule)
                    for script in ("mlp_jax.py",)
                    for schedule in ("constant", "cosine"))
    assert flat["steps"]["loss"][0] == cosine["steps"]["loss"][0]
    assert flat["steps"]["loss"][-1] != cosine["steps"]["loss"][-1]
    assert cosine["config"]["schedule"] == "cosine"


HLO = """\
HloModule jit_f, entry_computation_layout={(f32[8]{0})->f32[8]{0}}

%fused (p: f32[8]) -> f32[8] {
  %p = f32[8]{0} parameter(0)
  %a = f32[8]{0} add(%p, %p)
  ROOT %m = f32[8]{0} multiply(%a, %p)
}

%wrapped (p: f32[8]) -> f32[8] {
  %p = f32[8]{0} parameter(0)
  ROOT %n = f32[8]{0} negate(%p)
}

%body (s: (f32[8], f32[8,8])) -> (f32[8], f32[8,8]) {
  %s = (f32[8]{0}, f32[8,8]{1,0}) parameter(0)
  %x = f32[8]{0} get-tuple-element(%s), index=0
  %w = f32[8,8]{1,0} get-tuple-element(%s), index=1
  %d = f32[8]{0} dot(%w, %x), lhs_contracting_dims={1}
  %f = f32[8]{0} fusion(%d), kind=kLoop, calls=%fused
  %g = f32[8]{0} fusion(%f), kind=kLoop, calls=%wrapped
  ROOT %t = (f32[8]{0}, f32[8,8]{1,0}) tuple(%g, %w)
}

ENTRY %main (a: f32[8], b: f32[8,8]) -> f32[8] {
  %a = f32[8]{0} parameter(0)
  %b = f32[8,8]{1,0} parameter(1)
  %t = (f32[8]{0}, f32[8,8]{1,0}) tuple(%a, %b)
  %l = (f32[8]{0}, /*index=1*/f32[8,8]{1,0}) while(%t), condition=%c, body=%body
  ROOT %r = f32[8]{0} get-tuple-element(%l), index=0
}
"""


def test_a_compiled_program_is_counted():
    assert operations.count_program(HLO) == {"run": 3, "fused": 1, "products": 1}


@pytest.mark.parametrize("spoil", [
    {"value": -1.0}, {"value": float("nan")}, {"value": float("inf")},
    {"value": "1"}, {"value": True}, {"value": None}, {"n": 0}, {"unit": 1}])
def test_a_measurement_is_read_strictly(spoil):
    good = measured("floor", batch_size=64, bandwidth=1.0)
    assert measures.valid(good)
    good["measurements"]["bandwidth"].update(spoil)
    assert not measures.valid(good)
    for field in ("kind", "measurements", "device", "schema"):
        bad = measured("floor", bandwidth=1.0)
        del bad[field]
        assert not measures.valid(bad)


def fake_nvml(count, energies):
    """A pynvml with devices whose counters give these millijoules."""
    module = types.ModuleType("pynvml")
    module.nvmlInit = lambda: None
    module.nvmlDeviceGetCount = lambda: count
    module.nvmlDeviceGetHandleByIndex = lambda index: index
    module.nvmlDeviceGetHandleByUUID = lambda name: name
    module.nvmlDeviceGetTotalEnergyConsumption = lambda handle: energies[
        handle]
    return module


@pytest.mark.parametrize("chosen, count, joules", [
    (None, 1, 5.0), ("0", 1, 5.0), ("1", 2, None), ("GPU-1", 2, 9.0),
    (None, 2, None), ("0,1", 2, None), ("", 1, None), ("MIG-1", 1, None)])
def test_energy_is_of_the_device_in_use_or_of_none(monkeypatch, chosen, count,
                                                   joules):
    from bench.measure import energy
    monkeypatch.setitem(sys.modules, "pynvml", fake_nvml(
        count, {0: 5000, 1: 7000, "GPU-1": 9000}))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if chosen is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen)
    if joules is None:
        with pytest.raises(Fault, match="not certain"):
            energy.counter()
    else:
        assert energy.counter()() == joules
    if chosen == "1":  # CUDA and NVML may number devices differently
        monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
        assert energy.counter()() == 7.0


def test_energy_without_a_counter_is_not_measured(tmp_path, monkeypatch):
    from bench.measure import energy
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(Fault, match="nvidia-ml-py"):
        energy.counter()
    assert made_of([make()], missing={"energy": None})["Energy"][-1] == (
        "Not measured: no NVIDIA device.")
    out = tmp_path / "e.json"
    done = child("energy", out, "mlp_jax.py")
    assert done.returncode == 4 and not out.exists()
    assert "no energy counter: the device is a CPU" in done.stderr


def child(kind, out, scripts, *more, **options):
    """Run a measuring child on very little data."""
    paths = ",".join(str(ROOT / name) for name in scripts.split(","))
    return call(ROOT / "bench" / "measure" / "child.py",
                MEASURES[kind].function, out, paths, "--dataset", DATASET,
                "--data-dir", FOLDER, "--examples", "300",
                "--batch-size", "100", "--optimizer", "sgd", *more,
                env={"PYTHONPATH": str(ROOT)}, **options)


def found_by(kind, done, out):
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text())
    assert measures.valid({**found, "schema": 2, "kind": kind,
                           "block_started_unix_s": 1.0})
    return {name: entry["value"]
            for name, entry in found["measurements"].items()}


def test_floors_are_measured_with_every_library_in_turns(tmp_path):
    out, scripts = tmp_path / "floor.json", "mlp_jax.py,mlp_torch.py"
    done = child("floor", out, scripts, "--epochs", "3", "--turns",
                 input="go\n" * 3)
    found = found_by("floor", done, out)
    assert re.fullmatch(r"ready\n" + "".join(
        rf"epoch {n} [\d.e-]+\ndone {n}\n" for n in (1, 2, 3)), done.stdout)
    libraries = {"numpy", "torch", "jax"} | (
        {"onednn"} if torch.backends.mkldnn.is_available() else set())
    assert set(found) == {f"{what} {library}" for library in libraries
                          for what in ("products", "bare")}
    assert min(found.values()) > 0
    for entry in json.loads(out.read_text())["measurements"].values():
        # The first turn is not counted, as the first epoch of a run is not.
        assert len(entry["turns"]) == 3
        assert entry["value"] == np.median(entry["turns"][1:])
    # The parent has ended: nobody is left to work for.
    done = child("floor", tmp_path / "no", scripts, "--turns", input="go\n")
    assert done.returncode == 130 and not (tmp_path / "no").exists()


def test_starting_something_is_measured_in_both(tmp_path):
    out = tmp_path / "dispatch.json"
    found = found_by("dispatch", child(
        "dispatch", out, "mlp_jax.py,mlp_torch.py"), out)
    assert set(found) == {"jax call", "jax chain", "torch call",
                          "torch operation", "bandwidth"}


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(),
                    reason="this PyTorch has no oneDNN")
def test_onednn_multiplies_what_the_others_multiply():
    from bench.measure import floor
    shapes = floor.Shapes(32, [784, 256, 128, 10], np.float32)
    a, w = ([torch.from_numpy(m) for m in group]
            for group in (shapes.a, shapes.w))
    for (one, two), (x, y) in zip(shapes.products(shapes.a, shapes.w),
                                  shapes.products(a, w)):
        np.testing.assert_allclose(floor.onednn(torch)(x, y, out=None),
                                   one @ two, atol=1e-5)


def test_the_jax_floor_leaves_no_product_out():
    """Its compiled loop has as many products as NumPy is given."""
    import mlp_jax
    from bench.measure import floor
    shapes = floor.Shapes(32, [784, 256, 128, 10], np.float32)
    assert len(shapes.products(shapes.a, shapes.w)) == shapes.count == 8
    for (a, b), out in zip(shapes.products(shapes.a, shapes.w),
                           shapes.outputs):
        assert (a @ b).shape == out.shape
    texts = []
    jit = mlp_jax.jax.jit

    def spy(function):
        def run(*arguments):
            texts.append(jit(function).lower(*arguments).compile().as_text())
            return jit(function)(*arguments)
        return run
    mlp_jax.jax.jit = spy
    try:
        calls, fence = floor.jax_calls(
            mlp_jax, shapes, np.ones((100, 784), np.float32),
            np.arange(96, dtype=np.int32).reshape(3, 32))
        for call_ in calls.values():
            call_()
        fence()
    finally:
        mlp_jax.jax.jit = jit
    assert [operations.count_program(text)["products"] for text in texts] == [
        8, 8]


def test_a_trained_network_is_served_in_both_forms(tmp_path):
    out = tmp_path / "latency.json"
    found = found_by("latency", child("latency", out, "mlp_jax.py"), out)
    assert set(found) == {f"{rung} {size} {part}"
                          for rung in ("eager", "compiled")
                          for size in (1, 64, 256, 1024)
                          for part in ("p50", "p95", "p99")}
    assert all(found[f"eager {size} p50"] <= found[f"eager {size} p99"]
               for size in (1, 64))


@pytest.mark.parametrize("script, rung, names", [
    ("mlp_jax.py", "epoch", {"written", "run", "fused", "products"}),
    ("mlp_torch.py", "eager", {"written", "products"})])
def test_a_step_is_counted(tmp_path, script, rung, names):
    out = tmp_path / "operations.json"
    found = found_by(
        "operations", child("operations", out, script, "--rung", rung), out)
    assert set(found) == names and found["products"] == 8
    assert found["written"] > 20


def test_a_block_without_its_floor_is_not_finished():
    """The floor takes turns with its runs: it cannot be made alone, nor taken
    from another evening."""
    records, (floor, _) = [make(), make("torch")], floors_of(0, 256)
    assert sweep._finished(records, [None] * 2, [floor])
    assert not sweep._finished(records, [None] * 2, [None])
    floor["block_started_unix_s"] += 1
    assert not sweep._finished(records, [None] * 2, [floor])


def test_a_comparison_measures_beside_its_runs_and_keeps_it(tmp_path):
    command = [ROOT / "compare.py", "--variants", "jax:eager", "jax:epoch",
               "--dataset", DATASET, "--data-dir", FOLDER, "--examples", "400",
               "--batch-sizes", "100", "--seeds", "0", "--epochs", "2",
               "--measure", "floor", "energy", "--out", tmp_path]
    done = call(*command)
    assert "floor batch 100: measured" in done.stdout, done.stderr
    text = (tmp_path / "summary.md").read_text()
    for title in ("Floor", "Where the time goes", "Compilation", "Memory",
                  "Energy"):
        assert f"\n### {title}\n" in text
    assert (tmp_path / "figures" / "waterfall.svg").exists()
    again = call(*command)
    assert "measured" not in again.stdout
    assert (tmp_path / "summary.md").read_text() == text


def test_a_warm_cache_is_filled_before_the_run_and_kept(tmp_path):
    recipe = tmp_path / "r.toml"
    recipe.write_text(f'''title = "warm"
variants = ["jax:epoch"]
dataset = "{DATASET}"
examples = 400
batch_sizes = [100]
seeds = [0, 1]
epochs = 2
[jax]
cache = "warm"
''')
    done = call(ROOT / "compare.py", "--recipe", recipe, "--data-dir", FOLDER,
                "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    states = [json.loads(path.read_text())["cache"]
              for path in (tmp_path / "out" / "runs").iterdir()]
    assert states == ["warm", "warm"]


def test_a_contenders_own_settings_are_measured():
    from bench.run.comparison import Comparison
    from bench.run.plan import Variant

    def settings(kind, where):
        return every._settings(measures.Probe(kind, where, 64, 0, 0))
    jax = Variant("jax", "step", "device")
    grid = Comparison(ROOT, {"optimizer": "sgd", "lr": 0.1, "epochs": 3}, {},
                      None, 1, "", {"jax": {"optimizer": "adam", "lr": 1e-3,
                                            "cache": "warm"}})
    every = measures.Measurements(grid, [jax], ["energy"])
    assert settings("energy", jax) == {"optimizer": "adam", "lr": 1e-3}
    assert settings("dispatch", measures.ANYONE) == {"optimizer": "sgd",
                                                     "lr": 0.1}
    # Who takes turns takes as many as the runs have epochs.
    assert settings("floor", measures.ANYONE)["epochs"] == 3


def test_what_could_not_be_measured_is_said():
    missing = {"latency": "no | memory", "floor": None}
    assert made_of([make()], missing=missing)["Not measured"] == [
        [["latency", "no | memory"]]]


def test_a_measure_without_a_section_is_shown():
    new = [measured("weight", block, 256, "jax", "step", "device",
                    whole=float(block)) for block in range(3)]
    assert made_of([make()], new)["Measurements"][1] == [
        ["256", "jax step", "weight", "whole", "3", "1.00", "s", "made up"]]
    assert "Measurements" not in made_of([make()], floors_of(0, 256))


def test_what_needs_a_gpu_is_left_out_without_one(monkeypatch, capsys):
    import compare

    def rungs(devices, *argv):
        monkeypatch.setattr(compare.environment, "accelerators",
                            lambda: devices)
        return [str(v) for v in compare.arguments(list(argv)).variants]

    assert "torch graph" in rungs(["/dev/nvidia0"])
    assert capsys.readouterr().err == ""
    assert "torch graph" not in rungs([])
    assert "need an NVIDIA GPU: torch graph" in capsys.readouterr().err
    assert "torch graph" not in rungs(["/dev/nvidia0"], "--device", "cpu")
    with pytest.raises(Fault) as found:
        rungs([], "--variants", "torch:graph")
    assert found.value.code == 4
    # A certificate says of every rung whether it could run.
    assert "torch graph" in rungs([], "--only", "certify")


@pytest.mark.parametrize("bar, words", [
    ((("torch", "eager"), ("torch-traced", "step")), "autograd, optimizer objects"),
    ((("torch-traced", "step"), ("torch", "step")), "Python per operation, and fusion"),
    ((("torch", "step"), ("torch", "graph")), "a launch from Python per kernel"),
    ((("jax", "eager"), ("jax", "step")), "Python dispatch and fusion"),
    ((("torch", "eager"), "products"), "all but the products"),
    ((("jax", "step"), "products"), "all but the products")])
def test_a_bar_is_named_by_its_two_levels(bar, words):
    assert floor_sections.bar_words(bar) == words


def test_a_perceptron_has_no_convolutions():
    assert "convolution" not in str(
        made_of([make(batch_size=500)], floors_of(0, 500))["Floor"])
