"""What every script of a comparison does alike, written once.

The flags, the clock, the log lines, the check for non-finite losses, the
weights on disk and the record. It knows no framework: a script hands it
functions. A script in any framework that does the same can be compared:

    from bench import contender
    with contender.importing("jax"):     # a failed import ends with exit 4
        import jax
    ...
    if __name__ == "__main__":
        contender.main(train, __file__, "jax", default_mode="step")

where `train(args, run)` calls, in this order, `run.describe`, `run.initial`,
`run.load`, `run.compile` and `run.train`, and returns the
final weights as NumPy arrays.
"""

import contextlib
import hashlib
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

import data
from bench import cli, environment, record, stats
from bench.cli import DIVERGED, ENVIRONMENT, OK, STORAGE, USAGE, Fault
from bench.environment import check_tf32, check_torch_rung, cores, find_device  # noqa: F401  (for the scripts)
from bench.flags import RUNGS, parse
from bench.weights import read_weights, sha256_weights, write_weights

clock = time.perf_counter  # monotonic: never jumps when the wall clock is set
# Reading of `clock` at which the process was created.
BIRTH = clock() - environment.process_age()
MOST_STEPS = 1_000_000  # about 30 MiB of record
INSTALL = {"jax": "jax==0.10.2", "torch": "torch==2.13.0"}


@contextlib.contextmanager
def importing(package):
    """Around a script's import of its framework: whatever goes wrong there
    (missing, a shared library lost, wrong CUDA) is exit 4 and one line."""
    prog = os.path.basename(sys.argv[0])
    before = cli.listen(cli.leave)
    try:
        yield
    except (Exception, SystemExit) as error:
        if os.environ.get("MLP_DEBUG") == "1":
            raise
        cli.warn(prog, f"error: cannot import {package}: "
                       f"{type(error).__name__}: {error}. Install it with: "
                       f"{sys.executable} -m pip install "
                       f"{INSTALL.get(package, package)}")
        sys.exit(ENVIRONMENT)
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


# -------------------------------------------------------------------- run

class Finished(Exception):
    """Raised by Run.initial when only the initial weights were asked for."""


class Diverged(Exception):
    """Raised by Run.train at the first non-finite loss."""


def plain(values):
    """NumPy numbers -> floats that print as short as they can be read back:
    0.9216 and not 0.9215999841690063."""
    return [float(str(value)) for value in values]


class Run:
    """The books of one run: what is timed, logged and recorded."""

    def __init__(self, args, script, framework):
        self.args = args
        self.dtype = np.float64 if args.precision == "fp64" else np.float32
        self.sizes = [data.PIXELS, *args.hidden, data.CLASSES]
        self.timing = {"import_s": clock() - BIRTH, "trace_s": None,
                       "lower_s": None, "compile_s": None, "epoch_s": [],
                       "order_s": [], "read_s": [],
                       "evaluate_s": 0.0}
        self.curve, self.epochs, self.compilations = [], [], []
        self.orders = hashlib.sha256()
        self.record = {
            "schema": record.SCHEMA, "status": "ok", "framework": framework,
            "script": os.path.basename(script), "warnings": [],
            "nonce": os.environ.get("MLP_NONCE", ""),
            "config": {key: value for key, value in sorted(vars(args).items())
                       if key not in ("data_dir", "init", "save", "json",
                                      "quiet")},
            "cache": environment.cache_state(framework),
            "affinity": environment.affinity(),
            "environment": environment.describe(), "measurements": {}}

    def say(self, line):
        if not self.args.quiet:
            cli.tell(line + "\n")

    def describe(self, versions, platform, device, threads, fence, to_host,
                 compiled, memory):
        """What only the script knows: versions {name: text}, platform 'cpu'
        or 'cuda', the device's name, host threads in use, and four functions:
        fence(x) waits until x is computed, to_host(x) gives NumPy arrays,
        compiled() counts compilations so far, memory() gives the device's
        peak bytes or None."""
        self.record["environment"].update(
            versions, device_kind=platform, device_name=device,
            threads=threads)
        self.fence, self.to_host = fence, to_host
        self.compiled, self.memory = compiled, memory
        a = self.args
        self.say(f"{self.record['framework']} {a.mode} ({a.feed} feed) on "
                 f"{platform}: {device}, {a.precision}; {a.optimizer}, lr "
                 f"{a.lr:g}, batch {a.batch_size}, seed {a.seed}")

    def initial(self, make):
        """Initial weights as [(w, b), …] NumPy float32, from --init or else
        from `make()`."""
        weights = (read_weights(self.args.init, self.sizes)
                   if self.args.init else make())
        self.record["init_sha256"] = sha256_weights(weights)
        self.record["parameters"] = sum(w.size + b.size for w, b in weights)
        if self.args.epochs == 0:
            write_weights(self.args.save, weights)
            raise Finished
        return [(w.astype(self.dtype), b.astype(self.dtype))
                for w, b in weights]

    def read_sets(self):
        """{'train', 'val', 'test': (x (N, 784), y (N, 10))} and the files
        they were read from."""
        args = self.args
        if args.dataset == "digits":
            from bench import digits
            arrays, files = digits.load(), digits.DIGITS
        else:
            files = data.MNIST
            arrays = data.load(Path(args.data_dir, "mnist"))
        sets = data.split(arrays, args.split)
        sets["train"] = tuple(a[:args.limit] for a in sets["train"])
        return {part: (x.astype(self.dtype, copy=False),
                       y.astype(self.dtype, copy=False))
                for part, (x, y) in sets.items()}, files

    def load(self, to_device):
        """Keep the three sets, each x (N, 784), y (N, 10), verified and
        passed through to_device; with --feed host, train stays NumPy."""
        start, args = clock(), self.args
        sets, files = self.read_sets()
        self.n = len(sets["train"][0])
        if args.epochs * (self.n // args.batch_size) > MOST_STEPS:
            raise Fault(USAGE, f"argument --epochs: {args.epochs} make more "
                               f"than {MOST_STEPS} steps at this batch size, "
                               "and every step stands in the record")
        self.record["dataset"] = {
            "name": args.dataset, "sha256": data.sha256(files),
            "split": args.split,
            "sizes": {part: len(x) for part, (x, _) in sets.items()}}
        self.timing["data_s"] = clock() - start
        start = clock()
        self.sets = {part: arrays if (part, args.feed) == ("train", "host")
                     else to_device(arrays) for part, arrays in sets.items()}
        self.fence(self.sets)
        self.timing["to_device_s"] = clock() - start
        steps = self.n // args.batch_size
        self.say(f"{args.dataset}: {self.n} training images, {steps} steps "
                 f"an epoch, {self.record['parameters']} parameters")

    def schedule(self, epoch):
        """The learning rate of every step of an epoch: (S,). The steps of
        the scripts take a rate and know no schedule. Cosine: Loshchilov and
        Hutter 2017, https://arxiv.org/abs/1608.03983, without restarts."""
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
        """build(state, images, labels, order, lrs, lap) -> what train_epoch
        calls. Timed whole as compile_s (null for eager, which compiles
        nothing ahead); lap(name) inside splits it. The arguments are those of
        the first epoch, for their shapes and types: no step counts yet."""
        arguments = *self.sets["train"], self.order(0), self.schedule(0)
        last = start = clock()
        before = self.compiled()

        def lap(name):
            nonlocal last
            now = clock()
            self.timing[name], last = now - last, now

        program = build(state, *arguments, lap)
        self.fence(None)
        if self.args.mode != "eager":
            self.timing["compile_s"] = clock() - start
        self.compilations.append(self.compiled() - before)
        return program

    def train(self, train_epoch, evaluate, state):
        """All epochs -> final state.

        train_epoch(state, images, labels, order (S, B), lrs (S,)) -> state,
        metrics: S rows of (loss, accuracy). evaluate(state, x, y) -> (loss,
        accuracy).
        """
        for epoch in range(self.args.epochs):
            before, start = self.compiled(), clock()
            # ------------------------------------------- the clock runs
            order = self.order(epoch)
            drawn = clock()
            state, metrics = train_epoch(state, *self.sets["train"], order,
                                         self.schedule(epoch))
            self.fence((state, metrics))
            # ------------------------------------------- the clock stands
            end = clock()
            self.timing["epoch_s"].append(end - start)
            self.timing["order_s"].append(drawn - start)
            curve = np.asarray(self.to_host(metrics)).astype(self.dtype)
            # After an honest fence nothing is left to wait for: the audit
            # looks whether reading the result took long.
            self.timing["read_s"].append(clock() - end)
            self.compilations.append(self.compiled() - before)
            self.orders.update(order.tobytes())
            self.curve.append(curve)
            if not np.isfinite(curve).all():
                step = int(np.argmin(np.isfinite(curve).all(axis=1)))
                raise Diverged(f"the loss was not finite at step {step + 1} "
                               f"of epoch {epoch + 1}")
            start_eval = clock()
            rows = {part: plain(self.to_host(evaluate(state, *self.sets[part])))
                    for part in ("val", "test")}
            self.timing["evaluate_s"] += clock() - start_eval
            if not np.isfinite(rows["val"] + rows["test"]).all():
                raise Diverged("the validation or test loss was not finite "
                               f"after epoch {epoch + 1}")
            self._log(epoch, start, end, curve, rows)
        self.record["final"] = {"test_loss": rows["test"][0],
                                "test_accuracy": rows["test"][1]}
        return state

    def _log(self, epoch, start, end, curve, rows):
        loss, accuracy = curve.mean(axis=0, dtype=np.float64)
        self.epochs.append({
            "epoch": epoch + 1, "start_s": start - BIRTH, "end_s": end - BIRTH,
            "train_loss": loss, "train_accuracy": accuracy,
            "val_loss": rows["val"][0], "val_accuracy": rows["val"][1],
            "test_accuracy": rows["test"][1]})
        self.say(f"epoch {epoch + 1:2}/{self.args.epochs}  {end - start:7.3f} "
                 f"s   training loss {loss:.4f}, accuracy {accuracy:7.2%}   "
                 f"validation loss {rows['val'][0]:.4f}, accuracy "
                 f"{rows['val'][1]:7.2%}")

    # -------------------------------------------------------------- ending

    def finish(self, weights):
        """Weights and record to disk, the summary to stderr."""
        timing = self.timing
        if not all(np.isfinite(a).all() for pair in weights for a in pair):
            raise Diverged("a final weight was not finite")
        seconds = timing["epoch_s"]
        timing["first_epoch_s"] = (timing["compile_s"] or 0.0) + seconds[0]
        timing["steady_epoch_s"] = (
            float(np.median(seconds[1:])) if len(seconds) > 1 else None)
        self._write(timing)  # before the weights: a full disk costs only them
        if self.args.save:
            write_weights(self.args.save, weights)
        steady = ""
        if len(seconds) > 1:
            steady = (f", then {timing['steady_epoch_s']:.3f} s an epoch "
                      f"(median of {len(seconds) - 1})")
        ahead = ("nothing compiled ahead" if timing["compile_s"] is None else
                 f"compiling {timing['compile_s']:.2f} s (counted in the "
                 "first epoch)")
        accuracy, n = (self.record["final"]["test_accuracy"],
                       self.record["dataset"]["sizes"]["test"])
        low, high = stats.wilson(accuracy, n)
        self.say(f"test accuracy {accuracy:.2%} (95 % interval {low:.2%} to "
                 f"{high:.2%}, from {n} images)\n"
                 f"time: importing {timing['import_s']:.2f} s, data "
                 f"{timing['data_s']:.2f} s, {ahead}; first epoch "
                 f"{timing['first_epoch_s']:.3f} s{steady}")
        return OK

    def diverge(self, reason):
        """The record of a run whose loss left the finite numbers: no metric
        survives, because argmax of a NaN row is class 0 and 'learns' 9.8 %."""
        self.record.update(status="diverged", exit={
            "code": DIVERGED, "signal": None, "tail": [str(reason)]})
        self.curve, self.epochs = [], []
        self.record["final"] = {"test_loss": None, "test_accuracy": None}
        self._write({**self.timing, "first_epoch_s": None,
                     "steady_epoch_s": None})
        raise Fault(DIVERGED, f"training diverged: {reason}. "
                              f"Try a smaller --lr than {self.args.lr:g}")

    def _write(self, timing):
        timing["total_s"] = clock() - BIRTH
        curve = (np.concatenate(self.curve) if self.curve
                 else np.zeros((0, 2), self.dtype))
        self.record.update(
            timing=timing, epochs=self.epochs, compilations=self.compilations,
            order_sha256=self.orders.hexdigest(), steps={
                name: plain(curve[:, column])
                for column, name in enumerate(("loss", "accuracy"))},
            steps_per_epoch=self.n // self.args.batch_size,
            samples_per_epoch=(self.n // self.args.batch_size
                               * self.args.batch_size),
            memory={"device_peak_bytes": self.memory(),
                    "host_peak_bytes": environment.peak_bytes()})
        text = record.dumps(self.record)
        if self.args.json == "-":
            sys.stdout.write(text)
        elif self.args.json:
            record.write_atomic(self.args.json, text)


def main(train, script, framework, default_mode, modes=RUNGS):
    """Run `train(args, run)` as a program and end the process."""

    def program():
        args = parse(script, modes, default_mode)
        for path in (args.json if args.json != "-" else None, args.save):
            if path and (os.path.isdir(path) or not os.access(
                    os.path.dirname(os.path.abspath(path)), os.W_OK)):
                raise Fault(STORAGE, f"cannot write: {path!r}: a folder, or "
                                     "inside one that is missing or read-only"
                                     ". Name a file in a writable folder")
        run = Run(args, script, framework)
        try:
            with np.errstate(all="ignore"):
                return run.finish(train(args, run))
        except Finished:
            return OK
        except Diverged as reason:
            return run.diverge(reason)

    cli.guard(program, os.path.basename(script))
