"""Weights on disk: w1 b1 w2 b2 … in an .npz, w (in, out), float32, no pickle.

One layout for every framework, so that a network trained by one script loads
in another.
"""

import hashlib
import io

import numpy as np

from bench import record
from bench.cli import USAGE, Fault


def read_weights(path, sizes):
    """.npz (w1 b1 w2 b2 …, w (in, out)) -> [(w, b), …] float32.
    Raises Fault 2 naming file and array."""
    pairs, shapes = [], list(zip(sizes[:-1], sizes[1:], strict=True))
    try:
        with np.load(path, allow_pickle=False) as file:
            for n, (inputs, outputs) in enumerate(shapes, 1):
                w, b = file[f"w{n}"], file[f"b{n}"]
                if w.shape != (inputs, outputs) or b.shape != (outputs,):
                    raise ValueError(f"w{n} {w.shape}, b{n} {b.shape}, "
                                     f"expected {(inputs, outputs)}")
                if w.dtype != np.float32 or b.dtype != np.float32 or not (
                        np.isfinite(w).all() and np.isfinite(b).all()):
                    raise ValueError(f"layer {n} is not finite float32")
                pairs.append((w, b))
            if len(file.files) != 2 * len(shapes):
                raise ValueError(f"{len(file.files)} arrays, "
                                 f"expected {2 * len(shapes)}")
    except MemoryError:
        raise
    except Exception as error:  # zip, pickle and header faults of all kinds
        raise Fault(USAGE, f"argument --init: {path!r}: {error}. Expected "
                           "weights written by --save") from error
    return pairs


def write_weights(path, weights):
    """[(w, b), …] -> .npz, atomically."""
    buffer = io.BytesIO()
    arrays = {}
    for n, (w, b) in enumerate(weights, 1):
        arrays[f"w{n}"] = np.asarray(w, np.float32)
        arrays[f"b{n}"] = np.asarray(b, np.float32)
    np.savez(buffer, **arrays)
    record.write_atomic(path, buffer.getvalue())


def sha256_weights(weights):
    """Hex digest of the float32 bytes of w1 b1 w2 b2 …"""
    digest = hashlib.sha256()
    for array in (array for pair in weights for array in pair):
        digest.update(np.ascontiguousarray(array, np.float32).tobytes())
    return digest.hexdigest()
