"""The network in Flax NNX and Optax: modules whose weights change in place,
one jitted step, a loop in Python.

    python compare.py --contender flax=peers/mlp_flax.py \\
        --variants flax:step jax:step

As https://flax.readthedocs.io/en/stable/mnist_tutorial.html trains.
"""

from bench.kit import program

with program.importing("flax"):
    import flax
    import jax
    import jax.numpy as jnp
    import optax
    from flax import nnx


class MLP(nnx.Module):
    """Dense layers with ReLU between them: x (B, inputs) -> logits (B, 10)"""

    def __init__(self, sizes, dtype, rngs):
        self.layers = nnx.List([
            nnx.Linear(i, o, kernel_init=nnx.initializers.he_normal(),
                       param_dtype=dtype, rngs=rngs)
            for i, o in zip(sizes, sizes[1:])])

    def __call__(self, x):
        for layer in self.layers[:-1]:
            x = nnx.relu(layer(x))
        return self.layers[-1](x)


def loss_fn(model, x, y):
    """-> mean cross-entropy, (the same, accuracy)"""
    logits = model(x)
    loss = optax.softmax_cross_entropy(logits, y).mean()
    right = (logits.argmax(1) == y.argmax(1)).mean(dtype=loss.dtype)
    return loss, jnp.stack([loss, right])


@nnx.jit
def train_step(model, optimizer, images, labels, idx):
    """One step: changes model and optimizer -> (loss, accuracy)"""
    grads, metrics = nnx.grad(loss_fn, has_aux=True)(
        model, images[idx], labels[idx])
    optimizer.update(model, grads)
    return metrics


@nnx.jit
def evaluate(model, x, y):
    return loss_fn(model, x, y)[1]


def make_optimizer(args, steps):
    """The update rule, with a rate for every step: the schedule is Optax's."""
    rate = args.lr if args.schedule == "constant" else (
        optax.cosine_decay_schedule(args.lr, args.epochs * steps))
    return {"adam": optax.adam, "sgd": optax.sgd}[args.optimizer](rate)


def train(args, run):
    jax.config.update("jax_enable_x64", args.precision == "fp64")
    jax.config.update("jax_default_matmul_precision",
                      "default" if args.precision == "tf32" else "highest")
    compilations = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, seconds, **_: name.endswith("backend_compile_duration")
        and compilations.append(seconds))
    device = jax.devices()[0]
    run.describe({"flax": flax.__version__, "optax": optax.__version__,
                  "jax": jax.__version__}, {"gpu": "cuda"}.get(
                      device.platform, device.platform), device.device_kind,
                 program.cores(), jax.block_until_ready, jax.device_get,
                 lambda: len(compilations), lambda: (
                     device.memory_stats() or {}).get("peak_bytes_in_use"))
    model = MLP(run.sizes, run.dtype, nnx.Rngs(args.seed))
    weights = run.initial(lambda: pairs(model))
    for layer, (w, b) in zip(model.layers, weights):
        layer.kernel[...], layer.bias[...] = jnp.asarray(w), jnp.asarray(b)
    run.load(jax.device_put)
    optimizer = nnx.Optimizer(
        model, make_optimizer(args, run.n // args.batch_size), wrt=nnx.Param)

    def build(state, images, labels, order, lrs, timing):
        # A call compiles; it trains copies. Nothing is returned: whoever calls
        # train_step again finds what was compiled.
        train_step(*nnx.clone(state), images, labels, order[0])

    def train_epoch(state, images, labels, order, lrs):
        return state, [train_step(*state, images, labels, idx) for idx in order]

    run.compile(build, (model, optimizer))
    run.train(train_epoch, lambda state, x, y: evaluate(state[0], x, y),
              (model, optimizer))
    return pairs(model)


def pairs(model):
    """-> [(w (in, out), b), …] in NumPy"""
    return [(jax.device_get(layer.kernel[...]), jax.device_get(layer.bias[...]))
            for layer in model.layers]


if __name__ == "__main__":
    program.main(train, __file__, "flax", "step", rungs=("step",))
