"""Where a run takes place: what a reader needs to judge its timings, and
what a rung or a precision needs to run at all.

No user name, host name or full environment: records are made to be shared.
"""

import getpass
import importlib.metadata
import os
import platform
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bench.cli import ENVIRONMENT, Fault

# Variables that change results or timings, by the start of their names.
TELLING = ("XLA_", "JAX_", "TF32_", "NVIDIA_TF32", "OMP_", "MKL_", "KMP_",
           "OPENBLAS_", "TORCH_", "TORCHINDUCTOR_", "PYTORCH_", "CUDA_",
           "CUBLAS_", "TRITON_", "NPROC", "PJRT_NPROC", "MALLOC_", "LD_PRELOAD")


def process_age():
    """Seconds since the kernel created this process (0.0 where it does not
    tell): the time a user waits begins before the first line of Python."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - started)
    except (OSError, ValueError, IndexError, AttributeError):
        return 0.0


def cores():
    """Number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def affinity():
    """Numbers of the cores that this process may use, or None."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return None


def cpu_model():
    """The processor's name as the kernel tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def accelerators():
    """NVIDIA devices that the kernel shows, found without touching them."""
    return sorted(str(path) for path in Path("/dev").glob("nvidia[0-9]*")) + [
        path.read_text().partition("\n")[0].split("\t")[-1].strip()
        for path in sorted(Path("/proc/driver/nvidia/gpus").glob(
            "*/information"))]


def version(package):
    """Version of an installed package, or None, without importing it."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def peak_bytes():
    """Largest resident size of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def describe():
    """Everything about the machine that is the same for every framework."""
    return {
        "python": platform.python_version(), "numpy": np.__version__,
        "system": f"{platform.system()} {platform.machine()}",
        "cpu_model": cpu_model(), "cores": cores(),
        "variables": {name: value for name, value in sorted(os.environ.items())
                      if name.startswith(TELLING)
                      and not name.endswith("_DIR")},
    }


def cache_state(framework):
    """'warm' if the framework's compile cache already holds something,
    else 'cold': a warm cache makes compile seconds incomparable."""
    if framework == "torch":
        try:
            user = getpass.getuser()
        except (KeyError, OSError):
            user = ""
        folder = os.environ.get("TORCHINDUCTOR_CACHE_DIR") or Path(
            tempfile.gettempdir(), f"torchinductor_{user}")
    else:
        folder = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    try:
        return "warm" if folder and any(Path(folder).iterdir()) else "cold"
    except OSError:
        return "cold"


# ------------------------------------------------------------- what it lacks

def find_device(find, wanted):
    """find() -> the device, or Fault 4: asked for and absent is an error,
    never a fallback to another."""
    try:
        return find()
    except Exception as error:
        chosen = os.environ.get("JAX_PLATFORMS")  # may fail without a word
        raise Fault(ENVIRONMENT, f"argument --device: {wanted}: "
                    f"{type(error).__name__}: {error}. Choose --device cpu, "
                    "or repair the driver" + (
                        f" (JAX_PLATFORMS is {chosen!r})" if chosen else "")
                    ) from error


def check_tf32(precision, capability):
    """Fault 4 when TF32 is asked for on a device without it (NVIDIA GPUs have
    it from compute capability 8.0 on)."""
    if precision == "tf32" and float(capability) < 8:
        raise Fault(ENVIRONMENT, "argument --precision: tf32: this device has "
                                 "no TF32. Choose fp32")


def check_torch_rung(mode, device):
    """Fault 4 where a compiled rung of PyTorch cannot run on this machine."""
    if mode == "epoch" and device == "cpu":
        raise Fault(ENVIRONMENT, "argument --mode: epoch: replays a CUDA "
                                 "graph and needs an NVIDIA GPU. Choose step")
    # Inductor writes C++ for a CPU; for a GPU Triton compiles its launchers.
    language, variable, *names = (
        ("C++", "CXX", "g++", "clang++") if device == "cpu" else
        ("C", "CC", "gcc", "clang"))
    if mode in ("step", "epoch") and not any(
            name and shutil.which(name.split()[0])
            for name in (os.environ.get(variable), *names)):
        raise Fault(ENVIRONMENT, f"argument --mode: {mode}: torch.compile "
                                 f"needs a {language} compiler and found none "
                                 f"of ${variable}, {', '.join(names)}. "
                                 f"Install {names[0]}, or choose eager")
