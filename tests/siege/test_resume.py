"""C: two at once, and what an earlier run has left behind."""

import json
import os
import shutil
import subprocess
import time

import pytest
from common import ROOT
from siege import runs
from siege.tools import (
    NAMES,
    error_of,
    fetcher,
    fill,
    hashes,
    needs_mnist,
    temporaries,
    true,
)

TWO = ("--batch-sizes", 64, 65)


@pytest.fixture
def env(tmp_path):
    return runs.plain(tmp_path / "stubs")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    done = runs.compare(folder / "out", *TWO,
                        env=runs.plain(folder / "stubs"))
    assert done.returncode == 0, done.stderr
    return folder / "out"


@pytest.fixture
def out(tmp_path, finished):
    """A folder with two finished runs."""
    return shutil.copytree(finished, tmp_path / "out")


def again(out, env, *flags, code=0):
    """The same again -> (done, to run, what it said on stderr)."""
    done = runs.compare(out, *(flags or TWO), env=env)
    assert done.returncode == code, done.stdout + done.stderr
    words = done.stdout.split()
    return (int(words[words.index("them") - 2]),
            int(words[words.index("to") - 1]), done.stderr)


def fetching(folder, server):
    """Start data.py, which has three files and waits for the fourth."""
    return runs.start(
        None, "--data-dir", folder, "--mirror", f"{server.url}/drip",
        "--mirror", f"{server.url}/good", "--deadline", 6,
        program=ROOT / "data.py", base=())


@needs_mnist
@pytest.mark.fault("C1", "C2")
@pytest.mark.parametrize("killed", [
    pytest.param(False, marks=pytest.mark.slow), True])
def test_two_fetches_at_once(tmp_path, server, killed):
    """Both take the file from a slow server; one of them may be killed."""
    target = fill(tmp_path, *NAMES[:3])
    processes = [fetching(tmp_path, server) for _ in range(2)]
    runs.until(lambda: len(server.requests) == 2)
    if killed:
        processes[0].kill()
    codes = [process.wait(30) for process in processes]
    for process in processes:
        process.stderr.close()
    assert codes == [-9 if killed else 0, 0]
    assert {path.name: path.read_bytes() for path in target.iterdir()} == {
        name: true(name) for name in NAMES}
    count = len(server.requests)
    assert fetcher(tmp_path, f"{server.url}/good").returncode == 0
    assert len(server.requests) == count and temporaries(tmp_path) == []


@pytest.mark.fault("C3")
def test_two_comparisons_in_one_folder(tmp_path, env):
    first = runs.start(tmp_path / "out", *TWO, env={
        **env, "MLP_TWIG": "64:hang"})
    runs.until(lambda: runs.trainers(tmp_path / "out"))
    began = time.monotonic()
    second = runs.compare(tmp_path / "out", *TWO, env=env)
    assert time.monotonic() - began < 10
    assert f"in use by process {first.pid}" in error_of(second, 5)
    assert first.poll() is None and runs.trainers(tmp_path / "out")
    first.terminate()
    first.communicate(timeout=30)
    assert first.returncode == 143
    again(tmp_path / "out", env)


@pytest.mark.slow
@pytest.mark.fault("C4")
def test_a_lock_whose_owner_was_killed(tmp_path, env):
    first = runs.start(tmp_path / "out", *TWO, env={
        **env, "MLP_TWIG": "64:hang"})
    runs.until(lambda: runs.trainers(tmp_path / "out"))
    first.kill()
    first.communicate(timeout=30)
    assert (tmp_path / "out" / ".lock").read_text() == str(first.pid)
    again(tmp_path / "out", env)
    assert temporaries(tmp_path / "out") == []


@pytest.mark.slow
@pytest.mark.fault("C7", "C8", "C9")
def test_the_grid_grows_shrinks_and_changes(out, env):
    before = hashes(out / "runs")
    assert again(out, env, *TWO, "--seeds", 0, 1)[:2] == (2, 2)  # grows
    grown = hashes(out / "runs")
    assert before.items() < grown.items() and len(runs.rows(out)) == 8
    assert again(out, env)[:2] == (2, 0)  # shrinks: nothing is deleted
    assert hashes(out / "runs") == grown and len(runs.rows(out)) == 4
    for flags in (("--epochs", 1), ("--lr", "0.5"), ("--hidden", 32),
                  ("--optimizer", "sgd"), ("--examples", 320)):
        assert again(out, env, *TWO, *flags)[:2] == (0, 2), flags
    assert grown.items() < hashes(out / "runs").items()
    assert again(out, env)[:2] == (2, 0)


CHANGES = {
    "package": "import importlib.metadata as m\n"
               "m.version = lambda name: '99.0'",
    "python": "import platform\nplatform.python_version = lambda: '3.99.0'",
    "machine": """
import pathlib
plain = pathlib.Path.read_text
pathlib.Path.read_text = lambda self, *a, **b: (
    "model name : another one" if str(self) == "/proc/cpuinfo"
    else plain(self, *a, **b))"""}


@pytest.mark.parametrize("what", [
    pytest.param(what, marks=[
        pytest.mark.fault("C16" if what == "machine" else "C10"),
        *[pytest.mark.slow] * (what != "package")]) for what in CHANGES])
def test_records_of_other_versions_and_machines_are_not_reused(
        tmp_path, out, env, what):
    before = hashes(out / "runs")
    other = runs.plain(tmp_path / "other", CHANGES[what])
    assert again(out, other)[:2] == (0, 2)
    assert before.items() < hashes(out / "runs").items()
    assert again(out, env)[:2] == (2, 0)  # the old ones still count here
    assert again(out, other)[:2] == (2, 0)


@pytest.mark.slow
@pytest.mark.fault("C10")
def test_records_of_other_code_are_not_reused(tmp_path, env):
    script = tmp_path / "twig.py"
    shutil.copyfile(runs.TWIG, script)
    flags = ("--contender", f"twig={script}")
    assert again(tmp_path / "out", env, *flags)[:2] == (0, 1)
    assert again(tmp_path / "out", env, *flags)[:2] == (1, 0)
    script.write_text(script.read_text() + "# changed\n")
    assert again(tmp_path / "out", env, *flags)[:2] == (0, 1)


def first_record(out):
    return next((out / "runs").glob("*_b64_*.json"))


@pytest.mark.fault("C11")
@pytest.mark.parametrize("content", [
    b"", "half", "folder", *(
        pytest.param(content, marks=pytest.mark.slow) for content in (
            b"{", b"[]", b"null", b"NaN", b"\xff\xfe", b"[" * 100_000,
            b'{"schema": 0}', b'{"schema": 1}', b'{"a": 1, "a": 2}', "nan"))],
    ids=lambda content: str(content)[:12])
def test_a_record_that_is_damaged(out, env, content):
    path = first_record(out)
    whole, others = path.read_bytes(), hashes(out / "runs")
    del others[path.name]
    if content == "folder":
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes({
            "half": whole[:len(whole) // 2],
            "nan": whole.replace(b'"train_loss":', b'"train_loss":NaN,"x":')
        }.get(content, content))
    done, todo, said = again(out, env)
    assert (done, todo) == (1, 1) and "set aside" in said
    assert path.name in said and others.items() < hashes(out / "runs").items()
    assert path.with_name(path.name + ".bad").exists()
    assert runs.torn(out) == [] and again(out, env) == (2, 0, "")


@pytest.mark.fault("C12")
def test_a_record_of_a_later_version_is_left_alone(out, env):
    path = first_record(out)
    path.write_text('{"schema": 999, "what": "it knows"}')
    before = hashes(out / "runs")
    line = error_of(runs.compare(out, *TWO, env=env), 5)
    assert "999" in line and "Update" in line and path.name in line
    assert hashes(out / "runs") == before


@pytest.mark.fault("C11")
def test_a_record_that_is_damaged_twice_is_kept_twice(out, env):
    path = first_record(out)
    for content in (b"one", b"two"):
        path.write_bytes(content)
        assert again(out, env)[:2] == (1, 1)
    assert {bad.read_bytes() for bad in (out / "runs").glob("*.bad")} == {
        b"one", b"two"}


@pytest.mark.fault("C13")
def test_foreign_files_are_neither_read_nor_touched(out, env):
    for folder in (out, out / "runs"):
        (folder / "README").write_text("mine")
        (folder / ".DS_Store").write_bytes(b"\0\xff")
        (folder / "x (1).json").write_text("[")
        (folder / "twig_eager_device_b64_s0_r0_0.json").write_text("NaN")
        (folder / "sub").mkdir()
        (folder / "sub" / "deep.json").write_text("{")
    before = hashes(out)
    done, todo, said = again(out, env)
    assert (done, todo, len(said.splitlines())) == (2, 0, 1)
    assert "ignored: 5, of them ['.DS_Store', 'README'" in said
    assert hashes(out) == before


@pytest.mark.fault("C14")
def test_records_whose_names_were_exchanged(out, env):
    one, two = sorted((out / "runs").glob("*.json"))
    texts = one.read_bytes(), two.read_bytes()
    one.write_bytes(texts[1])
    two.write_bytes(texts[0])
    done, todo, said = again(out, env)
    assert (done, todo) == (0, 2) and said.count("config.batch_size") == 2
    assert set(runs.states(out).values()) == {"ok"}


@pytest.mark.fault("C15")
@pytest.mark.parametrize("moment", [
    0, pytest.param(2**31 + 10**6, marks=pytest.mark.slow)])
def test_times_of_files_do_not_count(out, env, moment):
    for path in out.rglob("*"):
        os.utime(path, (moment, moment))
    before = hashes(out)
    assert again(out, env) == (2, 0, "")
    assert hashes(out) == before


@pytest.mark.fault("C16")
def test_a_record_from_another_device_stops_the_comparison(out, env):
    path = first_record(out)
    edited = json.loads(path.read_text())
    edited["environment"]["device_name"] = "NVIDIA of another machine"
    runs.seal(path, edited)
    _, todo, said = again(out, env, code=1)
    assert todo == 0 and "NOT FAIR: device" in said
    assert "NOT FAIR" in (out / "summary.md").read_text()


@pytest.mark.fault("C14")
def test_a_record_that_was_edited_is_set_aside(out, env):
    """A number that breaks no other rule."""
    path = first_record(out)
    edited = json.loads(path.read_text())
    edited["timing"]["import_s"] += 0.5
    path.write_text(json.dumps(edited))
    done, todo, said = again(out, env)
    assert todo > 0 and "sha256: not that of its content" in said
    assert set(runs.states(out).values()) == {"ok"}


@pytest.mark.fault("C17")
@pytest.mark.parametrize("name", ["results.csv", *(
    pytest.param(name, marks=pytest.mark.slow) for name in (
        "iterations.csv", "summary.csv", "summary.md"))])
def test_killed_between_the_records_and_a_table(tmp_path, env, name):
    """SIGKILL at the rename of that table; the next call makes it."""
    out = tmp_path / "out"
    deadly = runs.plain(tmp_path / "deadly", f"""
import signal
plain = os.replace
def replace(source, target):
    if str(target).endswith({name!r}):
        os.kill(os.getpid(), signal.SIGKILL)
    plain(source, target)
os.replace = replace
""")
    assert runs.compare(out, *TWO, env=deadly).returncode == -9
    assert not (out / name).exists() and len(runs.records(out)) == 2
    assert len(temporaries(out)) == 1
    assert again(out, env)[:2] == (2, 0)
    assert (out / name).exists() and temporaries(out) == []
    assert set(runs.states(out).values()) == {"ok"}


@pytest.mark.fault("C3")
def test_the_lock_is_not_inherited_by_children(tmp_path, env):
    """An orphan that held it would keep the folder locked."""
    process = runs.start(tmp_path / "out", env={**env, "MLP_TWIG": "64:hang"})
    child = runs.until(lambda: runs.trainers(tmp_path / "out"))[0]
    held = subprocess.run(["ls", "-l", f"/proc/{child}/fd"],
                          capture_output=True, text=True).stdout
    assert "pipe:" in held and ".lock" not in held
    process.terminate()
    process.communicate(timeout=30)


@pytest.mark.fault("C4", "C17")
def test_what_a_killed_process_left_is_removed_before_it_is_waited_for(
        out, env):
    """A zombie has a process id, but it owns nothing any more."""
    zombie = subprocess.Popen(["sleep", "600"])
    living = subprocess.Popen(["sleep", "600"])
    try:
        zombie.kill()
        runs.until(lambda: ") Z" in open(f"/proc/{zombie.pid}/stat").read())
        (out / "runs" / f".tmp-{zombie.pid}-x").write_text("half")
        (out / f".tmp-{living.pid}-x").write_text("half")
        assert again(out, env)[:2] == (2, 0)
        assert temporaries(out) == [out / f".tmp-{living.pid}-x"]
    finally:
        living.kill()
        zombie.wait()
        living.wait()
