"""What the long tests share: folders, running programs, the data at hand."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from bench.run import environment, record

ROOT = Path(__file__).resolve().parent.parent
STUB = Path(__file__).resolve().parent / "stub.py"

# Real MNIST where it is at hand, else the generated digits: nothing here
# needs the network.
CACHE = ROOT / ".cache"  # conftest.py draws the digits there
FOLDER = os.environ.get("MLP_DATA_DIR", str(ROOT / "data"))
HAS_MNIST = Path(FOLDER, "mnist", "train-images-idx3-ubyte.gz").exists()
DATASET = "mnist" if HAS_MNIST else "digits"
FOLDER = FOLDER if HAS_MNIST else str(CACHE)
DIGITS = ("--dataset", "digits", "--data-dir", str(CACHE))


def call(*command, timeout=300, env=None, **options):
    """Run a program of the project -> CompletedProcess with text."""
    return subprocess.run(
        [sys.executable, *map(str, command)], cwd=options.pop("cwd", ROOT),
        capture_output=True, text=True, timeout=timeout,
        env={**os.environ, **(env or {})}, **options)


def train(script, path, *flags, code=0, env=None, **options):
    """Run a script -> its record, completed as a comparison does it."""
    variables = {**os.environ, **(env or {})}
    seen = {"environment": environment.describe(variables),
            "affinity": environment.affinity(), "host_peak_bytes": 10**9,
            "cache": environment.cache_states(variables),
            "block_started_unix_s": 0.0}
    done = call(ROOT / script, "--dataset", DATASET, "--data-dir", FOLDER,
                "--json", path, *flags, env=env, **options)
    assert done.returncode == code, done.stderr
    found = json.loads(Path(path).read_text("utf-8"))
    # It ran alone: the parent saw no turns.
    seconds = found["timing"]["epoch_s"]
    seen["turns"] = {"ready_s": found["timing"]["total_s"],
                     "position": [0] * len(seconds), "go_to_epoch_s": seconds,
                     "epoch_to_done_s": [0.1] * len(seconds),
                     **{f"{name}cpu_s": [None] * len(seconds)
                        for name in ("waiting_", "", "busiest_")}}
    return record.complete(found, seen)


def losses(record):
    import numpy as np
    return np.array(record["steps"]["loss"])


def copy_project(folder):
    """Copy the programs into `folder`, to plant something in -> `folder`."""
    for path in (*ROOT.glob("*.py"), ROOT / "pyproject.toml"):
        shutil.copy(path, folder)
    for name in ("bench", "recipes", "peers", "scale"):
        shutil.copytree(ROOT / name, folder / name, ignore=(
            shutil.ignore_patterns("__pycache__")))
    return folder
