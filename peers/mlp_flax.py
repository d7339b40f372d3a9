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
    import on_jax
    import optax
    from flax import nnx
    from on_jax import batches, cut, make_optimizer


class MLP(nnx.Module):
    """Dense layers with ReLU, and dropout if asked for, between them: x (B,
    inputs) -> logits (B, 10)"""

    def __init__(self, sizes, dtype, dropout, rngs):
        self.layers = nnx.List([
            nnx.Linear(i, o, kernel_init=nnx.initializers.he_normal(),
                       param_dtype=dtype, rngs=rngs)
            for i, o in zip(sizes, sizes[1:])])
        self.dropout = nnx.Dropout(dropout, rngs=rngs) if dropout else None

    def __call__(self, x):
        for layer in self.layers[:-1]:
            x = nnx.relu(layer(x))
            x = self.dropout(x) if self.dropout else x
        return self.layers[-1](x)


def loss_fn(model, x, y):
    """-> mean cross-entropy, (the same, accuracy)"""
    logits = model(x)
    loss = optax.softmax_cross_entropy(logits, y).mean()
    right = (logits.argmax(1) == y.argmax(1)).mean(dtype=loss.dtype)
    return loss, jnp.stack([loss, right])


@nnx.jit
def train_step(model, optimizer, batch):
    """One step: changes model and optimizer -> (loss, accuracy)"""
    grads, metrics = nnx.grad(loss_fn, has_aux=True)(model, *cut(*batch))
    optimizer.update(model, grads)
    return metrics


@nnx.jit
def score(model, x, y):
    return loss_fn(model, x, y)[1]


def evaluate(state, x, y):
    model, _ = state
    model.eval()  # no dropout
    found = score(model, x, y)
    model.train()
    return found


def train(args, run):
    on_jax.describe(args, run, {"flax": flax.__version__})
    model = MLP(run.sizes, run.dtype, args.dropout, nnx.Rngs(args.seed))
    weights = run.initial(lambda: pairs(model))
    for layer, (w, b) in zip(model.layers, weights):
        layer.kernel[...], layer.bias[...] = jnp.asarray(w), jnp.asarray(b)
    run.load(jax.device_put)
    optimizer = nnx.Optimizer(model, make_optimizer(args, run), wrt=nnx.Param)

    def build(state, images, labels, order, lrs, timing):
        # A call compiles; it trains copies. Nothing is returned: whoever calls
        # train_step again finds what was compiled.
        train_step(*nnx.clone(state), next(batches(images, labels, order)))

    def train_epoch(state, images, labels, order, lrs):
        return state, [train_step(*state, batch)
                       for batch in batches(images, labels, order)]

    run.compile(build, (model, optimizer))
    run.train(train_epoch, evaluate, (model, optimizer))
    return pairs(model)


def pairs(model):
    """-> [(w (in, out), b), …] in NumPy"""
    return [(jax.device_get(layer.kernel[...]), jax.device_get(layer.bias[...]))
            for layer in model.layers]


if __name__ == "__main__":
    program.main(train, __file__, "flax", "step", rungs=("step",), dropout=True)
