"""What the tests about processes share: sweeps of a fast contender, waiting,
who is still alive, and whether what lies in a folder is whole."""

import contextlib
import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree
import zlib
from pathlib import Path

from common import CACHE, ROOT, call

from bench.kit import files, network
from bench.kit.weights import read_weights
from bench.run import record

TWIG = Path(__file__).resolve().parent / "twig.py"
LIMIT, EPOCHS = 640, 2
BASE = ("--contender", f"twig={TWIG}", "--variants", "twig:eager", "--dataset",
        "digits", "--data-dir", CACHE, "--examples", LIMIT, "--epochs", EPOCHS,
        "--seeds", "0", "--batch-sizes", "64")

NO_FIGURES = """
import os, sys, types
def nothing(name):
    if name.startswith("__"):  # inspect asks all modules for their __file__
        raise AttributeError(name)
    return lambda *arguments, **more: None
for name in ("axes", "style", "bars", "curves", "rows", "sizes", "parity"):
    stub = sys.modules[f"bench.report.figures.{name}"] = types.ModuleType(name)
    stub.__getattr__ = nothing
"""


def plain(folder, more=""):
    """An environment in which no figures are drawn (3 s less a call), and
    every process first does `more`."""
    folder.mkdir(exist_ok=True, parents=True)
    (folder / "sitecustomize.py").write_text(NO_FIGURES + more)
    return {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}


def compare(out, *flags, **options):
    """Run compare.py with runs of the twig -> CompletedProcess."""
    return call(ROOT / "compare.py", *BASE, f"--out={out}", *flags, **options)


def heed_signals():
    """A shell's background job ignores SIGINT, and under nohup SIGHUP; what
    it starts would, too."""
    for signum in (signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, signal.SIG_DFL)


def start(out, *flags, env=None, program=ROOT / "compare.py", base=BASE,
          **options):
    """Start compare.py with runs of the twig -> Popen. Its descendants are
    found by the variable MARK in their environment."""
    options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE,
               **options}
    flags = [*base, *([f"--out={out}"] if out else []), *flags]
    return subprocess.Popen(
        [sys.executable, str(program), *map(str, flags)], cwd=ROOT, text=True,
        preexec_fn=heed_signals,
        env={**os.environ, "MARK": str(out), **(env or {})}, **options)


def until(found, seconds=60, pause=0.02):
    """found() once it is true; an AssertionError when it stays false."""
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end, f"waited {seconds} s"
        time.sleep(pause)
    return value


def processes(mark):
    """{pid: state} of the living that carry MARK=mark, this one excepted."""
    living = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            if state not in "ZX" and f"MARK={mark}".encode() in (
                    entry / "environ").read_bytes().split(b"\0"):
                living[int(entry.name)] = state
    return living


def gone(mark, seconds=30):
    """Whether nothing of it is alive any more within so many seconds."""
    end = time.monotonic() + seconds
    while processes(mark) and time.monotonic() < end:
        time.sleep(0.02)
    return not processes(mark)


def argv_of(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    return []


def trainers(mark):
    """Process ids of the children of a sweep that train."""
    return [pid for pid in processes(mark)
            if any("child.py" in text for text in argv_of(pid)[:3])
            and any("--json=" in text for text in argv_of(pid))]


def records(out):
    """{file name: record} of what lies under a final name."""
    return {path.name: record.read(path)
            for path in sorted(Path(out, "runs").glob("*.json"))}


def seal(path, edited):
    """Write an edited record as if it had been published so."""
    path.write_text(json.dumps({**edited, "sha256": record.digest(edited)}))


def states(out):
    """{batch size: state} as the CSV has them."""
    return {int(row["batch_size"]): row["status"] for row in rows(out)}


def rows(out, name="results.csv"):
    with open(Path(out, name), newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


# ------------------------------------------------------------- what is whole

def check_png(content):
    if content[:8] != b"\x89PNG\r\n\x1a\n":
        raise ValueError("no PNG")
    place, kind = 8, b""
    while kind != b"IEND":
        size = int.from_bytes(content[place:place + 4], "big")
        kind = content[place + 4:place + 8]
        body = content[place + 4:place + 8 + size]
        crc = content[place + 8 + size:place + 12 + size]
        if zlib.crc32(body).to_bytes(4, "big") != crc:
            raise ValueError("PNG is damaged")
        place += 12 + size
    if place != len(content):
        raise ValueError("PNG goes on after its end")


def check_csv(content):
    text = content.decode("utf-8")
    table = list(csv.reader(io.StringIO(text)))
    if not text.endswith("\n") or len({len(row) for row in table}) != 1:
        raise ValueError("CSV is cut")


def check_file(path, sizes=(784, 256, 128, 10)):
    """Raise unless the file under this final name is whole."""
    if path.suffix == ".json":
        read = record.parse if path.parent.name == "runs" else (
            files.parse_json)
        read(path.read_bytes())
        return
    if path.suffix == ".npz":
        read_weights(path, network.dense(sizes))
        return
    content = path.read_bytes()
    if path.suffix == ".png":
        check_png(content)
    elif path.suffix == ".svg":
        xml.etree.ElementTree.fromstring(content)
    elif path.suffix == ".csv":
        check_csv(content)
    elif not content.endswith(b"\n"):
        raise ValueError("text is cut")


def finals(out):
    """Files under a final name: not temporary, not the lock, not put aside,
    not a compiler's."""
    for place, folders, names in os.walk(out):
        folders[:] = [name for name in folders if name != "cache"
                      and not name.startswith(".")]
        for name in names:
            if not name.startswith(".") and not name.endswith(".bad"):
                yield Path(place, name)


def torn(out):
    """[what is wrong] with the files under final names."""
    wrong = []
    for path in finals(out):
        try:
            check_file(path)
        except Exception as error:
            wrong.append(f"{path}: {type(error).__name__}: {error}")
    return wrong


# ---------------------------------------------------------- what is the same

TIMES = ("timing", "memory", "turns", "block_started_unix_s", "sha256")


def essence(out):
    """What must not depend on how often a sweep was killed: records and
    tables without times and memory."""
    found = {}
    for name, r in records(out).items():
        r = {key: value for key, value in r.items() if key not in TIMES}
        for entry in r.get("epochs", []):
            del entry["start_s"], entry["end_s"], entry["worked_s"]
        found[name] = json.dumps(r, sort_keys=True)
    for name in ("results.csv", "iterations.csv", "summary.csv"):
        found[name] = [{
            key: value for key, value in row.items()
            if not key.endswith(("_s", "_mib"))} for row in rows(out, name)]
    return found


def name_of(script):
    """The contender that a script is."""
    return {"mlp_jax.py": "jax", "mlp_torch.py": "torch"}.get(
        Path(script).name, Path(script).stem)
