"""While a program is certified, nothing waits inside its clock: an epoch that
reads a value of the device, evaluates, prints or sleeps is an error.

On a GPU both frameworks have a switch for that. On a CPU, where device and host
share one memory, JAX's does nothing, so what turns an array into a value of the
host is replaced for as long as an epoch is trained.
"""

import builtins
import contextlib
import functools
import sys
import time
from unittest import mock

import numpy as np

import data
from bench.kit import program

# What makes a tensor a value of the host, or waits for it.
TENSOR = ("item", "tolist", "numpy", "cpu", "__array__", "__float__", "__int__",
          "__bool__", "__index__", "__complex__", "__format__")
ARRAY = ("item", "tolist", "__array__", "__float__", "__int__", "__bool__",
         "__index__", "__complex__", "__format__", "block_until_ready")
# Written in C, they ask no method of an array.
OF_NUMPY = ("array", "asarray", "isfinite", "isnan")


def watch():
    """From now on watch the epochs of whatever program this process runs: one
    of the pair, by its module's functions, or one on bench.kit.program."""
    run, train = data.run, program.Run.train

    def of_the_pair(main):
        names, evaluate = main.__globals__, main.__globals__.get("evaluate")
        if evaluate and "train_epoch" in names:
            names["evaluate"] = outside = _Outside(evaluate)
            for name in ("build", "train_epoch"):
                names[name] = outside.during(names[name], name)
        run(main)

    def of_the_kit(self, train_epoch, evaluate, state):
        outside = _Outside(evaluate)
        return train(self, outside.during(train_epoch, "train_epoch"), outside,
                     state)

    data.run, program.Run.train = of_the_pair, of_the_kit


class _Outside:
    """evaluate(), which raises RuntimeError while it is called from inside."""

    def __init__(self, evaluate):
        self.evaluate, self.inside = evaluate, None

    def __call__(self, *arguments):
        if self.inside:
            raise RuntimeError(f"{self.inside} calls evaluate, inside the clock")
        return self.evaluate(*arguments)

    def during(self, function, name):
        """That function, watched; of build only that it does not evaluate."""
        @functools.wraps(function)
        def watched(*arguments):
            self.inside = name
            try:
                with _refusing() if name == "train_epoch" else (
                        contextlib.nullcontext()):
                    return function(*arguments)
            finally:
                self.inside = None
        return watched


@contextlib.contextmanager
def _refusing():
    """Whatever waits for the device or hides in the clock is an error."""
    jax, torch = map(sys.modules.get, ("jax", "torch"))
    with contextlib.ExitStack() as stack:
        def replace(holder, name, value):
            stack.enter_context(mock.patch.object(holder, name, value,
                                                  create=True))

        replace(builtins, "print", _error("prints"))
        replace(time, "sleep", _error("sleeps"))
        if torch:
            for name in TENSOR:
                replace(torch.Tensor, name, _error(
                    f"calls Tensor.{name}", getattr(torch.Tensor, name)))
            replace(torch.cuda, "synchronize", _error("waits for the device"))
            for holder, name in ((torch, "set_num_threads"),
                                 (torch, "use_deterministic_algorithms"),
                                 (torch.autograd, "detect_anomaly"),
                                 (torch.autograd, "set_detect_anomaly")):
                replace(holder, name, _error(f"calls {name}",
                                             getattr(holder, name)))
        if jax:
            kind = type(jax.device_put(np.zeros(())))
            for name in ARRAY:
                replace(kind, name, _error(f"calls {name} of an array"))
            replace(kind, "_value", property(_error("reads an array")))
            for name in ("device_get", "block_until_ready", "disable_jit",
                         "debug_nans"):
                replace(jax, name, _error(f"calls jax.{name}"))
            for name in OF_NUMPY:
                replace(np, name, _of_host(getattr(np, name), kind))
            replace(jax.config, "update", _error("calls jax.config.update"))
            stack.enter_context(jax.transfer_guard_device_to_host("disallow"))
        yield


def _error(what, own=None):
    """A function that raises; own: what PyTorch itself is still given, whose
    DataLoader, for one, draws a seed."""
    def refuse(*arguments, **options):
        caller = sys._getframe(1).f_globals.get("__name__", "")
        # Without a name: the code by which torch.compile guards a program.
        if own and (not caller or caller.startswith("torch.")):
            return own(*arguments, **options)
        raise RuntimeError(f"train_epoch {what}, inside the clock")
    return refuse


def _of_host(convert, kind):
    @functools.wraps(convert)
    def checked(value, *arguments, **options):
        if isinstance(value, kind):
            _error(f"calls numpy.{convert.__name__} of an array")()
        return convert(value, *arguments, **options)
    return checked
