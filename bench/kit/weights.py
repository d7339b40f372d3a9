"""Weights on disk: w, b, w, b … in an .npz, w (in, out), float32, no pickle.

One layout for every framework, so that a network trained by one script loads
in another.
"""

import hashlib
import io
import itertools

import numpy as np

from bench.kit import files
from bench.kit.cli import USAGE, Fault


def read_weights(path, sizes):
    """.npz (w, b, w, b …, w (in, out)) -> [(w, b), …] float32.
    Raises Fault 2 naming file and layer."""
    wanted = [shape for inputs, outputs in zip(sizes, sizes[1:])
              for shape in ((inputs, outputs), (outputs,))]
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = list(file.values())
        if len(arrays) != len(wanted):
            raise ValueError(f"{len(arrays)} arrays, expected {len(wanted)}")
        for n, (array, shape) in enumerate(zip(arrays, wanted)):
            if array.shape != shape:
                raise ValueError(f"layer {n // 2 + 1}: {array.shape}, "
                                 f"expected {shape}")
            if array.dtype != np.float32 or not np.isfinite(array).all():
                raise ValueError(f"layer {n // 2 + 1} is not finite float32")
    except MemoryError:
        raise
    except Exception as error:  # zip, pickle and header faults of all kinds
        raise Fault(USAGE, f"argument --init: {path!r}: {error}. Expected "
                           "weights written by --save") from error
    return list(zip(arrays[::2], arrays[1::2]))


def write_weights(path, weights):
    """[(w, b), …] -> .npz, atomically."""
    buffer = io.BytesIO()
    np.savez(buffer, *itertools.chain(*weights))
    files.write_atomic(path, buffer.getvalue())


def sha256_weights(weights):
    """Hex digest of the float32 bytes of w1 b1 w2 b2 …"""
    return hashlib.sha256(b"".join(
        array.astype(np.float32).tobytes()
        for array in itertools.chain(*weights))).hexdigest()
