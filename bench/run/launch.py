"""One script in one process: started, watched, ended, judged.

The child gets a session of its own (one signal ends it and what it started),
an output file in place of pipes (a full pipe blocks the child for ever) and a
wall-clock limit (a silent hang never ends by itself).
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from bench.kit import files
from bench.kit.cli import DIVERGED, ENVIRONMENT, STORAGE, Fault, Stopped, clean, told
from bench.run import environment

CHILD = Path(__file__).resolve().parent / "child.py"
LOG_LIMIT = 16 * 2**20  # bytes of output after which a child is stopped
PAUSED = "paused"       # not a state of a record: the run starts again
GRACE = 5               # seconds between asking a child to end and ending it
POLL = 0.5              # seconds between two looks at a child


def run(script, arguments, cpus, timeout, out, kept=None):
    """Run `script` with `arguments` in a process of its own, on the cores
    `cpus` (None: all), for at most `timeout` seconds -> (status, ending,
    seen): its state, how it ended, and what record.complete adds to its
    record. out: the folder of the comparison; kept: a folder for its compile
    cache, in place of an empty one."""
    seen, status = {}, PAUSED
    try:
        with files.temporary(out) as place:
            place.mkdir()
            inside, log = place / "seen", place / "log"
            command = [sys.executable, str(CHILD), str(os.getpid()),
                       ",".join(map(str, cpus or ["all"])), str(inside),
                       str(script), *arguments]
            variables = _variables(kept, place)
            seen = {"environment": environment.describe(variables, cpus),
                    "affinity": cpus or environment.affinity(),
                    "cache": environment.cache_states(variables),
                    "host_peak_bytes": None}
            while status == PAUSED:
                inside.unlink(missing_ok=True)
                with open(log, "wb") as output:
                    status, code = _wait(command, variables, output, timeout)
            ending = _ending(code, log)
            _look(inside, seen)
        if status or ending["signal"] == "SIGKILL":
            ending["tail"].append({
                "timeout": f"no end within {timeout:g} s: stopped",
                "failed": f"more than {LOG_LIMIT} bytes of output: stopped",
                None: "SIGKILL from outside: out of memory?"}[status])
    except OSError as error:
        if error.filename and not os.path.isdir(out):
            raise Fault(STORAGE, f"{str(out)!r} is gone. Start again with "
                                 "another --out") from error
        status, ending = "failed", {
            "code": None, "signal": None,
            "tail": [f"cannot start: {error.strerror}"]}
    return status or _status(ending), ending, seen


def _variables(kept, place):
    """The environment of a child: an empty compile cache for each run, unless
    the user chose one. A warm one would make the second run of a variant
    compile in no time. TMPDIR too, because there, and not in its cache,
    Inductor keeps the C++ headers that it precompiles (some 4 s of the first
    compilation)."""
    found = dict(os.environ)
    folder = Path(kept or place / "cache").resolve()
    if kept or "TORCHINDUCTOR_CACHE_DIR" not in found:
        folder.mkdir(exist_ok=True)
        found.update(
            TMPDIR=str(folder), TRITON_CACHE_DIR=str(folder / "triton"),
            TORCHINDUCTOR_CACHE_DIR=str(folder / "inductor"))
    if kept:  # JAX keeps only what took a second, unless told
        found.update(
            JAX_COMPILATION_CACHE_DIR=str(folder / "jax"),
            JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0",
            JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES="-1")
    return found


def _look(path, seen):
    """Add what child.py has seen from inside, where it left that."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        found = json.loads(path.read_text("utf-8"))
        seen["environment"]["variables"] = found.pop("variables")
        seen.update(found)


def _wait(command, variables, output, timeout):
    """-> ('timeout', 'failed' or PAUSED if it had to be stopped, exit code).

    At Ctrl-Z the run under way is ended, because a pause makes its timing
    void, and then this process stops; continued, it starts the run again.
    """
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        env=variables, start_new_session=True)
    end = time.monotonic() + timeout
    status, asked = None, []
    before = signal.signal(signal.SIGTSTP, lambda *_: asked.append(True))
    try:
        while status is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(min(POLL, max(0.01, end - time.monotonic())))
                break
            if time.monotonic() >= end:
                status = "timeout"
            elif os.fstat(output.fileno()).st_size > LOG_LIMIT:
                status = "failed"
            elif asked or _was_paused(child):
                status = PAUSED
    finally:
        _stop_group(child)
        signal.signal(signal.SIGTSTP, before)
    if asked:
        os.kill(os.getpid(), signal.SIGSTOP)
    return status, child.returncode


def _was_paused(child):
    """Whether someone has stopped and continued the child itself."""
    return hasattr(os, "waitid") and os.waitid(
        os.P_PID, child.pid, os.WCONTINUED | os.WNOHANG) is not None


def _stop_group(child):
    """End a child and everything it has started, and wait for it."""
    stopped = None
    for signum, patience in ((signal.SIGTERM, GRACE), (signal.SIGKILL, 30)):
        try:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                # Also after a normal end: a grandchild may be left.
                os.killpg(child.pid, signum if child.poll() is None
                          else signal.SIGKILL)
            child.wait(patience)
            break
        except subprocess.TimeoutExpired:
            continue  # it did not listen: kill
        except Stopped as signalled:
            stopped = signalled  # the user asks (again): kill at once
    if stopped:
        raise stopped


def _ending(code, log):
    """Exit code (negative: signal) and the last lines of the output."""
    with open(log, "rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 16384))
        lines = file.read().decode("utf-8", "replace").splitlines()
    name = None
    if (code or 0) < 0:
        known = {member.value: member.name for member in signal.Signals}
        code, name = None, known.get(-code, f"signal {-code}")
    return {"code": code, "signal": name,
            "tail": [clean(line, 500) for line in told(lines)[-20:]]}


def _status(ending):
    if ending["signal"] or (ending["code"] or 0) > 128:
        return "killed"  # from outside; a script turns SIGTERM into 143
    if ending["code"] == 0:
        return "ok"  # if the record says so, too
    text = "\n".join(ending["tail"])
    if re.search(r"RESOURCE_EXHAUSTED|OutOfMemoryError|MemoryError"
                 r"|out of memory|can't allocate memory", text):
        return "oom"
    return {DIVERGED: "diverged", ENVIRONMENT: "unavailable"}.get(
        ending["code"], "failed")
