"""What the tests of the siege share: programs, true files, hashes."""

import csv
import gzip
import hashlib
import shutil
from pathlib import Path

import pytest
from common import DATASET, FOLDER, HAS_MNIST, ROOT, STUB, call

import data

NAMES = [f"{name}.gz" for name in data.FILES]
CLOSED = "http://127.0.0.1:9"  # nobody listens there
needs_mnist = pytest.mark.skipif(
    not HAS_MNIST, reason="needs the true files: set MLP_DATA_DIR")
# One run of one epoch of the stub: some three seconds, most of them figures.
TINY = ("--contender", f"stub={STUB}", "--variants", "stub:eager", "--dataset",
        DATASET, "--data-dir", FOLDER, "--examples", "200", "--epochs", "1",
        "--optimizer", "sgd", "--batch-sizes", "64", "--seeds", "0")


def fill(folder, *names):
    """Copy the true files (all or `names`) to folder/mnist -> that path."""
    target = Path(folder, "mnist")
    target.mkdir(parents=True)
    for name in names or NAMES:
        shutil.copyfile(Path(FOLDER, "mnist", name), target / name)
    return target


def true(name):
    return Path(FOLDER, "mnist", name).read_bytes()


def fetcher(folder, *mirrors, deadline=20, **options):
    """Run data.py -> CompletedProcess."""
    flags = [flag for mirror in mirrors for flag in ("--mirror", mirror)]
    return call(ROOT / "data.py", f"--data-dir={folder}", "--deadline",
                deadline, *flags, **options)


def compare(out, *flags, **options):
    """Run compare.py with one run of the stub -> CompletedProcess."""
    return call(ROOT / "compare.py", *TINY, f"--out={out}", *flags, **options)


def error_of(done, code, prog=None):
    """The one line of an ending with that exit code, checked."""
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    last = done.stderr.rstrip("\n").rpartition("\n")[2]
    assert ": error: " in last and (prog is None or last.startswith(prog))
    return last


def rows(out):
    with open(Path(out, "results.csv"), newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def hashes(folder):
    """{path: SHA-256, or 'folder'} of everything below `folder` but the lock,
    which holds the number of a process."""
    return {str(path.relative_to(folder)): hashlib.sha256(
        path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in sorted(Path(folder).rglob("*")) if path.name != ".lock"}


def temporaries(folder):
    return [path for path in Path(folder).rglob(".tmp-*")]


PEAK = """import atexit
def peak():
    with open("/proc/self/status") as file:
        print(next(line.split()[1] for line in file if "VmHWM" in line))
atexit.register(peak)
"""


def peak_kib(code, *arguments):
    """Run Python code -> (exit code, its peak resident size in KiB). It says
    so itself: of a child one also sees the peak of who started it."""
    done = call("-c", PEAK + code, *arguments)
    return done.returncode, int(done.stdout.split()[-1])


def bomb(size=200 * 2**20):
    """A small gzip that unpacks to `size` zeros."""
    return gzip.compress(bytes(size))


def stubs(folder, **modules):
    """Modules of these names and this text -> a PYTHONPATH that has them."""
    folder.mkdir(exist_ok=True)
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)
    return {"PYTHONPATH": str(folder)}


def fault(name, *values, slow=False):
    """A parameter that is the injection of a fault."""
    marks = [pytest.mark.fault(name), *[pytest.mark.slow] * slow]
    return pytest.param(*values, marks=marks, id=f"{name}-{values[0]}")
