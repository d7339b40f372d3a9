"""The network in Equinox and Optax: a module is a pytree, a step a jitted
function that returns a new one.

    python compare.py --contender equinox=peers/mlp_equinox.py \\
        --variants equinox:step jax:step

As https://docs.kidger.site/equinox/examples/mnist/ trains.
"""

from bench.kit import program

with program.importing("equinox"):
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import on_jax
    import optax
    from on_jax import batches, cut, make_optimizer


class MLP(eqx.Module):
    """Dense layers with ReLU, and dropout if asked for, between them: one image
    (inputs,) -> logits (10,). key: of its masks; None: no dropout."""

    layers: list
    dropout: float = eqx.field(static=True)

    def __init__(self, sizes, dropout, key):
        self.layers = [eqx.nn.Linear(i, o, key=one) for i, o, one in zip(
            sizes, sizes[1:], jax.random.split(key, len(sizes) - 1))]
        self.dropout = dropout

    def __call__(self, x, key):
        for n, layer in enumerate(self.layers[:-1]):
            x = jax.nn.relu(layer(x))
            if key is not None:
                x = eqx.nn.Dropout(self.dropout)(
                    x, key=jax.random.fold_in(key, n))
        return self.layers[-1](x)


def loss_fn(model, x, y, key=None):
    """-> mean cross-entropy, (the same, accuracy)"""
    keys = key if key is None else jax.random.split(key, len(x))
    logits = jax.vmap(model, (0, None if key is None else 0))(x, keys)
    loss = optax.softmax_cross_entropy(logits, y).mean()
    right = (logits.argmax(1) == y.argmax(1)).mean(dtype=loss.dtype)
    return loss, jnp.stack([loss, right])


@eqx.filter_jit(donate="all-except-first")
def train_step(batch, model, opt_state, key, optimizer):
    """One step -> model, opt_state, key, (loss, accuracy)"""
    key, now = (None, None) if key is None else jax.random.split(key)
    grads, metrics = eqx.filter_grad(loss_fn, has_aux=True)(
        model, *cut(*batch), now)
    updates, opt_state = optimizer.update(grads, opt_state, model)
    return eqx.apply_updates(model, updates), opt_state, key, metrics


@eqx.filter_jit
def evaluate(model, x, y):
    return loss_fn(model, x, y)[1]


def train(args, run):
    on_jax.describe(args, run, {"equinox": eqx.__version__})
    key = jax.random.key(args.seed)
    model = MLP(run.sizes, args.dropout or 0, key)
    weights = run.initial(lambda: pairs(model))
    # Equinox keeps a weight as (out, in).
    model = eqx.tree_at(leaves, model, [
        jnp.asarray(a) for w, b in weights for a in (w.T, b)])
    run.load(jax.device_put)
    optimizer = make_optimizer(args, run)
    state = (model, optimizer.init(eqx.filter(model, eqx.is_array)),
             jax.random.fold_in(key, 1) if args.dropout else None)

    def build(state, images, labels, order, lrs, timing):
        copies = jax.tree.map(jnp.copy, state)
        train_step(next(batches(images, labels, order)), *copies, optimizer)

    def train_epoch(state, images, labels, order, lrs):
        metrics = []
        for batch in batches(images, labels, order):
            *state, metric = train_step(batch, *state, optimizer)
            metrics.append(metric)
        return state, metrics

    run.compile(build, state)
    state = run.train(train_epoch, lambda state, x, y: evaluate(state[0], x, y),
                      state)
    return pairs(state[0])


def leaves(model):
    return [a for layer in model.layers for a in (layer.weight, layer.bias)]


def pairs(model):
    """-> [(w (in, out), b), …] in NumPy"""
    return [(jax.device_get(layer.weight).T.copy(), jax.device_get(layer.bias))
            for layer in model.layers]


if __name__ == "__main__":
    program.main(train, __file__, "equinox", "step", rungs=("step",), dropout=True)
