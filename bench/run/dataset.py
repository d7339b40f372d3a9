"""Which data a comparison is about: MNIST, or the generated digits."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import data
from bench.kit import files
from bench.kit.cli import DATA, Fault, warn
from bench.run import launch

DIGITS = files.ROOT / "bench" / "tools" / "digits.py"
CACHE = files.ROOT / ".cache"  # for generated digits


def find_data(dataset, data_dir):
    """Verify the data once, before any run -> (name, folder): of a data set,
    and the --data-dir that has it.

    'auto' is MNIST when it is cached or can be fetched, else the generated
    digits; but a damaged file is Fault 3, not a silent change of data.
    """
    name = "mnist" if dataset == "auto" else dataset
    if name != "digits":
        folder = Path(data_dir, name)
        files.remove_leftovers(folder)
        present = any(os.path.lexists(place / f"{file}.gz")
                      for place in (folder, folder.parent)
                      for file in data.FILES)
        try:
            data.load(name, data_dir)
            return name, data_dir
        except Fault as fault:
            if dataset != "auto" or present or fault.code != DATA:
                raise
            warn("compare.py", f"{fault} -- GOING ON WITH GENERATED DIGITS, "
                               "which are not MNIST")
    with contextlib.suppress(Fault):  # not there, or not whole
        data.load("digits", data_dir)
        return "digits", data_dir
    # In a process of its own, for its memory, that ends when this one does.
    code = subprocess.run(
        [sys.executable, str(launch.CHILD), str(os.getpid()), "all", "-",
         str(DIGITS), str(CACHE)], stdout=subprocess.DEVNULL).returncode
    if code:
        raise Fault(code if 0 < code < 128 else DATA,
                    "the digits could not be generated")
    return "digits", str(CACHE)
