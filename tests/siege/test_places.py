"""S11 to S14: modes, temporary folders and odd names of folders."""

import os
import stat
import subprocess
import sys

import pytest
from common import ROOT
from siege.tools import NAMES, TINY, compare, fetcher, fill, needs_mnist, rows


@needs_mnist
@pytest.mark.slow
@pytest.mark.fault("S11")
@pytest.mark.parametrize("umask, mode", [(0o022, 0o644), (0o027, 0o640)])
def test_files_have_the_mode_that_the_umask_says(
        server, tmp_path, umask, mode):
    fill(tmp_path / "data", *NAMES[:3])
    fetcher(tmp_path / "data", f"{server.url}/good", umask=umask)
    compare(tmp_path / "out", umask=umask)
    found = [tmp_path / "data" / "mnist" / NAMES[3],
             *(p for p in (tmp_path / "out").rglob("*") if p.is_file())]
    assert len(found) > 10
    assert {stat.S_IMODE(path.stat().st_mode) for path in found} == {mode}


@needs_mnist
@pytest.mark.slow
@pytest.mark.fault("S12", "S13")
@pytest.mark.parametrize("place", ["missing", "read-only", "other disk"])
def test_home_and_the_temporary_folder_do_not_matter(
        server, tmp_path, place, request):
    folder = tmp_path / "missing"
    if place == "read-only":
        folder = tmp_path / "locked"
        folder.mkdir()
        request.getfixturevalue("read_only")(folder)
    elif place == "other disk":
        folder = request.getfixturevalue("small_disk")(64)
    fill(tmp_path / "data", *NAMES[:3])
    env = {**os.environ, "TMPDIR": str(folder)}
    env.pop("HOME", None)
    for program in (
            ["data.py", "--data-dir", tmp_path / "data", "--mirror",
             f"{server.url}/good"],
            ["compare.py", *TINY, "--out", tmp_path / "out"]):
        done = subprocess.run([sys.executable, ROOT / program[0],
                               *program[1:]], env=env, capture_output=True,
                              text=True, timeout=100)
        assert done.returncode == 0, done.stderr
    assert place == "missing" or os.listdir(folder) == []


@needs_mnist
@pytest.mark.fault("S14")
@pytest.mark.parametrize("name", [
    "-a b\nü%s", *(pytest.param(text, marks=pytest.mark.slow) for text in (
        "-ab", "--out", "%d{}$HOME`x`", "x" * 180, "a'b\"c\\d", "~",
        os.fsdecode(b"\xff\xfe")))])
def test_odd_names_of_folders_work(server, tmp_path, name):
    fill(tmp_path / name, *NAMES[:3])
    assert fetcher(name, f"{server.url}/good", cwd=tmp_path).returncode == 0
    done = compare(f"{name}/out", f"--data-dir={name}", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "\n" + name not in done.stderr and os.listdir(tmp_path) == [name]
    out = tmp_path / name / "out"
    assert rows(out)[0]["status"] == "ok"
    assert (out / "figures" / "seconds.svg").exists()


@pytest.mark.slow
@pytest.mark.fault("S14")
def test_no_name_of_a_record_is_too_long(tmp_path):
    name = "n" * 31  # the longest that is allowed
    done = compare(tmp_path, "--contender", f"{name}={ROOT}/tests/stub.py",
                   "--variants", f"{name}:eager", "--seeds", "4294967295")
    assert done.returncode == 0, done.stderr
    assert max(len(path.name) for path in tmp_path.rglob("*")) < 143
