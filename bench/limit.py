"""How fast this machine is: the work that cannot be left out, and no more.

    python bench/limit.py KIND OUT.json SCRIPT[,SCRIPT] FLAG ...

Runs as a child, with the frameworks of the scripts, on the device and in the
precision that the flags ask for. KIND is

floor     of one batch size: the matrix products of a training step at their
          true shapes into buffers that exist already, by each library that is
          here (`products`), and the same after gathering the batch (`bare`)
dispatch  what it costs to start something, and the speed of a large copy
speed     FLOP/s of a large product: what a record implies can be no faster,
          and the audit looks
"""

import sys
import time
from functools import partial

import numpy as np

import data
from bench import cli, launch, lesson, probe, record
from bench.weights import layer_sizes

SIZE, SECONDS = 2048, 0.5  # of the product; how long it is repeated
clock = time.perf_counter


def flops(grid, points):
    """{"flops", "device"} of a large matrix product on this machine, by the
    framework of the first point that can; measured once for an output folder
    and precision. None where it could not be measured."""
    path = grid.out / "limit.json"
    key = [grid.machine(), grid.settings["precision"]]
    found = record.read_json(path)
    if found.get("key") == key and isinstance(found.get("flops"), float) and (
            isinstance(found.get("device"), str) and found["flops"] > 0):
        return found
    # A framework knows the accelerator; NumPy would measure the host.
    for name in sorted({point.contender for point in points
                        if not grid.lacking.get(point)},
                       key=lambda name: (name not in ("jax", "torch"), name)):
        temporary = grid.temporary()
        status, *_ = launch.run(
            __file__, ["speed", str(temporary), str(grid.scripts[name]),
                       f"--device={grid.settings['device']}",
                       f"--precision={grid.settings['precision']}"],
            grid.cpus, grid.timeout, grid.temporary)
        found = record.read_json(temporary)
        temporary.unlink(missing_ok=True)
        if status == "ok" and found:
            found.update(key=key, method=f"best product of two {SIZE} x {SIZE}"
                         f" matrices in {SECONDS} s, by the framework of "
                         f"{name}")
            record.write_atomic(path, record.dumps(found))
            return found
    return None


# --------------------------------------------- the child: a large product

def product(subject):
    """Function that multiplies two matrices and waits for the result."""
    module, args, _ = subject
    a = np.random.default_rng(0).standard_normal((SIZE, SIZE))
    x, = probe.put(subject, (a.astype(args.dtype),))
    multiply = (module.jax.jit(lambda x: x @ x) if hasattr(module, "jax")
                else lambda x: x @ x)
    return lambda: module.fence(multiply(x))


def numpy_product(dtype):
    """The same in NumPy, for programs that are not of the lesson."""
    a = np.random.default_rng(0).standard_normal((SIZE, SIZE)).astype(dtype)
    return lambda: a @ a


def speed(argv):
    """FLOP/s of a large product."""
    out, script, *rest = argv
    if lesson.is_lesson(lesson.load_script(script)):
        out, (subject,) = probe.start(argv)
        device, multiply = subject.place["device_name"], product(subject)
    else:
        device, multiply = "cpu", numpy_product(
            np.float64 if "--precision=fp64" in rest else np.float32)
    multiply()
    best, end = float("inf"), clock() + SECONDS
    while clock() < end:
        start = clock()
        multiply()
        best = min(best, clock() - start)
    record.write_atomic(out, record.dumps({"flops": 2 * SIZE**3 / best,
                                           "device": device}))
    return cli.OK


# ------------------------------------------------------- the child: a floor

def alternate(calls, fence, most, chunks=7, seconds=0.2):
    """{name: function} -> {name: (median seconds of one call, chunks)}. A
    chunk is up to `most` calls and about `seconds` long, with a fence at its
    end; the chunks of all functions alternate, so that drift hits all."""
    counts, taken = {}, {name: [] for name in calls}
    for name, call in calls.items():
        call()  # may compile
        fence()
        start = clock()
        call()
        fence()
        counts[name] = max(1, min(most, int(seconds / (clock() - start))))
    for _ in range(chunks):
        for name, call in calls.items():
            start = clock()
            for _ in range(counts[name]):
                call()
            fence()
            taken[name].append((clock() - start) / counts[name])
    return {name: (float(np.median(values)), chunks)
            for name, values in taken.items()}


def per_call(call, fence, most):
    """(median seconds of one call, chunks)"""
    return alternate({"": call}, fence, most, seconds=0.05)[""]


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


def numpy_calls(shapes, images, idx):
    work = list(zip(shapes.products(shapes.a, shapes.w), shapes.outputs))
    x = shapes.a[0]

    def products():
        for (a, b), out in work:
            np.dot(a, b, out=out)

    def bare():
        np.take(images, idx, axis=0, out=x, mode="clip")
        products()
    return {"products": products, "bare": bare}, lambda: None


def torch_calls(subject, shapes, images, idx):
    torch, args = subject.module.torch, subject.args
    a, w, outputs, (images, idx) = (probe.put(subject, group) for group in (
        shapes.a, shapes.w, shapes.outputs, (images, idx)))
    work = list(zip(shapes.products(a, w), outputs))

    def products():
        for (first, second), out in work:
            torch.mm(first, second, out=out)

    def bare():
        torch.index_select(images, 0, idx, out=a[0])
        products()
    calls = {"products": products, "bare": bare}
    if args.device == "cuda":  # as bare as it can be: no launch from Python
        calls = {name: graph(torch, call) for name, call in calls.items()}
    return calls, partial(subject.module.fence, None)


def graph(torch, call):
    """CUDA only: `call` recorded once -> what replays it."""
    stream = torch.cuda.Stream()  # warm-up aside, as CUDA graphs ask
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        call()
    torch.cuda.current_stream().wait_stream(stream)
    recorded = torch.cuda.CUDAGraph()
    # Other libraries' threads may use the device meanwhile: not forbidden.
    with torch.cuda.graph(recorded, capture_error_mode="thread_local"):
        call()

    def again(_=call):  # keeps what it reads alive: a graph holds addresses
        recorded.replay()
    return again


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


CHAIN = 1000  # dependent kernels, so that their number decides the time


def jax_dispatch(module, _):
    """{name: (seconds, n)} of a compiled program that does next to nothing,
    called from Python, and of one more dependent kernel inside a program."""
    jax, state = module.jax, [module.jax.device_put(np.float32(0))]
    add = jax.jit(lambda x: x + 1)
    many = jax.jit(lambda x: jax.lax.fori_loop(
        0, CHAIN, lambda _, x: x * 0.5 + 1, x))

    def again(program):
        state[0] = program(state[0])
    fence = partial(jax.block_until_ready, state)
    seconds, n = per_call(partial(again, many), fence, 50)
    return {"jax call": per_call(partial(again, add), fence, 2000),
            "jax chain": (seconds / CHAIN, n)}


def torch_dispatch(module, args):
    """The same, and one operation from Python."""
    torch, fence = module.torch, partial(module.fence, None)
    x = torch.zeros((), device=args.device)
    # No compiler behind it: what remains are its guards and the call.
    add = torch.compile(lambda x: x + 1, backend="eager")

    def many():
        for _ in range(CHAIN):
            x.add_(1)
    seconds, n = per_call(many, fence, 20)
    found = {"torch operation": (seconds / CHAIN, n),
             "torch call": per_call(partial(add, x), fence, 2000)}
    if args.device == "cuda":
        seconds, n = per_call(graph(torch, many), fence, 50)
        found["torch chain"] = seconds / CHAIN, n
    return found


def bandwidth(subject):
    """Bytes per second of a large copy, read and written, on the device; by
    torch, where it is, because NumPy copies with one thread."""
    size, (module, args, _) = 2**27, subject
    if hasattr(module, "torch"):
        x, y = (module.torch.zeros(size // 4, device=args.device)
                for _ in "xy")
        seconds, n = per_call(partial(y.copy_, x), partial(
            module.fence, None), 20)
        return 2 * size / seconds, n
    jax, last = module.jax, [None]
    x, copy = jax.device_put(np.zeros(size // 4, np.float32)), jax.jit(
        lambda x: x + 1)

    def again():
        last[0] = copy(x)
    seconds, n = per_call(again, partial(jax.block_until_ready, last), 20)
    return 2 * size / seconds, n


def floor(argv):
    """All floors of one batch size, in one process."""
    out, subjects = probe.start(argv)
    _, args, place = subjects[0]
    images = probe.read_sets(args)["train"][0]
    order = data.batch_order(len(images), args.batch_size, args.seed, 0)
    steps, idx = len(order), order[0]
    shapes = Shapes(args.batch_size, layer_sizes(args.hidden), args.dtype)
    libraries = {}
    if place["device_kind"] == "cpu":
        libraries["numpy"] = *numpy_calls(shapes, images, idx), 1
    for subject in subjects:
        if hasattr(subject.module, "torch"):
            libraries["torch"] = *torch_calls(subject, shapes, images, idx), 1
        else:
            few = order[:max(1, steps // 2)]  # a program of so many steps
            libraries["jax"] = *jax_calls(subject.module, shapes, images,
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
    probe.answer(out, place["device_name"], found)
    return cli.OK


def dispatch(argv):
    """What it costs to start something, and a large copy."""
    out, subjects = probe.start(argv)
    found = {}
    for module, args, _ in subjects:
        measure = jax_dispatch if hasattr(module, "jax") else torch_dispatch
        for name, (seconds, n) in measure(module, args).items():
            found[name] = seconds, "s", n, "median of chunks"
    speed, n = bandwidth(subjects[-1])
    found["bandwidth"] = (speed, "bytes/s", n,
                          "a large copy, bytes read and written")
    probe.answer(out, subjects[0].place["device_name"], found)
    return cli.OK


def main():
    kind, *argv = sys.argv[1:]
    return {"floor": floor, "dispatch": dispatch, "speed": speed}[kind](argv)


if __name__ == "__main__":
    cli.guard(main, "limit.py")
