#!/usr/bin/env python3
"""MNIST for both scripts: raw bytes -> verified -> arrays -> split -> order.

    python data.py              fetch what is missing, verify, print a summary

Both frameworks get the very same NumPy arrays and the very same batches, so
nothing that happens here can favour one of them.
"""

import argparse
import contextlib
import hashlib
import math
import os
import re
import sys
import threading
import time
import urllib.request
import zlib
from collections import namedtuple
from concurrent.futures import Future
from pathlib import Path

import numpy as np

DEADLINE = 120  # seconds of wall clock for a file, all its mirrors together
FOLDER = os.environ.get("MLP_DATA_DIR") or str(
    Path(__file__).resolve().with_name("data"))
FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte",
         "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
# The shape is an image's; bytes and hashes are those of the FILES, unpacked.
Dataset = namedtuple("Dataset", "label shape classes bytes sha256 mirrors")
DATASETS = {"mnist": Dataset(
    "MNIST", (28, 28), 10, (47040016, 60008, 7840016, 10008), (
        # Of the .gz in TensorFlow Datasets' url_checksums/mnist.txt.
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
        ("https://ossci-datasets.s3.amazonaws.com/mnist/",
         "https://storage.googleapis.com/cvdf-datasets/mnist/"))}
DATASETS["fashion_mnist"] = DATASETS["mnist"]._replace(
    label="Fashion-MNIST", sha256=(
        "b70d0a121f88d9cb495f11c1e7619a662077ae746913056d27b43ee300f99648",
        "14d07dfc02c3ba2fb3c525919e36cc648d3b384b5ad04141924ce8659159cde6",
        "cf7e95b5dd16502612cb108614f7c13ca6ebbd70afe854269aab640e564eed56",
        "955b04d571e1499b9613fdc30a1601655d2ad8894c0ec5685431cdc8945113ee"),
    mirrors=("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",))
# No mirrors: made by a program, which lays the hashes beside the files.
DATASETS["digits"] = DATASETS["mnist"]._replace(
    label="GENERATED DIGITS (not MNIST)", sha256=("none",) * 4, mirrors=())
DATASETS["cifar10"] = DATASETS["digits"]._replace(
    label="CIFAR-10", shape=(96, 32),  # three planes, one above another
    bytes=(153600016, 50008, 30720016, 10008))
DATASETS["cifar10_jpeg"] = DATASETS["cifar10"]._replace(
    label="CIFAR-10, JPEG copies")


class Fault(Exception):
    """What a user can mend, in one line; `code` is the program's exit code: 3
    the data cannot be had, 5 a folder cannot be written."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


# ------------------------------------------------------ raw bytes, verified

def unpack(packed, size, sha256):
    """Bytes of a .gz -> raw IDX bytes whose SHA-256 fits, else ValueError."""
    if packed[:1] == b"<":
        raise ValueError("looks like an HTML page, not gzip")
    if packed[:2] != b"\x1f\x8b":
        raise ValueError("is not compressed" if packed else "is empty")
    engine = zlib.decompressobj(wbits=31)  # 31: gzip header and CRC required
    try:  # one byte more at most: 200 kB of gzip can hold 200 MB of zeros
        raw = engine.decompress(packed, size + 1)
    except zlib.error as error:
        raise ValueError(f"is damaged: {error}") from error
    if len(raw) != size or not engine.eof or engine.unused_data:
        raise ValueError(f"does not unpack to exactly {size} bytes")
    if (got := hashlib.sha256(raw).hexdigest()) != sha256:
        raise ValueError(f"SHA-256 is {got[:12]}…, expected {sha256[:12]}…")
    return raw


def read_cached(path, size, sha256):
    """The same from `path`. Read once: what is hashed is what is parsed."""
    # O_NONBLOCK: a pipe would be waited for. So a silent one reads as None.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        return unpack(file.read(size) or b"", size, sha256)


def download(url, size, seconds):
    """At most `size` bytes from `url`, in at most so many seconds. A socket
    counts them per operation, and a server that drips a byte a second never
    meets its limit: hence a thread (a daemon, left behind if it hangs)."""
    answer = Future()

    def ask():
        try:
            with urllib.request.urlopen(url, timeout=seconds) as body:
                answer.set_result(body.read(size))  # a cut one is no error
        except Exception as error:
            answer.set_exception(error)

    threading.Thread(target=ask, daemon=True).start()
    return answer.result(seconds)


def write_atomic(path, content):
    """Write bytes at `path`: the old file or the new one is there, never a
    mix, also after a crash. Raises Fault 5."""
    # Beside the target: a rename is atomic only inside one file system.
    temporary = Path(path).parent / f".tmp-{os.getpid()}-{time.time_ns()}"
    try:
        with open(temporary, "xb") as file:  # x: follows no planted link
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise Fault(5, f"cannot write: {str(path)!r}: {error.strerror}. Free "
                       "the space or choose another folder") from error
    finally:
        with contextlib.suppress(OSError):  # it is gone, or never was
            temporary.unlink()


def fetch(path, size, sha256, mirrors, deadline):
    """Put the .gz of the first mirror that sends the true bytes at `path` ->
    raw bytes. Raises Fault 3 with a reason for each mirror, or Fault 5."""
    text = f"cannot fetch {path.name}"
    for mirror in mirrors:
        try:
            packed = download(f"{mirror.rstrip('/')}/{path.name}", size,
                              deadline / len(mirrors))
            raw = unpack(packed, size, sha256)
        except Exception as error:  # told without passwords, also of a proxy
            told = type(error).__name__ if "@" in mirror else repr(error)
            text += "; " + ": ".join(part.rpartition("@")[2][:200]
                                     for part in (mirror, told))
            continue
        with contextlib.suppress(OSError):  # then writing fails, and says so
            path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, packed)
        return raw
    raise Fault(3, f"{text}. Put the four .gz files into "
                f"{str(path.parent)!r}, or python data.py --mirror URL; what "
                "is made here: python -m bench.tools.digits, or .cifar10")


def load(name, data_dir, mirrors=(), deadline=DEADLINE):
    """-> images, labels of the training set, images, labels of the test set:
    uint8 (n, rows, columns) and (n,); from `data_dir`/`name` or `data_dir`
    itself, else from a mirror. Raises Fault 3 or 5."""
    known, folder, arrays = DATASETS[name], Path(data_dir, name), []
    if not known.mirrors and (sums := folder / "SHA256SUMS").is_file():
        found = sums.read_text("latin-1").split()[::2] + ["none"] * 4
        DATASETS[name] = known = known._replace(sha256=tuple(found[:4]))
    for file, *expected in zip(FILES, known.bytes, known.sha256):
        for path in (folder / f"{file}.gz", Path(data_dir, f"{file}.gz")):
            try:
                raw = read_cached(path, *expected)
                break
            except FileNotFoundError:
                continue
            except (OSError, ValueError) as error:  # stays until replaced
                reason = getattr(error, "strerror", error)
                print(f"data.py: {str(path)!r} {reason}", file=sys.stderr)
        else:
            raw = fetch(folder / f"{file}.gz", *expected,
                        mirrors or known.mirrors, deadline)
        arrays.append(parse_idx(raw))
    return arrays


# ------------------------------------------------- arrays, split and order

def parse_idx(raw):
    """Bytes of an IDX file -> uint8 array of its own, shape (n,) or (n, rows,
    columns). Raises ValueError. Format: http://yann.lecun.com/exdb/mnist/ (0,
    0, type 8, number of dimensions, each as a big-endian uint32, bytes)."""
    start = 4 + 4 * raw[3] if len(raw) > 3 else 4
    if len(raw) > 3 and raw[:4] not in (b"\0\0\x08\1", b"\0\0\x08\3"):
        raise ValueError(f"IDX magic is {bytes(raw[:4]).hex(' ')}, not 00 00 "
                         "08 01 (labels) or 00 00 08 03 (images)")
    if len(raw) < start:
        raise ValueError(f"IDX header is cut short: {len(raw)} bytes")
    shape = tuple(np.frombuffer(raw[4:start], ">u4").tolist())
    size = math.prod(shape)  # np.prod((2**31, 2**31, 4)) overflows to 0
    if size == 0 or size != len(raw) - start:
        raise ValueError(f"IDX shape {shape} is empty or needs {size} bytes; "
                         f"the file holds {len(raw) - start}")
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape).copy()


def one_hot(labels, classes):
    """Labels (n,) -> float32 (n, classes). ValueError at a label that is none:
    unchecked, JAX would train on a row of zeros, and PyTorch die."""
    bad = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(bad):
        raise ValueError(f"label {labels[bad[0]]} at index {bad[0]}, "
                         f"expected 0 to {classes - 1}")
    return np.eye(classes, dtype=np.float32)[labels]


def split_sizes(name, kind):
    """(training, validation, test) examples of a data set and a split."""
    train, test = (DATASETS[name].bytes[n] - 8 for n in (1, 3))  # less headers
    if kind == "standard":
        return train - train // 6, train // 6, test
    tenth = (train + test) // 10
    return train + test - 2 * tenth, tenth, tenth


def stratified(labels, size, rng):
    """Choose `size` of n indices, each class in its proportion (rounded by
    largest remainder) -> (chosen, rest), both shuffled by rng."""
    quota, remainder = np.divmod(np.bincount(labels) * size, len(labels))
    quota[np.argsort(-remainder, kind="stable")[:size - quota.sum()]] += 1
    order = rng.permutation(len(labels))
    taken = np.zeros(len(labels), bool)
    for digit, number in enumerate(quota):
        taken[order[labels[order] == digit][:number]] = True
    return order[taken[order]], order[~taken[order]]


def split(images, labels, test_images, test_labels, kind="standard"):
    """What load() gives -> {"train", "val", "test"}: (images float32 (n,
    inputs) in [0, 1], labels one-hot float32 (n, classes)). standard: a sixth
    of the training set, by class, validates; pooled: 80/10/10 of all images,
    by class. It has a seed of its own: every run sees the same three sets."""
    for x, y in ((images, labels), (test_images, test_labels)):
        if x.shape[1:] != images.shape[1:] or y.shape != x.shape[:1]:
            raise ValueError(f"{x.shape}, {y.shape} do not fit {images.shape}")
        one_hot(y, classes := 1 + int(min(labels.max(), test_labels.max())))
    rng, n = np.random.default_rng(0), len(images)
    held = n // 6 if kind == "standard" else (n + len(test_images)) // 10
    if kind == "pooled":
        images = np.concatenate([images, test_images])
        labels = np.concatenate([labels, test_labels])
        chosen, rest = stratified(labels, held, rng)
        test_images, test_labels = images[chosen], labels[chosen]
        images, labels = images[rest], labels[rest]
    val, train = stratified(labels, held, rng)
    parts = {"train": (images[train], labels[train]),
             "val": (images[val], labels[val]),
             "test": (test_images, test_labels)}
    return {part: (x.reshape(len(x), -1).astype(np.float32) / 255,
                   one_hot(y, classes)) for part, (x, y) in parts.items()}


def batch_order(n, batch_size, seed, epoch):
    """The batches of an epoch as indices into n examples: int32 (S, B), with
    S = n // B: the ragged rest is left out, so that every step has one shape.
    A fresh shuffle per (seed, epoch)."""
    order = np.random.default_rng([seed, epoch]).permutation(n)
    return order[:n - n % batch_size].reshape(-1, batch_size).astype(np.int32)


def main():
    parser = argparse.ArgumentParser(prog="data.py", allow_abbrev=False)
    parser.error = lambda text: end(2, text)
    parser.add_argument("--data-dir", default=FOLDER)
    parser.add_argument("--mirror", action="append", default=[],
                        help="fetch from here instead; may be repeated")
    parser.add_argument("--deadline", default=str(DEADLINE))
    args = parser.parse_args()
    if not re.fullmatch("[1-9][0-9]{0,5}", args.deadline):
        parser.error("argument --deadline: no whole seconds from 1 to 999999")
    if not all(re.match("(?i)https?://[^/]", url) for url in args.mirror):
        parser.error("argument --mirror: no http(s)://... address")
    found = load("mnist", args.data_dir, args.mirror, int(args.deadline))
    for x, y in (found[:2], found[2:]):
        print(f"images {x.shape}, mean {x.mean() / 255:.4f}; of each class "
              f"{np.bincount(y).tolist()}")


def end(code, text):
    """One line on stderr, without control characters, and the end."""
    line = "".join(c if c.isprintable() else " " for c in str(text))
    print(f"{os.path.basename(sys.argv[0])}: error: {line}", file=sys.stderr)
    os._exit(code) if code == 130 else sys.exit(code)


def run(program):
    """Call a main function; a Fault and Ctrl-C end it with one line."""
    try:
        program()
    except Fault as fault:
        end(fault.code, fault)
    except KeyboardInterrupt:
        end(130, "stopped")  # at once: XLA, interrupted, crashes at an exit


if __name__ == "__main__":
    run(main)
