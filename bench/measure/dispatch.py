"""What it costs to start something, and the speed of a large copy."""

from functools import partial

import numpy as np

from bench.measure.subject import put
from bench.measure.timing import graph, per_call

CHAIN = 1000  # dependent kernels, so that their number decides the time


def jax_dispatch(module, _):
    """{name: measurement} of a compiled program that does next to nothing,
    called from Python, and of one more dependent kernel inside a program."""
    jax, state = module.jax, [module.jax.device_put(np.float32(0))]
    add = jax.jit(lambda x: x + 1)
    many = jax.jit(lambda x: jax.lax.fori_loop(
        0, CHAIN, lambda _, x: x * 0.5 + 1, x))

    def again(program):
        state[0] = program(state[0])
    fence = partial(jax.block_until_ready, state)
    return {"jax chain": per_call(partial(again, many), fence, 50, CHAIN),
            "jax call": per_call(partial(again, add), fence, 2000)}


def torch_dispatch(module, args):
    """The same, and one operation from Python."""
    torch, fence = module.torch, partial(module.fence, None)
    x = torch.zeros((), device=args.device)
    # No compiler behind it: what remains are its guards and the call.
    add = torch.compile(lambda x: x + 1, backend="eager")

    def many():
        for _ in range(CHAIN):
            x.add_(1)
    found = {"torch operation": per_call(many, fence, 20, CHAIN),
             "torch call": per_call(partial(add, x), fence, 2000)}
    if args.device == "cuda":
        found["torch chain"] = per_call(graph(torch, many), fence, 50, CHAIN)
    return found


def bandwidth(one):
    """Bytes per second of a large copy, read and written, on the device; by
    torch, where it is, because NumPy copies with one thread."""
    last, module = [None], one.module
    x, = put(one, [np.zeros(2**25, np.float32)])
    if hasattr(module, "torch"):
        copy = module.torch.empty_like(x).copy_
    else:
        copy = module.jax.jit(lambda x: x + 1)

    def again():
        last[0] = copy(x)
    seconds, _, n, _ = per_call(again, partial(module.fence, last), 20)
    return (2 * x.nbytes / seconds, "bytes/s", n,
            "a large copy, bytes read and written")


def dispatch(subjects):
    """What it costs to start something, and a large copy."""
    found = {}
    for module, args, _ in subjects:
        measure = jax_dispatch if hasattr(module, "jax") else torch_dispatch
        found.update(measure(module, args))
    return {**found, "bandwidth": bandwidth(subjects[-1])}
