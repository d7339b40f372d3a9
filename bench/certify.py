"""What every rung of the scripts computes, step by step: the children's half
of the parity certificate (bench/certificate.py is the other).

    python bench/certify.py JOBS.json [NUMBER]

It imports a script and calls its own `train` with other books (`Probe`): the
functions, rungs and feeds that are certified are the ones that are timed.
JOBS is a list of {"script", "out", "plan": [{"flags": [...], "steps": n,
"gradients": bool}, …]}, each a process of its own, two at once: nothing is
timed here. OUT (.npz) holds per entry i of the plan the losses and
accuracies of every step (`i.losses`, `i.hits`), loss and accuracy of a slice
by evaluate (`i.evaluation`), the weights after one update (`i.0`, `i.1`, …),
where asked for the logits and every gradient of the first batch (`i.logits`,
`i.g0`, …), and in `meta` as JSON a reason for each entry that could not run.
Of a script without the pair's functions only what it returns to the books is
known.
"""

import functools
import importlib.util
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

import data
from bench import cli, contender, flags


def load_script(path):
    """The script as a module, without running its main. As when it runs
    itself, what lies beside it can be imported."""
    sys.path.insert(1, str(Path(path).resolve().parent))
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@functools.cache
def training_set(dataset, data_dir, split, limit, precision):
    """The training set of these flags, read once a process."""
    args = flags.parse("certify", flags.RUNGS, "eager", [
        f"--dataset={dataset}", f"--data-dir={data_dir}", f"--split={split}",
        f"--precision={precision}", "--batch-size=1",
        *([f"--limit={limit}"] if limit else [])])
    sets, files = contender.Run(args, "certify", "").read_sets()
    # A slice to evaluate: all of it would take longer than the training.
    few = tuple(array[:1000] for array in sets["train"])
    return {"train": sets["train"], "val": few, "test": few}, files


class Probe(contender.Run):
    """Books that take down what was computed instead of how long it took."""

    def __init__(self, args, module, steps):
        super().__init__(args, module.__file__, "")
        self.module, self.steps, self.found = module, steps, {}

    def say(self, line):
        pass

    def read_sets(self):
        a = self.args
        return training_set(a.dataset, a.data_dir, a.split, a.limit,
                            a.precision)

    def order(self, epoch):
        """The first `steps` batches of as many epochs as they take."""
        a, rows = self.args, self.n // self.args.batch_size
        return np.concatenate([
            data.batch_order(self.n, a.batch_size, a.seed, epoch)
            for epoch in range(-(-self.steps // rows))])[:self.steps]

    def schedule(self, epoch):
        """Falling, so that a step that takes another's rate is found out."""
        return np.linspace(self.args.lr, self.args.lr / 2, self.steps
                           ).astype(self.dtype)

    def compile(self, build, state):
        self.build = build
        return self._call

    def _call(self, *arguments):
        return self.program(*arguments)

    def train(self, train_epoch, evaluate, state):
        """Evaluate a slice; the first step alone, for its update; the rest."""
        order, lrs = self.order(0), self.schedule(0)
        sets, metrics = self.sets["train"], []
        self.found["evaluation"] = np.array(contender.plain(
            self.to_host(evaluate(state, *self.sets["val"]))))
        forbid_evaluate(self.module, train_epoch)
        for rows in (slice(0, 1), slice(1, None)):
            # A program for `epoch` is compiled for its number of steps.
            if rows.start == 0 or self.args.mode == "epoch":
                self.program = self.build(state, *sets, order[rows],
                                          lrs[rows], lambda name: None)
            state, rest = train_epoch(state, *sets, order[rows], lrs[rows])
            metrics.append(np.asarray(self.to_host(rest)))
            if rows.start == 0 and is_pair(self.module):
                self.found.update({
                    str(n): leaf for n, leaf in enumerate(
                        host(self.module, self, state[0]))})
        metrics = np.concatenate(metrics)
        self.found["losses"], self.found["hits"] = metrics.T
        return state

    def gradients(self, batch):
        """Logits and every gradient of the first batch, by the script's own
        objective, differentiated as its framework does."""
        x, y = (array[batch] for array in self.sets["train"])
        if hasattr(self.module, "jax"):
            logits, grads = _jax_gradients(self.module, self.weights, x, y)
        else:
            logits, grads = _torch_gradients(self, x, y)
        self.found["logits"] = np.array(logits)
        self.found.update({f"g{n}": leaf for n, leaf in enumerate(grads)})

    def initial(self, make):
        self.weights = super().initial(make)
        return self.weights


def is_pair(module):
    """Has it the functions of the pair, and one of its frameworks?"""
    names = ("pairs", "load_pairs", "MLP", "loss_fn", "torch") if hasattr(
        module, "torch") else ("jax",)
    return all(hasattr(module, name) for name in ("objective", *names))


def forbid_evaluate(module, train_epoch):
    """Whoever calls the script's evaluate from now on does so inside the
    clock. A wrapper's functions look for it in the script that it wraps."""
    function = train_epoch
    while isinstance(function, functools.partial):
        function = function.func
    for scope in (vars(module), getattr(module.train, "__globals__", {}),
                  getattr(function, "__globals__", {})):
        if "evaluate" in scope:
            SAVED.append((scope, scope["evaluate"]))
            scope["evaluate"] = _forbidden


def allow_evaluate():
    while SAVED:
        scope, function = SAVED.pop()
        scope["evaluate"] = function


SAVED = []


def _forbidden(*_):
    raise RuntimeError("train_epoch calls evaluate: inside the clock")


def host(module, run, params):
    """[w1, b1, w2, …], w (in, out), as NumPy copies: the originals may be
    changed in place, or given away, by the next step."""
    pairs = (module.pairs(params) if hasattr(module, "pairs")
             else run.to_host(params))
    return [np.array(leaf) for pair in pairs for leaf in pair]


def _jax_gradients(module, weights, x, y):
    (_, logits), grads = module.jax.value_and_grad(
        module.objective, has_aux=True)(weights, x, y)
    return logits, [np.array(leaf) for pair in grads for leaf in pair]


def _torch_gradients(run, x, y):
    module = run.module
    model = module.load_pairs(module.MLP(run.sizes), run.weights).to(
        run.args.device)
    logits = model(x)
    module.loss_fn(logits, y).backward()
    return logits.detach().cpu().numpy(), host(module, run, {
        name: leaf.grad for name, leaf in model.named_parameters()})


def certify(module, entry):
    """One entry of the plan -> {name: array}. Raises what the script does."""
    args = flags.parse(module.__file__, flags.RUNGS, "eager", entry["flags"])
    run = Probe(args, module, entry["steps"])
    if hasattr(module, "torch"):  # not the programs of the entry before
        module.torch._dynamo.reset()
    try:
        module.train(args, run)
    finally:
        allow_evaluate()
    if entry["gradients"] and is_pair(module):
        batch = run.order(0)[0]
        if hasattr(module, "torch"):
            batch = module.torch.from_numpy(batch).to(args.device)
        run.gradients(batch)
    return run.found


def run_plan(script, plan, out):
    """Every entry of a plan in this process, into `out`."""
    module = load_script(script)
    arrays, reasons = {}, {}
    for number, entry in enumerate(plan):
        try:
            with np.errstate(all="ignore"):
                found = certify(module, entry)
        except Exception as error:
            lacking = getattr(error, "code", None) == cli.ENVIRONMENT
            text = str(error) if lacking else f"{type(error).__name__}: {error}"
            reasons[number] = [lacking, cli.clean(text.partition("\n")[0], 300)]
            continue
        arrays.update({f"{number}.{name}": array
                       for name, array in found.items()})
    meta = np.frombuffer(json.dumps(reasons).encode(), np.uint8)
    with open(out, "wb") as file:
        np.savez(file, meta=meta, **arrays)


def start(jobs, number):
    """Job `number` in a process of its own -> None or [is something lacking
    here?, why it failed]."""
    here = Path(__file__).resolve()
    done = subprocess.run(
        [sys.executable, here.with_name("child.py"), str(os.getpid()), "all",
         here, jobs, str(number)], capture_output=True, text=True,
        errors="replace",
        # JAX takes most of a GPU's memory unless told; two processes run.
        env={**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"})
    if done.returncode:
        return [done.returncode == cli.ENVIRONMENT, (
            done.stderr.strip().splitlines() or [f"exit {done.returncode}"]
        )[-1]]


def main():
    path, *number = sys.argv[1:]
    jobs = json.loads(Path(path).read_text("utf-8"))
    if number:
        run_plan(**jobs[int(number[0])])
        return cli.OK
    with ThreadPoolExecutor(2) as pool:
        reasons = list(pool.map(lambda n: start(path, n), range(len(jobs))))
    for job, reason in zip(jobs, reasons):
        if reason:
            Path(job["out"]).write_text(json.dumps(reason), "utf-8")
    return cli.OK


if __name__ == "__main__":
    cli.guard(main, "certify.py")
