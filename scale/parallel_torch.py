"""The lesson's second chapter: mlp_torch.py on several devices.

    torchrun --nproc-per-node 2 -m scale.parallel_torch --batch-size 256

One process for each device, on one machine or on many: torchrun starts them,
and tells each which it is (RANK of WORLD_SIZE, LOCAL_RANK on its machine) and
where the first can be reached. Started without torchrun, it is one process.

All flags are those of mlp_torch.py. Only what changes is here, under the
lesson's headings and names; parallel_jax.py is the same in JAX. N
devices compute together what one computes of a batch, each a share of it, and
the losses are those of the lesson but for rounding: sums are in another order.

In PyTorch every process runs the program for itself, on a share of the batch.
DistributedDataParallel wraps the model: at the start it sends the first
process's weights to all, and while backward() runs it averages every gradient
over all processes, so that the same step follows everywhere.
"""

import atexit
import os
from types import SimpleNamespace

import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

import data
import mlp_torch

# ---------------------------------------------------------------- 1. Setup
# The lesson's functions as they are. Some get another body below, which takes
# their place in mlp_torch, so that its main() calls it (last lines).

lesson = SimpleNamespace(**vars(mlp_torch))
RANK = int(os.environ.get("RANK", 0))
COUNT = int(os.environ.get("WORLD_SIZE", 1))


def setup(args):
    """Join the other processes -> what this one's device is"""
    if args.device != "cpu" and torch.cuda.is_available():
        # Of its machine's GPUs, the one that is this process's.
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)))
    place = lesson.setup(args)
    if args.batch_size % COUNT:
        raise data.Fault(2, f"argument --batch-size: {args.batch_size} is no "
                            f"multiple of the {COUNT} devices")
    if args.feed == "host":
        raise data.Fault(2, "argument --feed: host: here only device")
    if args.rung != "eager":
        raise data.Fault(2, f"argument --rung: {args.rung}: here only eager")
    # Every process waits here for all others. NCCL is NVIDIA's library for
    # what they tell each other, gloo the one for processors.
    if COUNT > 1:
        distributed.init_process_group(
            "nccl" if args.device == "cuda" else "gloo")
        atexit.register(distributed.destroy_process_group)  # as NCCL asks
    if RANK:  # the first tells, and writes
        mlp_torch.print = mlp_torch.write_record = lambda *_, **__: None
        args.save = None
    return place


# ------------------------------------------------------------- 2. Settings
# Nothing changes. --batch-size is that of all devices together: the more
# there are, the smaller a share, and the training stays the same.

# ----------------------------------------------------------- 3. Parameters
# Nothing changes: every process draws the same weights from the same seed (the
# wrapper would send the first one's anyway). And as all get the same averaged
# gradients, weights and optimizers stay alike.

# ---------------------------------------------------------------- 4. Model
# Nothing changes, but for the wrapper around it (section 7).

# ----------------------------------------------------------------- 5. Loss
# Nothing changes: a process's loss is the mean of its share. As all shares
# are of one size, the mean over processes is that of the whole batch. With
# several sizes an image of a small share would count too much, hence the
# check in section 1.

# ------------------------------------------------------------- 6. One step
# Nothing changes. The wrapper has put a hook on every parameter: as soon as
# backward() has its gradient, an all-reduce begins, which adds it up over all
# processes beside what is left of backward(), and divides by their number:
# optimizer.step() finds the mean.

# ------------------------------------------------------------ 7. One epoch
# The order of an epoch is the lesson's: S rows, the indices of the B images of
# a batch. Each row is divided: of N devices the r-th has the r-th of N parts,
# and cuts those images out of all, which lie on every device. Nothing travels.

def share(order):
    """order (S, B) -> this process's part of it: (S, B / N)"""
    size = order.shape[1] // COUNT
    return order[:, RANK * size:(RANK + 1) * size]


def build(args, state, images, labels, order, lrs, timing):
    """As in the lesson, of a share, with the wrapper around the model"""
    if COUNT > 1:
        # In what is called, only: train_epoch's state keeps the model itself,
        # whose parameters are the wrapper's, too.
        state = DistributedDataParallel(state[0]), *state[1:]
    return lesson.build(args, state, images, labels, share(order), lrs,
                        timing)


def train_epoch(program, args, state, images, labels, order, lrs):
    """As in the lesson, of a share; metrics (means of it) averaged, too"""
    state, metrics = lesson.train_epoch(program, args, state, images, labels,
                                        share(order), lrs)
    metrics = torch.stack(metrics)
    if COUNT > 1:
        distributed.all_reduce(metrics)  # the sum
    return state, metrics / COUNT


# ------------------------------------------------------------- 8. Evaluate
# Nothing changes: every device has the whole set, and all do the same work.

# ---------------------------------------------------------------- 9. Train
# The clock is the first process's, and its fence waits for its own device:
# no step ends on one before the gradients of all are there.

for function in (setup, build, train_epoch):
    setattr(mlp_torch, function.__name__, function)  # in the lesson's places

if __name__ == "__main__":
    data.run(mlp_torch.main)
