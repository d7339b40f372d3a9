"""M: numbers that are none, or that cannot be, never become a result."""

import json
import re

import numpy as np
import pytest
from common import DIGITS, ROOT, call, train
from siege import runs

import data
from bench.analyse.groups import summarise
from bench.kit import files
from bench.report import render
from bench.run import record

# kind of the twig: (faults, state, words of the reason)
KINDS = {
    "nan": ("M4", "diverged", "a loss of epoch 1 is not finite"),
    "inf": ("M3", "diverged", "a loss of epoch 1 is not finite"),
    "inftest": ("M3 M2", "diverged", "a loss of epoch 1 is not finite"),
    "infweights": ("M5", "diverged", "a final weight is not finite"),
    "accuracy": ("M8", "bad_record", "epochs[].test_accuracy"),
    "time": ("M8", "bad_record", "timing.epoch_s[]"),
    "none": ("M8", "bad_record", "dataset.sizes.train"),
    "parameters": ("M12", "bad_record", "parameters"),
    "order": ("M12", "bad_record", "order_sha256")}
PAIR = ("mlp_jax.py", "mlp_torch.py")


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """One sweep in which every kind happens once -> (folder, sizes)."""
    out = tmp_path_factory.mktemp("numbers") / "out"
    sizes = {kind: 100 + n for n, kind in enumerate(KINDS)}
    done = runs.compare(
        out, "--batch-sizes", 64, *sizes.values(), env={
            **runs.plain(out.parent / "stubs"),
            "MLP_TWIG": " ".join(f"{n}:{k}" for k, n in sizes.items())})
    assert done.returncode == 1, done.stderr
    return out, sizes


@pytest.mark.parametrize("kind", [
    pytest.param(kind, marks=pytest.mark.fault(*KINDS[kind][0].split()))
    for kind in KINDS])
def test_a_number_that_is_none_is_a_state_with_its_reason(sweep, kind):
    out, sizes = sweep
    _, state, words = KINDS[kind]
    row, = (row for row in runs.rows(out)
            if row["batch_size"] == str(sizes[kind]))
    assert row["status"] == state and words in row["reason"]
    assert not any(row[key] for key in (
        "epoch", "epoch_s", "train_loss", "val_accuracy", "test_accuracy"))
    r, = (r for name, r in runs.records(out).items()
          if f"_b{sizes[kind]}_" in name)
    assert r.get("final", {}).get("test_accuracy") is None
    assert r.get("epochs", []) == [] and r["status"] == state
    assert r["exit"]["code"] == (6 if state == "diverged" else 0)


@pytest.mark.fault("M6")
def test_no_file_holds_a_number_that_is_none(sweep):
    out, _ = sweep
    for path in runs.finals(out):
        if path.suffix in (".json", ".csv", ".md"):
            assert not re.search(r"\b(nan|inf|-inf|infinity)\b",
                                 path.read_text("utf-8"), re.IGNORECASE), path
        runs.check_file(path)
    assert len(list(runs.finals(out))) > 12


@pytest.mark.fault("M6")
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_neither_written_nor_read(value):
    with pytest.raises(ValueError):
        files.dumps({"loss": float(value)})
    for text in (json.dumps({"loss": float(value)}), '{"loss": 1e999}'):
        with pytest.raises(files.BadFile):
            record.parse(text.encode())


@pytest.mark.fault("M7")
def test_the_wall_clock_jumps_back(tmp_path):
    """By an hour at every look at it."""
    done = runs.compare(tmp_path / "out", env=runs.plain(
        tmp_path / "stubs", """
import time
looks, plain_time = [], time.time
time.time = lambda: (looks.append(1), plain_time() - 3600 * len(looks))[1]
assert time.time() > time.time()
"""))
    assert done.returncode == 0, done.stderr
    r, = runs.records(tmp_path / "out").values()
    r.pop("block_started_unix_s")  # the wall clock itself
    values = [value for value in r["timing"].values()
              if isinstance(value, float)]
    values += r["timing"]["epoch_s"]
    assert values and all(0 <= value < 300 for value in values)


@pytest.mark.fault("M8", "M12")
@pytest.mark.parametrize("path, value", [
    ("parameters", 5), ("timing.total_s", 10**400), *(
        pytest.param(path, value, marks=pytest.mark.slow)
        for path, value in (
            ("final.test_accuracy", 1.5), ("timing.total_s", -1),
            ("samples_per_epoch", 0), ("steps_per_epoch", 9),
            ("epochs.0.val_accuracy", -0.1), ("steps.loss.3", None),
            ("steps.accuracy.3", 2), ("order_sha256", "0"),
            ("init_sha256", None), ("timing.epoch_s.1", 0),
            ("parameters", True)))], ids=lambda value: str(value)[:22])
def test_a_record_that_cannot_be_is_not_believed(tmp_path, path, value):
    """Edited on the disk: set aside, and run again."""
    out, env = tmp_path / "out", runs.plain(tmp_path / "stubs")
    assert runs.compare(out, env=env).returncode == 0
    target, = (out / "runs").glob("*.json")
    edited = json.loads(target.read_text())
    *way, last = (int(key) if key.isdigit() else key
                  for key in path.split("."))
    place = edited
    for key in way:
        place = place[key]
    place[last] = value
    runs.seal(target, edited)
    done = runs.compare(out, env=env)
    assert done.returncode == 0 and "0 of them done, 1 to run" in done.stdout
    assert "set aside" in done.stderr
    # Another number of steps is seen by the number of losses.
    assert path.partition(".")[0].partition("_")[0] in done.stderr
    aside = json.loads(target.with_name(target.name + ".bad").read_text())
    assert {**aside, "sha256": None} == {**edited, "sha256": None}
    record.read(target)


DRIVER = """
import runpy, sys
sys.path.insert(0, {root!r})
import data
plain = data.load
def load(*arguments):
    arrays = plain(*arguments)
    arrays[1][7] = {label}
    return arrays
data.load = load
sys.argv = [{script!r}, *sys.argv[1:]]
runpy.run_path({script!r}, run_name="__main__")
"""


@pytest.mark.fault("M9")
@pytest.mark.parametrize("script", [
    pytest.param(name, marks=pytest.mark.slow) for name in PAIR])
@pytest.mark.parametrize("label", [10, 255])
def test_labels_that_are_none_are_refused_alike(tmp_path, script, label):
    """Put into the arrays behind the back of the file's own check."""
    driver = tmp_path / "driver.py"
    driver.write_text(DRIVER.format(root=str(ROOT), label=label,
                                    script=str(ROOT / script)))
    done = call(driver, *DIGITS, "--examples", 640, "--epochs", 1,
                "--json", tmp_path / "r.json")
    assert done.returncode == 1  # no file can be so: its hash would differ
    assert done.stderr.splitlines()[-1].startswith(
        f"ValueError: label {label} at index 7")
    assert not (tmp_path / "r.json").exists()


@pytest.mark.fault("M9")
@pytest.mark.parametrize("label", [10, 255])
def test_the_split_refuses_labels_that_are_none(label):
    labels = np.arange(60, dtype=np.uint8) % 10
    images = np.zeros((60, 28, 28), np.uint8)
    wrong = labels.copy()
    assert data.split(images, labels, images, wrong)["test"][1].sum() == 60
    wrong[7] = label
    with pytest.raises(ValueError, match=f"label {label} at index 7"):
        data.split(images, labels, images, wrong)


@pytest.fixture(scope="module")
def ragged(tmp_path_factory):
    """Batch 7 of 100 images, each script twice -> {script: [record, …]}"""
    folder = tmp_path_factory.mktemp("ragged")
    found = {}
    for script in PAIR:
        for n in range(2):
            path = folder / f"{script}{n}.json"
            found.setdefault(script, []).append(train(
                script, path, *DIGITS, "--examples", 100, "--batch-size", 7,
                "--epochs", 2))
    return found


@pytest.mark.slow
@pytest.mark.fault("M10")
def test_a_batch_that_does_not_divide_the_set(ragged):
    """98 of 100 images an epoch, the same in both; the test set whole."""
    one, two = (ragged[script][0] for script in PAIR)
    for r in (one, two):
        assert (r["steps_per_epoch"], r["samples_per_epoch"]) == (14, 98)
        right = r["final"]["test_accuracy"] * 10_000
        assert abs(right - round(right)) < 1e-2
    assert one["order_sha256"] == two["order_sha256"]


@pytest.mark.fault("M10")
def test_the_order_takes_every_image_once_but_for_the_ragged_end():
    order = data.batch_order(100, 7, 0, 0)
    assert order.shape == (14, 7) and len(set(order.ravel())) == 98


@pytest.mark.slow
@pytest.mark.fault("M11")
@pytest.mark.parametrize("script", PAIR)
def test_the_same_run_twice_is_the_same_to_the_bit(ragged, script):
    if ragged[script][0]["environment"]["device_kind"] != "cpu":
        pytest.skip("sums on a GPU may be taken in another order")
    one, two = ragged[script]
    for key in ("steps", "final", "order_sha256", "init_sha256"):
        assert one[key] == two[key]


@pytest.mark.fault("M13")
def test_a_seed_that_failed_is_missing_in_plain_sight(tmp_path):
    """Of three seeds one is killed and one diverges: n is 1 of 3."""
    done = runs.compare(
        tmp_path / "out", "--seeds", 0, 1, 2, env={
            **runs.plain(tmp_path / "stubs"),
            "MLP_TWIG": "64s1:kill 64s2:nan"})
    assert done.returncode == 1 and "2 of 3 runs are not ok" in done.stderr
    row, = runs.rows(tmp_path / "out", "summary.csv")
    assert (row["runs"], row["ok"]) == ("3", "1")
    said = (tmp_path / "out" / "summary.md").read_text()
    assert "| 1 of 3 |" in said and "1 of 3 runs finished" in said
    assert "seed 1, repeat 0 | killed" in said
    assert "seed 2, repeat 0 | diverged" in said


@pytest.mark.fault("M14")
def test_what_was_not_measured_is_skipped_and_never_zero(tmp_path):
    assert runs.compare(tmp_path / "out", env=runs.plain(
        tmp_path / "stubs")).returncode == 0
    one, = runs.records(tmp_path / "out").values()
    two, lost = json.loads(json.dumps(one)), json.loads(json.dumps(one))
    one["timing"]["compile_s"] = 4.0
    lost.update(status="failed", exit={"code": 1, "signal": None, "tail": []})
    for field in ("timing", "final", "memory", "epochs", "steps"):
        del lost[field]
    row, = summarise([one, two, lost])
    assert (row["runs"], row["ok"]) == (3, 2) and row["compile_s"] == 4.0
    assert row["test_accuracy"] == one["final"]["test_accuracy"]
    two["timing"]["steady_epoch_s"] = None
    row, = summarise([one, two, lost])
    assert row["steady_epoch_s"] is None and row["first_epoch_s"] > 0
    text = render.as_csv(["value"], [[row["steady_epoch_s"]], [1]])
    assert text.splitlines()[1] in ("", '""')
    row, = summarise([lost])
    assert row["ok"] == 0 and row["test_accuracy"] is None
