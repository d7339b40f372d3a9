"""P: runs that die, hang, lie or talk too much; the sweep goes on."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from common import ROOT, call
from siege import runs
from siege.tools import error_of

# kind of the twig: (faults, state, words of the reason in the CSV)
KINDS = {
    "crash": ("P1", "failed", "planted crash"),
    "vanish": ("P2", "no_record", ""), "cut": ("P3", "bad_record", "JSON"),
    "list": ("P4", "bad_record", "object"),
    "other": ("P4", "bad_record", "config.seed"),
    "lacking": ("P4", "bad_record", "steps"), "late": ("P5", "failed", ""),
    "kill": ("P6", "killed", "out of memory?"),
    "segv": ("P7", "killed", ""), "abort": ("P7", "killed", ""),
    "noise": ("P12 P13", "failed", "=1+1 planted"),
    "chatter": ("P14", "ok", ""), "leave": ("P11", "ok", ""),
    "memory": ("P15", "oom", "Unable to allocate"),
    "jaxmemory": ("P15", "oom", "RESOURCE_EXHAUSTED"),
    "torchmemory": ("P15", "oom", "OutOfMemoryError"),
    "cudnnmemory": ("P15", "oom", "ALLOC_FAILED"),
    "hang": ("P8", "timeout", "no end within 4 s"),
    "chatty": ("P9", "failed", "bytes of output"),
    "deaf": ("P10", "timeout", "no end within 4 s"),
    "parent": ("P11", "timeout", "no end within 4 s"),
    "stopped": ("P16", "timeout", "no end within 4 s")}
METRICS = ("epoch", "epoch_s", "compile_s", "first_epoch_s", "train_loss",
           "val_accuracy", "test_accuracy")


LONG = ("noise", "chatty", "deaf", "parent", "stopped", "late")


@pytest.fixture(scope="module")
def sweeps():
    return {}


@pytest.fixture
def sweep(request, sweeps, tmp_path_factory):
    """One sweep in which every kind happens once -> (folder, what it said,
    sizes). Those that take long are in another one."""
    kinds = LONG if request.param in LONG else [
        kind for kind in KINDS if kind not in LONG]
    if kinds[0] not in sweeps:
        sweeps[kinds[0]] = one_sweep(
            tmp_path_factory.mktemp("children") / "out", kinds)
    return sweeps[kinds[0]]


def one_sweep(out, kinds):
    planted = {100 + n: kind for n, kind in enumerate(kinds)}
    done = runs.compare(
        out, "--batch-sizes", 64, *planted, 65, "--timeout", 4,
        env={"MARK": str(out), **runs.plain(out.parent / "stubs"),
             "MLP_TWIG": " ".join(f"{n}:{k}" for n, k in planted.items())})
    return out, done, {kind: n for n, kind in planted.items()}


@pytest.mark.parametrize("kind, sweep", [
    pytest.param(kind, kind, id=kind, marks=[
        pytest.mark.fault(*KINDS[kind][0].split()),
        *[pytest.mark.slow] * (kind in LONG)])
    for kind in KINDS], indirect=["sweep"])
def test_a_run_that_goes_wrong_is_a_row_with_its_reason(sweep, kind):
    out, done, sizes = sweep
    _, state, words = KINDS[kind]
    found = [row for row in runs.rows(out)
             if row["batch_size"] == str(sizes[kind])]
    assert {row["status"] for row in found} == {state}, found
    if state == "ok":
        assert all(float(row["test_accuracy"]) > 0.5 for row in found)
        return
    assert len(found) == 1 and not any(found[0][key] for key in METRICS)
    assert found[0]["reason"][0] == '"' and words in found[0]["reason"]
    r = next(r for name, r in runs.records(out).items()
             if f"_b{sizes[kind]}_" in name)
    assert {"epochs", "steps", "final", "timing"}.isdisjoint(r)
    assert len(r["exit"]["tail"]) <= 22
    assert not any(set(line) & set("\x1b\0\r\n") for line in r["exit"]["tail"])
    named = {"kill": "SIGKILL", "segv": "SIGSEGV", "abort": "SIGABRT"}
    if kind in named:
        assert r["exit"]["signal"] == named[kind]


@pytest.mark.parametrize("sweep", [
    pytest.param("crash", marks=pytest.mark.fault("P1", "P8", "P11")),
    pytest.param("deaf", marks=[pytest.mark.slow, pytest.mark.fault(
        "P9", "P10", "P11", "P12", "P16")])], indirect=True)
def test_the_sweep_goes_on_and_nothing_is_left_alive(sweep):
    out, done, sizes = sweep
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    states = runs.states(out)
    assert states[64] == states[65] == "ok" and len(states) == len(sizes) + 2
    assert runs.gone(out), runs.processes(out)
    assert not list(out.rglob(".tmp-*")) and runs.torn(out) == []


@pytest.mark.slow
@pytest.mark.fault("P18")
def test_a_variant_that_always_fails_alike_is_given_up(tmp_path):
    sizes = range(70, 76)
    done = runs.compare(
        tmp_path, "--variants", "twig:eager", "twig:step", "--batch-sizes",
        *sizes, env={**runs.plain(tmp_path / "stubs"), "MLP_TWIG": "*:crash"})
    assert done.returncode == 1
    found = [row["status"] for row in runs.rows(tmp_path)]
    # Two variants and the control.
    assert sorted(found) == ["failed"] * 9 + ["unavailable"] * 9
    assert "3 runs failed alike: " in done.stdout
    again = runs.compare(tmp_path, "--variants", "twig:eager", "--batch-sizes",
                         *sizes, env=runs.plain(tmp_path / "stubs"))
    assert "0 of them done, 6 to run" in again.stdout
    assert set(runs.states(tmp_path).values()) == {"ok"}


@pytest.mark.fault("P17")
@pytest.mark.parametrize("limit", [
    "--nofile=4", pytest.param("--nproc=1", marks=pytest.mark.slow)])
def test_no_process_can_be_started(tmp_path, request, limit):
    """The parent alone is limited, and only once it has its records."""
    if os.geteuid() and "nproc" in limit:
        pytest.skip("needs root, to become a user without other processes")
    # Not in tmp_path: another user could not enter it.
    place = Path(tempfile.mkdtemp())
    request.addfinalizer(lambda: shutil.rmtree(place))
    out, env = place / "out", runs.plain(tmp_path / "stubs")
    assert runs.compare(out, env=env).returncode == 0
    before = runs.records(out)
    limited = runs.plain(tmp_path / "limited", f"""
import resource
if sys.argv[0].endswith("compare.py"):
    from bench.run import grid
    plain = grid.Grid.look
    def look(self, variants):
        {'os.setresuid(54321, 54321, 54321)' if 'nproc' in limit else ''}
        kind = resource.RLIMIT_{limit[2:].partition('=')[0].upper()}
        resource.setrlimit(kind, ({limit.partition('=')[2]},) * 2)
        return plain(self, variants)
    grid.Grid.look = look
""")
    for folder in (place, out, out / "runs", out / "figures"):
        folder.chmod(0o777)
    done = runs.compare(out, "--batch-sizes", 64, 65, env=limited)
    assert done.returncode in (1, 5), done.stderr
    assert "Traceback" not in done.stderr
    assert ("Too many open files" if "nofile" in limit else
            "Resource temporarily unavailable") in done.stderr
    assert before.items() <= runs.records(out).items()
    assert runs.compare(out, "--batch-sizes", 64, 65, env=env).returncode == 0


@pytest.mark.fault("P19")
@pytest.mark.parametrize("how", [
    "missing", pytest.param("folder", marks=pytest.mark.slow), "syntax"])
def test_a_script_that_cannot_be_started_is_found_up_front(tmp_path, how):
    script = tmp_path / "script.py"
    if how == "folder":
        script.mkdir()
    if how == "syntax":
        script.write_text("def train(:\n")
    done = runs.compare(tmp_path / "out", "--contender", f"twig={script}")
    assert "script.py" in error_of(done, 4) or "SyntaxError" in done.stderr
    assert list((tmp_path / "out").rglob("*.json")) == []


@pytest.mark.fault("P19")
@pytest.mark.parametrize("how", [
    pytest.param("missing", marks=pytest.mark.slow), "unreadable"])
def test_a_script_of_the_pair_is_lost(tmp_path, how):
    project = tmp_path / "project"
    project.mkdir()
    for name in ("compare.py", "data.py", "bench"):
        (shutil.copytree if name == "bench" else shutil.copyfile)(
            ROOT / name, project / name)
    if how == "unreadable":  # chmod would not stop root
        (project / "mlp_jax.py").mkdir()
    (project / ".cache").symlink_to(ROOT / ".cache")
    done = call(project / "compare.py", *runs.BASE, "--variants", "jax:step",
                "--out", tmp_path / "out")
    assert "mlp_jax.py" in error_of(done, 4)
    assert list((tmp_path / "out").rglob("*.json")) == []


@pytest.mark.fault("P20")
def test_another_python_first_in_the_path_is_not_used(tmp_path):
    fake = tmp_path / "bin"
    fake.mkdir()
    for name in ("python", "python3"):
        (fake / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/USED\n")
        (fake / name).chmod(0o755)
    done = runs.compare(tmp_path / "out", env={
        **runs.plain(tmp_path / "stubs"),
        "PATH": f"{fake}{os.pathsep}{os.environ['PATH']}"})
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "USED").exists()
    assert subprocess.run(["python3"], env={
        "PATH": f"{fake}{os.pathsep}{os.environ['PATH']}"}).returncode == 0
    assert (tmp_path / "USED").exists()
