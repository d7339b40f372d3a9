"""How short things are timed: in chunks with a fence at the end of each."""

import time

import numpy as np

CHUNKS = 7  # whose median counts
clock = time.perf_counter


def calls_of(call, fence, most, seconds):
    """How many calls make a chunk: about `seconds` long, at most `most`."""
    call()  # may compile
    fence()
    return max(1, min(most, int(seconds / chunk(call, fence, 1))))


def chunk(call, fence, count):
    """Seconds of one call, over `count` of them with a fence at their end."""
    start = clock()
    for _ in range(count):
        call()
    fence()
    return (clock() - start) / count


def per_call(call, fence, most, inside=1):
    """A measurement: the seconds of what a call does `inside` times."""
    count = calls_of(call, fence, most, seconds=0.05)
    seconds = [chunk(call, fence, count) for _ in range(CHUNKS)]
    return float(np.median(seconds)) / inside, "s", CHUNKS, "median of chunks"


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
