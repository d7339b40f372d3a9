"""How long a trained network takes to answer.

The script trains for one epoch; then batches of
test images in NumPy go in, one after the other, and logits in NumPy come out,
as in a server that holds one request at a time. Both the forward pass as it
is written and its compiled form are timed.
"""

import time

import numpy as np

from bench.measure.subject import read_sets, ready

SIZES = (1, 64, 256, 1024)
REQUESTS, WARM = 1000, 20
clock = time.perf_counter


def jax_servers(module, state, _):
    """{rung: function from images to logits}"""
    jax, params = module.jax, state[0]
    compiled = jax.jit(module.forward)
    return {name: lambda x, f=f: np.asarray(f(params, x))
            for name, f in (("eager", module.forward),
                            ("compiled", compiled))}


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
    one, = subjects
    module, args, _ = one
    sets = read_sets(args)
    state, *epoch = ready(one, sets)
    program = module.build(args, state, *epoch, {})
    state, metrics = module.train_epoch(program, args, state, *epoch)
    module.fence((state, metrics))
    images = sets["test"][0]
    servers = (jax_servers if hasattr(module, "jax") else torch_servers)(
        module, state, args)
    found = {}
    for size in (size for size in SIZES if size <= len(images)):
        # Copies: a server gets its images from elsewhere, not from a cache
        # line that it has just read.
        batches = [images[start:start + size].copy() for start in range(
            0, min(len(images) - size, 8 * size) + 1, size)]
        logits = {}
        for rung, answer in servers.items():
            logits[rung] = [answer(batch) for batch in batches][0]
            for number in range(WARM):
                answer(batches[number % len(batches)])
            seconds = []
            for number in range(REQUESTS):
                batch = batches[number % len(batches)]
                start = clock()
                answer(batch)
                seconds.append(clock() - start)
            for name, part in (("p50", 50), ("p95", 95), ("p99", 99)):
                found[f"{rung} {size} {name}"] = (
                    float(np.percentile(seconds, part)), "s", REQUESTS,
                    "NumPy in, NumPy out, one request at a time")
        if not np.allclose(*logits.values(), rtol=1e-3, atol=1e-3):
            raise ValueError(f"eager and compiled disagree at batch {size}")
    return found
