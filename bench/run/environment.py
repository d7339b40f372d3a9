"""Where a run takes place: what a reader needs to judge its timings.

No user name, host name or full environment: records are made to be shared.
"""

import contextlib
import functools
import importlib.metadata
import os
import platform
import re
import subprocess
from pathlib import Path

import numpy as np

from bench.kit import files
from bench.kit.program import cores
from bench.run.child import telling


def affinity():
    """Numbers of the cores that this process may use, or None."""
    choose = hasattr(os, "sched_getaffinity")
    return sorted(os.sched_getaffinity(0)) if choose else None


def cpu_model():
    """The processor's name as the kernel tells it."""
    with contextlib.suppress(OSError):
        text = Path("/proc/cpuinfo").read_text()
        if found := re.search("^model name.*?:(.*)", text, re.MULTILINE):
            return found[1].strip()
    return platform.processor() or platform.machine()


def accelerators():
    """NVIDIA devices that the kernel shows, found without touching them."""
    return sorted(str(path) for path in Path("/dev").glob("nvidia[0-9]*")) + [
        path.read_text().partition("\n")[0].split("\t")[-1].strip()
        for path in sorted(Path("/proc/driver/nvidia/gpus").glob(
            "*/information"))]


def version(package):
    """Version of an installed package, or None, without importing it."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(package)


# What a record's environment says beside the versions of packages.
PLACE = ("device_kind", "device_name", "cpu_model", "threads", "cores", "system",
         "variables", "modes", "priority", "commit", "python", "numpy")


@functools.cache
def commit():
    """Of this program; it ends with + where a file was changed since. None
    without git, or outside of a repository."""
    def git(*words):  # not of a repository that this folder merely lies in
        return subprocess.run(
            ["git", "--git-dir=.git", "--work-tree=.", *words], cwd=files.ROOT,
            # It looks and does not write, not even its index.
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
            capture_output=True, text=True).stdout.strip()
    with contextlib.suppress(OSError):
        if name := git("rev-parse", "--short=10", "HEAD"):
            return name + "+" * bool(git("status", "--porcelain", "-uno"))
    return None


def free_bytes(gpu=False):
    """Memory that new processes may use, or None where nobody tells: what the
    kernel calls available, and what is left of a container's limit. Files that are
    only cached count as free. gpu: and what is free on the first GPU, if that is
    less."""
    found, limits = [], Path("/sys/fs/cgroup")
    with contextlib.suppress(ValueError):
        mib, *_ = (_ask_gpu("memory.free") if gpu else "").split()
        found.append(2**20 * int(mib))
    with contextlib.suppress(OSError, TypeError):
        text = Path("/proc/meminfo").read_text()
        found.append(1024 * int(re.search(r"MemAvailable:\s*(\d+)", text)[1]))
    with contextlib.suppress(OSError, TypeError, ValueError):  # "max": no limit
        used = re.search(r"(?m)^anon (\d+)", (limits / "memory.stat").read_text())[1]
        found.append(int((limits / "memory.max").read_text()) - int(used))
    return min(found, default=None)


def exclusive():
    """Does an NVIDIA GPU admit one process at a time, as nvidia-smi tells?"""
    return "Exclusive_Process" in _ask_gpu("compute_mode")


def _ask_gpu(what):
    """What nvidia-smi says to it, a line a GPU; "" without one."""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        return subprocess.run(
            ["nvidia-smi", f"--query-gpu={what}", "--format=csv,noheader,nounits"],
            capture_output=True, text=True, timeout=30).stdout
    return ""


def describe(variables=os.environ, cpus=None):
    """Everything about the machine that is the same for every framework.
    variables: those of the process in question; cpus: its cores, None: all"""
    found = {
        "python": platform.python_version(), "numpy": np.__version__,
        "system": f"{platform.system()} {platform.machine()}",
        "cpu_model": cpu_model(), "cores": len(cpus) if cpus else cores(),
        "variables": telling(variables), "commit": commit(),
    }
    return {name: value for name, value in found.items() if value is not None}


def versions(found):
    """{package: version} that a program has written into its environment."""
    return {name: value for name, value in found.items() if name not in PLACE}


def cache_states(variables, kept=None):
    """{framework: 'warm' if the compile cache that these variables name holds
    something already, else 'cold'}: a warm cache makes compile seconds
    incomparable. A child is always given the name of Inductor's. kept: a
    folder that is warm as soon as a run has filled it, were it with nothing
    (eager PyTorch)."""
    states = {}
    for framework, name in (("jax", "JAX_COMPILATION_CACHE_DIR"),
                            ("torch", "TORCHINDUCTOR_CACHE_DIR")):
        states[framework], folder = "cold", variables.get(name)
        with contextlib.suppress(OSError):
            if (kept and (kept / "filled").exists()
                    or folder and any(Path(folder).iterdir())):
                states[framework] = "warm"
    return states
