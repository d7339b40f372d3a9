"""FLOP/s of a large matrix product: nothing on this machine can be faster."""

import numpy as np

from bench.measure.subject import put
from bench.measure.timing import chunk, clock

SIZE, SECONDS = 2048, 0.5  # of the product; how long it is repeated


def product(subjects):
    """Function that multiplies two matrices and waits for the result; in
    NumPy where only programs that are not of the lesson are compared."""
    a = np.random.default_rng(0).standard_normal((SIZE, SIZE))
    if not subjects:
        a = a.astype(np.float32)
        return lambda: a @ a
    module, args, _ = subjects[0]
    x, = put(subjects[0], [a.astype(args.dtype)])
    return lambda: module.fence(x @ x)  # JAX compiles a product that is called


def peak(subjects):
    multiply = product(subjects)
    multiply()
    best, end = float("inf"), clock() + SECONDS
    while clock() < end:
        best = min(best, chunk(multiply, lambda: None, 1))  # it waits itself
    return {"flops": (2 * SIZE**3 / best, "1/s", 1, "best product of two "
                      f"{SIZE} x {SIZE} matrices in {SECONDS} s")}
