"""The network in NumPy, by hand: the forward pass, its gradient, the update.

    python compare.py --contender numpy=peers/mlp_numpy.py \\
        --variants numpy:step jax:step

What the libraries do, with nothing hidden; what all of them are measured by.
"""

import numpy as np

from bench.kit import program

B1, B2, EPS = 0.9, 0.999, 1e-8  # Kingma and Ba 2015, arXiv:1412.6980


def forward(params, x):
    """[(w, b), …], x (B, inputs) -> the input of every layer, and the logits"""
    layers = [x]
    for w, b in params[:-1]:
        layers.append(np.maximum(layers[-1] @ w + b, 0))
    w, b = params[-1]
    return [*layers, layers[-1] @ w + b]


def score(logits, y):
    """logits, y (B, 10) -> probabilities (B, 10), (loss, accuracy)"""
    logits = logits - logits.max(axis=1, keepdims=True)
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return np.exp(logs), np.array([-(y * logs).sum(axis=1).mean(), (
        logs.argmax(1) == y.argmax(1)).mean()], logits.dtype)


def gradients(params, x, y):
    """-> [(gradient of w, of b), …], (loss, accuracy)"""
    *layers, logits = forward(params, x)
    p, metrics = score(logits, y)
    error, grads = (p - y) / len(x), []
    for n in reversed(range(len(params))):
        grads.append((layers[n].T @ error, error.sum(axis=0)))
        if n:  # the images need no gradient
            error = (error @ params[n][0].T) * (layers[n] > 0)
    return grads[::-1], metrics


def sgd(p, g, _, lr, t):
    p -= lr * g


def adam(p, g, moments, lr, t):
    m, v = moments
    m += (1 - B1) * (g - m)
    v += (1 - B2) * (g * g - v)
    rate = p.dtype.type(lr / (1 - B1**t))
    p -= rate * m / (np.sqrt(v / p.dtype.type(1 - B2**t)) + p.dtype.type(EPS))


def train_epoch(update, state, images, labels, order, lrs):
    """Changes the weights and moments in place."""
    params, moments, t = state
    metrics = []
    for idx, lr in zip(order, lrs):
        grads, metric = gradients(params, images[idx], labels[idx])
        t += 1
        for pair, two, four in zip(params, grads, moments):
            for p, g, m in zip(pair, two, four):
                update(p, g, m, lr, t)
        metrics.append(metric)
    return (params, moments, t), metrics


def train(args, run):
    run.describe({}, "cpu", "cpu", program.cores(), fence=lambda x: None,
                 to_host=np.asarray, compiled=lambda: 0, memory=lambda: None)
    rng = np.random.default_rng(args.seed)
    params = run.initial(lambda: [
        ((rng.standard_normal((i, o)) * np.sqrt(2 / i)).astype(np.float32),
         np.zeros(o, np.float32)) for i, o in zip(run.sizes, run.sizes[1:])])
    params = [tuple(a.copy() for a in pair) for pair in params]
    run.load(lambda arrays: arrays)
    moments = [[(np.zeros_like(a), np.zeros_like(a)) for a in pair]
               for pair in params]
    run.compile(lambda *arguments: None, None)
    update = {"adam": adam, "sgd": sgd}[args.optimizer]
    params, _, _ = run.train(
        lambda state, *batches: train_epoch(update, state, *batches),
        lambda state, x, y: score(forward(state[0], x)[-1], y)[1],
        (params, moments, 0))
    return params


if __name__ == "__main__":
    program.main(train, __file__, "numpy", "step", rungs=("step",))
