"""The lesson's second chapter: mlp_jax.py on several devices.

    python -m scale.parallel_jax --batch-size 256     # on all that are here

Several processes, on one machine or on many, each with these four variables
and the same flags (Slurm's srun needs no variables):

    JAX_COORDINATOR_ADDRESS=127.0.0.1:8476 WORLD_SIZE=2 RANK=0 LOCAL_RANK=0 \\
        python -m scale.parallel_jax --batch-size 256

All flags are those of mlp_jax.py. Only what changes is here, under the
lesson's headings and names; parallel_torch.py is the same in PyTorch. N
devices compute together what one computes of a batch, each a share of it, and
the losses are those of the lesson but for rounding: sums are in another order.

In JAX the program stays as it is. An array says on which devices its parts
lie (its sharding); XLA compiles the same step for all of them at once, and
puts in what they must tell each other.
"""

import os
from types import SimpleNamespace

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import data
import mlp_jax

# ---------------------------------------------------------------- 1. Setup
# The lesson's functions as they are. Some get another body below, which takes
# their place in mlp_jax, so that its main() calls it (last lines).

lesson = SimpleNamespace(**vars(mlp_jax))


def setup(args):
    """Join the other processes -> what the first device is"""
    # Before anything is computed. Every process waits here for all others,
    # and from here on jax.devices() are those of all of them.
    if address := os.environ.get("JAX_COORDINATOR_ADDRESS"):
        jax.distributed.initialize(
            address, int(os.environ["WORLD_SIZE"]), int(os.environ["RANK"]),
            # Of its machine's GPUs, the one that is this process's.
            local_device_ids=int(os.environ.get("LOCAL_RANK", 0)))
    elif int(os.environ.get("SLURM_NTASKS", 1)) > 1:
        jax.distributed.initialize()  # Slurm knows the rest
    place, count = lesson.setup(args), jax.device_count()
    if args.batch_size % count:
        raise data.Fault(2, f"argument --batch-size: {args.batch_size} is no "
                            f"multiple of the {count} devices")
    if args.feed == "host":
        raise data.Fault(2, "argument --feed: host: here only device")
    # One row of devices, whose axis is called "batch". Auto: XLA chooses how
    # what it computes is divided; where old weights are whole, new ones are.
    lesson.mesh = jax.make_mesh((count,), ("batch",),
                                axis_types=(AxisType.Auto,))
    if jax.process_index():  # the first tells, and writes
        mlp_jax.print = mlp_jax.write_record = lambda *_, **__: None
        args.save = None
    return place


# ------------------------------------------------------------- 2. Settings
# Nothing changes. --batch-size is that of all devices together: the more
# there are, the smaller a share, and the training stays the same.

# ----------------------------------------------------------- 3. Parameters
# Every device has all weights and all that the update remembers.

def put(array, *axes):
    """NumPy array, the same in every process -> one array over all devices,
    divided along the axis at "batch", or, without axes, whole on each"""
    array = np.asarray(array)
    sharding = NamedSharding(lesson.mesh, PartitionSpec(*axes))
    # Each process is asked for the parts of its own devices.
    return jax.make_array_from_callback(
        array.shape, sharding, lambda part: array[part])


def init_state(weights, args):
    """NumPy weights, flags -> the lesson's state, on every device"""
    return jax.tree.map(put, lesson.init_state(weights, args))


# ---------------------------------------------------------------- 4. Model
# Nothing changes: it is written for a batch, and does not say for how large a
# one.

# ----------------------------------------------------------------- 5. Loss
# Nothing changes: one mean over the whole batch, with the division by B in
# it. An axis is divided evenly, hence the check in section 1.

# ------------------------------------------------------------- 6. One step
# Nothing changes. From its share each device computes a part of every
# gradient, and the gradient is the sum of the parts. All devices need it
# whole, so XLA puts an all-reduce there: parts are added up over all devices,
# and all get the sum. Nobody averages by hand: the loss is divided by B.

# ------------------------------------------------------------ 7. One epoch
# The order of an epoch is the lesson's: S rows, the indices of the B images of
# a batch. Each row is divided: of N devices the r-th has the r-th of N parts,
# and cuts those images out of all, which lie on every device. Nothing travels.

def share(args, order):
    """order (S, B) -> the same, its second axis divided"""
    if args.rung == "epoch":  # the whole order is one argument
        return put(order, None, "batch")
    return [put(idx, "batch") for idx in order]  # a row for each call


def build(args, state, images, labels, order, lrs, timing):
    """As in the lesson, of a share"""
    return lesson.build(args, state, images, labels, share(args, order), lrs,
                        timing)


def train_epoch(program, args, state, images, labels, order, lrs):
    """As in the lesson, of a share"""
    return lesson.train_epoch(program, args, state, images, labels,
                              share(args, order), lrs)


# ------------------------------------------------------------- 8. Evaluate
# Nothing changes: every device has the whole set, and all do the same work.

# ---------------------------------------------------------------- 9. Train
# The clock is the first process's, and its fence waits for values that all
# devices have made together.

def load_sets(args, record):
    """-> the lesson's sets, on every device"""
    return jax.tree.map(put, lesson.load_sets(args, record))


for function in (setup, init_state, build, train_epoch, load_sets):
    setattr(mlp_jax, function.__name__, function)  # in the lesson's places

if __name__ == "__main__":
    data.run(mlp_jax.main)
