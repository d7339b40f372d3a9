"""FLOP/s of a large matrix product: nothing on this machine can be faster."""

import numpy as np

from bench.measure.subject import put
from bench.measure.timing import chunk, clock

SECONDS = 0.5  # how long the product is repeated
# Of the matrices; the second where the first takes less than SHORT seconds, because
# to call a product and to wait for it takes some 1e-5 s on a GPU.
SIZES, SHORT = (2048, 8192), 2e-3


def product(subjects, size, bfloat16):
    """Function that multiplies two matrices and waits for the result; in
    NumPy where only programs that are not of the lesson are compared."""
    a = np.random.default_rng(0).standard_normal((size, size))
    if not subjects:
        a = a.astype(np.float32)
        return lambda: a @ a
    module, args, _ = subjects[0]
    x, = put(subjects[0], [a.astype(args.dtype)])
    if bfloat16:
        x = x.astype("bfloat16") if hasattr(module, "jax") else x.bfloat16()
    return lambda: module.fence(x @ x)  # JAX compiles a product that is called


def half(subjects):
    """In bfloat16, which the lesson's flags do not have."""
    return peak(subjects, bfloat16=True)


def peak(subjects, bfloat16=False):
    for size in SIZES:
        multiply = product(subjects, size, bfloat16)
        multiply()
        if chunk(multiply, lambda: None, 1) > SHORT:
            break
    best, end = float("inf"), clock() + SECONDS
    while clock() < end:
        best = min(best, chunk(multiply, lambda: None, 1))  # it waits itself
    return {"flops": (2 * size**3 / best, "1/s", 1, "best product of two "
                      f"{size} x {size} matrices in {SECONDS} s")}
