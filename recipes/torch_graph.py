"""mlp_torch.py on the rung graph: the compiled step, recorded once as a CUDA
graph and replayed. All that is left to Python is to say "again" S times. It
needs an NVIDIA GPU; flags and record are those of mlp_torch.py.

A CUDA graph replays the same kernels on the same addresses, so everything a
step reads or writes gets a fixed place ("slots"), the number of the step
included, and the new state is copied over the old.
"""

from functools import partial

import torch

import data
import mlp_torch
from mlp_torch import *  # noqa: F403  all the rest is as it is there

step_setup, step_build = mlp_torch.setup, mlp_torch.build
RUNGS, RUNG = ("graph",), "graph"


def setup(args):
    """As mlp_torch.setup; Fault 2 or 4 where there is nothing to record."""
    if args.feed == "host":
        raise data.Fault(2, "argument --feed: host does not go with --rung "
                            "graph, which leaves the host no step to feed")
    place = step_setup(args)
    if place["device_kind"] != "cuda":
        raise data.Fault(4, "argument --rung: graph: a CUDA graph needs an "
                            "NVIDIA GPU")
    return place


def build(args, state, images, labels, order, lrs, timing):
    """The arguments of mlp_torch.build -> function that replays a step."""
    args.rung = "step"  # compiled as there
    program = step_build(args, state, images, labels, order, lrs, timing)
    args.rung = "graph"
    return capture(program, state, images, labels, order, lrs)


def train_epoch(program, args, state, images, labels, order, lrs):
    """The arguments and results of mlp_torch.train_epoch."""
    return program(state, order, lrs)


def slot_step(program, state, images, labels, slots):
    """One step on fixed memory: the state and slots change in place."""
    i, order, lrs, metrics = slots
    idx, lr = order.index_select(0, i)[0], lrs.index_select(0, i)[0]
    new, metric = program(state, images, labels, idx, lr)
    torch._foreach_copy_(leaves(state), leaves(new))  # all in a kernel or two
    metrics.index_copy_(0, i, metric[None])
    i.add_(1)


def leaves(state):
    """(model, params, opt) -> every tensor that a step changes."""
    _, params, opt = state  # opt: () or (m, v, t)
    named = params, *opt[:2]
    return [*(leaf for part in named for leaf in part.values()), *opt[2:]]


def make_slots(like, order, lrs):
    """a tensor, order (S, B), lrs (S,) -> step number, order, lrs, metrics"""
    order, lrs = (torch.from_numpy(a).to(like.device) for a in (order, lrs))
    return (like.new_zeros(1, dtype=torch.int64), order, lrs,
            like.new_zeros(len(order), 2))


def capture(program, state, images, labels, order, lrs):
    """CUDA only: record slot_step as a graph -> function that replays it."""
    slots = make_slots(images, order, lrs)
    before = [leaf.clone() for leaf in leaves(state)]
    # Lazy set-up (cuBLAS, the allocator) must not be recorded: warm up
    # first, on a side stream as the documentation of CUDA graphs asks.
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        slot_step(program, state, images, labels, slots)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        slot_step(program, state, images, labels, slots)
    for leaf, old in zip(leaves(state), before):
        leaf.copy_(old)  # the warm-up was a real step: take it back
    return partial(replay, graph.replay, slots)


def replay(again, slots, state, order, lrs):
    """-> state, metrics (S, 2); again() is one step on the slots."""
    slots[0].zero_()
    slots[1].copy_(torch.from_numpy(order))
    slots[2].copy_(torch.from_numpy(lrs))
    for _ in order:
        again()
    return state, slots[3].clone()  # the next epoch overwrites the slot


for function in (setup, build, train_epoch):
    setattr(mlp_torch, function.__name__, function)
mlp_torch.RUNGS, mlp_torch.RUNG = RUNGS, RUNG

if __name__ == "__main__":
    data.run(mlp_torch.main)
