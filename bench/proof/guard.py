"""While a program is certified, nothing waits or hides inside its clock: an
epoch that reads a value of the device, evaluates, prints or sleeps is an error,
and so is one that is not what its rung and its feed say.

On a GPU both frameworks have a switch for reading. On a CPU, where device and
host share one memory, JAX's does nothing: there an epoch of JAX is first called
with arrays that have no values, and what makes a tensor of PyTorch a value of
the host is replaced for as long as an epoch is trained.
"""

import builtins
import contextlib
import gc
import importlib
import sys
import threading
import time
import tracemalloc
from functools import partial
from unittest import mock

import numpy as np

import data
from bench.kit import network, program
from bench.kit.rungs import RUNGS
from bench.proof.switches import COMPILER, unusual
from bench.run.child import modes

# What makes a tensor a value of the host, or waits for it.
TENSOR = ("item", "tolist", "numpy", "cpu", "__array__", "__float__", "__int__",
          "__bool__", "__index__", "__complex__", "__format__", "__dlpack__",
          "equal", "allclose", "nonzero", "is_nonzero")
# What shows or awaits an array of JAX and reads none that has no values.
ARRAY = ("__format__", "__repr__", "__str__", "block_until_ready")
# Whose own calls are not looked at.
LIBRARIES = ("torch", "jax", "warnings", "importlib", "keras", "tensorflow",
             "lightning", "flax", "equinox", "sklearn")
# What the pair calls from the start of an epoch's clock to its evaluation.
EPOCH = ["clock", "batch_order", "clock", "train_epoch", "fence", "clock",
         "clock", "clock"]


def watch():
    """From now on watch the epochs of whatever program this process runs: one
    of the pair, by its module's functions, or one on bench.kit.program."""
    run, train = data.run, program.Run.train

    def of_the_pair(main):
        names = main.__globals__
        if {"build", "evaluate", "train_epoch"} <= names.keys():
            look = _Look(names["evaluate"])
            epoch, names["evaluate"] = names["train_epoch"], look.evaluate
            names["build"] = look.during("build", names["build"])
            for holder, name in ((vars(data), "batch_order"),
                                 (names, "clock"), (names, "fence")):
                holder[name] = look.noted(name, holder[name])

            def train_epoch(program, args, state, *batches):
                counted = _Counted(program, args)
                found = look.noted("train_epoch", partial(
                    look.epoch, partial(epoch, counted, args)))(
                        args, state, *batches)
                counted.check(len(found[1]))
                return found
            names["train_epoch"] = train_epoch
        run(main)

    def of_the_kit(self, train_epoch, evaluate, state):
        look = _Look(evaluate)
        return train(self, partial(look.epoch, train_epoch, self.args),
                     look.evaluate, state)

    data.run, program.Run.train = of_the_pair, of_the_kit


class _Counted:
    """The program that an epoch calls: how often, and how much it does."""

    def __init__(self, program, args):
        self.program, self.args = program, args
        self.times, self.traced = 0, None

    def __call__(self, state, *batch):
        jax, torch = map(sys.modules.get, ("jax", "torch"))
        if jax and any(isinstance(leaf, jax.core.Tracer)
                       for leaf in jax.tree.leaves(state)):
            # Once says all: a step does not know how many came before it.
            self.traced = self.traced or self.program(state, *batch)
            return self.traced
        self.times += 1
        if self.times == 1 and isinstance(self.program, getattr(
                getattr(jax, "stages", None), "Compiled", ())):
            if "callback" in self.program.as_text():
                raise RuntimeError("its program calls Python")
            costs = self.program.cost_analysis() or {}
            self._work((costs[0] if isinstance(costs, list) else costs).get(
                "flops", 0))
        if self.times == 1 and torch and not RUNGS[self.args.rung].ahead:
            with importlib.import_module("torch.utils.flop_counter"
                                         ).FlopCounterMode(display=False) as counter:
                found = self.program(state, *batch)
            self._work(counter.get_total_flops())
            return found
        return self.program(state, *batch)

    def _work(self, flops):
        """RuntimeError where a step does more than the network needs: its
        products, and by JAX's count some operations a parameter and a unit."""
        known, size = network.of(vars(self.args)), self.args.batch_size
        allowed = (1.1 * known.operations * size + 50 * known.parameters
                   + 100 * sum(known.sizes[1:]) * size)
        if flops > allowed:
            raise RuntimeError(f"a step does {flops:.3g} operations; the network"
                               f" needs {known.operations * size:.3g}")

    def check(self, returned):
        """Raise RuntimeError unless it was called as its rung says for as many
        losses as were returned."""
        wanted = 1 if RUNGS[self.args.rung].whole else returned
        if self.times != wanted:
            raise RuntimeError(f"train_epoch calls its program {self.times} "
                               f"times; {self.args.rung} means {wanted}")


class _Look:
    """An epoch that is looked at, and evaluate(), which is not for inside."""

    def __init__(self, evaluate):
        self.given, self.inside, self.trained = evaluate, None, False
        self.events = []

    def noted(self, name, function):
        """That function, of the pair, whose calls are noted."""
        def watched(*arguments):
            self.events.append(name)
            return function(*arguments)
        return watched

    def evaluate(self, *arguments):
        if self.inside:
            raise RuntimeError(f"{self.inside} calls evaluate, inside the clock")
        if self.trained and self.events and self.events[-len(EPOCH):] != EPOCH:
            raise RuntimeError("an epoch is not timed by its order: "
                               f"{' '.join(self.events[-len(EPOCH):])}")
        self.trained = False
        return self.given(*arguments)

    def during(self, name, function):
        """That function, which must not evaluate."""
        def watched(*arguments):
            self.inside = name
            try:
                return function(*arguments)
            finally:
                self.inside = None
        return watched

    def epoch(self, train, args, state, images, *batches):
        """What train(state, images, …) gives; RuntimeError for what hides."""
        if self.trained:
            raise RuntimeError("an epoch is trained that nobody evaluates")
        jax, torch = map(sys.modules.get, ("jax", "torch"))
        if (jax or torch) and isinstance(images, np.ndarray) != (
                args.feed == "host"):
            raise RuntimeError(f"the training data are {type(images).__name__}"
                               f" under feed {args.feed}")
        train = self.during("train_epoch", train)
        _usual()
        if getattr(args, "work", None) == "answer":  # each answer is waited for
            self.trained = True
            return train(state, images, *batches)
        leaves = jax.tree.leaves(state) if jax else []
        if leaves and all(isinstance(leaf, jax.Array) for leaf in leaves):
            _without_values(jax, train, state, images, *batches)
        with _refusing(jax, torch):
            found = train(state, images, *batches)
            _usual()
        self.trained = True
        return found


def _usual():
    """RuntimeError where a mode that changes speed is on, or off."""
    found = unusual(modes(), COMPILER)  # of which the audit judges the records
    if tracemalloc.is_tracing():
        found = "every allocation is traced"
    if not getattr(getattr(sys.modules.get("jax"), "config", None),
                   "jax_cpu_enable_async_dispatch", True):
        found = "JAX dispatches synchronously"
    if found:
        raise RuntimeError(f"train_epoch runs while {found}")


def _without_values(jax, train, *arguments):
    """Call train as jit would trace it, with arrays that have no values, so
    that whoever reads one fails. What is compiled gives such arrays, too."""
    given = {}

    def stand_in(compiled, *_):
        if id(compiled) not in given:
            given[id(compiled)] = jax.tree.map(
                lambda out: jax.numpy.zeros(out.shape, out.dtype),
                compiled.out_info)
        return given[id(compiled)]

    with mock.patch.object(jax.stages.Compiled, "__call__", stand_in):
        leaves, tree = jax.tree.flatten(arguments)
        device = [isinstance(leaf, jax.Array) for leaf in leaves]

        def call(*traced):
            traced = iter(traced)
            return train(*tree.unflatten(
                next(traced) if there else leaf
                for there, leaf in zip(device, leaves)))
        try:
            with _refusing(jax, None):
                jax.eval_shape(call, *(leaf for there, leaf in zip(
                    device, leaves) if there))
        except RuntimeError:
            raise
        except Exception as error:
            raise RuntimeError(
                "train_epoch reads a value of the device, inside the clock: "
                f"{str(error).splitlines()[0]}") from error


@contextlib.contextmanager
def _refusing(jax, torch):
    """Whatever waits for the device or hides in the clock is an error."""
    with contextlib.ExitStack() as stack:
        def refuse(holder, *names):
            for name in names:
                stack.enter_context(mock.patch.object(
                    holder, name, _error(f"calls {name}", getattr(
                        holder, name, None))))

        for stream in (sys.stdout, sys.stderr):
            refuse(stream, "write")
        refuse(builtins, "open")
        refuse(gc, "collect")
        refuse(time, "sleep")
        refuse(threading.Event, "wait")
        if torch:
            refuse(torch.Tensor, *TENSOR)
            refuse(torch, "save", "equal", "allclose", "nonzero", "is_nonzero",
                   "set_num_threads", "use_deterministic_algorithms")
            refuse(torch.cuda, "synchronize")
            refuse(torch.autograd, "detect_anomaly", "set_detect_anomaly")
        if jax:
            refuse(type(jax.numpy.zeros(())), *ARRAY)
            refuse(jax, "device_get", "block_until_ready", "disable_jit",
                   "debug_nans")
            refuse(jax.config, "update")
            stack.enter_context(jax.transfer_guard_device_to_host("disallow"))
        yield


def _error(what, own):
    """A function that raises; own: what the frameworks themselves are still
    given: PyTorch's DataLoader, for one, draws a seed."""
    def refuse(*arguments, **options):
        caller = sys._getframe(1).f_globals.get("__name__", "")
        # Without a name: the code by which torch.compile guards a program.
        if not caller or caller.partition(".")[0] in LIBRARIES:
            return own(*arguments, **options)
        raise RuntimeError(f"train_epoch {what}, inside the clock")
    return refuse
