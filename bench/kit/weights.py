"""Weights on disk: w, b, w, b … in an .npz, w (in, out), float32, no pickle.

One layout for every framework, so that a network trained by one script loads
in another.
"""

import hashlib
import io

import numpy as np

from bench.kit import files
from bench.kit.cli import USAGE, Fault


def read_weights(path, sizes):
    """.npz (w, b, w, b …, w (in, out)) -> [(w, b), …] float32.
    Raises Fault 2 naming file and layer."""
    pairs, shapes = [], list(zip(sizes[:-1], sizes[1:], strict=True))
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = list(file.values())
            if len(arrays) != 2 * len(shapes):
                raise ValueError(f"{len(arrays)} arrays, expected "
                                 f"{2 * len(shapes)}")
            for n, (inputs, outputs) in enumerate(shapes):
                w, b = arrays[2 * n:2 * n + 2]
                if w.shape != (inputs, outputs) or b.shape != (outputs,):
                    raise ValueError(f"layer {n + 1}: {w.shape}, {b.shape}, "
                                     f"expected {(inputs, outputs)}")
                if w.dtype != np.float32 or b.dtype != np.float32 or not (
                        np.isfinite(w).all() and np.isfinite(b).all()):
                    raise ValueError(f"layer {n + 1} is not finite float32")
                pairs.append((w, b))
    except MemoryError:
        raise
    except Exception as error:  # zip, pickle and header faults of all kinds
        raise Fault(USAGE, f"argument --init: {path!r}: {error}. Expected "
                           "weights written by --save") from error
    return pairs


def write_weights(path, weights):
    """[(w, b), …] -> .npz, atomically."""
    buffer = io.BytesIO()
    np.savez(buffer, *(array for pair in weights for array in pair))
    files.write_atomic(path, buffer.getvalue())


def sha256_weights(weights):
    """Hex digest of the float32 bytes of w1 b1 w2 b2 …"""
    digest = hashlib.sha256()
    for array in (array for pair in weights for array in pair):
        digest.update(np.ascontiguousarray(array, np.float32).tobytes())
    return digest.hexdigest()
