"""Fixtures of the siege: a server that lies, disks that are full or locked."""

import contextlib
import shutil
import subprocess

import liar
import pytest
from common import FOLDER, HAS_MNIST
from siege.tools import NAMES, Path, compare


@pytest.fixture
def server():
    """A lying server that has the four true files where they are at hand."""
    files = {name: Path(FOLDER, "mnist", name).read_bytes()
             for name in NAMES} if HAS_MNIST else {}
    with liar.serve(files) as found:
        yield found


@pytest.fixture(scope="session")
def one_run(tmp_path_factory):
    """The output folder of a comparison of one run: not to be changed."""
    out = tmp_path_factory.mktemp("one-run") / "out"
    done = compare(out)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="session")
def two_states(tmp_path_factory):
    """The same of two runs, one ok and one failed."""
    out = tmp_path_factory.mktemp("two-states") / "out"
    done = compare(out, "--batch-sizes", "64", "50",
                   env={"MLP_STUB": "50:crash"})
    assert done.returncode == 1, done.stderr
    return out


@pytest.fixture
def finished(one_run, tmp_path):
    """A folder of a finished comparison, to be damaged."""
    return Path(shutil.copytree(one_run, tmp_path / "out"))


@pytest.fixture
def mount():
    """mount(folder, *flags of mount(8)); skips without the privilege."""
    with contextlib.ExitStack() as stack:
        def do(folder, *flags, again=False):
            done = subprocess.run(["mount", *flags, folder],
                                  capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"needs the right to mount: {done.stderr.strip()}")
            if not again:
                stack.callback(subprocess.run, ["umount", "-l", folder])
        yield do


@pytest.fixture
def small_disk(mount, tmp_path):
    """small_disk(KiB) -> a folder on a file system of that size."""
    def make(size):
        folder = tmp_path / f"disk{size}"
        folder.mkdir()
        mount(folder, "-t", "tmpfs", "-o", f"size={size}k", "tmpfs")
        return folder
    return make


@pytest.fixture
def read_only(mount):
    """read_only(folder): nothing can be written there, not even by root."""
    def make(folder):
        mount(folder, "--bind", folder)
        mount(folder, "-o", "remount,bind,ro", again=True)
        return folder
    return make
