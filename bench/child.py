"""Start a script so that it cannot outlive whoever started it.

    python bench/child.py PARENT CPUS PEAK SCRIPT [ARGUMENT ...]

PARENT is the process id to live with, CPUS a comma-separated list of cores or
'all', PEAK a file for the peak memory of this process, or '-'. It stands
between the grid and a script, so that the two scripts need not know that they
are being compared. Imports nothing of the project.
"""

import ctypes
import os
import resource
import runpy
import signal
import sys
import threading
import time

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def tie_to(parent):
    """Have the kernel kill this process when `parent` dies, even by SIGKILL;
    where the kernel cannot (not Linux), look every second."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:  # it died before the line above
        os._exit(1)


def _watch(parent):
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def main():
    parent, cpus, peak, script, *arguments = sys.argv[1:]
    tie_to(int(parent))
    if cpus != "all":
        os.sched_setaffinity(0, {int(cpu) for cpu in cpus.split(",")})
    # As if the script had been called by its own name.
    sys.argv = [script, *arguments]
    # A contender may lie anywhere and still import bench.contender, also
    # beside a data.py of its own.
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    sys.path.insert(1, os.path.dirname(os.path.abspath(script)))
    try:
        runpy.run_path(script, run_name="__main__")
    finally:
        # From inside: wait4 would add the compilers that it has started.
        if peak != "-":
            write_peak(peak)


def write_peak(path):
    """Largest resident size of this process so far, in bytes, as text."""
    kibibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with open(path, "x") as file:
        file.write(str(kibibytes * (1 if sys.platform == "darwin" else 1024)))


if __name__ == "__main__":
    main()
