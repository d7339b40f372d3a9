"""Joules of a rung, by the energy counter of an NVIDIA device.

The counter (NVML, millijoules since the driver was loaded) is read around at
least ten seconds of epochs without evaluation, and around ten seconds of doing
nothing just before, with everything in place. Exit 4 where there is no
counter: then energy is "not measured".
"""

import os
import time

import numpy as np

import data
from bench.kit import program
from bench.kit.cli import ENVIRONMENT, Fault
from bench.measure.subject import read_sets, ready
from bench.measure.timing import clock

SECONDS = 10.0


def counter():
    """-> function that gives joules so far. Fault 4 where that is not
    certain: another device's joules would look just as good."""
    try:
        import pynvml
        pynvml.nvmlInit()
        count = pynvml.nvmlDeviceGetCount()
        chosen = os.environ.get("CUDA_VISIBLE_DEVICES", "0" * (count == 1))
        # As NVML counts; CUDA counts the fastest first, unless told.
        order = os.environ.get("CUDA_DEVICE_ORDER")
        if chosen.isdigit() and (count == 1 or order == "PCI_BUS_ID"):
            device = pynvml.nvmlDeviceGetHandleByIndex(int(chosen))
        elif chosen.startswith("GPU-") and "," not in chosen:
            device = pynvml.nvmlDeviceGetHandleByUUID(chosen)
        else:
            raise Fault(ENVIRONMENT, f"{count} devices and "
                        f"CUDA_VISIBLE_DEVICES {chosen!r}: which one is used "
                        "is not certain. Set it to one number, and "
                        "CUDA_DEVICE_ORDER to PCI_BUS_ID")
        read = pynvml.nvmlDeviceGetTotalEnergyConsumption
        read(device)
    except Fault:
        raise
    except Exception as error:  # NVML's own, or there is no package
        raise Fault(ENVIRONMENT, f"no energy counter: {error} (it needs the "
                                 "package nvidia-ml-py)") from error
    return lambda: read(device) / 1000


class Weighed(program.Run):
    """The books of a program of vision/ that is weighed in place of timed."""

    def train(self, train_epoch, evaluate, state):
        def epoch(state, number):
            self.state, metrics = train_epoch(  # JAX writes over the old state
                state, *self.sets["train"], self.order(number), self.schedule(0))
            self.fence((self.state, metrics))
            return self.state, metrics
        self.found = weigh(self.joules, epoch, state, self.to_host,
                           self.order(0).size)
        return self.state


def energy(subjects):
    """Epochs weighed in place of timed."""
    (module, args, place), = subjects
    if place["device_kind"] != "cuda":
        raise Fault(ENVIRONMENT, "no energy counter: the device is a CPU")
    joules = counter()
    if not hasattr(module, "parse_flags"):
        run = Weighed(args, "")
        run.joules = joules
        module.train(args, run)
        return run.found
    state, x, y, order, lrs = ready(subjects[0], read_sets(args))
    built = module.build(args, state, x, y, order, lrs, {})

    def epoch(state, number):
        order = data.batch_order(len(x), args.batch_size, args.seed, number)
        state, metrics = module.train_epoch(built, args, state, x, y, order, lrs)
        module.fence((state, metrics))
        return state, metrics
    return weigh(joules, epoch, state, module.to_host, order.size)


def weigh(joules, epoch, state, to_host, images):
    """joules: of counter(); epoch(state, number) -> state, metrics, when it is over;
    images: of an epoch -> measurements"""
    state, _ = epoch(state, 0)
    begin, start = clock(), joules()
    time.sleep(SECONDS)
    idle = (joules() - start) / (clock() - begin)
    begin, start, epochs = clock(), joules(), 0
    while clock() - begin < SECONDS:
        epochs += 1
        state, metrics = epoch(state, epochs)
    seconds, gross = clock() - begin, joules() - start
    if not np.isfinite(to_host(metrics)).all():
        raise ValueError("the loss was not finite")
    net = (gross - idle * seconds) / epochs
    if net <= 0:
        raise Fault(ENVIRONMENT, f"{gross:g} J in {seconds:.1f} s of work "
                    f"are not above the {idle:g} W of doing nothing")
    how = f"energy counter over {seconds:.1f} s, {epochs} epochs"
    return {
        "gross": (gross / epochs, "J an epoch", epochs, how),
        "net": (net, "J an epoch", epochs, how + ", less idle"),
        "net per million": (net / images * 1e6, "J", epochs, how),
        "idle": (idle, "W", 1, f"over {SECONDS:g} s before")}
