"""The folder of a comparison: held by one process at a time."""

import contextlib
import fcntl
import os
import re

from bench.kit import files
from bench.kit.cli import STORAGE, Fault, clean, warn

# Names in OUT/runs that this program gives to records and to what it sets aside.
OURS = re.compile(r"[a-z0-9-]+_[a-z]+_[a-z]+_b\d+_s\d+_r\d+_[0-9a-f]{12}\.json"
                  r"((\.\d+)?\.bad)?|\.tmp-.*")


@contextlib.contextmanager
def waited(path):
    """Hold the file `path` against all others that ask for it, after them."""
    with open(path, "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def held(out):
    """Does a comparison hold this folder?"""
    try:
        with open(out / ".lock", "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # there is none
        return False
    return False


@contextlib.contextmanager
def locked(out):
    """Hold the folder `out` (a Path); Fault 5 if another comparison has it or
    it cannot be written. The lock dies with the process: none goes stale."""
    runs = out / "runs"
    for folder in (out, runs, out / "init"):
        files.make_folder(folder)
    try:  # O_NOFOLLOW: what a planted link points to is not ours
        lock = os.open(out / ".lock",
                       os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        raise Fault(STORAGE, f"cannot write in: {str(out)!r}: "
                    f"{error.strerror}. Choose another --out") from error
    with open(lock, "r+b", buffering=0) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = clean(file.read(20).decode("ascii", "replace"))
            raise Fault(STORAGE, f"{str(out)!r} is in use by process {holder}"
                        ". Wait for it, or choose another --out") from error
        with contextlib.suppress(OSError):  # the number is only told
            file.truncate(0)
            file.write(str(os.getpid()).encode())
        for folder in (out, runs, out / "init", out / "figures"):
            files.remove_leftovers(folder)
        foreign = sorted(path.name for path in runs.iterdir()
                         if not OURS.fullmatch(path.name))
        if foreign:
            warn("compare.py", f"warning: {str(runs)!r}: no records and "
                 f"ignored: {len(foreign)}, of them {foreign[:3]}")
        yield
