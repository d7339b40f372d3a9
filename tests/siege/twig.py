"""A contender that needs no images: a third of a second a run.

Its record is that of a true one. MLP_TWIG="100:crash 101:kill" makes the runs
at those batch sizes go wrong, "100s1:crash" only that with seed 1, "*:hang"
all of them.
"""

import atexit
import ctypes
import os
import resource
import select
import signal
import subprocess
import sys
import time

import numpy as np

from bench.kit import program

TEXTS = {"crash": "planted crash", "jaxmemory": "RESOURCE_EXHAUSTED: planted",
         "torchmemory": "torch.OutOfMemoryError: planted",
         "cudnnmemory": "cuDNN error: CUDNN_STATUS_ALLOC_FAILED planted"}


def kind_of(batch_size, seed):
    planted = dict(text.split(":")
                   for text in os.environ.get("MLP_TWIG", "").split())
    return planted.get(f"{batch_size}s{seed}") or planted.get(
        str(batch_size), planted.get("*"))


def before_training(kind, args):
    """What goes wrong before there is a record."""
    if kind in TEXTS:
        raise RuntimeError(TEXTS[kind])
    if kind == "vanish":
        os._exit(0)
    if kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "segv":
        ctypes.string_at(0)
    if kind == "abort":
        os.abort()
    if kind == "memory":  # a true one
        resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))
        np.ones(2**33)
    if kind in ("cut", "list"):
        with open(args.json, "w") as file:
            file.write({"cut": '{"schema": 1, "status": "ok"',
                        "list": "[]"}[kind])
        os._exit(0)
    if kind == "noise":  # control characters, no UTF-8, 5 MB, a formula
        sys.stderr.write("\x1b[31mnoise\x00\n" * 400_000)
        sys.stderr.flush()
        os.write(2, b"\xff\xfe\n")
        raise RuntimeError("=1+1 planted after noise")
    if kind == "chatter":  # harmless: as XLA and absl do
        print("I0000 00:00:00 {\"schema\": 1}\n[]\nNaN", flush=True)
    if kind == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if kind in ("parent", "leave"):  # a grandchild that holds the output
        subprocess.Popen(["sleep", "600"])
    if kind == "stopped":
        os.kill(os.getpid(), signal.SIGSTOP)
    while kind == "chatty":
        print("still here " * 10_000, flush=True)
    if kind in ("hang", "deaf", "parent", "stopped"):
        time.sleep(600)


def change(record, kind):
    """What is false in a record that is otherwise whole."""
    if kind == "other":
        record["config"]["seed"] += 1
    elif kind == "lacking":
        del record["steps"]
    elif kind == "parameters":
        record["parameters"] += 1
    elif kind == "order":
        record["order_sha256"] = "0" * 64
    elif kind == "accuracy":
        record["epochs"][-1]["test_accuracy"] = 1.5
    elif kind == "time":
        record["timing"]["epoch_s"][0] = -1.0
    elif kind == "none":
        record["dataset"]["sizes"]["train"] = 0


def evaluate(state, x, y):
    value = {"inftest": np.inf}.get(state[1], 1 / (1 + state[0]))
    return np.array([value, 1 - 1 / (2 + state[0])], np.float32)


def train_epoch(state, images, labels, order, lrs):
    done, kind = state
    select.select([], [], [], 0.02)  # a certified epoch may not sleep()
    steps = done + np.arange(1, len(order) + 1)
    metrics = np.stack([1 / steps, 1 - 1 / (1 + steps)], 1).astype(np.float32)
    if kind == "nan" and done == 0:
        metrics[1] = np.nan  # finite again afterwards
    if kind == "inf":
        metrics[-1, 0] = np.inf
    return (done + len(order), kind), metrics


def train(args, run):
    kind = kind_of(args.batch_size, args.seed) if args.epochs else None
    run.describe({"numpy": np.__version__}, "cpu", "cpu", 1,
                 fence=lambda x: None, to_host=lambda x: x,
                 compiled=lambda: 0, memory=lambda: None)
    rng = np.random.default_rng(args.seed)
    weights = run.initial(lambda: [
        (rng.standard_normal((i, o)).astype(np.float32), np.zeros(
            o, np.float32)) for i, o in zip(run.sizes, run.sizes[1:])])
    before_training(kind, args)
    run.n = args.examples
    x, y = np.zeros((run.n, 1)), np.zeros((run.n, 1))
    run.sets = dict.fromkeys(("train", "val", "test"), (x, y))
    run.record["dataset"] = {"name": args.dataset, "sha256": ["0" * 64],
                             "sizes": {"train": run.n, "val": 1, "test": 1}}
    run.timing.update(data_s=0.0, to_device_s=0.0)
    run.compile(lambda *arguments: None, None)
    run.train(train_epoch, evaluate, (0, kind))
    plain_dumps = program.files.dumps

    def dumps(record):
        change(record, kind)
        return plain_dumps(record)

    program.files.dumps = dumps
    if kind == "late":  # a good record, then the interpreter dies
        atexit.register(os._exit, 9)
    if kind == "infweights":
        weights[0][0][0, 0] = np.inf
    return weights


if __name__ == "__main__":
    program.main(train, __file__, "twig", default_rung="eager")
