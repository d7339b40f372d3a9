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
from batches import CLASSES, able, kept, planes

PRODUCTS = {"bf16": jnp.bfloat16}
# Of products of float32, convolutions included: "default" is TF32 on a GPU. With any
# other word XLA leaves its own (Triton's) kernels out, those of bfloat16, too.
PRECISION = {"tf32": "default", "bf16": "default"}


def setup(args, run):
    """Choose device and precision."""
    if args.device != "auto":
        jax.config.update("jax_platforms", args.device)
    jax.config.update("jax_enable_x64", args.precision == "fp64")
    jax.config.update("jax_default_matmul_precision",
                      PRECISION.get(args.precision, "highest"))
    try:
        device = jax.devices()[0]
    except Exception as error:
        raise program.Fault(
            4, f"argument --device: {args.device}: {error!r}") from error
    able(args, float(getattr(device, "compute_capability", 0)))
    compilations = []
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


def pictures(args, images, idx):
    """-> x (B, size, size, 3) around 0: a pixel becomes a square of pixels, a grey
    picture three alike"""
    colours, side, times = planes(args)
    x = images[idx].reshape(-1, colours, side, side).transpose(0, 2, 3, 1)
    x = jnp.broadcast_to(x, (*x.shape[:3], 3)).repeat(times, 1).repeat(times, 2)
    return 4 * x - 2


def classes(labels, idx):
    """-> one-hot y (B, 1000)"""
    y = labels[idx]
    return jnp.pad(y, (*[(0, 0)] * (y.ndim - 1), (0, CLASSES - y.shape[-1])))


def train_step(args, rates, weights, images, labels, idx, keep, lr):
    """-> weights, (loss, accuracy)"""
    x, y = pictures(args, images, idx), classes(labels, idx)
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


def answer(args, weights, x):
    """-> logits (B, 1000)"""
    return vision_jax.forward(args.network, weights, x,
                              products=PRODUCTS.get(args.precision))[0]


def score(args, logits, labels, idx):
    """-> (loss, accuracy) of the logits of one batch, or of each of several"""
    y = classes(labels, idx)
    if args.work == "answer":  # it has learned nothing: they are all but equal
        logits = logits / jnp.abs(logits).mean((-2, -1), keepdims=True)
    loss = vision_jax.cross_entropy(logits, y)
    right = (logits.argmax(-1) == y.argmax(-1)).mean(-1, dtype=logits.dtype)
    return jnp.stack([loss, right], -1)


def answer_epoch(run, make, judge, ask, weights, images, labels, order, lrs):
    """The same batches, each asked about when the answer to the last is on the host.
    Its picture is made before it is asked about."""
    logits = []
    for idx in order:
        x = run.fence(make(images, idx))
        start = program.clock()
        logits.append(np.asarray(ask(weights, x)))
        run.timing["answer_s"].append(program.clock() - start)
    return weights, judge(np.stack(logits), labels, order)


def evaluate(args, find, weights, x, y):
    """-> (loss, accuracy) of all of them, as many at once as in a step"""
    size, n = args.batch_size, len(x)
    return sum(len(idx) * find(weights, x, y, idx) for idx in (
        np.arange(start, min(n, start + size)) for start in range(0, n, size))) / n


def around(args, run):
    """-> what makes a picture and what judges all answers of an epoch, compiled, but
    not as a part of the program that is compared"""
    (images, labels), order = run.sets["train"], run.order(0)
    logits = jax.ShapeDtypeStruct((*order.shape, CLASSES), images.dtype)
    return (jax.jit(partial(pictures, args)).lower(images, order[0]).compile(),
            jax.jit(partial(score, args)).lower(logits, labels, order).compile())


def build(args, rates, weights, images, labels, order, lrs, timing):
    """-> the compiled step, or what answers"""
    if args.work == "answer":
        x = jax.eval_shape(partial(pictures, args), images, order[0])
        return jax.jit(partial(answer, args)).lower(weights, x).compile()
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
    epoch = partial(train_epoch, args, rates)
    if args.work == "answer":
        run.timing["answer_s"] = []
        epoch = partial(answer_epoch, run, *around(args, run))
    epoch = partial(epoch, run.compile(partial(build, args, rates), weights))

    @jax.jit
    def find(weights, x, y, idx):
        return score(args, answer(args, weights, pictures(args, x, idx)), y, idx)
    return arrays(run.train(epoch, partial(evaluate, args, find), weights))


if __name__ == "__main__":
    program.main(train, __file__, "jax", "step", rungs=("step",), vision=True)
