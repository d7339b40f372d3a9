#!/usr/bin/env python3
"""A multilayer perceptron on MNIST in PyTorch: nn.Module, autograd, compile.

    python mlp_torch.py --batch-size 256
    python mlp_torch.py --mode step         the whole step as one program
    python mlp_torch.py --help

What to expect with the defaults (10 epochs of 50,000 images, batch 64,
Adam), seen on two cores of an Intel Xeon with torch 2.13.0, seeds 0 to 2:
test accuracy 97.7 % with a standard deviation of 0.1 points; 0.9 s an
epoch (with --mode step 0.7 s, after 23 s of compiling).

How to read: beside mlp_jax.py (`make diff` shows both in two columns).
The nine sections have the same names in the same order, and what one
framework does not need is said there in one line.

The lesson in one sentence: you run operations on objects, and PyTorch
records them (autograd plays the record backwards, compile turns it into
a program), so most things here are changed in place, where they are.
"""

# ---------------------------------------------------------------- 1. Setup
# `contender` is what the two scripts do alike: flags, clock, log, record.
# It comes first because it turns a failed import into one clear line.

import math
from functools import partial

from bench import contender

with contender.importing("torch"):
    import torch
    import torch.nn as nn
    import torch.nn.functional as F
    from torch.utils.data import DataLoader, TensorDataset


def setup(args, run):
    """Choose device and precision before the first tensor exists"""
    # float32 is not the same thing on both sides. PyTorch multiplies float32
    # matrices in float32 unless told otherwise; JAX on recent NVIDIA GPUs
    # uses TF32 (10 bits of mantissa in place of 23, up to 8 times faster).
    # Unless both are told, the comparison is one of precisions.
    torch.set_float32_matmul_precision(
        "high" if args.precision == "tf32" else "highest")
    # XLA on a CPU takes numbers below 1.2e-38 for zero; PyTorch computes
    # them, slowly. Adam's averages for weights whose gradient is seldom not
    # zero decay into that range: without this line the compiled epochs at
    # batch 64 grew from 0.6 to 0.85 s.
    torch.set_flush_denormal(True)
    # XLA takes a thread for every core that it may use, PyTorch one for
    # every physical core: on a hyperthreaded machine half as many.
    torch.set_num_threads(contender.cores())
    # A tensor lives where it is put and nothing moves by itself, so from
    # here on args.device names a device, and everything is sent there.
    if args.device == "auto":
        args.device = "cuda" if torch.cuda.is_available() else "cpu"
    contender.find_device(lambda: torch.zeros(1, device=args.device),
                          args.device)
    # On a CPU, step needs a C++ compiler and there is no graph for epoch.
    contender.check_torch_rung(args.mode, args.device)
    describe(args, run)


def describe(args, run):
    """Tell the record what ran where, and how to wait, read and count"""
    cuda = args.device == "cuda"
    contender.check_tf32(
        args.precision, cuda and torch.cuda.get_device_capability()[0])
    run.describe(
        {"torch": torch.__version__, "cuda": torch.version.cuda}, args.device,
        torch.cuda.get_device_name() if cuda else "cpu",
        torch.get_num_threads(),
        fence=lambda _: cuda and torch.cuda.synchronize(),
        to_host=lambda rows: (rows if torch.is_tensor(rows) else
                              torch.stack(list(rows))).cpu().numpy(),
        compiled=lambda:
            torch._dynamo.utils.counters["stats"]["unique_graphs"],
        memory=lambda: torch.cuda.max_memory_allocated() if cuda else None)


# ------------------------------------------------------------- 2. Settings
# Flags (see --help) are what a comparison sweeps; these never vary. The
# three numbers are the defaults of both torch.optim.Adam and the paper
# (Kingma and Ba, 2015, https://arxiv.org/abs/1412.6980).

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


# ----------------------------------------------------------- 3. Parameters
# Parameters are objects: a Module registers every nn.Linear assigned to it,
# and an nn.Linear registers its weight and bias. weight is (outputs,
# inputs), the transpose of JAX's w; pairs() and load_pairs() translate.
# The default network has 235,146:
assert 784 * 256 + 256 + 256 * 128 + 128 + 128 * 10 + 10 == 235_146


def init_params(model, seed):
    """model, seed -> the same model, its weights drawn anew"""
    # A generator of our own: torch.manual_seed would set a global one, and
    # whoever draws from it first changes what the next one gets.
    generator = torch.Generator().manual_seed(seed)
    for layer in model.layers:
        # He et al. 2015, https://arxiv.org/abs/1502.01852: variance 2 /
        # fan-in keeps the size of the activations through a ReLU, layer
        # after layer. nn.Linear's own default is smaller.
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu",
                                generator=generator)
        nn.init.zeros_(layer.bias)
    return model


def load_pairs(model, weights):
    """model, [(w (in, out), b (out,)), ...] -> model with those weights"""
    # from_numpy() shares memory with the array it is given, here a copy;
    # otherwise the optimizer would change `weights` too.
    leaves = [torch.from_numpy(a.T.copy()) for pair in weights for a in pair]
    # assign=True takes over the dtype too (float64 with --precision fp64).
    model.load_state_dict(dict(zip(model.state_dict(), leaves)), assign=True)
    return model


def pairs(params):
    """{name: tensor} -> [(w (in, out), b (out,)), ...] in NumPy"""
    arrays = [leaf.detach().cpu().numpy().T for leaf in params.values()]
    return list(zip(arrays[::2], arrays[1::2]))


def init_state(model, args):
    """model, flags -> (params, optimizer object), or for the rungs that
    write the update out (params, ()) or (params, (m, v, t)), all zero"""
    params = dict(model.named_parameters())
    # fused: one kernel updates all weights; on two CPU cores and with Adam
    # 1.4 times as fast as foreach at batch 64.
    if args.mode == "eager" and args.optimizer == "sgd":
        return params, torch.optim.SGD(params.values(), args.lr, fused=True)
    if args.mode == "eager":
        return params, torch.optim.Adam(params.values(), args.lr,
                                        (BETA1, BETA2), EPSILON, fused=True)
    # The same weights as plain tensors, which autograd does not watch; the
    # module's own stay as they are and are not used.
    params = {name: p.detach().clone() for name, p in params.items()}
    if args.optimizer == "sgd":
        return params, ()
    m, v = ({n: torch.zeros_like(p) for n, p in params.items()} for _ in "mv")
    # A tensor and not the number 0: a Python number is part of the compiled
    # program, and a new one compiles it again.
    return params, (m, v, {"t": next(iter(params.values())).new_zeros(())})


class MLP(nn.Module):
    """sizes [784, 256, 128, 10] -> the network; init_params draws weights"""

    def __init__(self, sizes):
        super().__init__()  # without it, assigning a layer raises
        self.layers = nn.ModuleList(
            nn.Linear(i, o) for i, o in zip(sizes, sizes[1:]))

    # ------------------------------------------------------------ 4. Model
    # The weights are in self. While this runs, autograd records every
    # operation on a tape; the tape is what backward() walks back.
    # Written for a batch, as in JAX; PyTorch's vmap is torch.func.vmap.

    def forward(self, x):
        """x (B, 784) -> logits (B, 10)"""
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)


# ----------------------------------------------------------------- 5. Loss
# cross_entropy takes logits and applies log_softmax itself, never
# log(softmax): softmax rounds small probabilities to 0, whose logarithm is
# -inf. Labels are one-hot on both sides. The mean, not the sum, so that the
# gradient does not grow with the batch.

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
# new. backward() and optimizer.step() would break a compiled function into
# pieces, so the compiled rungs write the step as a function, as JAX does.

def train_step(model, state, x, y, lr):
    """(params, optimizer), x (B, 784), y (B, 10), lr -> state, metrics (2,)"""
    optimizer = state[1]
    optimizer.param_groups[0]["lr"] = lr
    # backward() adds to .grad: without zero_grad the step would follow the
    # sum of all gradients so far. x does not require a gradient: none made.
    optimizer.zero_grad()
    logits = model(x)
    loss = loss_fn(logits, y)
    loss.backward()
    optimizer.step()
    # detach: only its value is kept, not its place on the tape. And no
    # .item(), which on a GPU would make the host wait for every step.
    return state, torch.stack([loss.detach(), accuracy(logits, y)])


def pure_step(model, update, state, x, y, lr):
    """(params, opt), x (B, 784), y (B, 10), lr -> new state, metrics (2,)"""
    params, opt = state
    # grad_and_value turns the objective into a function that returns its
    # derivative by the first argument, here every weight, and its value.
    grads, (loss, logits) = torch.func.grad_and_value(
        objective, has_aux=True)(params, model, x, y)
    state = update(params, grads, opt, lr)
    return state, torch.stack([loss, accuracy(logits, y)])


# New tensors are returned. Written in place (p.add_(g, alpha=-lr)), the
# compiled step reached NaN in eight steps on a CPU: Inductor 2.13 fuses the
# addition into a matrix product and loses alpha.

def sgd(params, grads, opt, lr):
    """Gradient descent: params, grads, (), lr -> params, ()"""
    return {n: p - lr * grads[n] for n, p in params.items()}, opt


def adam(params, grads, opt, lr):
    """Adam, algorithm 1 of the paper: params, grads, (m, v, t), lr -> ..."""
    m, v, t = opt[0], opt[1], opt[2]["t"] + 1
    m = {n: BETA1 * m[n] + (1 - BETA1) * g for n, g in grads.items()}
    v = {n: BETA2 * v[n] + (1 - BETA2) * g * g for n, g in grads.items()}
    # 1 - beta**t as -expm1(t log beta): in float32 the plain form has a
    # relative error of 1.3e-5; torch.optim computes it in float64.
    c1 = -torch.expm1(t * math.log(BETA1))
    c2 = -torch.expm1(t * math.log(BETA2))
    params = {n: p - lr / c1 * m[n] / (torch.sqrt(v[n] / c2) + EPSILON)
              for n, p in params.items()}
    return params, (m, v, {"t": t})


UPDATES = {"sgd": sgd, "adam": adam}


# ------------------------------------------------------------ 7. One epoch
# Three rungs; what changes is how much of the work PyTorch may see at once.
#   eager  every operation is dispatched by Python, one by one; backward()
#          is one call into C++
#   step   torch.compile traces the pure step and Inductor turns it, fused,
#          into C++ or Triton around library matrix products: one call from
#          Python per batch
#   epoch  CUDA only: the compiled step is recorded as a CUDA graph; all that
#          is left to Python is to say "again" S times

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


def build(args, model, state, images, labels, order, lrs, lap):
    """flags, the arguments of an epoch -> what train_epoch calls"""
    step = (partial(train_step, model) if args.mode == "eager" else
            partial(pure_step, model, UPDATES[args.optimizer]))
    function = step if args.feed == "host" else partial(gather_step, step)
    if args.mode == "eager":
        return function
    # fullgraph: an operation that cannot be compiled is an error, not a
    # silent piece of eager. dynamic=False: one program for these shapes.
    program = torch.compile(function, fullgraph=True, dynamic=False)
    # The first call compiles, all in one (JAX shows three parts). The step
    # is pure, so throwing the result away leaves the state as it was. Not
    # the first rate: its address is a multiple of 16, so that the program
    # would be made for such, and on a GPU copy nearly every later one.
    batch = next(batches(args, images, labels, order))
    program(state, *batch, torch.from_numpy(lrs).to(args.device)[1 % len(lrs)])
    return (program if args.mode == "step" else
            capture(program, state, images, labels, order, lrs))


def train_epoch(program, args, state, images, labels, order, lrs):
    """state, data (N, ...), order (S, B), lrs (S,) -> state, metrics (S, 2)"""
    if args.mode == "epoch":
        return program(state, images, labels, order, lrs)
    # The optimizer object wants a number, the compiled step a tensor.
    lrs = (lrs.tolist() if args.mode == "eager"
           else torch.from_numpy(lrs).to(args.device))
    metrics = []
    for batch, lr in zip(batches(args, images, labels, order), lrs):
        # On a GPU this returns before the device is done.
        state, metric = program(state, *batch, lr)
        metrics.append(metric)
    return state, metrics


# A CUDA graph replays the same kernels on the same addresses, so everything
# a step reads or writes gets a fixed place ("slots"), the number of the step
# included, and the new state is copied over the old.

def slot_step(program, state, images, labels, slots):
    """One step on fixed memory: the state and slots change in place"""
    i, order, lrs, metrics = slots
    idx, lr = order.index_select(0, i)[0], lrs.index_select(0, i)[0]
    new, metric = program(state, images, labels, idx, lr)
    torch._foreach_copy_(leaves(state), leaves(new))  # all in a kernel or two
    metrics.index_copy_(0, i, metric[None])
    i.add_(1)


def leaves(state):
    """(params, opt) -> every tensor in it"""
    return [leaf for part in (state[0], *state[1]) for leaf in part.values()]


def make_slots(like, order, lrs):
    """a tensor, order (S, B), lrs (S,) -> step number, order, lrs, metrics"""
    order, lrs = (torch.from_numpy(a).to(like.device) for a in (order, lrs))
    return (like.new_zeros(1, dtype=torch.int64), order, lrs,
            like.new_zeros(len(order), 2))


def capture(program, state, images, labels, order, lrs):
    """CUDA only: record slot_step as a graph -> function that replays it"""
    slots = make_slots(images, order, lrs)
    before = [leaf.clone() for leaf in leaves(state)]
    # Lazy set-up (cuBLAS, the allocator) must not be recorded: warm up
    # first, on a side stream as the documentation of CUDA graphs asks.
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        slot_step(program, state, images, labels, slots)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        slot_step(program, state, images, labels, slots)
    for leaf, old in zip(leaves(state), before):
        leaf.copy_(old)  # the warm-up was a real step: take it back
    return partial(replay, graph, slots)


def replay(graph, slots, state, images, labels, order, lrs):
    """The arguments and results of train_epoch, which calls this"""
    slots[0].zero_()
    slots[1].copy_(torch.from_numpy(order))
    slots[2].copy_(torch.from_numpy(lrs))
    for _ in order:
        graph.replay()
    return state, slots[3].clone()  # the next epoch overwrites the slot


# ------------------------------------------------------------- 8. Evaluate
# no_grad: no tape, so no memory for one. eval() would switch dropout and
# batch norm to their test behaviour; this network has neither. One call for
# the whole set, as in JAX; not compiled, because it is outside the clock.

@torch.no_grad()
def evaluate(model, state, x, y):
    """model, state, x (N, 784), y (N, 10) -> (loss, accuracy)"""
    loss, logits = objective(state[0], model, x, y)
    return loss, accuracy(logits, y)


# ---------------------------------------------------------------- 9. Train
# The clock is in contender, the same for both scripts: it starts before the
# batch order of an epoch is made and stops after a fence. Without the fence
# (synchronize) it would time how fast Python can ask. Evaluation and logging
# are outside.

def train(args, run):
    """flags, books -> final weights [(w (in, out), b (out,)), ...]"""
    setup(args, run)
    model = init_params(MLP(run.sizes), args.seed)
    weights = run.initial(lambda: pairs(dict(model.named_parameters())))
    state = init_state(load_pairs(model, weights).to(args.device), args)
    run.load(lambda arrays: [
        torch.from_numpy(array).to(args.device) for array in arrays])
    program = run.compile(partial(build, args, model), state)
    state = run.train(partial(train_epoch, program, args),
                      partial(evaluate, model), state)
    return pairs(state[0])


def main():
    """The command line; the README lists the exit codes."""
    contender.main(train, __file__, "torch", default_mode="eager")


if __name__ == "__main__":
    main()
