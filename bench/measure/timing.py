"""How short things are timed: in chunks with a fence, taking turns."""

import time

import numpy as np

clock = time.perf_counter


def alternate(calls, fence, most, chunks=7, seconds=0.2):
    """{name: function} -> {name: (median seconds of one call, chunks)}. A
    chunk is up to `most` calls and about `seconds` long, with a fence at its
    end; the chunks of all functions alternate, so that drift hits all."""
    counts, taken = {}, {name: [] for name in calls}
    for name, call in calls.items():
        call()  # may compile
        fence()
        start = clock()
        call()
        fence()
        counts[name] = max(1, min(most, int(seconds / (clock() - start))))
    for _ in range(chunks):
        for name, call in calls.items():
            start = clock()
            for _ in range(counts[name]):
                call()
            fence()
            taken[name].append((clock() - start) / counts[name])
    return {name: (float(np.median(values)), chunks)
            for name, values in taken.items()}


def per_call(call, fence, most):
    """(median seconds of one call, chunks)"""
    return alternate({"": call}, fence, most, seconds=0.05)[""]


def graph(torch, call):
    """CUDA only: `call` recorded once -> what replays it."""
    stream = torch.cuda.Stream()  # warm-up aside, as CUDA graphs ask
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        call()
    torch.cuda.current_stream().wait_stream(stream)
    recorded = torch.cuda.CUDAGraph()
    # Other libraries' threads may use the device meanwhile: not forbidden.
    with torch.cuda.graph(recorded, capture_error_mode="thread_local"):
        call()

    def again(_=call):  # keeps what it reads alive: a graph holds addresses
        recorded.replay()
    return again
