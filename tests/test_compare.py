"""The programs from the outside where all goes well, and the exit codes of
the pair. Everything that can go wrong is in siege/."""

import csv
import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from common import DATASET, FOLDER, ROOT, STUB, call, train

from bench.run import plan, sweep

COMPARE = ROOT / "compare.py"
BASE = ("--contender", f"stub={STUB}", "--dataset", DATASET, "--data-dir",
        FOLDER, "--examples", "2000", "--epochs", "2", "--optimizer", "sgd",
        "--variants", "stub:eager")


def compare(out, *flags, **options):
    return call(COMPARE, *BASE, "--out", out, *flags, **options)


def snapshot(folder):
    return {str(path.relative_to(folder)): path.read_bytes()
            for path in Path(folder).rglob("*") if path.is_file()
            and path.name != ".lock"}


def rows(out):
    with open(Path(out, "results.csv"), newline="") as file:
        return list(csv.DictReader(file))


def test_runs_resumes_and_grows(tmp_path):
    flags = ("--batch-sizes", "64", "256", "--seeds", "0")
    done = compare(tmp_path, *flags)
    assert done.returncode == 0, done.stderr
    first = snapshot(tmp_path)
    assert {"results.csv", "iterations.csv", "summary.csv", "summary.md",
            "figures/curves_epoch.png", "figures/curves_epoch.svg",
            "figures/seconds.png"} <= first.keys()
    assert len(rows(tmp_path)) == 2 * 2
    assert not [name for name in first if ".tmp-" in name]
    # everything done: nothing runs, nothing changes
    assert "2 of them done, 0 to run" in compare(tmp_path, *flags).stdout
    assert snapshot(tmp_path) == first
    # the grid grows: only what is new runs
    more = compare(tmp_path, *flags, "--batch-sizes", "64", "256", "500")
    assert "3 runs" in more.stdout and "1 to run" in more.stdout


@pytest.mark.fault("M1", "M2")
@pytest.mark.parametrize("script", ["mlp_jax.py", "mlp_torch.py"])
def test_scripts_end_as_promised(script, tmp_path):
    path = tmp_path / "r.json"
    short = ("--examples", 128, "--epochs", 1, "--optimizer", "sgd")
    got = train(script, path, *short, "--lr", "1e30", code=6)
    assert got["status"] == "diverged"
    assert got["epochs"] == [] and got["steps"] == {}
    data_flags = ("--dataset", DATASET, "--data-dir", FOLDER)
    for flags, code, words in (
            (("--precision", "tf32"), 4, "--precision"),
            (("--init", str(STUB)), 2, "--init"),
            (("--json", "/nowhere/x.json"), 5, "/nowhere"),
            (("--dataset", "mnist", "--data-dir", str(tmp_path)), 3, "fetch")):
        if code == 4 and os.path.exists("/dev/nvidia0"):
            continue
        done = call(ROOT / script, *data_flags, *short, *flags)
        assert done.returncode == code, (flags, done.stderr)
        last = done.stderr.strip().splitlines()[-1]
        assert words in last and last.startswith(f"{script}: error: ")
        assert "Traceback" not in done.stderr
    # the record alone on standard output, people's lines on stderr
    done = call(ROOT / script, *data_flags, *short, "--json", "-")
    assert json.loads(done.stdout)["status"] == "ok"
    assert "epoch  1/1" in done.stderr and "test accuracy" in done.stderr


def test_torch_rungs_that_cannot_run_say_so():
    if os.path.exists("/dev/nvidia0"):
        pytest.skip("this machine has an NVIDIA GPU")
    for rung in ("model", "step"):
        done = call(ROOT / "mlp_torch.py", "--rung", rung, "--dataset",
                    DATASET, "--data-dir", FOLDER,
                    env={"PATH": "/nowhere", "CXX": ""})
        assert done.returncode == 4 and "compiler" in done.stderr
        assert done.stderr.count("\n") == 1


def test_the_data_set_is_said(tmp_path):
    """Without network or files `auto` takes the digits, and says so."""
    if DATASET == "mnist":
        done = call(COMPARE, *BASE, "--dataset", "auto", "--data-dir",
                    tmp_path / "none", "--batch-sizes", "64", "--seeds", "0",
                    "--out", tmp_path / "out",
                    env={"https_proxy": "http://127.0.0.1:9"})
        assert done.returncode == 0, done.stderr
        assert "GENERATED DIGITS" in done.stderr
        assert "GENERATED DIGITS" in (tmp_path / "out/summary.md").read_text()
        assert {row["dataset"] for row in rows(tmp_path / "out")} == {"digits"}
        figure = (tmp_path / "out/figures/seconds.svg").read_text()
        assert figure.count("<") > 100


def test_a_loop_that_is_a_librarys_own_is_compared_and_not_called_proved(tmp_path):
    done = call(ROOT / "compare.py", "--dataset", DATASET, "--data-dir", FOLDER,
                "--contender", f"stub={STUB}", "--variants", "stub:fit",
                "torch:eager", "--examples", 1280, "--batch-sizes", 64,
                "--seeds", 0, "--epochs", 3, "--optimizer", "sgd", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "summary.md").read_text("utf-8")
    assert "On batches of their own, and not proved: stub fit." in text
    for path in (tmp_path / "runs").glob("*.json"):
        found = json.loads(path.read_text("utf-8"))
        own = found["config"]["rung"] == "fit"
        assert ("order_sha256" in found) != own
        assert len(found["steps"]["loss"]) == (0 if own else 60)
    assert "stub fit" in text.partition("## Peers")[2].partition("## ")[0]


def test_how_long_it_takes_is_guessed_of_small_networks_alone(tmp_path, capsys):
    job = plan.Job(plan.Variant("jax", "step", "device"), 64, 0, 0)
    for hidden, told in (([256, 128], True), ([1024, 512, 256], False)):
        grid = SimpleNamespace(
            settings={"dataset": "cifar10", "hidden": hidden}, runs=tmp_path,
            config=lambda job: {"epochs": 10}, path=lambda job: tmp_path / "run.json")
        sweep._announce(grid, [job], [job], dry=False)
        assert ("min on two cores" in capsys.readouterr().out) == told
