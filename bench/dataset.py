"""Which data a comparison is about: MNIST, or the generated digits."""

import os
import subprocess
import sys
from pathlib import Path

import data
from bench import launch
from bench.cli import DATA, Fault, warn
from bench.record import remove_leftovers

DIGITS = Path(__file__).resolve().with_name("digits.py")
CACHE = DIGITS.parent.parent / ".cache"  # for generated digits


def find_data(dataset, data_dir):
    """Verify the data once, before any run -> (name, folder): 'mnist' or
    'digits', and the --data-dir that has them.

    'auto' is MNIST when it is cached or can be fetched, else the generated
    digits; but a damaged file is Fault 3, not a silent change of data.
    """
    if dataset in ("mnist", "auto"):
        folder = Path(data_dir, "mnist")
        remove_leftovers(folder)
        present = any(os.path.lexists(place / f"{name}.gz")
                      for place in (folder, folder.parent)
                      for name in data.FILES)
        try:
            data.load("mnist", data_dir)
            return "mnist", data_dir
        except Fault as fault:
            if dataset == "mnist" or present or fault.code != DATA:
                raise
            warn("compare.py", f"{fault} -- GOING ON WITH GENERATED DIGITS, "
                               "which are not MNIST")
    try:
        data.load("digits", data_dir)
        return "digits", data_dir
    except Fault:  # not there, or not whole
        pass
    # In a process of its own, for its memory, that ends when this one does.
    code = subprocess.run(
        [sys.executable, str(launch.CHILD), str(os.getpid()), "all", "-",
         str(DIGITS), str(CACHE)], stdout=subprocess.DEVNULL).returncode
    if code:
        raise Fault(code if 0 < code < 128 else DATA,
                    "the digits could not be generated")
    return "digits", str(CACHE)
