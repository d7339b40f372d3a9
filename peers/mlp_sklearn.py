"""The network in scikit-learn: an estimator that does it all.

    python compare.py --contender sklearn=peers/mlp_sklearn.py \\
        --variants sklearn:fit sklearn:step torch:step

fit: `MLPClassifier.partial_fit` over all images, which is one pass of the loop
that `fit` repeats: `fit` itself cannot wait between its epochs. step: the same,
called with one batch at a time in the order of all. An L2 penalty of 1e-4,
momentum, Glorot's weights and early stopping, its defaults, are switched off.
"""

from bench.kit import program

with program.importing("scikit-learn"):
    import numpy as np
    import sklearn
    from sklearn.neural_network import MLPClassifier


def make(args, inputs, classes, dtype):
    """The estimator, with the weights and the optimizer of its first call."""
    model = MLPClassifier(
        hidden_layer_sizes=args.hidden, solver=args.optimizer,
        learning_rate_init=args.lr, batch_size=args.batch_size, alpha=0.0,
        momentum=0.0, nesterovs_momentum=False, random_state=args.seed,
        shuffle=args.rung == "fit")
    x = np.zeros((args.batch_size, inputs), dtype)
    model.partial_fit(x, np.arange(args.batch_size) % classes,
                      classes=np.arange(classes))
    return model


def restart(model, weights):
    """Give it these weights, and an optimizer that has seen nothing."""
    model.coefs_ = [w.copy() for w, _ in weights]
    model.intercepts_ = [b.copy() for _, b in weights]
    del model._optimizer


def evaluate(model, x, y):
    """-> (loss, accuracy): the estimator tells probabilities"""
    p = model.predict_proba(x)
    least = np.finfo(p.dtype).eps
    return np.array([-(y * np.log(np.clip(p, least, 1))).sum(axis=1).mean(),
                     (p.argmax(1) == y.argmax(1)).mean()])


def train_epoch(model, images, labels, order, lrs):
    """It says no accuracy of a step. The rates of a schedule are set at a place
    that is not public."""
    metrics = []
    for idx, lr in zip(order, lrs):
        if hasattr(model, "_optimizer"):
            name = ("learning_rate_init" if model.solver == "adam"
                    else "learning_rate")
            setattr(model._optimizer, name, float(lr))
        else:
            model.learning_rate_init = float(lr)
        model.partial_fit(images[idx], labels[idx].argmax(1))
        metrics.append([model.loss_])
    return model, metrics


def train(args, run):
    run.describe({"sklearn": sklearn.__version__}, "cpu", "cpu",
                 program.cores(), fence=lambda x: None, to_host=np.asarray,
                 compiled=lambda: 0, memory=lambda: None)
    model = make(args, run.sizes[0], run.sizes[-1], run.dtype)
    weights = run.initial(lambda: pairs(model))
    run.load(lambda arrays: arrays)
    restart(model, weights)
    run.compile(lambda *arguments: None, model)
    if args.rung == "step":
        run.train(train_epoch, evaluate, model)
    else:
        whole = run.n - run.n % args.batch_size  # every step has one shape
        x, y = (a[:whole] for a in run.sets["train"])
        for _ in range(args.epochs):
            run.begin()
            model.partial_fit(x, y.argmax(1))
            run.end(evaluate, model, [[model.loss_]])
    return pairs(model)


def pairs(model):
    """-> [(w (in, out), b), …] in NumPy"""
    return list(zip(model.coefs_, model.intercepts_))


if __name__ == "__main__":
    program.main(train, __file__, "sklearn", "fit", rungs=("fit", "step"))
