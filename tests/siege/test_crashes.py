"""Crash consistency: SIGKILL at random moments, then the same sweep again.

After every kill: nothing that was finished is lost, nothing under a final
name is partial, nothing that was started is alive. After the last one: the
records and tables of a sweep that was never killed, but for times and memory.
"""

import json
import os
import random
import shutil
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from siege import runs

SWEEP = {
    "stub": ("--variants", "twig:eager", "twig:step", "--batch-sizes", 64, 65),
    "pair": ("--variants", "jax:step", "torch:eager", "--epochs", 1,
             "--batch-sizes", 64, 65)}
IN_A_BLOCK = 3  # the two variants and the control
# Seconds that a sweep takes, about; with what is made before its first run
# (weights, certificate, the machine's peak), and without.
LONGEST = {("stub", False): 5.0, ("stub", True): 2.5, ("pair", True): 12.0}
BEFORE = ("init", "certificate.json", "peak.json")

# In every process: where a file is written, pause() is called before each
# fsync and rename, and after a file was made, when it is still empty.
PAUSES = """
import builtins
opens = os.open, builtins.open
def paused(function):
    return lambda *arguments: (pause(), function(*arguments))[1]
def os_open(path, flags, *more, **named):
    handle = opens[0](path, flags, *more, **named)
    if flags & os.O_EXCL:
        pause()
    return handle
def open_(file, mode="r", *more, **named):  # not what write_atomic calls
    handle = opens[1](file, mode, *more, **named)
    if "w" in mode and str(file).endswith((
            ".json", ".csv", ".md", ".npz", ".png", ".svg")):
        pause()
    return handle
os.fsync, os.replace = paused(os.fsync), paused(os.replace)
os.open, builtins.open = os_open, open_
"""

# What is started is noted, and with MLP_SLOW=N the N-th pause lasts so long
# that whoever writes is killed inside it.
WRITES = """
import json, time
def note(name, *values):
    handle = opens[0](os.path.join(os.environ["MLP_NOTES"], name),
                      os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(handle, (json.dumps(values) + chr(10)).encode())
    os.close(handle)
def pause():
    if "MLP_NOTES" in os.environ:
        note("writes", os.getpid())
        with open(os.path.join(os.environ["MLP_NOTES"], "writes")) as file:
            count = len(file.readlines())
        if str(count) == os.environ.get("MLP_SLOW"):
            note("inside", os.getpid())
            time.sleep(600)
if "MLP_NOTES" in os.environ:
    if "child.py" in sys.argv[0] and any("--json=" in a for a in sys.argv):
        note("started", sys.argv[4:])
"""


class Havoc:
    """One folder, one sweep, many kills."""

    def __init__(self, kind, tmp_path, seed):
        self.kind, self.flags = kind, SWEEP[kind]
        self.random, self.folder = random.Random(seed), tmp_path
        self.plain, self.figures = tmp_path / "plain", tmp_path / "figures"
        for folder, text in ((self.plain, runs.NO_FIGURES),
                             (self.figures, "import os, sys\n")):
            folder.mkdir()
            (folder / "sitecustomize.py").write_text(text + PAUSES + WRITES)
        self.kills = dict.fromkeys(("parent", "child", "both"), 0)
        self.inside = self.sweeps = self.lost = self.partial = 0
        self.twice = self.alive = self.number = 0
        done = runs.compare(tmp_path / "reference", *self.flags)
        assert done.returncode == 0, done.stderr
        self.wanted = runs.essence(tmp_path / "reference")

    def start(self, out, slow=None):
        """Start the sweep -> (process, folder of what it notes)."""
        self.number += 1
        notes = self.folder / f"notes{self.number}"
        notes.mkdir()
        env = self.figures if self.random.random() < 0.2 else self.plain
        with open(notes / "said", "w") as said:
            return runs.start(out, *self.flags, stdout=said, stderr=said, env={
                "PYTHONPATH": str(env), "MLP_NOTES": str(notes),
                "MLP_SLOW": str(slow)}), notes

    def strike(self, process, mark, targets):
        """SIGKILL what is named -> whether all of it was alive before."""
        children = [pid for pid in runs.processes(mark) if pid != process.pid]
        if targets == "both" and not children:
            targets = "parent"
        pids = [process.pid] * (targets != "child") + (
            children if targets != "parent" else [])
        if not pids or process.poll() is not None:
            return False
        self.random.shuffle(pids)
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                return False
        self.kills[targets] += 1
        return True

    def finished(self, out):
        """{name: bytes} of the records whose whole block is done. The block
        that was running may be lost."""
        blocks = {}
        for name, r in (runs.records(out) if (out / "runs").exists()
                        else {}).items():
            if r["status"] == "ok":
                blocks.setdefault((r["config"]["batch_size"],
                                   r["block_started_unix_s"]), []).append(name)
        return {name: (out / "runs" / name).read_bytes()
                for names in blocks.values() if len(names) == IN_A_BLOCK
                for name in names}

    def attempt(self, out, inside):
        """One call of the program with at least one kill in it."""
        finished = self.finished(out)
        targets = self.random.choice(list(self.kills))
        # A write has four pauses: four tables, each record twice.
        slow = self.random.randint(
            1, 16 + 8 * (len(self.wanted) - len(finished))) if inside else None
        process, notes = self.start(out, slow)
        if inside:
            (notes / "inside").touch()
            found = runs.until(lambda: (notes / "inside").read_text()
                               or process.poll() is not None, 120, 0.005)
            writer = None if found is True else json.loads(found)[0]
            if targets == "child" and writer == process.pid:
                targets = "parent"
            self.inside += self.strike(process, out, targets)
        elif targets == "child":  # the sweep goes on: several in one call
            while process.poll() is None:
                time.sleep(self.random.uniform(0.05, self.longest / 4))
                self.strike(process, out, "child")
        else:
            time.sleep(self.random.uniform(0.02, self.longest * (
                1 - 0.15 * len(finished))))
            self.strike(process, out, targets)
        process.communicate(timeout=180)
        said = (notes / "said").read_text()
        assert process.returncode in (-9, 0, 1, 3, 4), said
        assert "unexpected" not in said and "Traceback" not in said, said
        self.inspect(out, finished, notes)

    def inspect(self, out, finished, notes):
        self.alive += not runs.gone(out, 20)
        wrong = runs.torn(out)
        self.partial += len(wrong)
        for name, content in finished.items():
            path = out / "runs" / name
            self.lost += not path.exists() or path.read_bytes() != content
        if (notes / "started").exists():
            done = [name.rpartition("_")[0] for name in finished]
            for line in (notes / "started").read_text().splitlines():
                script, *flags = json.loads(line)[0]
                flag = dict(text[2:].split("=") for text in flags
                            if text.count("=") == 1)
                # Not a run: the machine's speed, or the certificate, which
                # is made again where it was killed and keeps the weights.
                if "rung" not in flag or "save" in flag:
                    continue
                name = (f"{runs.name_of(script)}_{flag['rung']}_{flag['feed']}"
                        f"_b{flag['batch-size']}_s{flag['seed']}_r0")
                self.twice += name in done
        assert not wrong, wrong
        shutil.rmtree(notes)

    def sweep(self, most, inside):
        """One sweep: 4 to 16 kills, then one call in peace."""
        out = self.folder / f"out{self.sweeps}"
        # The certificate of the pair takes so long that kills would meet
        # little else; that of the stub is made in every second sweep.
        ready = self.kind == "pair" or self.sweeps % 2 == 1
        self.longest = LONGEST[self.kind, ready]
        out.mkdir()
        for name in BEFORE if ready else ():
            source = self.folder / "reference" / name
            (shutil.copytree if source.is_dir() else shutil.copy)(
                source, out / name)
        until = sum(self.kills.values()) + self.random.randint(
            min(4, most), min(16, most))
        calls = 0
        while sum(self.kills.values()) < until and calls < 16:
            self.attempt(out, inside(self))
            calls += 1
        process, notes = self.start(out)
        process.communicate(timeout=180)
        assert process.returncode == 0, (notes / "said").read_text()
        assert runs.essence(out) == self.wanted
        assert not list(out.rglob(".tmp-*")) and runs.torn(out) == []
        assert not list(out.rglob("*.bad"))
        self.sweeps += 1
        shutil.rmtree(out)

    def rage(self, kills, writes):
        """So many kills, so many of them inside a write -> what was seen."""
        def inside(self):
            return self.inside < writes and self.random.random() < (
                1.5 * writes / kills)
        while (left := kills - sum(self.kills.values())) > 0 or (
                self.inside < writes):
            self.sweep(max(1, left), inside)
        return Counter(
            **self.kills, kills=sum(self.kills.values()), inside=self.inside,
            sweeps=self.sweeps, lost=self.lost, partial=self.partial,
            twice=self.twice, alive=self.alive)


COUNTS = {"stub": Counter(), "pair": Counter()}


def said(kind):
    return ("{kills} SIGKILLs ({parent} of the parent, {child} of the child, "
            "{both} of both; {inside} inside a write) over {sweeps} sweeps of "
            "the {kind}: {lost} lost, {partial} partial, {twice} trained "
            "twice, {alive} left alive").format(
                kind=kind, **{**dict.fromkeys(
                    ("lost", "partial", "twice", "alive"), 0),
                    **COUNTS[kind]})


@pytest.mark.fault("C5", "C17", "C4", "G5")
@pytest.mark.parametrize("kind, kills, writes, seed", [
    ("stub", 8, 3, 1), *(
        pytest.param(kind, kills, writes, seed, marks=pytest.mark.slow)
        for kind, kills, writes, seeds in (
            ("stub", 50, 6, range(2, 11)), ("pair", 26, 4, range(11, 13)))
        for seed in seeds)])
def test_nothing_is_lost_and_nothing_partial(
        tmp_path, kind, kills, writes, seed):
    found = Havoc(kind, tmp_path, seed).rage(kills, writes)
    COUNTS[kind].update(found)
    print(said(kind))
    for what in ("lost", "partial", "twice", "alive"):
        assert found[what] == 0, found


@pytest.mark.slow
def test_the_counts(record_property):
    total = COUNTS["stub"] + COUNTS["pair"]
    if total["kills"] < 500:
        pytest.skip("only some of the sweeps were run")
    assert COUNTS["pair"]["kills"] >= 50 and total["inside"] >= 50
    for kind in COUNTS:
        record_property("siege", said(kind))


class Watcher(threading.Thread):
    """Reads every file under a final name again and again."""

    def __init__(self, out):
        super().__init__(daemon=True)
        self.out, self.wrong, self.rounds, self.files = out, [], 0, 0
        self.over = threading.Event()

    def run(self):
        while not self.over.is_set():
            self.wrong += runs.torn(self.out)
            self.files += sum(1 for _ in runs.finals(self.out))
            self.rounds += 1

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()


SLOW_WRITES = """
import time
def pause():
    time.sleep(0.02)
"""


@pytest.mark.fault("G9", "C17")
@pytest.mark.parametrize("sizes", [
    (64,), pytest.param(tuple(range(64, 80)), marks=pytest.mark.slow)])
def test_at_any_instant_every_file_is_whole(tmp_path, record_property, sizes):
    """The grid grows and every table and figure is made anew, slowly."""
    out = tmp_path / "out"
    (tmp_path / "slow").mkdir()
    (tmp_path / "slow" / "sitecustomize.py").write_text(
        "import os\n" + PAUSES + SLOW_WRITES)
    with Watcher(out) as watcher:
        for n in range(1, len(sizes) + 1, max(1, len(sizes) // 6)):
            done = runs.compare(out, "--batch-sizes", *sizes[:n], env={
                "PYTHONPATH": str(tmp_path / "slow")})
            assert done.returncode == 0, done.stderr
    assert watcher.wrong == [] and watcher.rounds > 10
    if len(sizes) > 1:
        record_property("siege", f"{watcher.files} looks at files under final "
                                 f"names during sweeps: 0 not whole")


@pytest.mark.slow
def test_the_watcher_would_see_a_file_that_is_not_whole(tmp_path):
    """The same with a write that is not atomic."""
    out = tmp_path / "out"
    torn = runs.plain(tmp_path / "torn", """
import time
def replace(source, target):
    with open(source, "rb") as file:
        content = file.read()
    with open(target, "wb") as file:
        for start in range(0, len(content), 1 + len(content) // 5):
            file.write(content[start:start + 1 + len(content) // 5])
            file.flush()
            time.sleep(0.05)
    os.unlink(source)
os.replace = replace
""")
    with Watcher(out) as watcher:
        assert runs.compare(out, env=torn).returncode == 0
    found = {Path(text.partition(":")[0]).suffix for text in watcher.wrong}
    assert {".json", ".csv"} <= found
