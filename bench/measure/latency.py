"""How long a trained network takes to answer.

The script trains for one epoch. Then batches of test images in NumPy go in,
one after the other, and logits in NumPy come out, as in a server that holds
one request at a time. Both the forward pass as it is written and its compiled
form are timed.
"""

import itertools

import numpy as np

from bench.measure.subject import read_sets, ready
from bench.measure.timing import clock

SIZES = (1, 64, 256, 1024)
REQUESTS, WARM = 1000, 20


def jax_servers(module, state, _):
    """{rung: function from images to logits}"""
    def server(f):
        return lambda x: np.asarray(f(state[0], x))
    return {"eager": server(module.forward),
            "compiled": server(module.jax.jit(module.forward))}


def torch_servers(module, state, args):
    torch, model = module.torch, state[0]
    # dynamic=False: a program for each batch size, as jit makes one.
    compiled = torch.compile(model, fullgraph=True, dynamic=False)

    def server(f):
        @torch.no_grad()
        def answer(x):
            return f(torch.from_numpy(x).to(args.device)).cpu().numpy()
        return answer
    return {"eager": server(model), "compiled": server(compiled)}


def latency(subjects):
    """Seconds of a request, by rung and batch size."""
    (module, args, _), = subjects
    sets = read_sets(args)
    state, *epoch = ready(subjects[0], sets)
    program = module.build(args, state, *epoch, {})
    state, metrics = module.train_epoch(program, args, state, *epoch)
    module.fence((state, metrics))
    images = sets["test"][0]
    make = jax_servers if hasattr(module, "jax") else torch_servers
    servers = make(module, state, args)
    found = {}
    for size in (size for size in SIZES if size <= len(images)):
        # Copies: a server gets its images from elsewhere, not from a cache
        # line that it has just read.
        batches = [images[start:start + size].copy() for start in range(
            0, min(len(images) - size, 8 * size) + 1, size)]
        logits = {}
        for rung, answer in servers.items():
            logits[rung] = answer(batches[0])
            seconds, requests = [], itertools.cycle(batches)
            for batch in itertools.islice(requests, WARM + REQUESTS):
                start = clock()
                answer(batch)
                seconds.append(clock() - start)
            for part in (50, 95, 99):
                found[f"{rung} {size} p{part}"] = (
                    float(np.percentile(seconds[WARM:], part)), "s", REQUESTS,
                    "NumPy in, NumPy out, one request at a time")
        if not np.allclose(*logits.values(), rtol=1e-3, atol=1e-3):
            raise ValueError(f"eager and compiled disagree at batch {size}")
    return found
