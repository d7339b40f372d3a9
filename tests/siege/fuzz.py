"""Damaged inputs in great number for everything that reads a file.

    python tests/siege/fuzz.py READER COUNT SEED FOLDER

Takes valid inputs apart and puts them together wrongly, the same way for the
same seed. For each one the reader must give a right answer or its documented
error, soon. Prints what came out as JSON; the first surprise ends it.
"""

import io
import json
import math
import random
import re
import sys
import time
import tomllib
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import data  # noqa: E402
from bench.kit import files, network, weights  # noqa: E402
from bench.kit.cli import Fault  # noqa: E402
from bench.report.sections import SECTIONS  # noqa: E402
from bench.run import recipe, record  # noqa: E402
from bench.tools import idx  # noqa: E402

SECONDS = 5  # more for one small input is a surprise, too
TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*|true|false|null'
                   rb"|[\[\]{}:,=#]")
ODD = [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b"-1", b"0",
       b"1.5", b"-0.0", b"1e308", b"1e-320", b"9" * 40, b"9" * 5000, b"null",
       b"true", b"false", b'""', b'"ok"', b'"\\ud800"', b'"\\u0000"', b"[]",
       b"{}", b"[" * 3000, b'{"a":' * 2000, b"\xff\xfe", b"\0", b'"=1+1"',
       b'"schema":1,', b'"status":"ok",', b"1_000", b"0x10", b"+1", b"'x'"]


class Reader(NamedTuple):
    read: object   # bytes -> answer, or raises one of `errors`
    errors: tuple  # exactly these types, not what is derived from them
    seeds: object  # output folder of a comparison -> list of valid inputs
    judge: object  # (input, answer or None): raises if that is not right


# ------------------------------------------------------------------ the IDX

def idx_seeds(_):
    rng = np.random.default_rng(0)
    return [idx.to_bytes(rng.integers(0, 10, shape, np.uint8)) for shape in (
        (1,), (5,), (300,), (1, 1, 1), (2, 3, 4), (3, 28, 28))]


def judge_idx(raw, array):
    """The definition of the format once more, in other words."""
    dims = [int.from_bytes(raw[i:i + 4], "big")
            for i in range(4, 4 + 4 * raw[3], 4)] if len(raw) > 3 else []
    right = (raw[:4] in (b"\0\0\x08\1", b"\0\0\x08\3") and all(dims)
             and len(raw) == 4 + 4 * raw[3] + math.prod(dims))
    require(right == (array is not None))
    if right:
        require(list(array.shape) == dims and array.dtype == np.uint8)
        require(array.tobytes() == raw[4 + 4 * len(dims):])


# -------------------------------------------------------------- the records

def record_seeds(folder):
    """The records of a comparison."""
    return [path.read_bytes()
            for path in sorted(Path(folder, "runs").glob("*.json"))]


def unsealed(text):
    """A record as it is read, but for its SHA-256, which would refuse nearly
    everything before any other check sees it."""
    found = files.parse_json(text)
    record.check(found)
    return found


def judge_record(text, found):
    if found is None:
        return
    require(json.loads(text) == found)
    require(unsealed(files.dumps(found).encode()) == found)
    require(found["status"] in record.STATES)
    if found["status"] != "ok":
        return
    numbers = [*found["steps"]["loss"], *found["timing"]["epoch_s"],
               found["final"]["test_loss"]]
    shares = [*found["steps"]["accuracy"], found["final"]["test_accuracy"]]
    require(all(0 <= n < math.inf for n in numbers + shares))
    require(all(n <= 1 for n in shares))


# A further reader is one line here.
RECIPE = b"""title = "a" # b
print = ["Speed", 'Audit']
vary = ["lr"]
variants = ["jax:step", "x:eager:host"]
batch_sizes = [64, 1_024]
seeds = [ 0,
  1 ]
epochs = 2
lr = 1e-3
timeout = 60.5
hidden = [512]
[jax]
optimizer = "sgd"
lr = 0.1
[x]
script = "y.py"
init = "own"
"""


def read_recipe(raw):
    import compare
    return recipe.parse(raw, Path("/nowhere"), compare.make_parser(),
                        tuple(SECTIONS))


def recipe_seeds(_):
    return [RECIPE, b'title = "x"\n']


def judge_recipe(raw, found):
    """What is read says what stands there, in words argparse takes apart."""
    if found is None:
        return
    content = tomllib.loads(raw.decode("utf-8"))
    require(found.title == content["title"])
    require(all(isinstance(text, str) for text in found.argv))
    names = {key for key, value in content.items() if isinstance(value, dict)}
    require(found.own.keys() == names >= found.scripts.keys())
    require(not any(text.startswith("-") and not text.startswith("--")
                    for text in found.argv))


# -------------------------------------------------------------- the weights

SIZES = (5, 4, 3)


def read_npz(raw):
    return weights.read_weights(io.BytesIO(raw), network.dense(SIZES))


def npz_seeds(_):
    """As the scripts write them, and compressed."""
    rng = np.random.default_rng(0)
    arrays = {}
    for n, (i, o) in enumerate(zip(SIZES, SIZES[1:]), 1):
        arrays[f"w{n}"] = rng.standard_normal((i, o)).astype(np.float32)
        arrays[f"b{n}"] = rng.standard_normal(o).astype(np.float32)
    found = []
    for save in (np.savez, np.savez_compressed):
        save(buffer := io.BytesIO(), **arrays)
        found.append(buffer.getvalue())
    return found


def judge_npz(raw, found):
    if found is None:
        return
    require([(w.shape, b.shape) for w, b in found] == [
        ((i, o), (o,)) for i, o in zip(SIZES, SIZES[1:])])
    arrays = [array for pair in found for array in pair]
    require(all(array.dtype == np.float32 and np.isfinite(array).all()
                for array in arrays))
    # A checksum guards every array: what is read is what was written.
    true = [array for pair in read_npz(npz_seeds(None)[0]) for array in pair]
    require(all(map(np.array_equal, arrays, true)))


READERS = {
    "weights": Reader(read_npz, (Fault,), npz_seeds, judge_npz),
    "recipe": Reader(read_recipe, (ValueError,), recipe_seeds, judge_recipe),
    "idx": Reader(data.parse_idx, (ValueError,), idx_seeds, judge_idx),
    "record": Reader(unsealed, (files.BadFile, record.NewerRecord),
                     record_seeds, judge_record),
}


def require(right):
    if not right:  # and not an assert, which python -O would drop
        raise AssertionError("the answer is not right")


# -------------------------------------------------------------- the mutations

def mutate(rng, raw, seeds):
    """A damaged copy: one to four small damages."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        n = len(raw)
        # Headers decide more than what follows.
        at = rng.randrange(min(n, 20) if rng.random() < 0.4 else n) if n else 0
        to = min(n, at + rng.choice((1, 1, 2, 4, 16, n)))
        kind = rng.randrange(9)
        if kind == 0 and n:
            raw = raw[:at] + bytes([raw[at] ^ 1 << rng.randrange(8)]) + raw[
                at + 1:]
        elif kind == 1 and n:
            raw = raw[:at] + bytes([rng.choice((
                0, 1, 3, 8, 127, 128, 255, rng.randrange(256)))]) + raw[
                at + 1:]
        elif kind == 2:
            raw = raw[:at] + raw[to:]
        elif kind == 3 and n < 10_000:
            raw = raw[:to] + raw[at:to] + raw[to:]
        elif kind == 4:
            raw = raw[:at]
        elif kind == 5:
            other = rng.choice(seeds)
            raw = raw[:at] + other[rng.randrange(len(other)):]
        elif kind == 6:
            raw = raw[:at] + rng.randbytes(rng.choice((1, 4))) + raw[at:]
        else:
            raw = swap_token(rng, raw, at)
    return raw


def swap_token(rng, raw, at):
    """Replace (or repeat) the first whole token from `at` on."""
    found = TOKEN.search(raw, at)
    if not found:
        return raw + rng.choice(ODD)
    new = rng.choice(ODD) if rng.random() < 0.8 else found[0] * 2
    return raw[:found.start()] + new + raw[found.end():]


def main():
    name, count, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    reader, rng = READERS[name], random.Random(int(seed))
    seeds, outcomes, slowest = reader.seeds(sys.argv[4]), Counter(), 0.0
    for raw in seeds:
        reader.judge(raw, reader.read(raw))
    for number in range(count):
        raw = mutate(rng, rng.choice(seeds), seeds)
        start, answer = time.monotonic(), None
        try:
            answer = reader.read(raw)
        except Exception as error:
            if type(error) not in reader.errors or not str(error):
                sys.exit(f"input {number} {raw[:200]!r}: "
                         f"{type(error).__name__}: {error}")
        slowest = max(slowest, time.monotonic() - start)
        outcomes["refused" if answer is None else "right"] += 1
        try:
            reader.judge(raw, answer)
        except Exception as error:
            sys.exit(f"input {number} {raw[:2000]!r} -> {str(answer)[:200]}: "
                     f"{type(error).__name__}: {error}")
    if slowest > SECONDS:
        sys.exit(f"one input took {slowest:.1f} s")
    with open("/proc/self/status") as file:  # ru_maxrss: of the parent, too
        peak = next(int(line.split()[1]) for line in file if "VmHWM" in line)
    print(json.dumps({**outcomes, "peak_mib": peak // 1024}))


if __name__ == "__main__":
    main()
