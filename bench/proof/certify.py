"""What the programs of a comparison compute: the children of the parity
certificate (traces.py starts them).

    python bench/proof/certify.py JOBS.json
    python bench/proof/certify.py program SCRIPT FLAG ...
    python bench/proof/certify.py functions OUT SIZE,… SCRIPT FLAG ...

JOBS is a list of [OUT, [script, argument, …]]: each runs in a process of its
own, two at a time. Where one fails, OUT.txt has the reason as JSON:
{"unavailable": is something lacking here?, "reason": words}. A job is one of
the other two lines: a program itself, as it is timed but for a guard on its
epochs (guard.py), which leaves its record in OUT.json and its final weights in
OUT.npz; or what the functions of a script give, logits and every gradient of
the first batch of each size (`B.logits`, `B.g0`, …), in OUT.npz.
"""

import json
import os
import runpy
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

import data
from bench.kit import cli, program
from bench.proof import guard
from bench.run import environment, launch, lesson


def logits_and_gradients(script, flags, batch_sizes, out):
    """Of the script's own functions, differentiated as its framework does."""
    module = lesson.load_script(script)
    if not lesson.is_lesson(module):  # only what it records can be compared
        np.savez(out + ".npz")
        return
    args = module.parse_flags(flags)
    module.setup(args)
    sets, found = program.read_sets(args), {}
    weights = module.load_weights(args, sets, {})
    for size in batch_sizes:
        idx = data.batch_order(len(sets["train"][0]), size, args.seed, 0)[0]
        x, y = (a[idx].astype(args.dtype) for a in sets["train"])
        logits, grads = lesson.gradients(module, args, weights, x, y)
        found[f"{size}.logits"] = logits
        found.update({f"{size}.g{n}": leaf for n, leaf in enumerate(grads)})
    np.savez(out + ".npz", **found)


def halves():
    """The cores of this process in two parts, as child.py wants them. Two
    programs that each have a thread for every core wait for each other: an
    epoch of PyTorch took ten times as long."""
    cpus = list(map(str, environment.affinity() or []))
    middle = len(cpus) // 2
    return [",".join(part) or "all" for part in (cpus[:middle], cpus[middle:])]


def work(jobs, place):
    """Take one job after the other, until none is left, on the cores `place`;
    a reason in OUT.txt where one fails."""
    for out, command in jobs:
        done = subprocess.run(
            [sys.executable, launch.CHILD, str(os.getpid()), place,
             "-", *command], stdin=subprocess.DEVNULL, capture_output=True,
            text=True, errors="replace",
            # JAX takes most of a GPU's memory unless told; two processes run.
            env={**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"})
        if done.returncode:
            last = (cli.told(done.stderr.strip().splitlines()) or [
                f"exit {done.returncode}"])[-1]
            Path(out + ".txt").write_text(json.dumps({
                "unavailable": done.returncode == cli.ENVIRONMENT,
                "reason": cli.clean(last, 300)}), "utf-8")


def main():
    what, *job = sys.argv[1:]
    if what == "functions":
        out, sizes, script, *flags = job
        with np.errstate(all="ignore"):
            logits_and_gradients(script, flags, map(int, sizes.split(",")), out)
        return cli.OK
    jobs = json.loads(Path(what).read_text("utf-8"))
    # Nothing is timed here. Two large networks in float64 may not fit on one GPU.
    large = any(word.startswith("--network=") for _, job in jobs for word in job)
    jobs = iter(jobs)
    with ThreadPoolExecutor(
            1 if large and environment.accelerators() else 2) as pool:
        list(pool.map(work, (jobs, jobs), halves()))
    return cli.OK


def run_guarded(script):
    """The program, which ends this process as it would end its own."""
    guard.watch()
    sys.path.insert(1, str(Path(script).resolve().parent))
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    if sys.argv[1] == "program":
        sys.argv = sys.argv[2:]
        run_guarded(sys.argv[0])
    else:
        cli.guard(main, "certify.py")
