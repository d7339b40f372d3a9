"""Weights on disk: the arrays of each layer in an .npz, float32, no pickle: of a
perceptron w, b, w, b …, w (in, out); of a vision network as PyTorch keeps them.

One layout for every framework, so that a network trained by one script loads
in another.
"""

import hashlib
import io
import itertools

import numpy as np

from bench.kit import files
from bench.kit.cli import USAGE, Fault


def read_weights(path, layers):
    """.npz -> [the arrays of a layer, …] float32; layers: their shapes, as
    network.Network has them. Raises Fault 2 naming file and layer."""
    wanted = [(n, shape) for n, layer in enumerate(layers, 1) for shape in layer]
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = list(file.values())
        if len(arrays) != len(wanted):
            raise ValueError(f"{len(arrays)} arrays, expected {len(wanted)}")
        for array, (n, shape) in zip(arrays, wanted):
            if array.shape != shape:
                raise ValueError(f"layer {n}: {array.shape}, expected {shape}")
            if array.dtype != np.float32 or not np.isfinite(array).all():
                raise ValueError(f"layer {n} is not finite float32")
    except MemoryError:
        raise
    except Exception as error:  # zip, pickle and header faults of all kinds
        raise Fault(USAGE, f"argument --init: {path!r}: {error}. Expected "
                           "weights written by --save") from error
    arrays = iter(arrays)
    return [tuple(itertools.islice(arrays, len(layer))) for layer in layers]


def write_weights(path, weights):
    """[the arrays of a layer, …] -> .npz, atomically."""
    buffer = io.BytesIO()
    np.savez(buffer, *itertools.chain(*weights))
    files.write_atomic(path, buffer.getvalue())


def sha256_weights(weights):
    """Hex digest of the float32 bytes of w1 b1 w2 b2 …, one after the other"""
    return hashlib.sha256(b"".join(
        array.astype(np.float32).tobytes()
        for array in itertools.chain(*weights))).hexdigest()
