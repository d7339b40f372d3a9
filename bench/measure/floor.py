"""The work that cannot be left out, and no more, for one batch size: the
matrix products of a training step at their true shapes into buffers that
exist already, by each library that is here (`products`), and the same after
gathering the batch (`bare`).
"""

from functools import partial

import numpy as np

import data
from bench.kit import network
from bench.measure import subject
from bench.measure.timing import alternate, graph


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


def torch_calls(one, shapes, images, idx):
    torch, args = one.module.torch, one.args
    a, w, outputs, (images, idx) = (subject.put(one, group) for group in (
        shapes.a, shapes.w, shapes.outputs, (images, idx)))
    calls = step_calls(shapes.products(a, w), outputs, torch.mm, partial(
        torch.index_select, images, 0, idx, out=a[0]))
    if args.device == "cuda":  # as bare as it can be: no launch from Python
        calls = {name: graph(torch, call) for name, call in calls.items()}
    return calls, partial(one.module.fence, None)


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


def products(subjects):
    """All floors of one batch size, in one process."""
    _, args, place = subjects[0]
    images = subject.read_sets(args)["train"][0]
    order = data.batch_order(len(images), args.batch_size, args.seed, 0)
    steps, idx = len(order), order[0]
    shapes = Shapes(args.batch_size, network.of(vars(args)).sizes, args.dtype)
    libraries = {}
    if place["device_kind"] == "cpu":
        libraries["numpy"] = *numpy_calls(shapes, images, idx), 1
    for one in subjects:
        if hasattr(one.module, "torch"):
            libraries["torch"] = *torch_calls(one, shapes, images, idx), 1
        else:
            few = order[:max(1, steps // 2)]  # a program of so many steps
            libraries["jax"] = *jax_calls(one.module, shapes, images,
                                          few), len(few)
    found = {}
    # One library's two loops alternate: their difference is the gathering.
    for library, (calls, fence, inside) in libraries.items():
        for what, (seconds, n) in alternate(calls, fence,
                                            steps // inside).items():
            found[f"{what} {library}"] = (
                seconds / inside, "s", n,
                f"a step's {shapes.count} matrix products" + (
                    " after gathering its batch" if what == "bare" else ""))
    return found
