"""Arrays -> the four IDX files of a data set that is made here, with their hashes
beside them, by which data.py verifies them at every load."""

import gzip
import hashlib
import struct
from pathlib import Path

import data
from bench.kit.files import make_folder


def to_bytes(array):
    """uint8 array -> the bytes of its IDX file."""
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim,
                       *array.shape) + array.tobytes()


def write(folder, arrays):
    """Write images, labels, test images, test labels as .gz files, then
    SHA256SUMS (as `sha256sum` writes it, of what is unpacked) -> bytes and
    hashes of the four, as data.Dataset has them. Raises Fault 5."""
    raws = [to_bytes(array) for array in arrays]
    hashes = tuple(hashlib.sha256(raw).hexdigest() for raw in raws)
    make_folder(folder)
    for name, raw in zip(data.FILES, raws):
        data.write_atomic(Path(folder, f"{name}.gz"),
                          gzip.compress(raw, compresslevel=1, mtime=0))
    data.write_atomic(Path(folder, "SHA256SUMS"), "".join(
        f"{found}  {name}\n" for found, name in zip(hashes, data.FILES)).encode())
    return tuple(map(len, raws)), hashes
