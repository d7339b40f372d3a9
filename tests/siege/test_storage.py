"""S: disks that are full, folders that cannot be written, odd names."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from common import DATASET, FOLDER, ROOT, STUB
from siege.tools import (
    NAMES,
    TINY,
    compare,
    error_of,
    fetcher,
    fill,
    hashes,
    needs_mnist,
    rows,
    temporaries,
)

from bench.kit import files
from bench.kit.cli import Fault

# ------------------------------------------------------------ the data folder


@needs_mnist
@pytest.mark.slow
@pytest.mark.fault("S1")
def test_a_complete_cache_may_be_read_only(tmp_path, read_only):
    fill(tmp_path / "data")
    before = hashes(tmp_path / "data")
    read_only(tmp_path / "data")
    assert fetcher(tmp_path / "data").returncode == 0
    done = compare(tmp_path / "out", "--data-dir", tmp_path / "data")
    assert done.returncode == 0, done.stderr
    assert hashes(tmp_path / "data") == before


@needs_mnist
@pytest.mark.fault("S2")
def test_an_incomplete_cache_that_is_read_only_is_said(
        server, tmp_path, read_only):
    fill(tmp_path / "data", *NAMES[1:])
    read_only(tmp_path / "data")
    before = hashes(tmp_path / "data")
    line = error_of(fetcher(tmp_path / "data", f"{server.url}/good"), 5)
    assert str(tmp_path / "data") in line and "another folder" in line
    assert hashes(tmp_path / "data") == before


@needs_mnist
@pytest.mark.fault("S3")
def test_a_data_folder_that_is_a_file_or_deep(server, tmp_path):
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        line = error_of(fetcher(place, f"{server.url}/good"), 5)
        assert str(tmp_path / "file") in line
    assert (tmp_path / "file").read_text() == "mine"
    deep = tmp_path / "a" / "b" / "c"
    assert fetcher(deep, f"{server.url}/good").returncode == 0
    assert sorted(os.listdir(deep / "mnist")) == sorted(NAMES)


@needs_mnist
@pytest.mark.fault("S4")
def test_a_disk_that_is_full_after_a_download(server, small_disk):
    disk = small_disk(4096)
    fill(disk, NAMES[1], NAMES[3])
    before = hashes(disk)
    done = fetcher(disk, f"{server.url}/good", f"{server.url}/moved")
    assert "No space left" in error_of(done, 5, "data.py")
    assert hashes(disk) == before
    assert len(server.requests) == 1  # another mirror would not help


# ---------------------------------------------------------- the output folder

def fill_up(disk, left=0):
    """Fill a disk but for `left` KiB -> the file to delete again."""
    free = shutil.disk_usage(disk).free - left * 1024
    ballast = disk / "ballast"
    with open(ballast, "wb") as file:
        file.write(bytes(max(0, free)))
    return ballast


@pytest.mark.fault("S5")
@pytest.mark.parametrize("left", [
    8, *(pytest.param(n, marks=pytest.mark.slow) for n in (0, 48))])
def test_a_disk_that_is_full_when_a_record_is_written(
        small_disk, one_run, left):
    """8 KiB hold a note that a run failed, and no record of 400 steps."""
    disk = small_disk(4096)
    out = Path(shutil.copytree(one_run, disk / "out"))
    before = hashes(out)
    ballast = fill_up(disk, left)
    more = ("--batch-sizes", "64", "1", "--examples", "2000")
    done = compare(out, *more)
    line = error_of(done, 5, "compare.py")
    assert "No space left" in line or "the disk is full" in line
    assert hashes(out).items() >= before.items()
    assert not temporaries(out)
    ballast.unlink()
    done = compare(out, *more)
    assert done.returncode == 0, done.stderr
    assert {row["status"] for row in rows(out)} == {"ok"}


@pytest.mark.slow
@pytest.mark.fault("S6")
@pytest.mark.parametrize("name", ["results.csv", "figures"])
def test_a_disk_that_is_full_when_tables_are_written(small_disk, name):
    disk = small_disk(8192)
    out = disk / "out"
    seeds = ("--seeds", "0", "1", "--examples", "6400")
    assert compare(out, "--seeds", "0", "--examples", "6400").returncode == 0
    assert compare(out, *seeds).returncode == 0  # both records are there
    assert compare(out, "--seeds", "0", "--examples", "6400").returncode == 0
    before = hashes(out)
    # Room for the lock's number and, second case, for the tables, too.
    ballast = fill_up(disk, {"results.csv": 0, "figures": 32}[name])
    done = compare(out, *seeds)
    line = error_of(done, 5, "compare.py")
    assert "No space left" in line and name in line
    after = hashes(out)
    assert after.keys() == before.keys() and not temporaries(out)
    if name == "results.csv":
        assert after == before
    ballast.unlink()
    assert compare(out, *seeds).returncode == 0
    assert {row["seed"] for row in rows(out)} == {"0", "1"}


@pytest.mark.slow
@pytest.mark.fault("S7")
@pytest.mark.parametrize("limit", [0, 4096, 64 * 1024])
def test_a_limit_on_the_size_of_files_is_like_a_full_disk(
        finished, tmp_path, limit):
    before = hashes(tmp_path)
    done = limited(finished, limit)
    line = error_of(done, 5, "compare.py")
    assert "File too large" in line or "limit on files" in line
    assert hashes(tmp_path).items() >= before.items()
    assert not temporaries(tmp_path)
    # with a fresh folder it is the weights that do not fit
    error_of(limited(tmp_path / "new", limit), 5, "compare.py")
    assert not temporaries(tmp_path)


def limited(out, limit):
    if shutil.which("prlimit") is None:
        pytest.skip("needs prlimit")
    return subprocess.run(
        ["prlimit", f"--fsize={limit}", sys.executable, ROOT / "compare.py",
         *TINY, "--out", out, "--seeds", "0", "1"], capture_output=True,
        text=True, timeout=100)


@pytest.mark.fault("S8")
def test_an_output_folder_that_is_read_only_is_found_first(
        tmp_path, read_only):
    out = tmp_path / "out"
    out.mkdir()
    read_only(out)
    done = compare(out)
    assert repr(str(out))[1:-1] in error_of(done, 5, "compare.py")
    assert done.stdout == "" and os.listdir(out) == []


@pytest.mark.fault("S8", "S3")
def test_an_output_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        assert str(tmp_path / "file") in error_of(compare(place), 5)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.fault("S9")
@pytest.mark.parametrize("name", [
    "results.csv", "figures/seconds.png", *(
        pytest.param(name, marks=pytest.mark.slow) for name in (
            "iterations.csv", "summary.csv", "summary.md",
            "figures/curves_epoch.svg"))])
def test_a_folder_in_the_place_of_a_result_is_found_first(tmp_path, name):
    (tmp_path / name).mkdir(parents=True)
    done = compare(tmp_path)
    assert name in error_of(done, 5, "compare.py")
    assert not list((tmp_path / "runs").glob("*.json"))


# ------------------------------------------------------------- what is left

@pytest.mark.fault("S10")
def test_what_killed_runs_left_is_removed_and_never_read(finished):
    tmp_path = finished
    before = hashes(tmp_path)
    dead = subprocess.Popen(["true"])
    dead.wait()
    kept = []
    for folder in (".", "runs", "init", "figures"):
        half = tmp_path / folder / f".tmp-{dead.pid}-0123"
        half.write_text('{"schema": 1')
        mine = tmp_path / folder / f".tmp-{os.getpid()}-0123"
        mine.write_text("of a process that lives")
        kept.append(mine)
    cache = tmp_path / f".tmp-{dead.pid}-4567"
    (cache / "inductor").mkdir(parents=True)
    (tmp_path / "runs" / "stub_eager_device_b64_half.json").write_text("{")
    done = compare(tmp_path)
    assert done.returncode == 0 and "0 to run" in done.stdout
    assert sorted(temporaries(tmp_path)) == sorted(kept)
    assert hashes(tmp_path).items() >= before.items()
    assert len(rows(tmp_path)) == 1


@needs_mnist
@pytest.mark.fault("S10")
def test_leftovers_in_the_data_folder_go_with_the_next_comparison(tmp_path):
    dead = subprocess.Popen(["true"])
    dead.wait()
    folder = fill(tmp_path / "data")
    (folder / f".tmp-{dead.pid}-0123").write_bytes(b"\x1f\x8b half")
    done = compare(tmp_path / "out", "--data-dir", tmp_path / "data",
                   "--dataset", "mnist")
    assert done.returncode == 0, done.stderr
    assert sorted(os.listdir(folder)) == sorted(NAMES)


@pytest.mark.fault("S15")
def test_an_output_folder_that_is_deleted_during_the_run(tmp_path):
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, ROOT / "compare.py", *TINY, "--out", out,
         "--seeds", "0", "1", "2", "3", "4", "5"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 60
    while not list(out.glob("runs/*.json")):
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.02)
    shutil.rmtree(out, ignore_errors=True)
    shutil.rmtree(out, ignore_errors=True)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 5, said
    assert len(said.splitlines()) <= 2 and "Traceback" not in said
    assert not list(Path(f"/proc/{process.pid}").glob("task/*/children"))


@pytest.mark.fault("S5")
@pytest.mark.parametrize("flags, code", [
    (("--examples", "200", "--epochs", "1"), 0), (("--epochs", "x"), 2)])
def test_a_message_that_cannot_be_written_changes_no_exit_code(flags, code):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, STUB, "--dataset", DATASET, "--data-dir", FOLDER,
             *flags], stderr=full, timeout=100, env={
                 **os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == code


# --------------------------------------------------------------- power cuts

def system_calls(path, target):
    """(name, arguments) of the file calls while `target` is written."""
    if shutil.which("strace") is None:
        pytest.skip("needs strace")
    code = ("import sys; from bench.kit import files\n"
            "files.write_atomic(sys.argv[1], 'content')")
    done = subprocess.run(
        ["strace", "-y", "-o", path, "-e", "trace=openat,fsync,rename,"
         "renameat,renameat2,write", sys.executable, "-c", code, target],
        cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"strace does not work here: {done.stderr.strip()}")
    lines = Path(path).read_text().splitlines()
    return [line for line in lines if str(target.parent) in line]


@pytest.mark.fault("S16")
def test_a_file_is_flushed_before_its_name_and_the_name_after(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    calls = system_calls(tmp_path / "trace", folder / "file")
    steps = [next(i for i, line in enumerate(calls) if wanted(line))
             for wanted in (
        lambda line: line.startswith("openat") and "O_EXCL" in line,
        lambda line: line.startswith("write(") and ".tmp-" in line,
        lambda line: line.startswith("fsync(") and ".tmp-" in line,
        lambda line: line.startswith("rename") and f"{folder}/file" in line,
        lambda line: line.startswith("fsync(") and f"{folder}>" in line)]
    assert steps == sorted(steps)


@pytest.mark.fault("S16", "S4")
def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    files.write_atomic(path, "old")
    for name in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            def fail(*arguments):
                raise OSError(5, "planted")
            patch.setattr(files.os, name, fail)
            with pytest.raises(Fault, match="planted") as caught:
                files.write_atomic(path, "new")
        assert caught.value.code == 5
        assert path.read_text() == "old" and os.listdir(tmp_path) == ["file"]


@pytest.mark.slow
@pytest.mark.fault("S17")
def test_one_setting_in_two_spellings_is_one_run(tmp_path):
    assert compare(tmp_path, "--lr", "0.1").returncode == 0
    for spelling in ("0.10", "1e-1", "0.1000"):
        again = compare(tmp_path, "--lr", spelling, "--batch-sizes", "064")
        assert "0 to run" in again.stdout
    assert compare(tmp_path, "--lr", "0.2").returncode == 0
    assert len(list((tmp_path / "runs").iterdir())) == 2
    done = compare(tmp_path / "new", "--variants", "stub:Eager")
    assert "--variants" in error_of(done, 2)
    assert not (tmp_path / "new").exists()
