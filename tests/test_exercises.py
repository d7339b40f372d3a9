"""docs/solutions.md: every change on it is made to a copy of the scripts,
every program and command on it is run, and what it says is seen.

Times are compared only where one is many times the other.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest
from common import FOLDER, HAS_MNIST, ROOT

import data

PAGE = (ROOT / "docs/solutions.md").read_text("utf-8")
BLOCK = re.compile(r"^```(\w+) ?(\S*)\n(.*?)^```$", re.M | re.S)
needs_mnist = pytest.mark.skipif(
    not HAS_MNIST, reason=f"no mnist/ in {FOLDER} (MLP_DATA_DIR)")

# Starts the program that it is given. It reads a quarter of MNIST, unpacked
# once, to save time. It runs on one core: programs whose threads wait for
# each other on the same few cores take many times as long.
START = """
import os, runpy, sys
import numpy as np
import data
_, path, cores, *sys.argv = sys.argv
if cores == "one" and hasattr(os, "sched_setaffinity"):
    known = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {known[os.getpid() % len(known)]})
if path:
    with np.load(path) as file:
        arrays = list(file.values())
    data.load = lambda *_, **__: arrays
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="session")
def quarter(tmp_path_factory):
    """A file with a part of MNIST, "" where there is none; a cache folder."""
    folder = tmp_path_factory.mktemp("data")
    if not HAS_MNIST:
        return "", folder
    x, y, test_x, test_y = data.load("mnist", FOLDER)
    path = folder / "quarter.npz"
    np.savez(path, x[:15600], y[:15600], test_x[:2000], test_y[:2000])
    return str(path), folder


def blocks(number, language):
    """[(file, text)] of an exercise, in the order of the page."""
    section = re.search(rf"^## {number}\. .*?(?=^## |\Z)", PAGE, re.M | re.S)
    return [(name, text) for kind, name, text in BLOCK.findall(section[0])
            if kind == language]


def commands(number):
    return [line for _, text in blocks(number, "sh")
            for line in text.splitlines()]


def replaced(source, patch):
    """A text with the change of a diff block; its old lines, one or many,
    must be there once."""
    kept = [line[1:] for line in patch.splitlines() if line[:1] != "+"]
    new = [line[1:] for line in patch.splitlines() if line[:1] != "-"]
    lines = source.splitlines()
    found = [n for n in range(len(lines))
             if lines[n:n + len(kept)] == kept]
    assert len(found) == 1, f"{len(found)} places for:\n{patch}"
    lines[found[0]:found[0] + len(kept)] = new
    return "\n".join(lines) + "\n"


class Copy:
    """The scripts in a folder of their own."""

    def __init__(self, folder, quarter, number, change=True):
        self.folder, (self.quarter, self.cache) = folder, quarter
        folder.mkdir()
        for name in ("data.py", "mlp_jax.py", "mlp_torch.py"):
            shutil.copy(ROOT / name, folder)
        for name, text in blocks(number, "python"):
            (folder / name).write_text(text, "utf-8")
        for name, patch in blocks(number, "diff") if change else ():
            self.edit(name, lambda source, patch=patch: replaced(
                source, patch))

    def edit(self, name, change):
        path = self.folder / name
        path.write_text(change(path.read_text("utf-8")), "utf-8")

    def run(self, line, more="", cores="one"):
        """A command of the page, as a student types it -> CompletedProcess"""
        words = shlex.split(f"{line} {more}")
        # Most of a short run is compiling; the runs share what is compiled.
        env = {**os.environ, "JAX_COMPILATION_CACHE_DIR": str(self.cache),
               "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
               "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1"}
        while "=" in words[0]:
            name, value = words.pop(0).split("=")
            env[name] = value
        assert words[0] == "python"
        words[:1] = [sys.executable, "-c", START, self.quarter, cores]
        return subprocess.run(words, cwd=self.folder, env=env, timeout=300,
                              capture_output=True, text=True)

    def record(self, name="record.json"):
        return json.loads((self.folder / name).read_text("utf-8"))


def succeeds(done):
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def changed(tmp_path, quarter, request):
    return Copy(tmp_path / "changed", quarter, request.function.number)


@pytest.fixture
def unchanged(tmp_path, quarter, request):
    return Copy(tmp_path / "unchanged", quarter, request.function.number,
                change=False)


def exercise(number):
    def mark(test):
        test.number = number
        return test
    return mark


# ---------------------------------------------------------------- the page

def test_the_page_has_eight_exercises_and_nothing_untested():
    assert re.findall(r"^## (\d)\. ", PAGE, re.M) == list("12345678")
    kinds = {kind for kind, _, _ in BLOCK.findall(PAGE)}
    assert kinds == {"diff", "python", "sh", "text"}
    assert PAGE.count("```") == 2 * len(BLOCK.findall(PAGE))
    tested = {test.number for name, test in globals().items()
              if name.startswith("test_") and hasattr(test, "number")}
    assert tested == set(range(1, 9))
    for section in re.split(r"^## ", PAGE, flags=re.M)[1:]:
        assert section.split("\n\n")[1].startswith("Task: "), section[:40]


def test_a_change_must_fit_in_one_place():
    assert replaced("a\nb\nc\n", " b\n-c\n+d\n+e\n") == "a\nb\nd\ne\n"
    for source in ("a\n", "b\nc\nb\nc\n"):
        with pytest.raises(AssertionError, match="places for"):
            replaced(source, " b\n-c\n+d\n")


# ------------------------------------------------- one line, then predict

@needs_mnist
@exercise(1)
def test_without_the_fence_the_wait_moves_to_the_reading(changed, unchanged):
    line, = commands(1)
    losses = []
    for copy in (unchanged, changed):
        succeeds(copy.run(line, "--examples 6400 --epochs 1", cores="all"))
        record = copy.record()
        losses.append(record["steps"]["loss"])
        for asked, read in zip(*(record["timing"][name] for name in (
                "epoch_s", "read_s"))):
            assert (read > asked) == (copy is changed), record["timing"]
    assert losses[0] == losses[1]


@needs_mnist
@exercise(2)
@pytest.mark.parametrize("line", commands(2))
def test_python_runs_once_or_in_every_step(changed, line):
    script, rung = re.search(r"(mlp_\w+)\.py --rung (\w+)", line).groups()
    done = changed.run(line, "--optimizer sgd")
    printed = done.stdout.splitlines().count("a step")
    if (script, rung) == ("mlp_torch", "step"):
        assert done.returncode == 1 and printed == 0, done.stderr
        assert "torch._dynamo.exc.Unsupported" in done.stderr
        assert "does not know how to trace builtin operator `print`" in (
            done.stderr)
    else:
        succeeds(done)
        assert printed == (10 if rung == "eager" else 1)
    # and the page says so in its table
    row = re.search(rf"^\| {script}\.py +\| {rung} +\| (\w+)", PAGE, re.M)
    assert row[1] == (str(printed) if printed else "none")


@needs_mnist
@exercise(3)
@pytest.mark.parametrize("line", commands(3))
def test_log_of_softmax_ends_in_nan(changed, unchanged, line):
    done = changed.run(line)
    assert done.returncode == 6 and "not finite" in done.stderr, done.stderr
    succeeds(unchanged.run(line))


@needs_mnist
@exercise(4)
def test_a_loss_on_the_tape_fails_after_the_epoch(changed):
    line, = commands(4)
    done = changed.run(line)
    message, = (text.strip() for _, text in blocks(4, "text"))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == message
    assert "in to_host" in done.stderr and "epoch  1" not in done.stderr


# ------------------------------------------------------- write it yourself

@needs_mnist
@exercise(5)
def test_the_first_call_compiles_and_a_call_is_not_a_result(unchanged):
    line, = commands(5)
    printed = succeeds(unchanged.run(line, cores="all"))
    first, wait, ask = map(float, re.findall(r"([\d.]+) ms", printed))
    assert first > wait > ask, printed
    assert_like(printed, 5)


@needs_mnist
@exercise(6)
def test_momentum_takes_the_same_steps_in_both(changed):
    # The compiler is not what is tested here: run the step as plain Python.
    changed.edit("mlp_torch.py", lambda source: source.replace(
        "IMPORTED = clock()\n",
        "IMPORTED = clock()\ntorch.compile = lambda function, **_: function\n"))
    for line in commands(6):
        printed = succeeds(changed.run(line))
    assert_like(printed, 6)
    assert float(re.search("difference: (.*)", printed)[1]) < 1e-10
    losses = [changed.record(f"{name}.json")["steps"]["loss"]
              for name in ("jax", "torch")]
    assert len(losses[0]) == 100 and losses[0][-1] < losses[0][0] / 3
    assert np.allclose(*losses, rtol=1e-10, atol=0)
    # and it is momentum: the optimizer of PyTorch says the same
    (changed.folder / "eager.py").write_text("""
import torch
import mlp_torch
import data
mlp_torch.torch.optim.Adam = lambda params, lr, *_, **__: torch.optim.SGD(
    params, lr, momentum=0.9)
data.run(mlp_torch.main)
""")
    line = commands(6)[2].replace("mlp_torch.py", "eager.py")
    succeeds(changed.run(line, "--rung eager --json eager.json"))
    assert np.allclose(changed.record("eager.json")["steps"]["loss"],
                       losses[1], rtol=1e-10, atol=0)


@needs_mnist
@exercise(7)
def test_the_norms_of_both_are_the_same(unchanged):
    line, = commands(7)
    printed = succeeds(unchanged.run(line))
    assert_like(printed, 7)
    assert "gradient of the batch: True" in printed
    assert float(re.search("difference: (.*)", printed)[1]) < 1e-5


@exercise(8)
def test_a_key_used_twice_makes_the_layers_alike(changed, unchanged):
    line, checked = commands(8)
    shown, = (text for _, text in blocks(8, "text"))
    assert succeeds(changed.run(line)) == shown
    printed = succeeds(unchanged.run(checked))
    assert printed.count("alike: []\n") == 2 and "equal: False" in printed
    done = changed.run(checked)
    assert done.returncode == 1 and (
        "jax.errors.KeyReuseError: Previously-consumed key passed to "
        "jit-compiled function at index 0") in done.stderr


def assert_like(printed, number):
    """What is printed is what the page shows, but for the numbers."""
    shown, = (text for _, text in blocks(number, "text"))
    first, second = (re.sub(r"\d+(\.\d+)?(e[-+]\d+)?", "N", text)
                     for text in (printed, shown))
    assert first == second
