"""What both programs share: which of the masks of dropout and stochastic depth keep
what, drawn in NumPy, how a data set's rows are pictures, which GPUs will do."""

import math

import numpy as np

import data
from bench.kit.network import SIZE

CLASSES = 1000  # of the networks' outputs; a data set has the first few


def kept(rates, order):
    """{name: bool (S, B, …)}, the masks of the S steps of an epoch; rates: {name:
    (rate, shape)}; order (S, B): its batches, from which alone they are drawn, as
    each framework's generator would draw others."""
    rng, found = np.random.default_rng(order[0]), {}
    for name, (rate, shape) in sorted(rates.items()):
        # A byte for each, as a GPU waits meanwhile: rates in steps of 1 / 256.
        shape = (*order.shape, *shape)
        drawn = np.frombuffer(rng.bytes(math.prod(shape)), np.uint8)
        found[name] = (drawn >= round(256 * rate)).reshape(shape)
    return found


def able(args, capability):
    """Fault 4 on a GPU of this compute capability without what is asked for."""
    if args.precision in ("tf32", "bf16") and 0 < capability < 8:
        raise data.Fault(4, f"argument --precision: {args.precision}: this GPU "
                            f"(compute capability {capability}) has none")


def planes(args):
    """-> colours, side of a picture of the data set, and how many times that a
    network's images are as wide"""
    rows, side = data.DATASETS[args.dataset].shape
    return rows // side, side, (args.size or SIZE) // side
