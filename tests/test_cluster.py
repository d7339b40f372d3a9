"""A comparison whose blocks are jobs: in processes of this machine, and, where there
is one, under a real Slurm."""

import argparse
import json
import os
import shutil
import signal
import subprocess
import time

import pytest
from siege import runs

from bench.run import cluster

pytest.importorskip("submitit", reason="pip install -r requirements-cluster.txt")
SWEEP = ("--variants", "twig:eager", "twig:step", "--batch-sizes", 64, 65, "--seeds", 0,
         1)
SLURM = pytest.mark.skipif(not shutil.which("squeue") or subprocess.run(
    ["squeue"], capture_output=True).returncode, reason="there is no Slurm here")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """An environment without figures."""
    return runs.plain(tmp_path_factory.mktemp("plain"))


def said(out):
    """What the tables say but seconds and memory: {record: what is essential}."""
    found = {}
    for path in (out / "runs", *out.glob("blocks/*/*/runs")):
        for one in path.glob("*.json"):
            r = json.loads(one.read_text("utf-8"))
            found[one.name.rpartition("_")[0]] = (
                r["status"], r["block"], r["config"], r["steps"], r.get("init_sha256"),
                [[e[f"{part}_{kind}"] for part in ("train", "val", "test")
                  for kind in ("loss", "accuracy")] for e in r["epochs"]])
    return found


def jobs(out, kind, plain, *more, **options):
    return runs.compare(out, *SWEEP, "--cluster", kind, *more, env=plain, **options)


@pytest.mark.parametrize("kind", [
    "debug", pytest.param("local", marks=pytest.mark.slow)])
def test_jobs_leave_what_a_local_run_leaves(tmp_path, plain, kind):
    assert runs.compare(tmp_path / "one", *SWEEP, env=plain).returncode == 0
    done = jobs(tmp_path / "many", kind, plain)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[4/4] batch" in done.stdout and "3 of 3 runs finished" in done.stdout
    assert "Parity proved" in done.stdout and "51 of 52 rules" in done.stdout
    one, many = said(tmp_path / "one"), said(tmp_path / "many")
    assert len(many) == 12 and one == many
    certificates = tmp_path / "many" / "blocks" / "certificates"
    assert len(list(certificates.glob("*.json"))) == 1
    again = jobs(tmp_path / "many", kind, plain)  # nothing is run once more
    assert "4 blocks, 4 of them done" in again.stdout and again.returncode == 0
    report = runs.compare(tmp_path / "many", *SWEEP, "--only", "audit", env=plain)
    assert report.returncode == 0 and "12 of 12 runs" in report.stdout, report.stdout


def test_only_what_is_missing_is_sent_again(tmp_path, plain):
    done = jobs(tmp_path, "local", {**plain, "MLP_TWIG": "65s1:crash"})
    assert done.returncode == 1 and "batch 65, seed 1: not finished" in done.stderr
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob(
        "blocks/*/*/runs/*.json") if "b65_s1" not in path.name}
    assert len(before) == 9
    done = jobs(tmp_path, "local", plain)
    assert "4 blocks, 3 of them done" in done.stdout and done.returncode == 0, (
        done.stdout + done.stderr)
    assert before == {path: path.stat().st_mtime_ns for path in before}


@pytest.mark.fault("K6")
@pytest.mark.slow
def test_a_submitter_that_is_killed_loses_nothing(tmp_path, plain):
    said_in = tmp_path / "said"
    with open(said_in, "w") as file:
        one = runs.start(tmp_path / "out", *SWEEP, "--cluster", "local", stdout=file,
                         stderr=file, env=plain)
    runs.until(lambda: "[1/4]" in said_in.read_text("utf-8"), 90)
    os.kill(one.pid, signal.SIGKILL)
    one.wait()
    # Its job may still be at work: it is waited for, and no second one sent.
    done = jobs(tmp_path / "out", "local", plain)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(said(tmp_path / "out")) == 12


@pytest.mark.fault("K6")
@pytest.mark.slow
def test_two_submitters_are_one_too_many(tmp_path, plain):
    with open(tmp_path / "said", "w") as file:
        one = runs.start(tmp_path / "out", *SWEEP, "--cluster", "local", stdout=file,
                         stderr=file, env=plain)
    runs.until(lambda: "blocks" in (tmp_path / "said").read_text("utf-8"), 60)
    second = jobs(tmp_path / "out", "local", plain)
    assert second.returncode == 5 and "is in use by process" in second.stderr
    assert one.wait(120) == 0


@pytest.mark.slow
@pytest.mark.parametrize("fault", [
    pytest.param(name, marks=pytest.mark.fault(one)) for name, one in (
        ("memory", "K3"), ("folder", "K5"))])
def test_one_block_that_cannot_be_leaves_the_others(tmp_path, plain, fault):
    env = plain
    if fault == "memory":
        env = {**plain, "MLP_TWIG": "65s1:memory"}
    else:
        assert jobs(tmp_path, "local", plain).returncode == 0
        folder = next(tmp_path.glob("blocks/*/b65_s1_r0"))
        shutil.rmtree(folder)
        folder.write_text("")
    done = jobs(tmp_path, "local", env)
    assert done.returncode == 1 and "9 of 12 runs finished" in done.stdout
    if fault == "folder":
        assert "batch 65, seed 1: not finished: compare.py: error: cannot" in (
            done.stderr)
    text = (tmp_path / "summary.md").read_text("utf-8")
    assert ("oom" if fault == "memory" else "has left no record") in text


class Away:
    """A job that the scheduler has forgotten at once."""

    job_id = "1"

    @staticmethod
    def done():
        return True


@pytest.mark.fault("K7")
@pytest.mark.parametrize("looks, words", [
    (4, "1 of 1 runs finished"), (1000, "not finished")])
def test_a_record_that_is_late_is_waited_for(tmp_path, monkeypatch, capsys, looks,
                                             words):
    seen, ok = [], {"status": "ok", "contender": "jax", "config": {
        "rung": "step", "feed": "device"}, "block_started_unix_s": 0}
    monkeypatch.setattr(cluster, "POLL_S", 0.05)
    monkeypatch.setattr(cluster, "grace", lambda _: 0.5)
    monkeypatch.setattr(cluster.Sent, "send", lambda self, wanted: self.known.update(
        dict.fromkeys(wanted, Away)))
    monkeypatch.setattr(cluster, "found", lambda *_: (
        seen.append(1), [ok] if len(seen) > looks else [])[1])
    args = argparse.Namespace(
        cluster="local", units=[cluster.Unit(64, 0, 0)], place=tmp_path,
        variants=[cluster.plan.Variant("jax", "step", "device")])
    grid = argparse.Namespace(out=tmp_path)
    cluster.run(grid, args, [])
    told = capsys.readouterr()
    assert words in told.out + told.err and len(seen) > 3


def test_nodes_of_two_kinds_are_said_and_never_paired(tmp_path, plain):
    assert jobs(tmp_path, "local", plain).returncode == 0
    for path in tmp_path.glob("blocks/*/*_s1_r0/runs/*.json"):
        r = json.loads(path.read_text("utf-8"))
        r["environment"]["cpu_model"] = "Another Processor"
        r["sha256"] = cluster.record.digest(r)
        path.write_text(json.dumps(r), "utf-8")
    done = runs.compare(tmp_path, *SWEEP, "--only", "audit", env=plain)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "and Another Processor, " in done.stdout.replace("\n", " ")
    path = next(tmp_path.glob("blocks/*/b64_s0_r0/runs/twig_eager*.json"))
    r = json.loads(path.read_text("utf-8"))
    r["environment"]["cpu_model"] = "Another Processor"
    r["sha256"] = cluster.record.digest(r)
    path.write_text(json.dumps(r), "utf-8")
    done = runs.compare(tmp_path, *SWEEP, "--only", "audit", env=plain)
    assert done.returncode == 1 and "NOT FAIR: processor" in done.stderr


def test_other_settings_code_or_seeds_are_other_blocks(tmp_path, plain):
    one = ("--variants", "twig:eager", "--batch-sizes", 64, "--cluster", "debug")
    for seeds, more, words in (
            ([5], (), "1 blocks, 0 of them done"), ([0, 5], (), "2 blocks, 1 of them"),
            ([0, 5], ("--epochs", 3), "2 blocks, 0 of them done")):
        done = runs.compare(tmp_path, *one, "--seeds", *seeds, *more, env=plain)
        assert done.returncode == 0 and words in done.stdout, done.stdout + done.stderr
    # Both seeds count, as two blocks.
    text = (tmp_path / "summary.csv").read_text("utf-8").splitlines()
    assert "2" in text[1].split(",")[4:6]


def test_without_submitit_one_line_says_what_to_install(tmp_path, plain):
    (tmp_path / "submitit.py").write_text("")
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(
        "import importlib.util as u\nfind = u.find_spec\n"
        "u.find_spec = lambda name, *more: None if name == 'submitit' else (\n"
        "    find(name, *more))\n")
    done = jobs(tmp_path / "out", "local", {"PYTHONPATH": str(hidden)})
    assert done.returncode == 4 and "pip install -r requirements-cluster.txt" in (
        done.stderr)


def test_a_block_is_named_as_it_should_be(tmp_path):
    done = runs.compare(tmp_path, *SWEEP, "--block", "66:0:0")
    assert done.returncode == 2 and "argument --block: '66:0:0'" in done.stderr
    done = runs.compare(tmp_path, "--cluster", "local", "--measure", "floor")
    assert done.returncode == 2 and "argument --measure: not with" in done.stderr


@pytest.mark.skipif(shutil.which("sbatch") is not None, reason="there is a Slurm")
def test_without_slurm_one_line_says_so(tmp_path):
    done = runs.compare(tmp_path, "--cluster", "slurm")
    assert done.returncode == 4 and "sbatch and squeue are not on PATH" in done.stderr


# --------------------------------------------------------------- a real Slurm

def queue(state="PENDING,RUNNING"):
    return subprocess.run(["squeue", "-h", "-r", "-o", "%i", "-t", state],
                          capture_output=True, text=True).stdout.split()


@SLURM
@pytest.mark.fault("K1")
@pytest.mark.slow
def test_slurm_finishes_what_was_cancelled_and_killed(tmp_path, plain):
    """Twelve blocks: one cancelled, the submitter killed, the same command again."""
    sweep = ("--variants", "twig:eager", "twig:step", "--batch-sizes", 64, 65,
             "--seeds", 0, 1, 2, "--repeats", 2)
    out = tmp_path / "out"
    with open(tmp_path / "said", "w") as file:
        one = runs.start(out, *sweep, "--cluster", "slurm", stdout=file, stderr=file,
                         env=plain)
    runs.until(lambda: "[2/12]" in (tmp_path / "said").read_text("utf-8"), 300)
    subprocess.run(["scancel", queue()[-1]], check=True)
    os.kill(one.pid, signal.SIGKILL)
    one.wait()
    done = runs.compare(out, *sweep, "--cluster", "slurm", env=plain, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert runs.compare(tmp_path / "one", *sweep, env=plain).returncode == 0
    assert said(out) == said(tmp_path / "one")
    assert not queue()


@SLURM
@pytest.mark.fault("K4")
@pytest.mark.slow
def test_a_job_that_is_requeued_runs_its_block_once(tmp_path, plain):
    said_in = tmp_path / "said"
    with open(said_in, "w") as file:
        one = runs.start(tmp_path / "out", *SWEEP, "--cluster", "slurm", stdout=file,
                         stderr=file, env=plain)
    runs.until(lambda: queue("RUNNING"), 60)
    time.sleep(2)
    subprocess.run(["scontrol", "requeue", queue("RUNNING")[0]], check=True)
    assert one.wait(500) == 0, said_in.read_text("utf-8")
    assert runs.compare(tmp_path / "one", *SWEEP, env=plain).returncode == 0
    assert said(tmp_path / "out") == said(tmp_path / "one")


@SLURM
@pytest.mark.fault("K2")
@pytest.mark.slow
def test_a_job_over_its_limit_is_a_block_that_is_missing(tmp_path, plain):
    sweep = ("--batch-sizes", 64, 65, "--cluster", "slurm", "--time", 1)
    done = runs.compare(tmp_path, *sweep, env={**plain, "MLP_TWIG": "65:hang"},
                        timeout=600)
    assert done.returncode == 1 and "batch 65, seed 0: not finished" in done.stderr
    done = runs.compare(tmp_path, *sweep, env=plain, timeout=600)
    assert done.returncode == 0 and "2 blocks, 1 of them done" in done.stdout, (
        done.stdout + done.stderr)
