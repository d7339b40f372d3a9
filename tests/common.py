"""What the long tests share: folders, running programs, the data at hand."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STUB = Path(__file__).resolve().parent / "stub.py"

# Real MNIST where it is at hand, else the generated digits: nothing here
# needs the network.
FOLDER = os.environ.get("MLP_DATA_DIR", str(ROOT / "data"))
HAS_MNIST = Path(FOLDER, "mnist", "train-images-idx3-ubyte.gz").exists()
DATASET = "mnist" if HAS_MNIST else "digits"


def call(*command, timeout=300, env=None, **options):
    """Run a program of the project -> CompletedProcess with text."""
    return subprocess.run(
        [sys.executable, *map(str, command)], cwd=options.pop("cwd", ROOT),
        capture_output=True, text=True, timeout=timeout,
        env={**os.environ, **(env or {})}, **options)


def train(script, path, *flags, code=0, **options):
    """Run a script of the pair -> its record."""
    done = call(ROOT / script, "--dataset", DATASET, "--json", path,
                "--quiet", *flags, **options)
    assert done.returncode == code, done.stderr
    return json.loads(Path(path).read_text("utf-8"))


def losses(record):
    import numpy as np
    return np.array(record["steps"]["loss"])
