#!/usr/bin/env python3
"""MNIST for both scripts: raw bytes -> verified -> arrays -> split -> order.

    python data.py              fetch what is missing, verify, print a summary

Both frameworks get the very same NumPy arrays and the very same batches, so
nothing that happens here can favour one of them.
"""

import hashlib
import math
import os
import stat
import struct
import zlib
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench import cli
from bench.cli import DATA, STORAGE, Fault
from bench.fetch import DEADLINE, fetch, mirror_url
from bench.record import make_folder, remove_leftovers, write_atomic

CLASSES, SIDE = 10, 28
PIXELS = SIDE * SIDE  # 784


class File(NamedTuple):
    """What is known of one IDX file: sizes in bytes, SHA-256 in hex. Where
    the compressed size and hash are None (generated digits: their bytes
    depend on the zlib version) the unpacked ones decide alone."""

    gz_bytes: int
    gz_sha256: str
    raw_bytes: int
    raw_sha256: str


# The hashes of the .gz are those in TensorFlow Datasets'
# url_checksums/mnist.txt; the unpacked ones were computed from such files.
MNIST = {
    "train-images-idx3-ubyte": File(
        9912422,
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        47040016,
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
    "train-labels-idx1-ubyte": File(
        28881,
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        60008,
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    "t10k-images-idx3-ubyte": File(
        1648877,
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        7840016,
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    "t10k-labels-idx1-ubyte": File(
        4542,
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        10008,
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
}
# The original host (yann.lecun.com) answers 403 or 404: it is not listed.
MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist/",
           "https://storage.googleapis.com/cvdf-datasets/mnist/")


# ------------------------------------------------------ raw bytes, verified

def unpack(packed, file):
    """Bytes of a .gz -> the raw IDX bytes, or ValueError saying what is wrong.

    Nothing is believed before its SHA-256 fits. Unpacking stops one byte
    after the known size: 200 kB of gzip can hold 200 MB of zeros.
    """
    if packed[:1] == b"<":
        raise ValueError("looks like an HTML page, not gzip")
    if packed[:2] != b"\x1f\x8b":
        raise ValueError("is empty" if not packed else "is not compressed")
    if file.gz_sha256:
        if len(packed) != file.gz_bytes:
            raise ValueError(f"{len(packed)} bytes, expected {file.gz_bytes}")
        _check_sha256(packed, file.gz_sha256)
    engine = zlib.decompressobj(wbits=31)  # 31: gzip header and CRC required
    try:
        raw = engine.decompress(packed, file.raw_bytes + 1)
    except zlib.error as error:
        raise ValueError(f"is damaged: {error}") from error
    if len(raw) != file.raw_bytes or not engine.eof or engine.unused_data:
        raise ValueError("does not unpack to exactly "
                         f"{file.raw_bytes} bytes")
    _check_sha256(raw, file.raw_sha256)
    return raw


def _check_sha256(content, expected):
    got = hashlib.sha256(content).hexdigest()
    if got != expected:
        raise ValueError(f"SHA-256 is {got[:12]}…, expected {expected[:12]}…")


def read_cached(path, file):
    """Raw IDX bytes of the cached .gz at `path`; ValueError if it cannot be
    used. One read: the bytes that are hashed are the bytes that are parsed."""
    try:
        # O_NONBLOCK: opening a FIFO would otherwise wait for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        if os.path.islink(path):
            raise ValueError("is a link to nothing") from None
        raise
    except OSError as error:
        raise ValueError(f"cannot be opened: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError("is not a regular file")
    with os.fdopen(descriptor, "rb") as handle:
        packed = handle.read((file.gz_bytes or file.raw_bytes) + 1)
    return unpack(packed, file)


# ------------------------------------------------------ cache or mirror

def obtain(folder, files=MNIST, mirrors=MIRRORS, deadline=DEADLINE):
    """Raw bytes of each file, from `folder`/*.gz or else from a mirror.

    A file that fails verification is named on stderr and stays in place until
    a good one replaces it. A complete cache is only read, never written.
    """
    raws = {}
    for name, file in files.items():
        path = Path(folder, f"{name}.gz")
        try:
            raws[name] = read_cached(path, file)
            continue
        except (FileNotFoundError, NotADirectoryError):
            cli.warn("data.py", f"{name}.gz is not in {str(folder)!r}: "
                                "fetching it")
        except ValueError as error:
            cli.warn("data.py", f"warning: {str(path)!r} {error}; "
                                "fetching a good one")
            if os.path.islink(path) or not os.path.isfile(path):
                raise Fault(DATA, f"cannot use {str(path)!r}: it {error}. "
                                  "Remove it and try again") from error
        make_folder(folder)
        if not os.access(folder, os.W_OK):  # before 10 MB are fetched
            raise Fault(STORAGE, f"cannot write in: {str(folder)!r}. Put the "
                                 "files there, or name another --data-dir")
        remove_leftovers(folder)
        packed = fetch(f"{name}.gz", file.gz_bytes, partial(unpack, file=file),
                       mirrors, deadline)
        write_atomic(path, packed)
        raws[name] = unpack(packed, file)
    return raws


# ----------------------------------------------------------------- arrays

def parse_idx(raw):
    """Bytes of an IDX file of unsigned bytes -> uint8 array that owns its
    memory, shape (n,) or (n, rows, columns).

    Format: http://yann.lecun.com/exdb/mnist/ (zero, zero, type 0x08, number
    of dimensions, each size as a big-endian uint32, then the bytes).
    Raises ValueError naming the fault.
    """
    if len(raw) < 4:
        raise ValueError(f"IDX header is cut short: {len(raw)} bytes")
    if raw[:3] != b"\0\0\x08" or raw[3] not in (1, 3):
        raise ValueError(f"IDX magic is {bytes(raw[:4]).hex(' ')}, expected "
                         "00 00 08 01 (labels) or 00 00 08 03 (images)")
    start = 4 + 4 * raw[3]
    if len(raw) < start:
        raise ValueError(f"IDX header is cut short: {len(raw)} bytes, "
                         f"{start} announced")
    shape = struct.unpack(f">{raw[3]}I", raw[4:start])
    if 0 in shape:
        raise ValueError(f"IDX array of shape {shape} is empty")
    # math.prod: np.prod((2**31, 2**31, 4)) overflows to 0.
    if math.prod(shape) != len(raw) - start:
        raise ValueError(f"IDX shape {shape} needs {math.prod(shape)} bytes, "
                         f"the file holds {len(raw) - start}")
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape).copy()


def parse_all(raws):
    """{file name: raw bytes} -> {train_images, train_labels, test_images,
    test_labels} as uint8, images (n, 28, 28). Raises ValueError."""
    arrays = {}
    for part, prefix in (("train", "train"), ("test", "t10k")):
        images = parse_idx(raws[f"{prefix}-images-idx3-ubyte"])
        labels = parse_idx(raws[f"{prefix}-labels-idx1-ubyte"])
        if images.ndim != 3 or images.shape[1:] != (SIDE, SIDE):
            raise ValueError(f"{part} images have shape {images.shape}, "
                             f"expected (n, {SIDE}, {SIDE})")
        if labels.shape != images.shape[:1]:
            raise ValueError(f"{len(images)} {part} images, but labels of "
                             f"shape {labels.shape}")
        check_labels(labels)
        arrays[f"{part}_images"], arrays[f"{part}_labels"] = images, labels
    return arrays


def check_labels(labels):
    """Raise ValueError at the first label above 9. Unchecked, label 12 is an
    all-zero one-hot row in JAX (it trains on quietly) and dies in PyTorch."""
    bad = np.flatnonzero((labels < 0) | (labels >= CLASSES))
    if len(bad):
        raise ValueError(f"label {labels[bad[0]]} at index {bad[0]}, "
                         f"expected 0 to {CLASSES - 1}")


def load(folder, files=MNIST, mirrors=MIRRORS, deadline=DEADLINE):
    """Folder that holds the .gz files -> verified arrays (see parse_all).
    Raises Fault 3 (no such data) or 5 (cannot be stored)."""
    raws = obtain(folder, files, mirrors, deadline)
    try:
        return parse_all(raws)
    except ValueError as error:
        raise Fault(DATA, f"not MNIST: {str(folder)!r}: {error}") from error


def sha256(files=MNIST):
    """One hash for a data set: that of its four unpacked hashes in order."""
    joined = "".join(file.raw_sha256 for file in files.values())
    return hashlib.sha256(joined.encode()).hexdigest()


def normalise(images):
    """uint8 (n, 28, 28) -> float32 (n, 784) in [0, 1]."""
    return images.reshape(len(images), -1).astype(np.float32) / 255


def one_hot(labels):
    """Labels (n,) in 0..9 -> float32 (n, 10). Raises ValueError."""
    check_labels(labels)
    return np.eye(CLASSES, dtype=np.float32)[labels]


# ------------------------------------------------------------------ split

def split_sizes(kind, n_train=60000, n_test=10000):
    """(training, validation, test) examples of a split of that name."""
    if kind == "standard":
        return n_train - n_train // 6, n_train // 6, n_test
    tenth = (n_train + n_test) // 10
    return n_train + n_test - 2 * tenth, tenth, tenth


def stratified(labels, size, rng):
    """Choose `size` of the n indices with each class in its proportion
    (largest-remainder rounding) -> (chosen, rest), both shuffled by rng."""
    counts = np.bincount(labels, minlength=CLASSES)
    quota, remainder = np.divmod(counts * size, len(labels))
    missing = size - quota.sum()
    quota[np.argsort(-remainder, kind="stable")[:missing]] += 1
    order = rng.permutation(len(labels))
    # Rank of every index among those of its class, in shuffled order.
    taken = np.zeros(len(labels), bool)
    for digit, number in enumerate(quota):
        taken[order[labels[order] == digit][:number]] = True
    return order[taken[order]], order[~taken[order]]


def split(arrays, kind="standard"):
    """Verified arrays -> {"train", "val", "test"}: (images float32 (n, 784),
    labels float32 one-hot (n, 10)).

    standard: one sixth of the official training set, by class, validates;
    the official test set tests. pooled: 80/10/10 of all images, by class, as
    some reports have it. The split has its own seed: every run of a
    comparison sees the same three sets, whatever its --seed.
    """
    rng = np.random.default_rng(0)
    images, labels = arrays["train_images"], arrays["train_labels"]
    others, test = arrays["test_images"], arrays["test_labels"]
    sizes = split_sizes(kind, len(images), len(others))
    if kind == "pooled":
        images = np.concatenate([images, others])
        labels = np.concatenate([labels, test])
        chosen, rest = stratified(labels, sizes[2], rng)
        others, test = images[chosen], labels[chosen]
        images, labels = images[rest], labels[rest]
    val, train = stratified(labels, sizes[1], rng)
    parts = {"train": (images[train], labels[train]),
             "val": (images[val], labels[val]), "test": (others, test)}
    return {part: (normalise(x), one_hot(y)) for part, (x, y) in parts.items()}


def batch_order(n, batch_size, seed, epoch):
    """The batches of one epoch as indices into n examples: int32 (S, B) with
    S = n // B. A fresh shuffle per (seed, epoch); the ragged last batch is
    dropped, in both frameworks, so that every step has one shape."""
    steps = n // batch_size
    shuffled = np.random.default_rng([seed, epoch]).permutation(n)
    return shuffled[:steps * batch_size].reshape(
        steps, batch_size).astype(np.int32)


# ------------------------------------------------------------- the program

def default_folder():
    """$MLP_DATA_DIR, else data/ beside this file."""
    return os.environ.get("MLP_DATA_DIR") or str(
        Path(__file__).resolve().parent / "data")


def main():
    parser = cli.Parser(prog="data.py", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data-dir", type=cli.path, metavar="DIR",
                        default=default_folder(),
                        help="the files are in DIR/mnist")
    parser.add_argument("--mirror", action="append", metavar="URL",
                        type=mirror_url, help="fetch from here instead of the "
                        "built-in mirrors; may be repeated")
    parser.add_argument("--deadline", type=cli.seconds, default=DEADLINE,
                        metavar="S", help="seconds for each file")
    args = parser.parse_args()
    folder = Path(args.data_dir, "mnist")
    arrays = load(folder, MNIST, args.mirror or MIRRORS, args.deadline)
    for name, file in MNIST.items():
        print(f"{name}.gz  {file.gz_bytes} bytes  sha256 {file.gz_sha256}")
    for name, array in arrays.items():
        print(f"{name:13} {array.dtype} {array.shape}")
    for part in ("train", "test"):
        counts = np.bincount(arrays[f"{part}_labels"], minlength=CLASSES)
        print(f"{part} images per class 0 to 9: {counts.tolist()}")
    # From the 256 counts: 47 million pixels as float64 would take 376 MB.
    share = np.bincount(arrays["train_images"].ravel(), minlength=256)
    share, grey = share / share.sum(), np.arange(256) / 255
    mean = share @ grey
    print(f"training pixels in [0, 1]: mean {mean:.4f}, standard deviation "
          f"{np.sqrt(share @ (grey - mean) ** 2):.4f}")
    return 0


if __name__ == "__main__":
    cli.guard(main, "data.py")
