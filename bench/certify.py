"""What every rung of the scripts computes, step by step: the children's half
of the parity certificate (bench/certificate.py is the other).

    python bench/certify.py JOBS.json [NUMBER]

It imports a script and calls its own `train` with other books (`Probe`): the
functions, rungs and feeds that are certified are the ones that are timed.
JOBS is a list of {"script", "out", "plan": [{"flags": [...], "steps": n,
"gradients": bool}, …]}, each a process of its own, two at once: nothing is
timed here. OUT (.npz) holds per entry i of the plan the losses (`i.losses`),
the weights after one update (`i.0`, `i.1`, …), where asked for the logits and
every gradient of the first batch (`i.logits`, `i.g0`, …), and in `meta` as
JSON a reason for each entry that could not run. Of a script without the
pair's `objective` only the losses are known.
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
    """The script as a module, without running its main."""
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
    return {"train": sets["train"]}, files


class Probe(contender.Run):
    """Books that take down what was computed instead of how long it took."""

    def __init__(self, args, module, steps):
        super().__init__(args, module.__file__, "")
        self.module, self.steps, self.found = module, steps, {}

    def say(self, line):
        pass

    def read_sets(self):
        a = self.args
        sets, files = training_set(a.dataset, a.data_dir, a.split, a.limit,
                                   a.precision)
        none = tuple(array[:0] for array in sets["train"])
        return {**sets, "val": none, "test": none}, files

    def order(self, epoch):
        """The first `steps` batches of as many epochs as they take."""
        a, rows = self.args, self.n // self.args.batch_size
        return np.concatenate([
            data.batch_order(self.n, a.batch_size, a.seed, epoch)
            for epoch in range(-(-self.steps // rows))])[:self.steps]

    def schedule(self):
        return np.full(self.steps, self.args.lr, self.dtype)

    def compile(self, build, state):
        self.build = build
        return self._call

    def _call(self, *arguments):
        return self.program(*arguments)

    def train(self, train_epoch, evaluate, state):
        """The first step alone, for its update; then the rest."""
        order, lrs = self.order(0), self.schedule()
        sets, losses = self.sets["train"], []
        # Whoever calls the script's evaluate now does so inside the clock.
        self.module.evaluate = _forbidden
        for rows in (slice(0, 1), slice(1, None)):
            # A program for `epoch` is compiled for its number of steps.
            if rows.start == 0 or self.args.mode == "epoch":
                self.program = self.build(state, *sets, order[rows],
                                          lrs[rows], lambda name: None)
            state, metrics = train_epoch(state, *sets, order[rows], lrs[rows])
            losses.append(np.asarray(self.to_host(metrics))[:, 0])
            if rows.start == 0 and hasattr(self.module, "objective"):
                self.found.update({
                    str(n): leaf for n, leaf in enumerate(
                        host(self.module, self, state[0]))})
        self.found["losses"] = np.concatenate(losses)
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
    run, evaluate = Probe(args, module, entry["steps"]), module.evaluate
    if hasattr(module, "torch"):  # not the programs of the entry before
        module.torch._dynamo.reset()
    try:
        module.train(args, run)
    finally:
        module.evaluate = evaluate
    if entry["gradients"] and hasattr(module, "objective"):
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
            reasons[number] = cli.clean(f"{type(error).__name__}: {error}"
                                        .partition("\n")[0], 300)
            continue
        arrays.update({f"{number}.{name}": array
                       for name, array in found.items()})
    meta = np.frombuffer(json.dumps(reasons).encode(), np.uint8)
    with open(out, "wb") as file:
        np.savez(file, meta=meta, **arrays)


def start(jobs, number):
    """Job `number` in a process of its own -> None or why it failed."""
    here = Path(__file__).resolve()
    done = subprocess.run(
        [sys.executable, here.with_name("child.py"), str(os.getpid()), "all",
         here, jobs, str(number)], capture_output=True, text=True,
        errors="replace")
    return None if done.returncode == 0 else (
        done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]


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
            Path(job["out"]).write_text(reason, "utf-8")
    return cli.OK


if __name__ == "__main__":
    cli.guard(main, "certify.py")
