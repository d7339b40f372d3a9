"""A script of the lesson or of vision/, looked at from outside: what measures work
on."""

from typing import NamedTuple

import numpy as np

import data
from bench.kit import flags, program
from bench.kit.rungs import RUNGS


class Subject(NamedTuple):
    """A script that is looked at, set up and ready."""

    module: object
    args: object
    place: dict  # what its setup() says of device and versions


def set_up(module, argv):
    """-> Subject with these flags. A program of vision/ gets what the lesson's scripts
    have: the type of its numbers, the device by name, a fence."""
    if hasattr(module, "parse_flags"):
        args = module.parse_flags(argv)
        return Subject(module, args, module.setup(args))
    args = flags.parse(module.__file__, tuple(RUNGS), "step", argv, vision=True)
    run = program.Run(args, "")
    module.setup(args, run)
    place, module.fence = run.record["environment"], run.fence
    args.dtype, args.device = run.dtype, place["device_kind"]
    return Subject(module, args, place)


def read_sets(args):
    """-> {"train", "val", "test": [images, labels]} in NumPy, in the type
    that the flags ask for."""
    return {part: [a.astype(args.dtype, copy=False) for a in arrays]
            for part, arrays in program.read_sets(args).items()}


def ready(subject, sets):
    """Initial state, the training set where the feed has it, and the
    arguments of build() that follow it: (state, images, labels, order, lrs)."""
    module, args, _ = subject
    x, y = sets["train"]
    weights = module.load_weights(args, sets, {})
    lrs = np.full(len(x) // args.batch_size, args.lr, args.dtype)
    order = data.batch_order(len(x), args.batch_size, args.seed, 0)
    if args.feed == "device":
        x, y = put(subject, (x, y))
    return module.init_state(weights, args), x, y, order, lrs


def put(subject, arrays):
    """NumPy arrays -> on the device of a subject."""
    module, args, _ = subject
    if hasattr(module, "jax"):
        return module.jax.device_put(arrays)
    return [module.torch.from_numpy(a).to(args.device) for a in arrays]
