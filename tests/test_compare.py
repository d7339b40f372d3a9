"""The grid: states, resume, signals, bad input, from the outside."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from common import DATASET, FOLDER, ROOT, STUB, call, train

COMPARE = ROOT / "compare.py"
BASE = ("--contender", f"stub={STUB}", "--dataset", DATASET, "--data-dir",
        FOLDER, "--limit", "2000", "--epochs", "2", "--optimizer", "sgd",
        "--points", "stub:eager")


def compare(out, *flags, **options):
    return call(COMPARE, *BASE, "--out", out, *flags, **options)


def snapshot(folder):
    return {str(path.relative_to(folder)): path.read_bytes()
            for path in Path(folder).rglob("*") if path.is_file()
            and path.name != ".lock"}


def rows(out):
    with open(Path(out, "results.csv"), newline="") as file:
        return list(csv.DictReader(file))


def leftovers(mark):
    """Processes that carry the environment variable MARK=mark."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            if state != "Z" and f"MARK={mark}".encode() in (
                    entry / "environ").read_bytes().split(b"\0"):
                found.append(entry.name)
        except OSError:
            pass
    return found


def gone(mark, seconds=30):
    end = time.monotonic() + seconds
    while leftovers(mark) and time.monotonic() < end:
        time.sleep(0.1)
    return not leftovers(mark)


def test_runs_resumes_and_grows(tmp_path):
    flags = ("--batch-sizes", "64", "256", "--seeds", "0")
    done = compare(tmp_path, *flags)
    assert done.returncode == 0, done.stderr
    first = snapshot(tmp_path)
    assert {"results.csv", "iterations.csv", "summary.csv", "summary.md",
            "figures/curves_epoch.png", "figures/curves_iteration.svg",
            "figures/seconds.png"} <= first.keys()
    assert len(rows(tmp_path)) == 2 * 2
    assert not [name for name in first if ".tmp-" in name]
    # everything done: nothing runs, nothing changes
    assert "2 of them done, 0 to run" in compare(tmp_path, *flags).stdout
    assert snapshot(tmp_path) == first
    # the grid grows: only what is new runs
    more = compare(tmp_path, *flags, "--batch-sizes", "64", "256", "500")
    assert "3 runs" in more.stdout and "1 to run" in more.stdout
    # a record that cannot be believed is set aside and run again
    path = next((tmp_path / "runs").glob("*b64_s0*.json"))
    edited = json.loads(path.read_text())
    edited["epochs"][0]["val_accuracy"] = 1.5
    path.write_text(json.dumps(edited))
    healed = compare(tmp_path, *flags)
    assert "val_accuracy" in healed.stderr and "1 to run" in healed.stdout
    assert healed.returncode == 0 and path.exists()
    assert list((tmp_path / "runs").glob("*.bad"))
    # another setting is another run
    other = compare(tmp_path, *flags, "--lr", "0.2")
    assert "2 to run" in other.stdout


FAULTS = {  # kind: (state, words of the reason), planted at batch 100, 101, …
    "crash": ("failed", "planted crash"), "vanish": ("no_record", ""),
    "kill": ("killed", ""), "segv": ("killed", ""), "memory": ("oom", ""),
    "cut": ("bad_record", "JSON"), "noise": ("failed", "=planted"),
    "nan": ("diverged", "step 2 of epoch 1"), "parent": ("timeout", ""),
    "deaf": ("timeout", "")}


def test_a_run_that_fails_is_a_row_and_the_rest_goes_on(tmp_path):
    planted = {str(100 + i): kind for i, kind in enumerate(FAULTS)}
    flags = ("--batch-sizes", "64", *planted, "--seeds", "0", "--timeout", "7")
    done = compare(tmp_path, *flags, env={
        "MLP_STUB": " ".join(map(":".join, planted.items())),
        "MARK": f"{tmp_path}"})
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    table = rows(tmp_path)
    assert [row["status"] for row in table
            if row["batch_size"] == "64"] == ["ok", "ok"]
    found = {planted[row["batch_size"]]: row for row in table
             if row["batch_size"] in planted}
    for kind, (state, words) in FAULTS.items():
        row = found[kind]
        assert row["status"] == state, (kind, row)
        assert words in row["reason"], (kind, row)
        assert not any(row[cell] for cell in (
            "epoch_s", "train_loss", "test_accuracy")), kind
    assert "1 of 11 runs" in (tmp_path / "summary.md").read_text()
    assert gone(tmp_path), leftovers(tmp_path)
    # tried again, but for the diverged run, which would diverge again
    again = compare(tmp_path, "--batch-sizes", "100", "107", "--seeds", "0")
    assert planted["100"] == "crash" and planted["107"] == "nan"
    assert "2 runs" in again.stdout and "1 to run" in again.stdout
    assert again.returncode == 1
    assert {row["status"] for row in rows(tmp_path)} == {"ok", "diverged"}


def test_a_missing_framework_is_found_once(tmp_path):
    (tmp_path / "jax.py").write_text("raise ImportError('planted')")
    out = tmp_path / "out"
    done = call(COMPARE, *BASE, "--points", "jax:step", "stub:eager",
                "--batch-sizes", "64", "256", "--seeds", "0", "--out", out,
                env={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 1
    found = {row["contender"]: row for row in rows(out)}
    assert found["jax"]["status"] == "unavailable"
    assert "pip install jax" in found["jax"]["reason"]
    assert found["stub"]["status"] == "ok"
    alone = call(COMPARE, *BASE, "--points", "jax:step", "--out",
                 tmp_path / "none", env={"PYTHONPATH": str(tmp_path)})
    assert alone.returncode == 4 and "planted" in alone.stderr


@pytest.mark.parametrize("signum, code", [
    (signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_stopped_comparison_leaves_no_process_and_resumes(
        tmp_path, signum, code):
    flags = ("--batch-sizes", "64", "256", "--seeds", "0")
    mark = f"{tmp_path}{signum}"
    process = subprocess.Popen(
        [sys.executable, str(COMPARE), *BASE, "--out", str(tmp_path), *flags],
        env={**os.environ, "MLP_STUB": "256:hang", "MARK": mark},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        # A shell's background job ignores SIGINT, and so would what it starts.
        preexec_fn=lambda: signal.signal(signum, signal.SIG_DFL)
        if signum != signal.SIGKILL else None)
    end = time.monotonic() + 60
    while not list(tmp_path.glob("runs/*_b64_*.json")):
        assert time.monotonic() < end
        time.sleep(0.05)
    time.sleep(2)  # the other run hangs by now
    process.send_signal(signum)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code
    assert "Traceback" not in said
    assert signum == signal.SIGKILL or "goes on from there" in said
    assert gone(mark), leftovers(mark)
    done = compare(tmp_path, *flags)
    assert done.returncode == 0, done.stderr
    assert "1 of them done" in done.stdout
    assert not list(tmp_path.glob(".tmp-*"))


def test_one_folder_one_comparison(tmp_path):
    first = subprocess.Popen(
        [sys.executable, str(COMPARE), *BASE, "--out", str(tmp_path),
         "--batch-sizes", "256"], env={**os.environ, "MLP_STUB": "256:hang"},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 60
        while not list(tmp_path.glob("init/*.npz")):
            assert time.monotonic() < end
            time.sleep(0.05)
        second = compare(tmp_path)
        assert second.returncode == 5 and str(first.pid) in second.stderr
    finally:
        first.terminate()
        first.wait(30)


@pytest.mark.parametrize("flags, option", [
    (("--batch-sizes", "0"), "--batch-sizes"),
    (("--batch-sizes", "2001"), "--batch-sizes"),
    (("--batch-sizes", ""), "--batch-sizes"),
    (("--seeds", "-1"), "--seeds"), (("--seeds", "4294967296"), "--seeds"),
    (("--epochs", "0"), "--epochs"), (("--lr", "nan"), "--lr"),
    (("--timeout", "nan"), "--timeout"), (("--threads", "999"), "--threads"),
    (("--points", "jax:turbo"), "--points"),
    (("--points", "jax:epoch:host"), "--points"),
    (("--points", "../../x:step"), "--points"),
    (("--contender", "A=x"), "--contender"), (("--see", "1"), "--see")])
def test_nonsense_is_refused_before_anything_is_made(tmp_path, flags, option):
    done = compare(tmp_path / "out", *flags)
    assert done.returncode == 2, done.stderr
    assert option in done.stderr and len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_storage_faults(tmp_path):
    (tmp_path / "file").write_text("")
    assert compare(tmp_path / "file").returncode == 5
    (tmp_path / "out" / "results.csv").mkdir(parents=True)
    done = compare(tmp_path / "out")
    assert done.returncode == 5 and "results.csv" in done.stderr


@pytest.mark.fault("M1", "M2")
@pytest.mark.parametrize("script", ["mlp_jax.py", "mlp_torch.py"])
def test_scripts_end_as_promised(script, tmp_path):
    path = tmp_path / "r.json"
    short = ("--limit", 128, "--epochs", 1, "--optimizer", "sgd")
    got = train(script, path, *short, "--lr", "1e30", code=6)
    assert got["status"] == "diverged" and got["epochs"] == []
    assert got["final"]["test_accuracy"] is None
    data_flags = ("--dataset", DATASET, "--data-dir", FOLDER)
    for flags, code, words in (
            (("--device", "cuda"), 4, "--device"),
            (("--precision", "tf32"), 4, "--precision"),
            (("--init", str(STUB)), 2, "--init"),
            (("--json", "/nowhere/x.json"), 5, "/nowhere"),
            (("--dataset", "mnist", "--data-dir", str(tmp_path)), 3, "fetch")):
        if code == 4 and os.path.exists("/dev/nvidia0"):
            continue
        done = call(ROOT / script, *data_flags, *short, "--quiet", *flags)
        assert done.returncode == code, (flags, done.stderr)
        last = done.stderr.strip().splitlines()[-1]
        assert words in last and last.startswith(f"{script}: error: ")
        assert "Traceback" not in done.stderr
    missing = tmp_path / "stubs"
    missing.mkdir()
    name = script[4:-3]
    (missing / f"{name}.py").write_text("raise OSError('libcudart gone')")
    done = call(ROOT / script, env={"PYTHONPATH": str(missing)})
    assert done.returncode == 4 and "libcudart gone" in done.stderr
    # the record alone on standard output, people's lines on stderr
    done = call(ROOT / script, *data_flags, *short, "--json", "-")
    assert json.loads(done.stdout)["status"] == "ok"
    assert "epoch  1/1" in done.stderr and "test accuracy" in done.stderr


def test_torch_rungs_that_cannot_run_say_so():
    if os.path.exists("/dev/nvidia0"):
        pytest.skip("this machine has an NVIDIA GPU")
    done = call(ROOT / "mlp_torch.py", "--mode", "epoch")
    assert done.returncode == 4 and "CUDA graph" in done.stderr
    done = call(ROOT / "mlp_torch.py", "--mode", "step",
                env={"PATH": "/nowhere", "CXX": ""})
    assert done.returncode == 4 and "compiler" in done.stderr


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
