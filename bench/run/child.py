"""Start a script so that it cannot outlive whoever started it.

    python bench/run/child.py PARENT CPUS SEEN SCRIPT [ARGUMENT ...]

PARENT is the process id to live with, CPUS a comma-separated list of cores or
'all', SEEN a file for what can only be seen from inside, or '-'. It stands
between the grid and a script, so that the two scripts need not know that they
are being compared. Imports nothing of the project.
"""

import contextlib
import ctypes
import gc
import json
import os
import re
import resource
import runpy
import signal
import sys
import threading
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1  # linux/prctl.h
# Variables that change results or timings, by the start of their names.
TELLING = ("XLA_", "JAX_", "TF32_", "NVIDIA_TF32", "OMP_", "MKL_", "KMP_",
           "OPENBLAS_", "TORCH_", "TORCHINDUCTOR_", "PYTORCH_", "CUDA_",
           "CUBLAS_", "TRITON_", "NPROC", "PJRT_NPROC", "MALLOC_", "LD_PRELOAD",
           "ATEN_", "ONEDNN_", "DNNL_", "GLIBC_TUNABLES", "PYTHONDEVMODE",
           "PYTHONMALLOC", "PYTHONTRACEMALLOC")


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
    parent, cpus, seen, script, *arguments = sys.argv[1:]
    tie_to(int(parent))
    if cpus != "all":
        os.sched_setaffinity(0, {int(cpu) for cpu in cpus.split(",")})
    # As if the script had been called by its own name.
    sys.argv = [script, *arguments]
    # A contender may lie anywhere and still import bench.kit, also
    # beside a data.py of its own.
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    sys.path.insert(1, os.path.dirname(os.path.abspath(script)))
    given = caches()
    try:
        runpy.run_path(script, run_name="__main__")
    finally:
        if seen != "-":
            with contextlib.suppress(OSError), open(seen, "x") as file:
                json.dump(look(given), file, sort_keys=True)


def look(given):
    """Cores, variables and modes as the script leaves them, and the peak
    memory: wait4 would add the compilers that it has started. given: the
    compile caches that it was to use."""
    found = {"variables": telling(os.environ), "modes": {}, "priority": None}
    with contextlib.suppress(Exception):  # a framework that is half there
        found["modes"].update(modes())
        found["modes"]["own compile cache"] = caches() != given
    if hasattr(os, "sched_getaffinity"):
        found["affinity"] = sorted(os.sched_getaffinity(0))
        found["priority"] = f"{os.nice(0)} of class {os.sched_getscheduler(0)}"
    try:  # not ru_maxrss, which begins with the peak of who started this
        status = Path("/proc/self/status").read_text()
        peak = 1024 * int(re.search(r"VmHWM:\s*(\d+)", status)[1])
    except (OSError, TypeError):  # macOS counts in bytes
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {**found, "host_peak_bytes": peak}


def caches():
    """Folders of the compile caches: what JAX uses, or will, and Inductor."""
    jax = sys.modules.get("jax")
    return [jax.config.jax_compilation_cache_dir if jax else
            os.environ.get("JAX_COMPILATION_CACHE_DIR"),
            os.environ.get("TORCHINDUCTOR_CACHE_DIR")]


def modes():
    """Modes of Python and of a framework that change how fast it is."""
    found = {"garbage collection": gc.isenabled(),
             "python tracing": bool(sys.gettrace() or sys.getprofile())}
    if torch := sys.modules.get("torch"):
        found.update({
            "threads": torch.get_num_threads(),
            "torch anomaly detection": torch.is_anomaly_enabled(),
            "torch deterministic algorithms":
                torch.are_deterministic_algorithms_enabled(),
            "torch profiler": torch._C._autograd._profiler_enabled(),
            # As XLA does; the call changes nothing where it is off already,
            # and says whether the processor can.
            "torch flushes denormals": sys.float_info.min / 2 == 0
                or not torch.set_flush_denormal(False)})
        if dynamo := sys.modules.get("torch._dynamo"):
            found["torch compiles"] = not dynamo.config.disable
            counted = dynamo.utils.counters  # compiled, or found in its cache
            if counted["stats"]["unique_graphs"]:
                found["torch compiles with inductor"] = bool(counted["inductor"])
    if jax := sys.modules.get("jax"):
        found.update({name: jax.config.values.get(name, False) for name in (
            "jax_debug_nans", "jax_debug_infs", "jax_disable_jit",
            "jax_enable_checks", "jax_check_tracer_leaks",
            "jax_log_compiles", "jax_disable_most_optimizations")})
        state = getattr(sys.modules.get("jax._src.profiler"),
                        "_profile_state", None)
        found["jax profiler"] = bool(getattr(state, "profile_session", None))
    return found


def telling(variables):
    """Those that a reader of timings must know; no paths."""
    return {name: value for name, value in sorted(variables.items())
            if name.startswith(TELLING) and not name.endswith("_DIR")}


if __name__ == "__main__":
    main()
