#!/usr/bin/env python3
"""A multilayer perceptron on MNIST in pure JAX: jit, grad, scan.

    python mlp_jax.py --batch-size 256
    python mlp_jax.py --mode epoch          a whole epoch as one program
    python mlp_jax.py --help

What to expect with the defaults (10 epochs of 50,000 images, batch 64,
Adam), seen on two cores of an Intel Xeon with jax 0.10.2, seeds 0 to 2:
test accuracy 97.7 % with a standard deviation of 0.2 points; 0.5 s of
compiling, then 0.7 s an epoch (0.5 s with --mode epoch).

How to read: beside mlp_torch.py (`make diff` shows both in two columns).
The nine sections have the same names in the same order, and what one
framework does not need is said there in one line.

The lesson in one sentence: you write pure functions, and JAX transforms
them (grad differentiates, jit compiles, scan loops), so nothing here is
ever changed in place and everything a function needs is an argument.
"""

# ---------------------------------------------------------------- 1. Setup
# `contender` is what the two scripts do alike: flags, clock, log, record.
# It comes first because it turns a failed import into one clear line.

import math
from functools import partial

from bench import contender

with contender.importing("jax"):
    import jax
    import jax.numpy as jnp
    import jaxlib

# Every compilation announces itself. Counting them shows that none happens
# inside a steady epoch: a recompilation costs more than an epoch.
COMPILED = []


def note_event(event, *_, **__):
    """JAX calls this with the name and duration of what it has just done"""
    if event == "/jax/core/compile/backend_compile_duration":
        COMPILED.append(event)


def setup(args, run):
    """Choose device and precision before the first array exists"""
    jax.monitoring.register_event_duration_secs_listener(note_event)
    # JAX_PLATFORMS, where the user has set it, stays in force for `auto`.
    if args.device != "auto":
        jax.config.update("jax_platforms", args.device)
    # float64 does not exist in JAX until it is asked for: arrays of it are
    # made float32, with a warning at most.
    jax.config.update("jax_enable_x64", args.precision == "fp64")
    # float32 is not the same thing on both sides. On recent NVIDIA GPUs JAX
    # by default multiplies float32 matrices in TF32 (10 bits of mantissa in
    # place of 23, up to 8 times faster); PyTorch does not. Unless both are
    # told, the comparison is one of precisions.
    jax.config.update("jax_default_matmul_precision",
                      "tensorfloat32" if args.precision == "tf32"
                      else "highest")
    describe(args, run, contender.find_device(lambda: jax.devices()[0],
                                              args.device))


def describe(args, run, device):
    """Tell the record what ran where, and how to wait, read and count"""
    contender.check_tf32(args.precision,
                         getattr(device, "compute_capability", 0))
    run.describe(
        {"jax": jax.__version__, "jaxlib": jaxlib.__version__},
        "cpu" if device.platform == "cpu" else "cuda", device.device_kind,
        contender.cores(),  # XLA takes a thread for each
        fence=jax.block_until_ready, to_host=jax.device_get,
        compiled=lambda: len(COMPILED),
        memory=lambda: (device.memory_stats() or {}).get("peak_bytes_in_use"))


# ------------------------------------------------------------- 2. Settings
# Flags (see --help) are what a comparison sweeps; these never vary. The
# three numbers are the defaults of both torch.optim.Adam and the paper
# (Kingma and Ba, 2015, https://arxiv.org/abs/1412.6980).

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


# ----------------------------------------------------------- 3. Parameters
# Parameters are plain values: a list of (w, b) pairs. JAX calls any nesting
# of lists, tuples and dicts of arrays a pytree, and maps functions over it.
# w is (inputs, outputs); an nn.Linear keeps its transpose.
# The default network has 235,146 parameters:
assert 784 * 256 + 256 + 256 * 128 + 128 + 128 * 10 + 10 == 235_146


def init_params(key, sizes):
    """key, [784, 256, 128, 10] -> [(w (in, out), b (out,)), ...]"""
    # A key is a value too. The same key gives the same numbers every time,
    # so it is split, once per use; a key used twice is a bug that no error
    # shows. There is no global generator to seed.
    keys = jax.random.split(key, len(sizes) - 1)
    return [init_layer(*layer) for layer in zip(keys, sizes, sizes[1:])]


def init_layer(key, inputs, outputs):
    """key, fan-in, fan-out -> w (in, out), b (out,)"""
    # He et al. 2015, https://arxiv.org/abs/1502.01852: variance 2 / fan-in
    # keeps the size of the activations through a ReLU, layer after layer.
    w = jax.random.normal(key, (inputs, outputs), jnp.float32)
    return w * math.sqrt(2 / inputs), jnp.zeros(outputs, jnp.float32)


def init_state(params, args):
    """pytree, flags -> (params, ()) or (params, (m, v, t)), all zero"""
    if args.optimizer == "sgd":
        return params, ()
    # Two calls: m and v must be different buffers, because the step below
    # gives its inputs away, and a buffer can be given away only once.
    m = jax.tree.map(jnp.zeros_like, params)
    v = jax.tree.map(jnp.zeros_like, params)
    # An array of the weights' type and not the number 0: the state that a
    # step returns must have the types of the state it takes, or jit would
    # compile the step a second time for the new ones.
    return params, (m, v, jnp.zeros((), params[0][0].dtype))


# ---------------------------------------------------------------- 4. Model
# The weights are an argument, like the images: what is an argument can be
# differentiated, and a function without hidden state can be compiled.
# Written for a batch. Written for one image, `jax.vmap(forward, (None, 0))`
# would add the batch axis and compute the same (a test shows it).

def forward(params, x):
    """params, x (B, 784) -> logits (B, 10)"""
    for w, b in params[:-1]:
        x = jax.nn.relu(x @ w + b)
    w, b = params[-1]
    return x @ w + b


# ----------------------------------------------------------------- 5. Loss
# log_softmax, never log(softmax): softmax rounds small probabilities to 0,
# whose logarithm is -inf. Labels are one-hot on both sides. The mean, not
# the sum, so that the gradient does not grow with the batch.

def loss_fn(logits, y):
    """logits (B, 10), y (B, 10) -> mean cross-entropy, scalar"""
    return -jnp.mean(jnp.sum(y * jax.nn.log_softmax(logits), axis=1))


def accuracy(logits, y):
    """logits (B, 10), y (B, 10) -> fraction right, scalar"""
    hits = jnp.argmax(logits, axis=1) == jnp.argmax(y, axis=1)
    return jnp.mean(hits, dtype=logits.dtype)


def objective(params, x, y):
    """params, x (B, 784), y (B, 10) -> loss, logits"""
    logits = forward(params, x)
    return loss_fn(logits, y), logits


# ------------------------------------------------------------- 6. One step
# Nothing is changed: a step takes the old state and returns the new one.
# There is no gradient to zero, because none is stored.

def train_step(update, state, x, y, lr):
    """(params, opt), x (B, 784), y (B, 10), lr -> new state, metrics (2,)"""
    params, opt = state
    # value_and_grad turns the objective into a function that returns its
    # value and its derivative by the first argument, here every weight; x
    # is another argument, so no time goes into its (useless) gradient.
    (loss, logits), grads = jax.value_and_grad(objective, has_aux=True)(
        params, x, y)
    state = update(params, grads, opt, lr)
    # The loss stays an array on the device. float(loss) would make the
    # host wait for every step; under jit, where it has no value yet, it
    # raises.
    return state, jnp.stack([loss, accuracy(logits, y)])


def sgd(params, grads, opt, lr):
    """Gradient descent: params, grads, (), lr -> params, ()"""
    return jax.tree.map(lambda p, g: p - lr * g, params, grads), opt


def adam(params, grads, opt, lr):
    """Adam, algorithm 1 of the paper: params, grads, (m, v, t), lr -> ..."""
    m, v, t = opt
    t = t + 1
    m = jax.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, m, grads)
    v = jax.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, v, grads)
    # 1 - beta**t as -expm1(t log beta): in float32 the plain form has a
    # relative error of 1.3e-5; torch.optim computes it in float64.
    c1 = -jnp.expm1(t * math.log(BETA1))
    c2 = -jnp.expm1(t * math.log(BETA2))
    params = jax.tree.map(
        lambda p, m, v: p - lr / c1 * m / (jnp.sqrt(v / c2) + EPSILON),
        params, m, v)
    return params, (m, v, t)


UPDATES = {"sgd": sgd, "adam": adam}


# ------------------------------------------------------------ 7. One epoch
# Three rungs, the same train_step in each; what changes is how much of the
# work JAX may see at once.
#   eager  every operation is dispatched by Python, one by one
#   step   jit traces the step once and XLA compiles it, fused, into one
#          program: one call from Python per batch
#   epoch  scan puts the loop itself into the program: one call per epoch

def gather_step(step, state, images, labels, idx, lr):
    """As step, but cuts the batch idx (B,) out of the data (N, ...) itself"""
    # The data lies on the device; only the indices travel, with each call.
    # An index out of range would be clamped without a word; PyTorch raises.
    return step(state, images[idx], labels[idx], lr)


def scan_epoch(step, state, images, labels, order, lrs):
    """state, data (N, ...), order (S, B), lrs (S,) -> state, metrics (S, 2)"""
    def body(state, batch):
        return gather_step(step, state, images, labels, *batch)
    return jax.lax.scan(body, state, (order, lrs))


def batches(args, images, labels, order):
    """data, order (S, B) -> S times what one step takes"""
    for idx in order:
        # Feed "host": NumPy cuts the batch and JAX copies it to the device.
        yield ((images[idx], labels[idx]) if args.feed == "host"
               else (images, labels, idx))


def build(args, state, images, labels, order, lrs, lap):
    """flags, the arguments of an epoch -> what train_epoch calls"""
    step = partial(train_step, UPDATES[args.optimizer])
    function = step if args.feed == "host" else partial(gather_step, step)
    example = *next(batches(args, images, labels, order)), lrs[0]
    if args.mode == "eager":
        return function
    if args.mode == "epoch":
        function = partial(scan_epoch, step)
        example = images, labels, order, lrs
    # A first call of jit(function) would do these three parts in one.
    # Donating the state (argument 0) lets XLA write the new weights over
    # the old ones; the old arrays are gone, and reading one raises.
    traced = jax.jit(function, donate_argnums=0).trace(state, *example)
    lap("trace_s")   # Python ran once, with shapes in place of numbers
    lowered = traced.lower()
    lap("lower_s")   # in StableHLO, the language that XLA reads
    return lowered.compile()


def train_epoch(program, args, state, images, labels, order, lrs):
    """state, data (N, ...), order (S, B), lrs (S,) -> state, metrics (S, 2)"""
    if args.mode == "epoch":
        return program(state, images, labels, order, lrs)
    metrics = []
    for batch, lr in zip(batches(args, images, labels, order), lrs):
        # Returns before the device is done: Python runs ahead of it.
        state, metric = program(state, *batch, lr)
        metrics.append(metric)
    return state, metrics


# ------------------------------------------------------------- 8. Evaluate
# One call for the whole set: one shape, so one compilation. Nothing has to
# be switched off: no gradient is computed unless a function is transformed
# to give it, and this network has no dropout or batch norm.

@jax.jit
def evaluate(state, x, y):
    """state, x (N, 784), y (N, 10) -> (loss, accuracy)"""
    loss, logits = objective(state[0], x, y)
    return loss, accuracy(logits, y)


# ---------------------------------------------------------------- 9. Train
# The clock is in contender, the same for both scripts: it starts before the
# batch order of an epoch is made and stops after a fence. Without the fence
# (block_until_ready) it would time how fast Python can ask. Evaluation and
# logging are outside.

def train(args, run):
    """flags, books -> final weights [(w (in, out), b (out,)), ...]"""
    setup(args, run)
    key = jax.random.key(args.seed)
    weights = run.initial(lambda: jax.device_get(init_params(key, run.sizes)))
    state = init_state(jax.device_put(weights), args)
    run.load(jax.device_put)
    program = run.compile(partial(build, args), state)
    state = run.train(partial(train_epoch, program, args), evaluate, state)
    return jax.device_get(state[0])


def main():
    """The command line; the README lists the exit codes."""
    contender.main(train, __file__, "jax", default_mode="step")


if __name__ == "__main__":
    main()
