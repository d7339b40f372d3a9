"""What a program of your own needs to be compared, written once.

The flags, the clock, the log lines, the check for non-finite losses, the
weights on disk and the record: the same that the two scripts of the lesson
write out. It knows no framework: a program hands it functions.

    from bench.kit import program
    with program.importing("mylib"):     # a failed import ends with exit 4
        import mylib
    ...
    if __name__ == "__main__":
        program.main(train, __file__, "mylib", default_rung="step")

where `train(args, run)` calls, in this order, `run.describe`, `run.initial`,
`run.load`, `run.compile` and `run.train`, and returns the final weights as
[(w, b), …] in NumPy.
"""

import contextlib
import hashlib
import os
import sys
import time

import numpy as np

import data
from bench.kit import cli, files, network
from bench.kit.cli import DIVERGED, ENVIRONMENT, OK, STORAGE, USAGE, Fault
from bench.kit.flags import parse
from bench.kit.rungs import RUNGS
from bench.kit.weights import read_weights, sha256_weights, write_weights

clock = time.perf_counter  # monotonic: never jumps when the wall clock is set
BEGIN = clock()
MOST_STEPS = 1_000_000  # about 30 MiB of record


def cores():
    """Number of cores that this process may use."""
    choose = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if choose else os.cpu_count()


@contextlib.contextmanager
def importing(package):
    """Around a program's import of its framework: whatever goes wrong there
    (missing, a shared library lost, wrong CUDA) is exit 4 and one line."""
    try:
        yield
    except (Exception, SystemExit) as error:
        cli.warn(os.path.basename(sys.argv[0]),
                 f"error: cannot import {package}: {type(error).__name__}: "
                 f"{error}. Install it with: {sys.executable} -m pip install "
                 f"{package}")
        sys.exit(ENVIRONMENT)


def tell(args, words, wait=False):
    """With --turns: a line to the parent, or None; wait: until it answers."""
    if args.turns:
        if words:
            print(words, flush=True)
        if wait and not sys.stdin.readline():
            raise Fault(130, "stopped")


# -------------------------------------------------------------------- run

def read_sets(args):
    """{"train", "val", "test": (images (N, 784), labels (N, 10))} in NumPy,
    verified, as the flags ask for them."""
    sets = data.split(*data.load(args.dataset, args.data_dir), args.split)
    few = getattr(args, "evaluate", None)
    return {part: tuple(a[:args.examples if part == "train" else few]
                        for a in arrays) for part, arrays in sets.items()}


class Run:
    """The books of one run: what is timed, logged and recorded."""

    def __init__(self, args, framework):
        self.args = args
        self.dtype = np.float64 if args.precision == "fp64" else np.float32
        self.timing = {"import_s": clock() - BEGIN, "compile_s": None,
                       "order_s": [], "epoch_s": [], "read_s": [],
                       "evaluate_s": 0.0}
        self.network = network.of(vars(args))
        self.sizes = self.network.sizes
        self.orders = hashlib.sha256()
        self.record = {
            "schema": files.SCHEMA, "status": "ok", "framework": framework,
            "config": {key: value for key, value in vars(args).items() if key not in (
                "data_dir", "init", "save", "json", "turns")},
            "timing": self.timing, "compilations": [], "epochs": [],
            "steps": {"loss": [], "accuracy": []}}

    def describe(self, versions, platform, device, threads, fence, to_host,
                 compiled, memory):
        """What only the program knows: versions {name: text}, platform 'cpu'
        or 'cuda', the device's name, host threads in use, and four functions:
        fence(x) waits until x is computed, to_host(x) gives NumPy arrays,
        compiled() counts compilations so far, memory() gives the device's
        peak bytes or None. Fault 4 where it is not what was asked for."""
        if self.args.device not in ("auto", platform):
            raise Fault(ENVIRONMENT, f"argument --device: {self.args.device}: "
                                     f"this program runs on {platform}")
        if (self.args.precision, platform) == ("tf32", "cpu"):
            raise Fault(ENVIRONMENT, "argument --precision: here is no TF32")
        self.record["environment"] = {
            **versions, "device_kind": platform, "device_name": device,
            "threads": threads}
        self.fence, self.to_host = fence, to_host
        self.compiled, self.memory = compiled, memory

    def initial(self, make):
        """Initial weights as [(w, b), …] in NumPy, from --init or else from
        `make()`; they are numbers of float32, whatever the precision."""
        def of_type(weights, dtype):
            return [tuple(a.astype(dtype) for a in layer) for layer in weights]
        weights = (read_weights(self.args.init, self.network.layers)
                   if self.args.init else of_type(make(), np.float32))
        self.record["init_sha256"] = sha256_weights(weights)
        self.record["parameters"] = sum(a.size for layer in weights for a in layer)
        if self.args.epochs == 0:
            write_weights(self.args.save, weights)
            sys.exit(OK)  # no more was asked for
        return of_type(weights, self.dtype)

    def load(self, to_device):
        """Keep the three sets, each x (N, 784), y (N, 10), verified and
        passed through to_device; with --feed host, train stays NumPy."""
        start, args = clock(), self.args
        sets = read_sets(args)
        self.n = len(sets["train"][0])
        if args.epochs * (self.n // args.batch_size) > MOST_STEPS:
            raise Fault(USAGE, f"argument --epochs: {args.epochs} make more "
                               f"than {MOST_STEPS} steps at this batch size, "
                               "and every step stands in the record")
        self.record["dataset"] = {
            "name": args.dataset, "sha256": data.DATASETS[args.dataset].sha256,
            "split": args.split,
            "sizes": {part: len(x) for part, (x, _) in sets.items()}}
        moved, self.sets = clock(), {}
        for part, arrays in sets.items():
            arrays = [a.astype(self.dtype, copy=False) for a in arrays]
            stays = (part, args.feed) == ("train", "host")
            self.sets[part] = arrays if stays else to_device(arrays)
        self.fence(self.sets)
        self.timing.update(data_s=moved - start, to_device_s=clock() - moved)

    def schedule(self, epoch):
        """The learning rate of every step of an epoch: (S,). Cosine:
        Loshchilov and Hutter 2017, https://arxiv.org/abs/1608.03983, without
        restarts."""
        a, steps = self.args, self.n // self.args.batch_size
        if a.schedule == "constant":
            return np.full(steps, a.lr, self.dtype)
        done = (epoch * steps + np.arange(steps)) / (a.epochs * steps)
        return (a.lr / 2 * (1 + np.cos(np.pi * done))).astype(self.dtype)

    def order(self, epoch):
        """The batches of an epoch: int32 (S, B)."""
        return data.batch_order(self.n, self.args.batch_size, self.args.seed,
                                epoch)

    def compile(self, build, state):
        """build(state, images, labels, order, lrs, timing) -> what
        train_epoch calls. Timed whole as compile_s (null for eager, which
        compiles nothing ahead); it may add parts to `timing`. The arguments
        are those of the first epoch, for their shapes and types: no step
        counts yet."""
        start, before = clock(), self.compiled()
        program = build(state, *self.sets["train"], self.order(0),
                        self.schedule(0), self.timing)
        self.fence(None)
        if RUNGS[self.args.rung].ahead:
            self.timing["compile_s"] = clock() - start
        self.record["compilations"].append(self.compiled() - before)
        return program

    def train(self, train_epoch, evaluate, state):
        """All epochs -> final state.

        train_epoch(state, images, labels, order (S, B), lrs (S,)) -> state,
        metrics: S rows of (loss, accuracy), or of the loss alone where the
        library tells no more. evaluate(state, x, y) -> (loss, accuracy).
        """
        for _ in range(self.args.epochs):
            order, lrs = self.begin()
            self.end(evaluate, *train_epoch(state, *self.sets["train"], order,
                                            lrs))
            state = self.state
        return state

    def begin(self):
        """Wait for the turn of the next epoch; from here its clock runs -> batches (S,
        B) and rates (S,). train() calls this and end(); a program calls them itself
        where the loop is its library's, and gets no batches (None) on such a rung."""
        epoch = len(self.timing["epoch_s"])
        tell(self.args, None if epoch else "ready", wait=True)
        self.before, self.start = self.compiled(), clock()
        self.batches = None
        if not RUNGS[self.args.rung].own:
            self.batches = self.order(epoch)
        self.drawn = clock()
        return self.batches, self.schedule(epoch)

    def end(self, evaluate, state, metrics):
        """The epoch is over: wait for what it computes, stop its clock, then
        evaluate. metrics as train_epoch gives them; on a rung whose order is the
        library's own a single row, the means of the epoch."""
        self.state, timing = state, self.timing
        self.fence((state, metrics))
        end, epoch = clock(), len(timing["epoch_s"]) + 1
        # ------------------------------------------- the clock stands
        tell(self.args, f"epoch {epoch} {end - self.start}")
        curve = np.asarray(self.to_host(metrics))
        # After an honest fence nothing is left to wait for: the audit
        # looks whether reading the result took long.
        timing["read_s"].append(clock() - end)
        timing["epoch_s"].append(end - self.start)
        self.record["compilations"].append(self.compiled() - self.before)
        if self.batches is not None:
            timing["order_s"].append(self.drawn - self.start)
            self.orders.update(self.batches.tobytes())
            self.record["order_sha256"] = self.orders.hexdigest()
        self._log(epoch, state, evaluate, curve, self.start, end)
        tell(self.args, f"done {epoch}")

    def _log(self, epoch, state, evaluate, curve, start, end):
        begin = clock()
        found = {"train": curve.mean(axis=0, dtype=np.float64)}
        for part in ("val", "test"):
            found[part] = self.to_host(evaluate(state, *self.sets[part]))
        self.timing["evaluate_s"] += clock() - begin
        if not all(np.isfinite(values).all() for values in found.values()):
            self._diverge(f"a loss of epoch {epoch} is not finite")
        entry = dict(epoch=epoch, start_s=start - BEGIN, end_s=end - BEGIN,
                     train_accuracy=None)
        for part, values in found.items():
            entry.update({f"{part}_{name}": float(value) for name, value in zip(
                ("loss", "accuracy"), values)})
        if not RUNGS[self.args.rung].own:
            for name, column in zip(("loss", "accuracy"), curve.T):
                self.record["steps"][name] += column.tolist()
        self.record["epochs"].append(entry)
        cli.tell(f"epoch {epoch:2}/{self.args.epochs}  {end - start:7.3f} s   "
                 + "   ".join(f"{words} loss {entry[f'{part}_loss']:.4f}" + (
                     "" if (right := entry[f"{part}_accuracy"]) is None
                     else f", accuracy {right:7.2%}") for part, words in (
                         ("train", "training"), ("val", "validation"))) + "\n")

    # -------------------------------------------------------------- ending

    def finish(self, weights):
        """Weights and record to disk."""
        if not all(np.isfinite(a).all() for layer in weights for a in layer):
            self._diverge("a final weight is not finite")
        self._write()  # before the weights: a full disk costs only them
        if self.args.save:
            write_weights(self.args.save, weights)
        cli.tell(f"test accuracy {self.record['epochs'][-1]['test_accuracy']:.2%}\n")
        return OK

    def _diverge(self, reason):
        """The record of a run whose loss left the finite numbers: no metric
        survives, because argmax of a NaN row is class 0 and 'learns' 9.8 %."""
        self.record.update(status="diverged", epochs=[], steps={})
        self._write()
        raise Fault(DIVERGED, f"training diverged: {reason}. "
                              f"Try a smaller --lr than {self.args.lr:g}")

    def _write(self):
        self.record["memory"] = {"device_peak_bytes": self.memory()}
        self.timing["total_s"] = clock() - BEGIN
        text = files.dumps(self.record)
        if self.args.json == "-":
            sys.stdout.write(text)
        elif self.args.json:
            files.write_atomic(self.args.json, text)


def main(train, script, framework, default_rung, rungs=tuple(RUNGS), **more):
    """Run `train(args, run)` as a program and end it. more: dropout=True of one that
    has --dropout, vision=True of one that has networks of vision/."""

    def program():
        args = parse(script, rungs, default_rung, **more)
        for path in (args.json if args.json != "-" else None, args.save):
            if path and (os.path.isdir(path) or not os.access(
                    os.path.dirname(os.path.abspath(path)), os.W_OK)):
                raise Fault(STORAGE, f"cannot write: {path!r}: a folder, or "
                                     "inside one that is missing or read-only"
                                     ". Name a file in a writable folder")
        run = Run(args, framework)
        with np.errstate(all="ignore"):
            return run.finish(train(args, run))

    cli.guard(program, os.path.basename(script))
