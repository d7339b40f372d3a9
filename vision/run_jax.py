"""The networks of vision_jax.py as a program that is timed: steps of training, or
answers that are waited for one by one. run_torch.py is the same in PyTorch.

    python compare.py --recipe recipes/vision.toml --network resnet50
"""

from functools import partial

from bench.kit import program

with program.importing("jax"):
    import jax
    import jax.numpy as jnp
    import vision_jax
import numpy as np
from batches import CLASSES, kept, planes

PRODUCTS = {"bf16": jnp.bfloat16}


def setup(args, run):
    """Choose device and precision, of convolutions, too."""
    if args.device != "auto":
        jax.config.update("jax_platforms", args.device)
    jax.config.update("jax_enable_x64", args.precision == "fp64")
    jax.config.update("jax_default_matmul_precision", "tensorfloat32"
                      if args.precision == "tf32" else "highest")
    compilations, device = [], jax.devices()[0]
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, seconds, **_: name.endswith("backend_compile_duration")
        and compilations.append(seconds))
    run.describe(
        {"jax": jax.__version__, "jaxlib": jax.lib.__version__},
        "cpu" if device.platform == "cpu" else "cuda", device.device_kind,
        program.cores(), fence=jax.block_until_ready,
        to_host=lambda a: np.asarray(jax.device_get(a)),
        compiled=lambda: len(compilations),
        memory=lambda: (device.memory_stats() or {}).get("peak_bytes_in_use"))


def batch(args, images, labels, idx):
    """-> x (B, size, size, 3) around 0, one-hot y (B, 1000): a pixel becomes a
    square of pixels, a grey picture three alike"""
    colours, side, times = planes(args)
    x = images[idx].reshape(-1, colours, side, side).transpose(0, 2, 3, 1)
    x = jnp.broadcast_to(x, (*x.shape[:3], 3)).repeat(times, 1).repeat(times, 2)
    y = labels[idx]
    return 4 * x - 2, jnp.pad(y, ((0, 0), (0, CLASSES - y.shape[1])))


def train_step(args, rates, weights, images, labels, idx, keep, lr):
    """-> weights, (loss, accuracy)"""
    x, y = batch(args, images, labels, idx)
    masks = {name: a.astype(x.dtype) / (1 - rates[name][0])
             for name, a in keep.items()}
    return vision_jax.train_step(args.network, weights, x, y, masks, lr,
                                 PRODUCTS.get(args.precision))


def train_epoch(args, rates, step, weights, images, labels, order, lrs):
    """order (S, B), lrs (S,) -> weights, metrics: S times (loss, accuracy)"""
    metrics, masks = [], kept(rates, order)
    for n, (idx, lr) in enumerate(zip(order, lrs)):
        keep = {name: a[n] for name, a in masks.items()}
        weights, metric = step(weights, images, labels, idx, keep, lr)
        metrics.append(metric)
    return weights, metrics


def answer(args, weights, images, labels, idx):
    """-> (loss, accuracy) of what it answers"""
    x, y = batch(args, images, labels, idx)
    logits, _ = vision_jax.forward(args.network, weights, x,
                                   products=PRODUCTS.get(args.precision))
    if args.work == "answer":  # it has learned nothing: they are all but equal
        logits = logits / jnp.abs(logits).mean()
    right = (logits.argmax(1) == y.argmax(1)).mean(dtype=logits.dtype)
    return jnp.stack([vision_jax.cross_entropy(logits, y), right])


def answer_epoch(args, run, step, weights, images, labels, order, lrs):
    """The same batches, each asked for when the answer to the last is there."""
    metrics = []
    for idx in jax.device_put(list(order)):
        start = program.clock()
        metrics.append(step(weights, images, labels, idx))
        run.fence(metrics[-1])
        run.timing["answer_s"].append(program.clock() - start)
    return weights, metrics


def evaluate(args, score, weights, x, y):
    """-> (loss, accuracy) of all of them, as many at once as in a step"""
    size, n = args.batch_size, len(x)
    return sum(len(idx) * score(weights, x, y, idx) for idx in (
        np.arange(start, min(n, start + size)) for start in range(0, n, size))) / n


def build(args, rates, weights, images, labels, order, lrs, timing):
    """-> the compiled step"""
    if args.work == "answer":
        return jax.jit(partial(answer, args)).lower(
            weights, images, labels, order[0]).compile()
    keep = {name: a[0] for name, a in kept(rates, order).items()}
    # The weights are donated: XLA writes the new ones over the old ones.
    return jax.jit(partial(train_step, args, rates), donate_argnums=0).lower(
        weights, images, labels, order[0], keep, lrs[0]).compile()


def arrays(weights):
    """-> [(array,), …] in NumPy, as PyTorch keeps them, in the order of their
    names: the parameters, without BatchNorm's statistics"""
    return [(a,) for name, a in sorted(vision_jax.to_torch(weights).items())
            if not vision_jax.is_statistic(name)]


def train(args, run):
    setup(args, run)
    vision_jax.SIZE = args.size or vision_jax.SIZE
    shapes, rates = vision_jax.shapes(args.network)
    given = run.initial(lambda: arrays(vision_jax.initial(args.network, args.seed)))
    names = sorted(name for name in shapes if not vision_jax.is_statistic(name))
    weights = {name: np.full(shape, float(name.endswith("running_var")), run.dtype)
               for name, shape in shapes.items() if name not in names}
    weights = jax.device_put({**weights, **vision_jax.from_torch(
        {name: a for name, (a,) in zip(names, given)})})
    run.load(jax.device_put)
    step = run.compile(partial(build, args, rates), weights)
    epoch = partial(train_epoch, args, rates, step)
    if args.work == "answer":
        run.timing["answer_s"] = []
        epoch = partial(answer_epoch, args, run, step)
    score = jax.jit(partial(answer, args))
    return arrays(run.train(epoch, partial(evaluate, args, score), weights))


if __name__ == "__main__":
    program.main(train, __file__, "jax", "step", rungs=("step",), vision=True)
