"""Which data a comparison is about: MNIST, or the generated digits."""

import os
import subprocess
import sys
from pathlib import Path

import data
from bench import launch
from bench.cli import DATA, Fault, warn

DIGITS = Path(__file__).resolve().with_name("digits.py")


def find_data(dataset, data_dir):
    """Verify the data once, before any run -> 'mnist' or 'digits'.

    'auto' is MNIST when it is cached or can be fetched, else the generated
    digits; but a damaged file is Fault 3, not a silent change of data.
    """
    folder = Path(data_dir, "mnist")
    if dataset in ("mnist", "auto"):
        present = any(os.path.lexists(folder / f"{name}.gz")
                      for name in data.MNIST)
        try:
            data.obtain(folder)
            return "mnist"
        except Fault as fault:
            if dataset == "mnist" or present or fault.code != DATA:
                raise
            warn("compare.py", f"{fault} -- GOING ON WITH GENERATED DIGITS, "
                               "which are not MNIST")
    # In a process of its own, for its memory, that ends when this one does.
    code = subprocess.run(
        [sys.executable, str(launch.CHILD), str(os.getpid()), "all",
         str(DIGITS)],
        stdout=subprocess.DEVNULL).returncode
    if code:
        raise Fault(code if 0 < code < 128 else DATA,
                    "the digits could not be generated")
    return "digits"
