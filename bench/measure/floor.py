"""The work that cannot be left out, and no more, for one batch size: the
matrix products of a training step at their true shapes, by each library that
is here (`products`), and the same after gathering the batch (`bare`).

It takes turns with the runs of its batch size: in a turn each library works
for a moment, so that a share of the floor is taken between neighbours.
"""

import math
import time
from functools import partial

import numpy as np

import data
from bench.kit import network
from bench.kit.cli import ENVIRONMENT, Fault
from bench.measure import subject
from bench.measure.timing import calls_of, chunk, graph

CHUNK = 0.05  # seconds that a library works in a turn
MOST = 1000   # calls of it
REST = 0.02   # between two libraries: threads spin for a while after their work


class Shapes:
    """The matrices of one training step, random, and what is multiplied:
    (index of a, index of b) with the transposes that a step takes.

    Forward a_l w_l; the gradient of the weights a_l^T d_l; and, but for the
    first layer, the gradient that is passed on d_l w_l^T: 3 L - 1 products.
    """

    def __init__(self, batch_size, sizes, dtype):
        draw = np.random.default_rng(0).standard_normal
        pairs = list(zip(sizes, sizes[1:]))
        # So small that a^T a w is about as large as w: products of products
        # stay finite.
        self.a = [(draw((batch_size, size)) / (
            batch_size**0.5 + size**0.5)).astype(dtype) for size in sizes]
        self.w = [draw(pair).astype(dtype) for pair in pairs]
        layers = range(len(pairs))
        self.count = 3 * len(pairs) - 1
        self.outputs = [np.empty_like(a) for a in [
            *self.a[1:], *self.w, *self.a[1:-1]]]
        # The gradient of a layer's output has the shape of that output.
        self.forward = [(lay, lay) for lay in layers]
        self.weights = [(lay, lay + 1) for lay in layers]
        self.passed = [(lay + 1, lay) for lay in layers[1:]]

    def products(self, a, w):
        """[(first, second), …] in the order of `outputs`; .T is a view."""
        return [*((a[i], w[j]) for i, j in self.forward),
                *((a[i].T, a[j]) for i, j in self.weights),
                *((a[i], w[j].T) for i, j in self.passed)]


def step_calls(products, outputs, multiply, gather):
    """{name: function that does a step}: multiply(first, second, out=…) for
    each of the products; gather() puts the batch into the first matrix."""
    work = list(zip(products, outputs))

    def multiply_all():
        for (first, second), out in work:
            multiply(first, second, out=out)

    def bare():
        gather()
        multiply_all()
    return {"products": multiply_all, "bare": bare}


def numpy_calls(shapes, images, idx):
    calls = step_calls(
        shapes.products(shapes.a, shapes.w), shapes.outputs, np.dot, partial(
            np.take, images, idx, axis=0, out=shapes.a[0], mode="clip"))
    return calls, lambda: None


def torch_calls(one, shapes, images, idx, multiply=None):
    torch, args = one.module.torch, one.args
    a, w, outputs, (images, idx) = (subject.put(one, group) for group in (
        shapes.a, shapes.w, shapes.outputs, (images, idx)))
    calls = step_calls(shapes.products(a, w), outputs, multiply or torch.mm,
                       partial(torch.index_select, images, 0, idx, out=a[0]))
    if args.device == "cuda":  # as bare as it can be: no launch from Python
        calls = {name: graph(torch, call) for name, call in calls.items()}
    return calls, partial(one.module.fence, None)


def onednn(torch):
    """A product by oneDNN, which PyTorch carries and does not use for torch.mm
    in float32 on a CPU; it takes no `out`. There is no public name for it."""
    linear = torch.ops.mkldnn._linear_pointwise
    return lambda first, second, out: linear(
        first, second.T, None, "none", [], "")


def jax_calls(module, shapes, images, order):
    """A call is as many steps as `order` has rows, in one program, as in the
    rung epoch. What one step makes the next one reads, so that XLA can leave
    none out: gradients become weights, and outputs what is passed back."""
    jax = module.jax
    a, w, images, order = jax.block_until_ready(jax.device_put(
        (shapes.a, shapes.w, images, order)))

    def loop(gather, a, w, images, order):
        def body(carry, idx):
            w, _ = carry
            x = [images[idx] if gather else a[0], *a[1:]]
            out = [x[i] @ w[j] for i, j in shapes.forward]
            new = [x[i].T @ out[j - 1] for i, j in shapes.weights]
            passed = [out[i - 1] @ w[j].T for i, j in shapes.passed]
            return (new, passed), None
        passed = [jax.numpy.zeros_like(m) for m in a[1:-1]]
        return jax.lax.scan(body, (w, passed), order)[0]

    last = []

    def make(gather):
        program = jax.jit(partial(loop, gather))
        def call():
            last[:] = program(a, w, images, order)
        return call
    return ({"products": make(False), "bare": make(True)},
            lambda: jax.block_until_ready(last))


def network_libraries(subjects):
    """What libraries() gives, of a network of vision/: its products by PyTorch, which
    lists them (times, m, k, n): `times` products of inputs (m, k) and weights (k, n),
    whose output has a gradient (m, n). None reads what another makes, so all lie in
    one place. Convolutions of single channels are none. Fault 4 without PyTorch."""
    known = [one for one in subjects if hasattr(one.module, "products")]
    if not known:
        raise Fault(ENVIRONMENT, "the floor of a network needs PyTorch, which lists "
                                 "its products")
    (program, args, _), torch = known[0], known[0].module.torch
    listed = [row for row in program.products(args) if row[-1] > 1]
    most = max(times * max(m * k, k * n, m * n) for times, m, k, n in listed)
    place, out = torch.randn(2, most, device=args.device, dtype=(
        torch.bfloat16 if args.precision == "bf16" else
        torch.float64 if args.dtype == np.float64 else torch.float32))

    def view(flat, times, *shape):
        size = (*[times] * (times > 1), *shape)
        return flat[:math.prod(size)].view(size)
    work = listed_products([(view(place, t, m, k), view(place, t, k, n),
                             view(place, t, m, n)) for t, m, k, n in listed],
                           args.work != "answer")
    outputs = [view(out, 1, *a.shape[:-1], b.shape[-1]) for a, b in work]
    call = step_calls(work, outputs, torch.matmul, None)["products"]
    if args.device == "cuda":
        call = graph(torch, call)
    return {"torch": ({"products": call}, partial(program.fence, None), 1, MOST)}, len(
        work)


def listed_products(matrices, trained):
    """[(input, weights, gradient of the output), …] -> [(first, second), …] of an
    answer or a step of training: a w, then a^T d, then, but for the first, d w^T."""
    backward = [*((a.mT, d) for a, _, d in matrices),
                *((d, w.mT) for _, w, d in matrices[1:])]
    return [(a, w) for a, w, _ in matrices] + backward * trained


def libraries(subjects):
    """{library: (its loops, its fence, steps inside a call, most calls)} of
    one batch size."""
    _, args, place = subjects[0]
    if getattr(args, "network", None):
        return network_libraries(subjects)
    images = subject.read_sets(args)["train"][0]
    order = data.batch_order(len(images), args.batch_size, args.seed, 0)
    steps, idx = len(order), order[0]
    shapes = Shapes(args.batch_size, network.of(vars(args)).sizes, args.dtype)
    found, on_cpu = {}, place["device_kind"] == "cpu"
    for one in subjects:
        if torch := getattr(one.module, "torch", None):
            found["torch"] = *torch_calls(one, shapes, images, idx), 1, steps
            if (on_cpu and shapes.outputs[0].dtype == np.float32
                    and torch.backends.mkldnn.is_available()):
                found["onednn"] = *torch_calls(
                    one, shapes, images, idx, onednn(torch)), 1, steps
        else:
            few = order[:max(1, steps // 4)]  # a program of so many steps
            found["jax"] = *jax_calls(one.module, shapes, images,
                                      few), len(few), 4
    if on_cpu:  # last, because its threads spin for 90 ms
        found["numpy"] = *numpy_calls(shapes, images, idx), 1, steps
    return found, shapes.count


def products(subjects):
    """-> function that makes a turn: all floors of one batch size."""
    found, count = libraries(subjects)
    method = {"products": f"a step's {count} matrix products"}
    method["bare"] = f"{method['products']} after gathering its batch"
    loops = [(f"{what} {library}", call, fence, inside,
              calls_of(call, fence, most, CHUNK), method[what])
             for library, (calls, fence, inside, most) in found.items()
             for what, call in calls.items()]

    def turn():
        seconds = {}
        for name, call, fence, inside, count, how in loops:
            time.sleep(REST)
            seconds[name] = chunk(call, fence, count) / inside, "s", count, how
        return seconds
    return turn
