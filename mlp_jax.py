#!/usr/bin/env python3
"""A multilayer perceptron on MNIST in pure JAX: jit, grad, scan.

    python mlp_jax.py --batch-size 256
    python mlp_jax.py --rung epoch          a whole epoch as one program
    python mlp_jax.py --help

What to expect with the defaults (10 epochs of 50,000 images, batch 64,
Adam), seen on two cores of an AMD EPYC with jax 0.10.2, seeds 0 to 2:
test accuracy 97.7 % with a standard deviation of 0.2 percentage points;
0.6 s to compile a step, then 0.6 s an epoch (--rung epoch: 0.5 s).

How to read: from top to bottom, or beside mlp_torch.py, section by section. If
only one of the two needs something, the other says so in a line. A rung is how
much is compiled together: what is not is started one by one, which takes time.
Shapes: B examples make a batch, S batches an epoch; a set has N examples.

The lesson in one sentence: you write pure functions, and JAX transforms
them (grad differentiates, jit compiles with XLA, scan loops), so they change
no array in place, and everything that they need is an argument.
"""

# ---------------------------------------------------------------- 1. Setup
# data.end(code, text) ends the program with one line on stderr, and data.Fault
# is the same as an exception. Codes: 2 a flag, 3 data, 4 framework, device or
# compiler, 5 a file, 6 training diverged.

import argparse
import hashlib
import io
import json
import math
import os
import re
import sys
import time
from functools import partial

import numpy as np

import data

clock = time.perf_counter  # never jumps, as the wall clock may
BEGIN = clock()
CORES = (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity")
         else os.cpu_count())  # those that this process may use
try:
    import jax
    import jax.numpy as jnp
    import jaxlib
except KeyboardInterrupt:
    data.end(130, "stopped")
except (Exception, SystemExit) as error:  # missing, or a library below it
    data.end(4, f"cannot import jax: {type(error).__name__}: {error}. Install "
                f"it with: {sys.executable} -m pip install jax")
IMPORTED = clock()

# JAX announces every compilation. They are counted, because one inside an
# epoch can take longer than the epoch. The record has the counts.
EVENTS = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, *_, **__: EVENTS.append(event))


def compilations():
    """Number of programs compiled so far"""
    return EVENTS.count("/jax/core/compile/backend_compile_duration")


def setup(args):
    """Choose device and precision, before the first array -> what it is"""
    if args.rung == "epoch" and args.feed == "host":
        raise data.Fault(2, "argument --feed: host goes with no --rung epoch")
    # JAX_PLATFORMS, where the user has set it, stays in force for `auto`.
    if args.device != "auto":
        jax.config.update("jax_platforms", args.device)
    # float64 does not exist in JAX until it is asked for: arrays of it are
    # made float32, with a warning at most.
    jax.config.update("jax_enable_x64", args.precision == "fp64")
    # float32 is not the same thing on both sides. On recent NVIDIA GPUs JAX
    # by default multiplies float32 matrices in TF32 (10 bits of mantissa in
    # place of 23, up to 8 times faster); PyTorch does not. Unless you set it
    # in both, you compare precisions.
    jax.config.update("jax_default_matmul_precision",
                      "default" if args.precision == "tf32" else "highest")
    try:
        device = jax.devices()[0]
    except Exception as error:  # an error, and never another device
        raise data.Fault(4, f"argument --device: {args.device} (platforms "
                         f"{jax.config.jax_platforms}): {error!r}") from error
    if args.precision == "tf32" and float(
            getattr(device, "compute_capability", 0)) < 8:
        raise data.Fault(4, "argument --precision: this device has no TF32")
    return {"jax": jax.__version__, "jaxlib": jaxlib.__version__,
            "device_kind": "cpu" if device.platform == "cpu" else "cuda",
            "device_name": device.device_kind,
            "threads": CORES}  # XLA takes one for each


# ------------------------------------------------------------- 2. Settings
# Constants never vary; flags are what a comparison sweeps. The three numbers
# are the defaults of both torch.optim.Adam and the paper (Kingma and Ba,
# 2015, https://arxiv.org/abs/1412.6980).

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
RUNGS, RUNG = ("eager", "step", "epoch"), "step"  # see section 7


def number(kind, low, high, text):
    """Type of a flag: a number in plain digits, from low to high"""
    # int() alone would take "1_000" and "+5", float() "nan" and "inf".
    plain = "[0-9]+" if kind is int else "[0-9]*[.]?[0-9]+(e-?[0-9]+)?"
    if not re.fullmatch(plain, text) or not low <= kind(text) <= high:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a number from {low} to {high}")
    return kind(text)


def parse_flags(argv=None):
    """Command line -> namespace, or the end before anything is made"""
    parser = argparse.ArgumentParser(
        allow_abbrev=False, epilog="example: python %(prog)s --batch-size 256",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.error = partial(data.end, 2)
    add, count = parser.add_argument, partial(number, int, 1, 10**9)
    add("--batch-size", type=count, default=64, help="examples in a step")
    add("--epochs", type=partial(number, int, 0, 10**5), default=10,
        help="passes over the training set; 0: only --save initial weights")
    add("--examples", type=count, help="only the first so many")
    add("--seed", type=partial(number, int, 0, 2**32 - 1), default=0,
        help="of the initial weights and of the batches")
    add("--rung", choices=RUNGS, default=RUNG,
        help="what runs as one program; eager: each operation")
    add("--feed", choices=("device", "host"), default="device",
        help="where each batch is cut out of the data")
    add("--hidden", type=partial(number, int, 1, 65536), default=[256, 128],
        nargs="+", help="widths of the hidden layers")
    add("--optimizer", choices=UPDATES, default="adam", help="of the weights")
    add("--lr", type=partial(number, float, 1e-30, 1e30),
        help="learning rate; without it 0.001 for adam, else 0.1")
    add("--schedule", choices=("constant", "cosine"), default="constant",
        help="of the learning rate; cosine: half a wave, down to 0")
    add("--precision", choices=("fp32", "tf32", "fp64"), default="fp32",
        help="of every product of matrices")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto",
        help="an error if it is not there")
    add("--dataset", choices=data.DATASETS, default="mnist", help="to learn")
    add("--data-dir", default=data.FOLDER, help="where it lies")
    add("--split", choices=("standard", "pooled"), default="standard",
        help="50,000 train, 10,000 validate, 10,000 test; or 80/10/10 of all")
    add("--init", help=".npz file of initial weights; without: drawn")
    add("--save", help=".npz file for the final weights, if any")
    add("--json", help="file for the record, if any; -: stdout")
    add("--turns", action="store_true", help="wait on stdin for each epoch")
    args = parser.parse_args(argv)
    if args.lr is None:
        args.lr = 0.001 if args.optimizer == "adam" else 0.1
    most = data.split_sizes(args.dataset, args.split)[0]
    if args.examples is not None and args.examples > most:
        parser.error(f"argument --examples: there are {most}")
    if args.batch_size > (args.examples or most):
        parser.error(f"argument --batch-size: {args.batch_size} is more than "
                     f"the {args.examples or most} training examples")
    for name in (args.json, args.save):  # say it now, not after training
        if name not in (None, "-") and (
                os.path.exists(name or ".") and not os.path.isfile(name) or not
                os.access(os.path.dirname(os.path.abspath(name)), os.W_OK)):
            data.end(5, f"cannot write: {name!r}: no folder for such a file")
    args.dtype = np.float64 if args.precision == "fp64" else np.float32
    return args


# ----------------------------------------------------------- 3. Parameters
# Parameters are plain values: a list of (w, b) pairs. JAX calls any nesting
# of lists, tuples and dicts of arrays a pytree, and maps functions over it.
# w is (inputs, outputs); an nn.Linear keeps its transpose.
# The default network has 235,146 parameters:
assert 784 * 256 + 256 + 256 * 128 + 128 + 128 * 10 + 10 == 235_146


def init_params(seed, sizes):
    """seed, [784, 256, 128, 10] -> [(w (in, out), b (out,)), ...]"""
    # A key is a value too. The same key gives the same numbers every time,
    # so it is split, once per use. A key used twice is an error only if you
    # ask for it (JAX_DEBUG_KEY_REUSE=1). There is no global generator.
    keys = jax.random.split(jax.random.key(seed), len(sizes) - 1)
    params = []
    for key, inputs, outputs in zip(keys, sizes, sizes[1:]):
        # He et al. 2015, https://arxiv.org/abs/1502.01852: variance 2 /
        # fan-in keeps the size of the activations through a ReLU, layer
        # after layer.
        w = jax.random.normal(key, (inputs, outputs), jnp.float32)
        params.append((w * math.sqrt(2 / inputs),
                       jnp.zeros(outputs, jnp.float32)))
    return params


def init_state(weights, args):
    """NumPy weights, flags -> (params, ()) or (params, (m, v, t)), zeros"""
    params = jax.device_put(weights)
    if args.optimizer == "sgd":
        return params, ()
    # Two calls, not m = v = ...: they must not share memory, because the step
    # gives its inputs away (donates them, section 7), each of them once.
    m = jax.tree.map(jnp.zeros_like, params)
    v = jax.tree.map(jnp.zeros_like, params)
    # t counts steps. A plain 0 would do, too: jax.jit takes a Python number
    # for an array without dimensions, and no count compiles anything again.
    return params, (m, v, jnp.zeros((), params[0][0].dtype))


# ---------------------------------------------------------------- 4. Model
# The weights are an argument, like the images: what is an argument can be
# differentiated, and a function without hidden state can be compiled.
# It is written for a batch. If it were written for one image, `jax.vmap(
# forward, (None, 0))` would add the batch axis (a test shows it).

def forward(params, x):
    """params, x (B, 784) -> logits (B, 10)"""
    for w, b in params[:-1]:
        x = jax.nn.relu(x @ w + b)
    w, b = params[-1]
    return x @ w + b


# ----------------------------------------------------------------- 5. Loss
# log_softmax, never log(softmax): softmax rounds small probabilities to 0,
# whose logarithm is -inf. The mean, not the sum, so that the gradient does
# not grow with the batch. Labels are one-hot on both sides, 1 at the right
# class and 0 elsewhere: integer labels would be gathered by an index, which
# each framework does in its own way, and JAX takes a wrong index silently.

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
    # value and its derivative with respect to the first argument, here all
    # weights; x is another argument, so no time goes into its gradient.
    # has_aux: the objective returns something beside the loss, the logits.
    (loss, logits), grads = jax.value_and_grad(objective, has_aux=True)(
        params, x, y)
    state = update(params, grads, opt, lr)
    # The loss stays an array on the device. float(loss) would make the
    # host wait for every step; under jit, where the loss has no value yet,
    # it is an error.
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
#   eager  Python starts every operation, one by one; JAX compiles each kind
#          of operation when it is first met
#   step   jit traces the step once and XLA compiles it, fused, into one
#          program: one call from Python per batch
#   epoch  scan puts the loop itself into the program: one call per epoch
# PyTorch has one more, which compiles the model alone. Nobody does that in
# JAX, because it is as easy to jit the whole step.

def gather_step(step, state, images, labels, idx, lr):
    """As step, but cuts the batch idx (B,) out of the data (N, ...) itself"""
    # The data lies on the device; only the indices travel, with each call.
    # An index out of range would be clamped without a word; PyTorch raises.
    return step(state, images[idx], labels[idx], lr)


def scan_epoch(step, state, images, labels, order, lrs):
    """state, data (N, ...), order (S, B), lrs (S,) -> state, metrics (S, 2)"""
    # scan calls body with the state and one row of each array, and stacks
    # what body returns second.
    def body(state, batch):
        return gather_step(step, state, images, labels, *batch)
    return jax.lax.scan(body, state, (order, lrs))


def batches(args, images, labels, order):
    """data, order (S, B) -> S times what one step takes"""
    for idx in order:
        # Feed "host": NumPy cuts the batch and JAX copies it to the device.
        yield ((images[idx], labels[idx]) if args.feed == "host"
               else (images, labels, idx))


def build(args, state, images, labels, order, lrs, timing):
    """flags, the arguments of an epoch -> what train_epoch calls"""
    step = partial(train_step, UPDATES[args.optimizer])
    function = step if args.feed == "host" else partial(gather_step, step)
    example = *next(batches(args, images, labels, order)), lrs[0]
    if args.rung == "eager":
        return function
    if args.rung == "epoch":
        function = partial(scan_epoch, step)
        example = images, labels, order, lrs
    # Donating the state (argument 0) lets XLA write the new weights over
    # the old ones. The old arrays are then invalid: reading one is an error.
    program = jax.jit(function, donate_argnums=0)
    # `return program` would be enough: its first call does all that follows,
    # and the later ones find it done. By hand, only to time the parts:
    begin = clock()
    # Python runs the function once, on shapes and types without values.
    traced = program.trace(state, *example)
    middle = clock()
    lowered = traced.lower()  # to StableHLO, the language that XLA reads
    timing.update(trace_s=middle - begin, lower_s=clock() - middle)
    return lowered.compile()


def train_epoch(program, args, state, images, labels, order, lrs):
    """state, data (N, ...), order (S, B), lrs (S,) -> state, metrics (S, 2)
    or a list of S times (2,)"""
    if args.rung == "epoch":
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
# The clock starts before the batch order of an epoch is made and stops after
# a fence, which waits for the device: without it the clock would tell how
# fast Python can ask. Evaluation, logging and writing are outside.
# With --turns several runs are alive at once and train one epoch each, in
# turns, so that they meet the same noise of the machine. Who waits, sleeps.

def fence(values):
    """Wait until these are computed"""
    jax.block_until_ready(values)


def to_host(values):
    """Arrays on the device, of one shape -> one NumPy array"""
    return np.asarray(jax.device_get(values))


def rates(args, epoch, steps):
    """The learning rate of every step of an epoch: (S,)"""
    if args.schedule == "constant":
        return np.full(steps, args.lr, args.dtype)
    # Loshchilov and Hutter 2017, https://arxiv.org/abs/1608.03983, without
    # restarts. A step takes its rate as an argument and knows no schedule.
    done = (epoch * steps + np.arange(steps)) / (args.epochs * steps)
    return (args.lr / 2 * (1 + np.cos(np.pi * done))).astype(args.dtype)


def new_record(args):
    """What a run says of itself; the functions below write into it"""
    return {"schema": 2, "status": "ok", "framework": "jax",
            "config": {name: value for name, value in vars(args).items()
                       if name not in ("data_dir", "init", "save", "json",
                                       "turns", "dtype")},
            "timing": {"import_s": IMPORTED - BEGIN, "compile_s": None,
                       "order_s": [], "epoch_s": [], "read_s": [],
                       "evaluate_s": 0.0}, "compilations": [], "epochs": [],
            "steps": {"loss": [], "accuracy": []}}


def load_sets(args, record):
    """-> {"train", "val", "test": (x (N, 784), y (N, 10))} on the device"""
    start = clock()
    sets = data.split(*data.load(args.dataset, args.data_dir), args.split)
    sets["train"] = tuple(array[:args.examples] for array in sets["train"])
    record["dataset"] = {
        "name": args.dataset, "sha256": data.DATASETS[args.dataset].sha256,
        "split": args.split, "sizes": {
            part: len(x) for part, (x, _) in sets.items()}}
    moved = clock()
    for part, arrays in sets.items():
        arrays = [array.astype(args.dtype, copy=False) for array in arrays]
        sets[part] = (arrays if (part, args.feed) == ("train", "host") else
                      jax.device_put(arrays))
    fence(sets)
    record["timing"].update(data_s=moved - start, to_device_s=clock() - moved)
    return sets


def load_weights(args, sets, record):
    """-> initial [(w (in, out), b (out,)), ...] in NumPy, drawn or --init"""
    x, y = sets["train"]
    sizes = [x.shape[1], *args.hidden, y.shape[1]]
    weights = jax.device_get(init_params(args.seed, sizes))
    if args.init is not None:
        try:
            with np.load(args.init, allow_pickle=False) as file:
                arrays = list(file.values())  # in the order of save_weights
            if [a.shape for a in arrays] != [a.shape for w in weights
                                             for a in w] or not all(
                    np.isfinite(a).all() for a in arrays):
                raise ValueError(f"not finite, or no network {sizes}")
            weights = list(zip(arrays[::2], arrays[1::2]))
        except Exception as error:  # a file can be wrong in many ways
            data.end(2, f"argument --init: {args.init!r}: {error}")
    flat = [np.float32(array) for pair in weights for array in pair]
    record["parameters"] = sum(array.size for array in flat)
    record["init_sha256"] = hashlib.sha256(
        b"".join(array.tobytes() for array in flat)).hexdigest()
    return [(w.astype(args.dtype), b.astype(args.dtype)) for w, b in weights]


def save_weights(args, weights):
    """[(w (in, out), b (out,)), ...] -> the .npz file of --save, if given"""
    if args.save is not None:
        file = io.BytesIO()
        np.savez(file, *(array for pair in weights for array in pair))
        data.write_atomic(args.save, file.getvalue())


def compile_ahead(args, state, images, labels, record):
    """All that is needed before the first step -> what train_epoch calls"""
    start, before = clock(), compilations()
    order = data.batch_order(len(images), args.batch_size, args.seed, 0)
    program = build(args, state, images, labels, order,
                    rates(args, 0, len(order)), record["timing"])
    fence(state)
    if args.rung != "eager":  # of which nothing is compiled ahead
        record["timing"]["compile_s"] = clock() - start
    record["compilations"].append(compilations() - before)
    return program


def tell(args, words, wait=False):
    """With --turns: a line to the parent; wait: sleep until it answers"""
    if args.turns:
        print(words, flush=True)
        if wait and not sys.stdin.readline():
            data.end(130, "stopped")


def train(args, program, state, sets, record):
    """Every epoch -> final state"""
    timing, orders = record["timing"], hashlib.sha256()
    tell(args, "ready", wait=True)
    for epoch in range(args.epochs):
        before, start = compilations(), clock()
        # ------------------------------------------------- the clock runs
        # All indices, shuffled anew, in S rows of B; the rest is left out.
        order = data.batch_order(len(sets["train"][0]), args.batch_size,
                                 args.seed, epoch)
        drawn = clock()
        state, metrics = train_epoch(program, args, state, *sets["train"],
                                     order, rates(args, epoch, len(order)))
        fence((state, metrics))
        # ---------------------------------------------- the clock stopped
        end = clock()
        tell(args, f"epoch {epoch + 1} {end - start}")
        curve = to_host(metrics)
        # Reading takes next to no time, unless the fence did not wait.
        timing["read_s"].append(clock() - end)
        timing["epoch_s"].append(end - start)
        timing["order_s"].append(drawn - start)
        record["compilations"].append(compilations() - before)
        orders.update(order.tobytes())
        record["order_sha256"] = orders.hexdigest()
        log_epoch(args, state, sets, record, curve, start, end)
        tell(args, f"done {epoch + 1}", wait=epoch + 1 < args.epochs)
    return state


def log_epoch(args, state, sets, record, curve, start, end):
    """Evaluate and write one epoch down; curve (S, 2): loss, accuracy"""
    begin, epoch = clock(), len(record["epochs"]) + 1
    val, test = (to_host(evaluate(state, *sets[part])).tolist()
                 for part in ("val", "test"))
    record["timing"]["evaluate_s"] += clock() - begin
    mean = curve.mean(axis=0, dtype=np.float64).tolist()
    if not np.isfinite([*mean, *val, *test]).all():
        # No metric is kept: the argmax of NaN is class 0, right for 9.8 %.
        record.update(status="diverged", epochs=[], steps={})
        write_record(args, record)
        raise data.Fault(6, f"training diverged: a loss of epoch {epoch} is "
                            f"not finite. Try a smaller --lr than {args.lr}")
    names = [f"{part}_{name}" for part in ("train", "val", "test")
             for name in ("loss", "accuracy")]
    record["epochs"].append({
        "epoch": epoch, "start_s": start - BEGIN, "end_s": end - BEGIN,
        **dict(zip(names, [*mean, *val, *test]))})
    record["steps"]["loss"] += curve[:, 0].tolist()
    record["steps"]["accuracy"] += curve[:, 1].tolist()
    ahead = f"   after {record['timing']['compile_s'] or 0:.2f} s of compiling"
    print(f"epoch {epoch:2}/{args.epochs}  {end - start:7.3f} s   training "
          f"loss {mean[0]:.4f}, accuracy {mean[1]:7.2%}   validation loss "
          f"{val[0]:.4f}, accuracy {val[1]:7.2%}" + ahead * (epoch == 1),
          file=sys.stderr)


def write_record(args, record):
    """The record as JSON to --json, if that was given"""
    peak = (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
    record["memory"] = {"device_peak_bytes": peak}
    record["timing"]["total_s"] = clock() - BEGIN
    text = json.dumps(record, allow_nan=False, sort_keys=True) + "\n"
    if args.json == "-":
        print(text, end="")
    elif args.json:
        data.write_atomic(args.json, text.encode())


def main(argv=None):
    """A run, from its flags to its record"""
    args = parse_flags(argv)
    record = new_record(args)
    record["environment"] = setup(args)
    sets = load_sets(args, record)
    weights = load_weights(args, sets, record)
    if args.epochs == 0:
        return save_weights(args, weights)
    state = init_state(weights, args)
    program = compile_ahead(args, state, *sets["train"], record)
    state = train(args, program, state, sets, record)
    write_record(args, record)
    save_weights(args, jax.device_get(state[0]))
    print(f"test accuracy {record['epochs'][-1]['test_accuracy']:.2%}",
          file=sys.stderr)


if __name__ == "__main__":
    data.run(main)
