"""The second chapter proved and measured: what several processes compute, and what
they cost.

    python -m scale.measure --out results/scale            # make scale

Proves first that 1, 2 and 4 processes have the losses of the lesson, in float64
over an epoch and in float32 over 100 steps. Then times steps of as many processes
as there are cores, each on a core of its own, at several batch sizes: with the batch
divided (strong scaling) and with one batch for each (weak), in another order every
repeat; and in the same runs the all-reduce alone. Leaves scale.json in the folder,
of which bench/tools/scale.py makes table and figure.
"""

import gc
import importlib
import math
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

import data
from bench.kit import cli, files
from bench.kit.flags import add_data
from bench.tools.scale import layers

RUNGS = {"jax": "step", "torch": "eager"}  # what is timed of each
PROCESSES = (1, 2, 4)
EXACT, SINGLE = 1e-10, 1e-5  # of a loss, relative: float64, float32
BATCHES = (64, 1024)         # of all processes together, and of each
WIDTHS = (16, 256, 2048)     # of networks whose gradients are all-reduced alone
STEPS, MOST = 50, 12_800     # of an epoch that is timed: steps, and images at most
REPEATS, CALLS = 3, 30
LIMIT_S, WAITS = 600, 1000  # of one run; no exit code


def free_port():
    """A port that nobody listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def start(module, count, flags, cores=None):
    """`count` processes of a module with the same flags, on one core each where
    `cores` are given -> the record that the first writes. Fault 1 if one fails."""
    port, path = free_port(), Path(flags[flags.index("--json") + 1])
    path.unlink(missing_ok=True)  # what an earlier run has left is not this one's
    shared = {"WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port,
              **({"JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port}"} if count > 1 else {})}
    words = [tempfile.TemporaryFile("w+") for _ in range(count)]
    made = [subprocess.Popen(
        [sys.executable, "-m", *module, *flags], stdout=subprocess.DEVNULL,
        stderr=words[rank], env={**os.environ, **{
            name: str(value) for name, value in {
                **shared, "RANK": rank, "LOCAL_RANK": rank}.items()}},
        preexec_fn=cores and partial(
            os.sched_setaffinity, 0, {cores[rank % len(cores)]}))
            for rank in range(count)]
    try:
        rank, code = wait(made)
    finally:
        for one in made:
            one.kill()
            one.wait()
    if code:
        words[rank].seek(0)
        said = (words[rank].read().strip().splitlines() or ["no words"])[-1]
        raise cli.Fault(cli.FAILED, f"{' '.join(module)}, process {rank} of {count}: "
                        + ("does not end: processes wait for each other. Look first at "
                           "whether all make as many steps" if code == WAITS else
                           f"exit {code}: {cli.clean(said, 200)}"))
    if not (found := files.read_json(path)):
        raise cli.Fault(cli.FAILED, f"{' '.join(module)}: {count} processes have left "
                                    "no record")
    return found


def wait(made):
    """Until all have ended or one has failed, in which case the others would wait for
    it -> (its rank, its exit code or WAITS), or (0, 0)."""
    end = time.monotonic() + LIMIT_S
    while time.monotonic() < end:
        codes = [one.poll() for one in made]
        if failed := [(rank, code) for rank, code in enumerate(codes) if code]:
            return failed[0]
        if None not in codes:
            return 0, 0
        time.sleep(0.05)
    return codes.index(None), WAITS


# ------------------------------------------------------------------- proof

def gap(one, two):
    """Largest relative difference of the losses of two records' steps and of what
    their last evaluations say; infinite where one has more steps."""
    one, two = (np.array([*r["steps"]["loss"], *(r["epochs"][-1][f"{part}_loss"]
                                                 for part in ("val", "test"))])
                for r in (one, two))
    return float(np.max(abs(one - two) / two)) if one.shape == two.shape else np.inf


def certify(flags, path, cores=None):
    """-> [(framework, processes, {precision: largest difference})] from the lesson's
    losses; Fault 1, with the first that is too large. More processes than cores
    wait for each other six times as long where each may run on every core."""
    rows = []
    for framework, rung in RUNGS.items():
        found = {count: {} for count in PROCESSES}
        for precision, bound, more in (
                ("fp64", EXACT, ["--batch-size", "256"]),
                ("fp32", SINGLE, ["--batch-size", "64", "--examples", "6400"])):
            asked = [*flags, "--json", str(path), "--optimizer", "sgd", "--lr", "0.01",
                     "--epochs", "1", "--precision", precision, "--rung", rung, *more]
            lesson = start([f"mlp_{framework}"], 1, asked)
            for count in PROCESSES:  # both draw their weights from the seed
                value = found[count][precision] = gap(
                    start([f"scale.parallel_{framework}"], count, asked,
                          cores), lesson)
                if not value <= bound:
                    raise cli.Fault(cli.FAILED, (
                        f"NOT PROVED: {framework}, {count} processes, {precision}: a "
                        f"loss is {value:.1e} from one process's, allowed {bound:.0e}. "
                        "Look first at what a share is, and at whether gradients are "
                        "averaged"))
        for count, gaps in found.items():
            rows.append([framework, count, gaps])
            print(f"{framework}, {count} processes: " + ", ".join(
                f"{name} {value:.1e}" for name, value in gaps.items()), flush=True)
    return rows


# ---------------------------------------------------------------- measures

def all_reduce(framework, clock):
    """-> {numbers: seconds of the all-reduce of a step, median of CALLS}, for the
    gradients of a network of each width, in a process that has joined the others: in
    JAX of a list of arrays, which travel one by one, in PyTorch of a single one, as
    its wrapper has them."""
    found = {}
    for width in WIDTHS:
        shapes = [shape for layer in layers(width) for shape in layer]
        numbers = sum(map(math.prod, shapes))
        if framework == "torch":
            import torch
            values = torch.ones(numbers)

            def call(values=values):
                torch.distributed.all_reduce(values)
        else:
            import jax

            from scale.parallel_jax import put
            values = [put(np.ones((jax.device_count(), *shape), np.float32), "batch")
                      for shape in shapes]
            # The sums over devices, of which each has a row, on every device.
            total = jax.jit(lambda arrays: [a.sum(0) for a in arrays],
                            out_shardings=put(0.0).sharding)

            def call(values=values, total=total):
                jax.block_until_ready(total(values))
        seconds = []
        for _ in range(CALLS):
            begin = clock()
            call()
            seconds.append(clock() - begin)
        found[numbers] = float(np.median(seconds[CALLS // 6:]))
    return found


def child(framework, *flags):
    """In a process of its own: the run, then the all-reduce alone, which the first
    process adds to its record."""
    module = importlib.import_module(f"scale.parallel_{framework}")
    lesson = importlib.import_module(f"mlp_{framework}")
    lesson.main(flags)
    found = {} if os.environ["WORLD_SIZE"] == "1" else all_reduce(
        framework, module.lesson.clock)
    if os.environ["RANK"] == "0":
        path = Path(flags[flags.index("--json") + 1])
        files.write_atomic(path, files.dumps({
            **files.read_json(path), "all_reduce": found}))
    # The wrapper, which holds the group: gloo's threads end with the group, and one
    # that still gives the last tensor back when Python is gone aborts the process.
    gc.collect()


def plan(count):
    """[(processes, batch size of all)]: the batch divided and one batch for each, and
    one process with every share that comes of it."""
    alone = {size for batch in BATCHES for size in (batch, batch // count)}
    return [*((1, size) for size in sorted(alone)),
            *((count, size) for size in sorted({
                *BATCHES, *(count * batch for batch in BATCHES)}))]


def measure(flags, path, count, cores, repeat):
    """-> [{"framework", "processes", "batch_size", "repeat", "step_s", "all_reduce":
    {numbers: seconds}}], a step as the median of the steady epochs, in an order that
    the repeat decides."""
    rows, jobs = [], [(framework, *one) for framework in RUNGS
                      for one in plan(count)]
    for framework, processes, size in random.Random(repeat).sample(jobs, len(jobs)):
        images = min(STEPS * size, MOST)
        record = start(
            ["scale.measure", "child", framework], processes, [
                *flags, "--json", str(path), "--optimizer", "sgd", "--lr", "0.01",
                "--batch-size", str(size), "--epochs", "4", "--examples", str(images),
                "--rung", RUNGS[framework]], cores)
        rows.append({
            "framework": framework, "processes": processes, "batch_size": size,
            "repeat": repeat, "all_reduce": record["all_reduce"],
            "step_s": float(np.median(record["timing"]["epoch_s"][1:])) / (
                images // size)})
    print(f"repeat {repeat + 1} of {REPEATS}: {len(jobs)} runs", flush=True)
    return rows


def main():
    parser = cli.Parser(description=__doc__.partition("\n\n")[0])
    add_data(parser.add_argument)
    parser.add_argument("--out", type=cli.path, default="results/scale",
                        help="folder of results")
    args = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0)) if hasattr(
        os, "sched_getaffinity") else None
    count = 2**int(math.log2(min(len(cores) if cores else os.cpu_count(), 8)))
    out = Path(args.out)
    files.make_folder(out)
    # Devices are cores: of GPUs there would have to be one for each process.
    flags = ["--dataset", args.dataset, "--data-dir", args.data_dir, "--device", "cpu"]
    with files.temporary(out) as path:
        proof, rows = certify(flags, path, cores), []
        for repeat in range(REPEATS if count > 1 else 1):
            rows += measure(flags, path, count, cores, repeat) if count > 1 else []
            files.write_atomic(out / "scale.json", files.dumps({
                "schema": files.SCHEMA, "cores": count, "proof": proof, "runs": rows}))
    return cli.OK


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        data.run(lambda: child(*sys.argv[2:]))
    else:
        cli.guard(main, "measure.py")
