"""The network in Keras, on one of its three backends: keras_tensorflow.py,
keras_jax.py and keras_torch.py choose it.

    python compare.py --contender keras-jax=peers/keras_jax.py \\
        --variants keras-jax:fit keras-jax:step jax:step

fit: `model.fit`, as https://keras.io/guides/training_with_built_in_methods/
trains. step: `model.train_on_batch`, batch by batch in the order of all.
"""

import os
import sys

from bench.kit import program

# import keras would write a file into the home folder.
os.environ.setdefault("KERAS_HOME", os.devnull)

with program.importing("keras"):
    import keras
    import numpy as np
    from keras import ops

BACKEND = keras.backend.backend()


def make_model(sizes, dtype, dropout):
    """Dense layers with ReLU, and dropout if asked for, between them."""
    layers = [keras.Input((sizes[0],), dtype=dtype)]
    for width in sizes[1:-1]:
        layers.append(keras.layers.Dense(width, activation="relu",
                                         kernel_initializer="he_normal"))
        if dropout:
            layers.append(keras.layers.Dropout(dropout))
    return keras.Sequential([*layers, keras.layers.Dense(sizes[-1])])


def make_optimizer(args, run):
    """A fit follows Keras' own CosineDecay, which is computed in float32; batch
    by batch train_epoch sets the rate. TensorFlow would round a beta of 0.999 to
    float32 before it makes a float64 of it."""
    rate, number = args.lr, run.dtype
    if args.rung == "fit" and args.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(
            rate, args.epochs * (run.n // args.batch_size))
    if args.optimizer == "sgd":
        return keras.optimizers.SGD(rate)
    return keras.optimizers.Adam(rate, number(0.9), number(0.999))


class Turns(keras.callbacks.Callback):
    """Tells the clock when an epoch of model.fit begins and ends."""

    def __init__(self, run):
        super().__init__()
        self.run = run

    def on_epoch_begin(self, epoch, logs=None):
        self.run.begin()

    def on_epoch_end(self, epoch, logs=None):
        self.run.end(evaluate, self.model, [
            (logs["loss"], logs["categorical_accuracy"])])


def evaluate(model, x, y):
    """-> (loss, accuracy) over a whole set"""
    return np.array(model.evaluate(x, y, batch_size=len(x), verbose=0))


def train_epoch(model, images, labels, order, lrs):
    """train_on_batch keeps running means, unless told to begin anew."""
    metrics, last = [], None
    for idx, lr in zip(order, lrs):
        if lr != last:
            model.optimizer.learning_rate = last = lr
        x, y = ((images[idx], labels[idx]) if isinstance(images, np.ndarray)
                else (ops.take(a, idx, axis=0) for a in (images, labels)))
        model.reset_metrics()
        metrics.append(model.train_on_batch(x, y))
    return model, metrics


def build(model, images, labels, order, lrs, timing):
    """The first batch compiles; what it trained is put back."""
    weights = model.get_weights()
    train_epoch(model, images, labels, order[:1], lrs)
    model.set_weights(weights)
    for variable in model.optimizer.variables:
        if variable is not model.optimizer.learning_rate:
            variable.assign(np.zeros(variable.shape, variable.dtype))


def train(args, run):
    # Before anything is made: each keeps the type that it was made with.
    dtype = "float64" if args.precision == "fp64" else "float32"
    keras.config.set_floatx(dtype)
    engine = sys.modules[BACKEND]
    if BACKEND == "jax":
        engine.config.update("jax_enable_x64", args.precision == "fp64")
    if BACKEND == "torch":
        engine.set_flush_denormal(True)  # as in the pair, and as XLA does
        # Asked for float64, Keras 3.15 computes in float32 on all backends but
        # TensorFlow, because of a table that is not public.
        if args.precision == "fp64":
            from keras.src.backend.common import dtypes
            dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"
    keras.utils.set_random_seed(args.seed)
    run.describe({"keras": keras.__version__, BACKEND: engine.__version__},
                 "cpu", "cpu", program.cores(), fence=lambda x: None,
                 to_host=np.asarray, compiled=lambda: 0, memory=lambda: None)
    model = make_model(run.sizes, dtype, args.dropout)
    weights = run.initial(lambda: pairs(model))
    model.set_weights([a for pair in weights for a in pair])
    # A fit cuts its batches from arrays of NumPy.
    run.load(lambda arrays: [ops.convert_to_tensor(a) for a in arrays]
             if args.rung == "step" else arrays)
    model.compile(optimizer=make_optimizer(args, run),
                  loss=keras.losses.CategoricalCrossentropy(from_logits=True),
                  metrics=["categorical_accuracy"])
    if args.rung == "step":
        run.compile(build, model)
        run.train(train_epoch, evaluate, model)
    else:
        whole = run.n - run.n % args.batch_size  # every step has one shape
        x, y = (a[:whole] for a in run.sets["train"])
        run.compile(lambda *arguments: None, model)
        model.fit(x, y, batch_size=args.batch_size, epochs=args.epochs,
                  shuffle=True, verbose=0, callbacks=[Turns(run)])
    return pairs(model)


def pairs(model):
    """-> [(w (in, out), b), …] in NumPy"""
    arrays = [np.array(a) for a in model.get_weights()]
    return list(zip(arrays[::2], arrays[1::2]))


def main(script):
    """On the processor, also where there is a GPU."""
    with keras.device("cpu"):
        program.main(train, script, f"keras-{BACKEND}", "fit",
                     rungs=("fit", "step"), dropout=True)
