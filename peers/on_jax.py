"""What the libraries on JAX share: device and precision, the update rule of
Optax, the batches."""

import jax
import numpy as np
import optax

from bench.kit import program


def describe(args, run, versions):
    """Choose device and precision, before the first array, and say what it is."""
    if args.device != "auto":
        jax.config.update("jax_platforms", args.device)
    jax.config.update("jax_enable_x64", args.precision == "fp64")
    jax.config.update("jax_default_matmul_precision",
                      "default" if args.precision == "tf32" else "highest")
    compilations, device = [], jax.devices()[0]
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, seconds, **_: name.endswith("backend_compile_duration")
        and compilations.append(seconds))
    run.describe({**versions, "optax": optax.__version__, "jax": jax.__version__},
                 "cpu" if device.platform == "cpu" else "cuda",
                 device.device_kind, program.cores(), jax.block_until_ready,
                 jax.device_get, lambda: len(compilations),
                 lambda: (device.memory_stats() or {}).get("peak_bytes_in_use"))


def make_optimizer(args, run):
    """The update rule, with a rate for every step: the schedule is Optax's."""
    steps = args.epochs * (run.n // args.batch_size)
    rate = (args.lr if args.schedule == "constant"
            else optax.cosine_decay_schedule(args.lr, steps))
    return {"adam": optax.adam, "sgd": optax.sgd}[args.optimizer](rate)


def batches(images, labels, order):
    """-> what cut() makes a batch of: arrays of the host are cut here, those on
    the device inside the compiled step."""
    host = isinstance(images, np.ndarray)
    for idx in order:
        yield (images[idx], labels[idx], None) if host else (images, labels, idx)


def cut(images, labels, idx):
    return (images, labels) if idx is None else (images[idx], labels[idx])
