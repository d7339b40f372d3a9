#!/usr/bin/env python3
"""A multilayer perceptron on MNIST in PyTorch: nn.Module, autograd, compile.

    python mlp_torch.py --batch-size 256
    python mlp_torch.py --rung step         the whole step as one program
    python mlp_torch.py --help

What to expect with the defaults (10 epochs of 50,000 images, batch 64,
Adam), seen on two cores of an AMD EPYC with torch 2.13.0, seeds 0 to 2:
test accuracy 97.7 % with a standard deviation of 0.3 percentage points;
1.0 s an epoch, nothing compiled (--rung step: 22 s to compile, then 0.7 s).

How to read: from top to bottom, or beside mlp_jax.py, section by section. If
only one of the two needs something, the other says so in a line. A rung is how
much is compiled together: what is not is started one by one, which takes time.
Shapes: B examples make a batch, S batches an epoch; a set has N examples.

The lesson in one sentence: you run operations on objects, and PyTorch
records them (autograd plays the record backwards, compile turns it into
a program), so most things here are changed in place.
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
    import torch
    import torch.nn as nn
    import torch.nn.functional as F
    from torch.utils.data import DataLoader, TensorDataset
except KeyboardInterrupt:
    data.end(130, "stopped")
except (Exception, SystemExit) as error:  # missing, or a library below it
    data.end(4, f"cannot import torch: {type(error).__name__}: {error}. "
                f"Install it with: {sys.executable} -m pip install torch")
IMPORTED = clock()


def compilations():
    """Number of programs compiled so far; torch.compile counts them"""
    # One inside an epoch can take longer than the epoch: the record counts.
    return torch._dynamo.utils.counters["stats"]["unique_graphs"]


def setup(args):
    """Choose device and precision, before the first tensor -> what it is"""
    # float32 is not the same thing on both sides. PyTorch multiplies float32
    # matrices in float32 unless told otherwise; JAX on recent NVIDIA GPUs
    # uses TF32 (10 bits of mantissa in place of 23, up to 8 times faster).
    # Unless you set it in both, you compare precisions.
    torch.set_float32_matmul_precision(
        "high" if args.precision == "tf32" else "highest")
    # XLA on a CPU takes numbers below 1.2e-38 for zero; PyTorch computes
    # them, slowly. Adam's averages for weights whose gradient is seldom not
    # zero decay into that range: without this line the compiled epochs at
    # batch 64 grew from 0.6 to 0.85 s.
    torch.set_flush_denormal(True)
    # XLA takes a thread for every core that it may use, PyTorch one for
    # every physical core: on a hyperthreaded machine half as many.
    torch.set_num_threads(CORES)
    # A tensor lives where it is put and nothing moves by itself, so from
    # here on args.device names a device, and everything is sent there.
    if args.device == "auto":
        args.device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=args.device)
    except Exception as error:  # an error, and never another device
        raise data.Fault(4, f"argument --device: {args.device}: {error!r}"
                         ) from error
    cuda = args.device == "cuda"
    if args.precision == "tf32" and not (
            cuda and torch.cuda.get_device_capability()[0] >= 8):
        raise data.Fault(4, "argument --precision: this device has no TF32")
    return {"torch": torch.__version__, "cuda": torch.version.cuda,
            "device_kind": args.device,
            "device_name": torch.cuda.get_device_name() if cuda else "cpu",
            "threads": torch.get_num_threads()}


# ------------------------------------------------------------- 2. Settings
# Constants never vary; flags are what a comparison sweeps. The three numbers
# are the defaults of both torch.optim.Adam and the paper (Kingma and Ba,
# 2015, https://arxiv.org/abs/1412.6980).

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
RUNGS, RUNG = ("eager", "model", "step"), "eager"  # see section 7


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
# Parameters are objects: a Module registers every nn.Linear assigned to it,
# and an nn.Linear registers its weight and bias. weight is (outputs,
# inputs), the transpose of JAX's w; pairs() and init_state() translate.
# The default network has 235,146 parameters:
assert 784 * 256 + 256 + 256 * 128 + 128 + 128 * 10 + 10 == 235_146


def init_params(seed, sizes):
    """seed, [784, 256, 128, 10] -> the network with its weights drawn"""
    # A generator of our own: torch.manual_seed would set a global one, and
    # whoever draws from it first changes what the next one gets.
    model, generator = MLP(sizes), torch.Generator().manual_seed(seed)
    for layer in model.layers:
        # He et al. 2015, https://arxiv.org/abs/1502.01852: variance 2 /
        # fan-in keeps the size of the activations through a ReLU, layer
        # after layer. nn.Linear's own default is smaller.
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu",
                                generator=generator)
        nn.init.zeros_(layer.bias)
    return model


def pairs(parameters):
    """weight, bias, weight, ... -> [(w (in, out), b (out,)), ...] in NumPy"""
    arrays = [leaf.detach().cpu().numpy().T for leaf in parameters]
    return list(zip(arrays[::2], arrays[1::2]))


def init_state(weights, args):
    """NumPy weights, flags -> (model, params, opt): the module, its weights
    by name, and what the update remembers"""
    model = MLP([w.shape[0] for w, _ in weights] + [weights[-1][1].size])
    # from_numpy() shares memory with the array it is given, here a copy;
    # otherwise the optimizer would change `weights` too.
    leaves = [torch.from_numpy(a.T.copy()) for pair in weights for a in pair]
    # assign=True takes over the dtype too (float64 with --precision fp64).
    model.load_state_dict(dict(zip(model.state_dict(), leaves)), assign=True)
    params = dict(model.to(args.device).named_parameters())
    if args.rung in ("eager", "model"):
        # fused: one kernel updates all weights; on two CPU cores and with
        # Adam 1.4 times as fast as the default at batch 64.
        optimizer = (torch.optim.SGD(params.values(), args.lr, fused=True)
                     if args.optimizer == "sgd" else
                     torch.optim.Adam(params.values(), args.lr,
                                      (BETA1, BETA2), EPSILON, fused=True))
        return model, params, optimizer
    # The same weights as plain tensors, which autograd does not watch; of
    # the module only its forward() is used from here on.
    params = {name: p.detach().clone() for name, p in params.items()}
    if args.optimizer == "sgd":
        return model, params, ()
    m = {name: torch.zeros_like(p) for name, p in params.items()}
    v = {name: torch.zeros_like(p) for name, p in params.items()}
    # t counts steps. A plain 0 would not do: to torch.compile a Python
    # number is part of the program, and each new value compiles it again.
    return model, params, (m, v, leaves[0].new_zeros((), device=args.device))


class MLP(nn.Module):
    """sizes [784, 256, 128, 10] -> the network; init_params draws weights"""

    def __init__(self, sizes):
        super().__init__()  # without it, assigning a layer is an error
        self.layers = nn.ModuleList(
            nn.Linear(i, o) for i, o in zip(sizes, sizes[1:]))

    # ------------------------------------------------------------ 4. Model
    # The weights are in self. While this runs, autograd records every
    # operation on a tape; the tape is what backward() walks back.
    # Its layers take a batch as it is; PyTorch's vmap is torch.func.vmap.

    def forward(self, x):
        """x (B, 784) -> logits (B, 10)"""
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)


# ----------------------------------------------------------------- 5. Loss
# cross_entropy takes logits and applies log_softmax itself, never
# log(softmax): softmax rounds small probabilities to 0, whose logarithm is
# -inf. The mean, not the sum, so that the gradient does not grow with the
# batch. Labels are one-hot on both sides, 1 at the right class and 0
# elsewhere: integer labels are looked up by an index, which each framework
# does in its own way, and JAX takes a wrong index without a word.

def loss_fn(logits, y):
    """logits (B, 10), y (B, 10) -> mean cross-entropy, scalar"""
    return F.cross_entropy(logits, y)


def accuracy(logits, y):
    """logits (B, 10), y (B, 10) -> fraction right, scalar"""
    hits = logits.argmax(dim=1) == y.argmax(dim=1)
    return hits.mean(dtype=logits.dtype)


def objective(params, model, x, y):
    """params, model, x (B, 784), y (B, 10) -> loss, logits"""
    # functional_call runs the module with these weights in place of its own.
    logits = torch.func.functional_call(model, params, (x,))
    return loss_fn(logits, y), logits


# ------------------------------------------------------------- 6. One step
# The textbook step changes the weights where they are and returns nothing
# new. torch.compile by default splits a function at backward() and at
# optimizer.step(): it then compiles only the parts between them. (PyTorch's
# documentation has a recipe for the optimizer.) So the rung that compiles the
# whole step as one writes it as a function of its weights, as JAX does.

def train_step(forward, state, x, y, lr):
    """(model, params, optimizer), x (B, 784), y (B, 10), lr -> the same
    state, changed, and metrics (2,)"""
    optimizer = state[2]
    optimizer.param_groups[0]["lr"] = lr
    # backward() adds to .grad: without zero_grad the step would follow the
    # sum of all gradients so far. x is no parameter and gets no gradient.
    optimizer.zero_grad()
    logits = forward(x)
    loss = loss_fn(logits, y)
    loss.backward()
    optimizer.step()
    # detach: only its value is kept, not its place on the tape. And no
    # .item(), which on a GPU would make the host wait for every step.
    return state, torch.stack([loss.detach(), accuracy(logits, y)])


def pure_step(update, state, x, y, lr):
    """(model, params, opt), x, y, lr -> new state, metrics (2,)"""
    model, params, opt = state
    # grad_and_value turns the objective into a function that returns its
    # derivative by the first argument, here every weight, and its value.
    grads, (loss, logits) = torch.func.grad_and_value(
        objective, has_aux=True)(params, model, x, y)
    params, opt = update(params, grads, opt, lr)
    return (model, params, opt), torch.stack([loss, accuracy(logits, y)])


# New tensors are returned: a pure step can be called for nothing (section 7).
# And written in place (p.add_(g, alpha=-lr)) the compiled step reached NaN in
# eight steps on a CPU: Inductor, the compiler of torch 2.13, fuses the
# addition into a matrix product and loses alpha.

def sgd(params, grads, opt, lr):
    """Gradient descent: params, grads, (), lr -> params, ()"""
    return {n: p - lr * grads[n] for n, p in params.items()}, opt


def adam(params, grads, opt, lr):
    """Adam, algorithm 1 of the paper: params, grads, (m, v, t), lr -> ..."""
    m, v, t = opt
    t = t + 1
    m = {n: BETA1 * m[n] + (1 - BETA1) * g for n, g in grads.items()}
    v = {n: BETA2 * v[n] + (1 - BETA2) * g * g for n, g in grads.items()}
    # 1 - beta**t as -expm1(t log beta): in float32 the plain form has a
    # relative error of 1.3e-5; torch.optim computes it in float64.
    c1 = -torch.expm1(t * math.log(BETA1))
    c2 = -torch.expm1(t * math.log(BETA2))
    params = {n: p - lr / c1 * m[n] / (torch.sqrt(v[n] / c2) + EPSILON)
              for n, p in params.items()}
    return params, (m, v, t)


UPDATES = {"sgd": sgd, "adam": adam}


# ------------------------------------------------------------ 7. One epoch
# Three rungs; what changes is how much of the work PyTorch may see at once.
#   eager  every operation is dispatched by Python, one by one; backward()
#          is one call into C++
#   model  torch.compile(model), and the rest as in eager: what most users
#          of the compiler write. Two programs: forward and backward
#   step   torch.compile traces the pure step and Inductor turns it, fused,
#          into C++ or Triton around library matrix products: one call from
#          Python per batch
# There is no loop inside a compiled program as in JAX's rung epoch. On a GPU
# a CUDA graph replays the step instead: recipes/torch_graph.py.

def gather_step(step, state, images, labels, idx, lr):
    """As step, but cuts the batch idx (B,) out of the data (N, ...) itself"""
    # The data lies on the device; only the indices travel. An index out of
    # range raises; JAX would clamp it without a word. index_select because
    # images[idx] first works out what kind of index it got.
    return step(state, images.index_select(0, idx),
                labels.index_select(0, idx), lr)


def batches(args, images, labels, order):
    """data, order (S, B) -> S times what one step takes"""
    if args.feed == "host":
        # Feed "host": the DataLoader of every tutorial, told which images
        # to take (its own shuffle would be another order). It fetches them
        # one by one, and that is what this feed is there to show.
        dataset = TensorDataset(*map(torch.from_numpy, (images, labels)))
        for x, y in DataLoader(dataset, batch_sampler=order.tolist()):
            yield x.to(args.device), y.to(args.device)
    else:
        for idx in torch.from_numpy(order).to(args.device):
            yield images, labels, idx


def build(args, state, images, labels, order, lrs, timing):
    """flags, the arguments of an epoch -> what train_epoch calls"""
    # fullgraph: what cannot be compiled is an error, and is not silently left
    # to Python. dynamic=False: one program for these shapes alone.
    compiled = partial(torch.compile, fullgraph=True, dynamic=False)
    forward = compiled(state[0]) if args.rung == "model" else state[0]
    step = (partial(train_step, forward) if args.rung in ("eager", "model")
            else partial(pure_step, UPDATES[args.optimizer]))
    program = step if args.feed == "host" else partial(gather_step, step)
    # The first call compiles, and later ones find it done. So it is made here
    # and not inside the clock, and must leave the state as it was.
    batch = next(batches(args, images, labels, order))
    try:
        if args.rung == "model":
            x, y = (batch if args.feed == "host" else
                    (a.index_select(0, batch[2]) for a in batch[:2]))
            loss_fn(forward(x), y).backward()  # both programs, no step
            state[0].zero_grad()
        if args.rung == "step":
            program = compiled(program)
            # The step is pure: its result is thrown away. With the second
            # rate, because the compiler takes the address of its example for
            # typical. The first rate begins a block of memory, at a multiple
            # of 16 bytes; nearly all others do not, and would be copied.
            program(state, *batch,
                    torch.from_numpy(lrs).to(args.device)[1 % len(lrs)])
    except torch._dynamo.exc.ShortenTraceback as error:
        raise data.Fault(4, f"argument --rung: {args.rung}: the compiler is "
                            f"missing or failed: {error}") from error
    return program


def train_epoch(program, args, state, images, labels, order, lrs):
    """state, data (N, ...), order (S, B), lrs (S,) -> state, metrics (S, 2)"""
    # The optimizer object wants a number, the compiled step a tensor.
    lrs = (lrs.tolist() if args.rung in ("eager", "model")
           else torch.from_numpy(lrs).to(args.device))
    metrics = []
    for batch, lr in zip(batches(args, images, labels, order), lrs):
        # On a GPU this returns before the device is done.
        state, metric = program(state, *batch, lr)
        metrics.append(metric)
    return state, metrics


# ------------------------------------------------------------- 8. Evaluate
# no_grad: no tape, so no memory for one. eval() would switch dropout and
# batch norm to their test behaviour; this network has neither. One call for
# the whole set, as in JAX; not compiled, because it is outside the clock.

@torch.no_grad()
def evaluate(state, x, y):
    """state, x (N, 784), y (N, 10) -> (loss, accuracy)"""
    model, params, _ = state
    loss, logits = objective(params, model, x, y)
    return loss, accuracy(logits, y)


# ---------------------------------------------------------------- 9. Train
# The clock starts before the batch order of an epoch is made and stops after
# a fence, which waits for the device: without it the clock would tell how
# fast Python can ask. Evaluation, logging and writing are outside.
# With --turns several runs are alive at once and train one epoch each, in
# turns, so that they meet the same noise of the machine. Who waits, sleeps.

def fence(values):
    """Wait until the device has done what it was asked for"""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def to_host(values):
    """Tensors of one shape, in a list or stacked -> one NumPy array"""
    values = values if torch.is_tensor(values) else torch.stack(list(values))
    return values.cpu().numpy()


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
    return {"schema": 2, "status": "ok", "framework": "torch",
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
                      [torch.from_numpy(a).to(args.device) for a in arrays])
    fence(sets)
    record["timing"].update(data_s=moved - start, to_device_s=clock() - moved)
    return sets


def load_weights(args, sets, record):
    """-> initial [(w (in, out), b (out,)), ...] in NumPy, drawn or --init"""
    x, y = sets["train"]
    sizes = [x.shape[1], *args.hidden, y.shape[1]]
    weights = pairs(init_params(args.seed, sizes).parameters())
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
    peak = (torch.cuda.max_memory_allocated() if torch.cuda.is_initialized()
            else None)
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
    save_weights(args, pairs(state[1].values()))
    print(f"test accuracy {record['epochs'][-1]['test_accuracy']:.2%}",
          file=sys.stderr)


if __name__ == "__main__":
    data.run(main)
