"""A contender in NumPy alone: softmax regression, a second a run.

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

from bench import contender


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


def evaluate(state, x, y):
    w, b = state
    logits = x @ w + b
    logits = logits - logits.max(axis=1, keepdims=True)
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return np.array([-(y * logs).sum(axis=1).mean(),
                     (logs.argmax(1) == y.argmax(1)).mean()], x.dtype)


def train_epoch(state, images, labels, order, lrs):
    w, b = state
    metrics = []
    for idx, lr in zip(order, lrs):
        x, y = images[idx], labels[idx]
        metrics.append(evaluate((w, b), x, y))
        p = np.exp((z := x @ w + b) - z.max(axis=1, keepdims=True))
        error = (p / p.sum(axis=1, keepdims=True) - y) / len(x)
        w, b = w - lr * (x.T @ error), b - lr * error.sum(axis=0)
    if fault(len(order[0])) == "nan":
        metrics[1][:] = np.nan  # finite again at the end: still diverged
    return (w, b), metrics


def train(args, run):
    run.describe({"numpy": np.__version__}, "cpu", "cpu", 1,
                 fence=lambda x: None, to_host=lambda x: x,
                 compiled=lambda: 0, memory=lambda: None)
    rng = np.random.default_rng(args.seed)
    weights = run.initial(lambda: [
        (rng.standard_normal((i, o)).astype(np.float32) * 0.01,
         np.zeros(o, np.float32))
        for i, o in zip(run.sizes, run.sizes[1:])])
    misbehave(args)
    run.load(lambda arrays: arrays)
    program = run.compile(lambda *arguments: None, None)
    assert program is None
    state = np.zeros((784, 10), run.dtype), np.zeros(10, run.dtype)
    run.train(train_epoch, evaluate, state)
    return weights


if __name__ == "__main__":
    contender.main(train, __file__, "stub", default_mode="eager")
