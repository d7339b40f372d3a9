"""A script in a process of its own: started, listened to, ended, judged.

The child gets a session of its own (one signal ends it and what it started),
pipes that are read for as long as it runs (a full pipe blocks a child for
ever) and a limit of wall clock (a silent hang never ends by itself). Nothing
is polled: the parent sleeps until a line, a signal or the limit comes.
"""

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

from bench.kit import files
from bench.kit.cli import DIVERGED, ENVIRONMENT, STORAGE, Fault, Stopped, clean, told
from bench.run import environment
from bench.run.watch import Paused, Watch

CHILD = Path(__file__).resolve().parent / "child.py"
LOG_LIMIT = 16 * 2**20  # bytes of output after which a child is stopped
TAIL = 16384            # of them that are kept
GRACE = 5               # seconds between asking a child to end and ending it
SPOKEN = re.compile(rb"(ready|epoch \d+ \d[^ ]*|done \d+)")  # with --turns
clock = time.perf_counter


class Child:
    """One process. timeout: seconds that it may work; waiting for its turn
    counts against no limit."""

    def __init__(self, script, arguments, cpus, timeout, kept, place,
                 turns=False):
        """cpus: its cores (None: all); kept: the folder of its compile cache
        (None: an empty one); place: a new folder, inside that of the
        comparison, for what it leaves."""
        place.mkdir()
        self.inside, self.out = place / "seen", place.parent
        self.timeout = self.left = timeout
        variables = _variables(kept, place)
        if turns and environment.accelerators():  # one GPU for all of them
            variables.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        self.seen = {"environment": environment.describe(variables, cpus),
                     "affinity": cpus or environment.affinity(),
                     "cache": environment.cache_states(variables, kept),
                     "host_peak_bytes": None}
        self.status, self.reasons, self.lines = None, [], []
        self.written, self.tail = 0, b""
        self.process = subprocess.Popen(
            [sys.executable, str(CHILD), str(os.getpid()),
             ",".join(map(str, cpus or ["all"])), str(self.inside),
             str(script), *arguments, *["--turns"] * turns],
            stdin=subprocess.PIPE if turns else subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=variables,
            start_new_session=True)
        self.pipes = {pipe.fileno(): b"" for pipe in (
            self.process.stdout, self.process.stderr)}

    def was_paused(self):
        """Whether someone has stopped and continued it."""
        with contextlib.suppress(ChildProcessError):  # it has ended
            return hasattr(os, "waitid") and os.waitid(
                os.P_PID, self.process.pid,
                os.WCONTINUED | os.WNOHANG) is not None
        return False

    def busy(self):
        """Seconds of processor time that it has used, or None."""
        with contextlib.suppress(OSError):  # clock of a process: Linux
            return time.clock_gettime(~self.process.pid << 3 | 2)
        return None

    def threads(self):
        """{thread: seconds of processor time that it has used}; empty where
        the kernel does not tell (macOS)."""
        found = {}
        with contextlib.suppress(OSError):  # it has ended
            for path in Path(f"/proc/{self.process.pid}/task").iterdir():
                with contextlib.suppress(OSError):  # that thread has
                    found[path.name] = int((
                        path / "schedstat").read_bytes().split()[0]) / 1e9
        return found

    def hear(self, watch):
        """Sleep until it says its next line -> (the line's words, when it
        came), or None when it has ended or had to be stopped."""
        begin = clock()
        while not self.lines and self.status is None:
            patience = max(0.0, self.left - (clock() - begin))
            ended = self.process.poll() is not None
            ready, *_ = select.select([*self.pipes, watch.pipe], [], [],
                                      0 if ended else patience)
            now = clock()
            watch.check()
            heard = [self._read(pipe, now) for pipe in ready
                     if pipe != watch.pipe]
            if self.written > LOG_LIMIT:
                self.stop("failed", f"more than {LOG_LIMIT} bytes of output: "
                                    "stopped")
            elif ended and not heard:
                break
            elif patience <= 0:
                self.stop("timeout", f"no end within {self.timeout:g} s: "
                                     "stopped")
        self.left -= clock() - begin
        return self.lines.pop(0) if self.lines else None

    def _read(self, pipe, now):
        """Take what lies in a pipe: lines that are spoken, and others."""
        text = os.read(pipe, 65536)
        *lines, rest = (self.pipes.pop(pipe) + text).split(b"\n")
        if text:
            self.pipes[pipe] = rest[-TAIL:]  # a line may have no end
        elif rest:
            lines.append(rest)
        self.written += len(text)
        for line in lines:
            if SPOKEN.fullmatch(line) and pipe == self.process.stdout.fileno():
                self.lines.append((line.decode().split(), now))
            else:
                self.tail = (self.tail + line + b"\n")[-TAIL:]

    def expect(self, words, watch):
        """Its next line must begin with these words -> what hear() gives, or
        None: it has ended, or was stopped for saying something else."""
        heard = self.hear(watch)
        if heard and heard[0][:len(words)] != words:
            self.stop("failed", f"said {' '.join(heard[0])!r} and not "
                                f"{' '.join(words)!r}")
            return None
        return heard

    def go(self):
        """Give it its turn."""
        with contextlib.suppress(OSError):  # it has ended; hear() will tell
            os.write(self.process.stdin.fileno(), b"go\n")

    def stop(self, status, reason):
        """End it, because of this."""
        self.status = status
        self.reasons.append(reason)
        self.end()

    def end(self):
        """End it and everything that it has started, and wait for it."""
        stopped = None
        for signum, patience in ((signal.SIGTERM, GRACE), (signal.SIGKILL, 30)):
            try:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    # Also after a normal end: a grandchild may be left.
                    os.killpg(self.process.pid, signum if self.process.poll()
                              is None else signal.SIGKILL)
                self.process.wait(patience)
                break
            except subprocess.TimeoutExpired:
                continue  # it did not listen: kill
            except Stopped as signalled:
                stopped = signalled  # the user asks (again): kill at once
        for pipe in (self.process.stdin, self.process.stdout,
                     self.process.stderr):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()
        self.pipes = {}
        if stopped:
            raise stopped

    def outcome(self):
        """(status, how it ended, what was seen of it), after end(). Fault 5
        where it could not write: it would fail all that follow, too."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            found = json.loads(self.inside.read_text("utf-8"))
            self.seen["environment"].update(
                {name: found.pop(name)
                 for name in ("variables", "modes", "priority")})
            self.seen.update(found)
        ending = _ending(self.process.returncode, self.tail)
        if not self.reasons and ending["signal"] == "SIGKILL":
            self.reasons.append("SIGKILL from outside: out of memory?")
        ending["tail"] += self.reasons
        if ending["code"] == STORAGE:
            raise Fault(STORAGE, (ending["tail"] or [
                f"cannot write in: {str(self.out)!r}, not even the reason: "
                "the disk is full, or a limit on files"])[-1])
        return self.status or _status(ending), ending, self.seen


def run(script, arguments, cpus, timeout, kept, out):
    """Run `script` with `arguments` to its end -> Child.outcome(). out: the
    folder of the comparison."""
    while True:
        try:
            with files.temporary(out) as place, Watch() as watch:
                child = Child(script, arguments, cpus, timeout, kept, place)
                watch.children = [child]
                try:
                    while child.hear(watch):
                        pass
                finally:
                    child.end()
                return child.outcome()
        except Paused:
            continue
        except OSError as error:
            return lost(error, out)


def lost(error, out):
    """An outcome without a process: it could not be started. Fault 5 where
    the reason is that the folder of the comparison is gone."""
    if error.filename and not os.path.isdir(out):
        raise Fault(STORAGE, f"{str(out)!r} is gone. Start again with another "
                             "--out") from error
    return "failed", {"code": None, "signal": None, "tail": [
        f"cannot start: {error.strerror}"]}, {}


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


def _ending(code, tail):
    """Exit code (negative: signal) and the last lines of the output."""
    name = None
    if (code or 0) < 0:
        known = {member.value: member.name for member in signal.Signals}
        code, name = None, known.get(-code, f"signal {-code}")
    lines = tail.decode("utf-8", "replace").splitlines()
    return {"code": code, "signal": name,
            "tail": [clean(line, 500) for line in told(lines)[-20:]]}


def _status(ending):
    if ending["signal"] or (ending["code"] or 0) > 128:
        return "killed"  # from outside; a script turns SIGTERM into 143
    if ending["code"] == 0:
        return "ok"  # if the record says so, too
    text = "\n".join(ending["tail"])
    if re.search(r"RESOURCE_EXHAUSTED|OutOfMemoryError|MemoryError"
                 r"|out of memory|can't allocate memory|ALLOC_FAILED"
                 r"|unable to find an engine", text):  # so cuDNN says it
        return "oom"
    return {DIVERGED: "diverged", ENVIRONMENT: "unavailable"}.get(
        ending["code"], "failed")
