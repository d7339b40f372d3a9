"""A contender in NumPy alone: the network of peers/mlp_numpy.py and plain SGD.

Stands in for the pair where a test is about processes and not about learning.
MLP_STUB="100:crash 101:kill" makes the runs at those batch sizes go wrong.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time

import numpy as np

from bench.kit import program
from peers.mlp_numpy import forward, gradients, score


def fault(batch_size):
    """The kind of fault planted at this batch size, or None."""
    planted = os.environ.get("MLP_STUB", "").split()
    return dict(text.split(":") for text in planted).get(str(batch_size))


def misbehave(args):
    kind = fault(args.batch_size)
    if kind == "crash":
        raise RuntimeError("planted crash")
    if kind == "vanish":
        os._exit(0)
    if kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "segv":
        ctypes.string_at(0)
    if kind == "memory":
        raise MemoryError("planted: out of memory")
    if kind == "cut":
        with open(args.json, "w") as file:
            file.write('{"schema": 1, "status": "ok"')
        os._exit(0)
    if kind == "noise":
        sys.stderr.write("\x1b[31mnoise\x00\xff =1+1\n" * 200_000)
        raise RuntimeError("=planted after noise")
    if kind == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if kind == "parent":  # a grandchild that holds the output
        subprocess.Popen(["sleep", "600"])
    if kind in ("hang", "deaf", "parent"):
        time.sleep(600)


def evaluate(params, x, y):
    return score(forward(params, x)[-1], y)[1]


def train_step(params, x, y, lr):
    """One step of gradient descent -> new params, (loss, accuracy)"""
    grads, metrics = gradients(params, x, y)
    return [(w - lr * dw, b - lr * db)
            for (w, b), (dw, db) in zip(params, grads)], metrics


def train_epoch(params, images, labels, order, lrs):
    metrics = []
    for idx, lr in zip(order, lrs):
        params, metric = train_step(params, images[idx], labels[idx], lr)
        metrics.append(metric)
    if fault(len(order[0])) == "nan":
        metrics[1][:] = np.nan  # finite again at the end: still diverged
    return params, metrics


def train(args, run):
    run.describe({"numpy": np.__version__}, "cpu", "cpu", program.cores(),
                 fence=lambda x: None, to_host=lambda x: x,
                 compiled=lambda: 0, memory=lambda: None)
    rng = np.random.default_rng(args.seed)
    params = run.initial(lambda: [
        (rng.standard_normal((i, o)).astype(np.float32) * np.float32(
            np.sqrt(2 / i)), np.zeros(o, np.float32))
        for i, o in zip(run.sizes, run.sizes[1:])])
    misbehave(args)
    run.load(lambda arrays: arrays)
    run.compile(lambda *arguments: None, None)
    if args.rung != "fit":
        return run.train(train_epoch, evaluate, params)
    for _ in range(args.epochs):  # as a library whose loop is its own
        _, lrs = run.begin()
        order = rng.permutation(run.n)[:len(lrs) * args.batch_size]
        params, metrics = train_epoch(params, *run.sets["train"], order.reshape(
            len(lrs), -1), lrs)
        run.end(evaluate, params, np.mean(metrics, axis=0, keepdims=True))
    return params


if __name__ == "__main__":
    program.main(train, __file__, "stub", default_rung="eager")
