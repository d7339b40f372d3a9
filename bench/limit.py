"""How fast this machine is: what no run can beat.

    python bench/limit.py SCRIPT OUT.json FLAG ...

Runs as a child, with the framework of a script, on the device and in the
precision that the flags ask for.
"""

import json
import sys
import time

import numpy as np

from bench import cli, contender, flags, launch, record
from bench.certify import load_script

SIZE, SECONDS = 2048, 0.5  # of the product; how long it is repeated


def flops(grid, points):
    """FLOP/s of a large matrix product on this machine, by the framework of
    the first point that can; measured once for an output folder. None where
    it could not be measured."""
    path = grid.out / "limit.json"
    try:
        found = json.loads(path.read_text("utf-8"))
        if found["machine"] == grid.machine() and found["flops"] > 0:
            return found["flops"]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    for name in dict.fromkeys(point.contender for point in points):
        temporary = grid.temporary()
        status, _ = launch.run(
            __file__, [str(grid.scripts[name]), str(temporary),
                       f"--device={grid.settings['device']}",
                       f"--precision={grid.settings['precision']}"],
            grid.cpus, grid.timeout, "", grid.temporary)
        if status == "ok":
            value = json.loads(temporary.read_text("utf-8"))
            temporary.unlink(missing_ok=True)
            record.write_atomic(path, record.dumps(
                {"machine": grid.machine(), "flops": value,
                 "method": f"best product of two {SIZE} x {SIZE} matrices in "
                           f"{SECONDS} s, by the framework of {name}"}))
            return value
    return None


# ---------------------------------------------------------------- the child

def product(module, args):
    """A function that multiplies two matrices and waits for the result."""
    a = np.random.default_rng(0).standard_normal((SIZE, SIZE))
    a = a.astype(np.float64 if args.precision == "fp64" else np.float32)
    run = contender.Run(args, module.__file__, "")
    if hasattr(module, "jax"):
        module.setup(args, run)
        x, multiply = module.jax.device_put(a), module.jax.jit(lambda x: x @ x)
        return lambda: multiply(x).block_until_ready()
    if hasattr(module, "torch"):
        module.setup(args, run)
        x = module.torch.from_numpy(a).to(args.device)
        return lambda: run.fence(x @ x)
    return lambda: a @ a


def main():
    script, out, *rest = sys.argv[1:]
    module = load_script(script)
    multiply = product(module, flags.parse("limit", flags.RUNGS, "eager", rest))
    multiply()
    best, end = float("inf"), time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        start = time.perf_counter()
        multiply()
        best = min(best, time.perf_counter() - start)
    with open(out, "w") as file:
        json.dump(2 * SIZE**3 / best, file)
    return cli.OK


if __name__ == "__main__":
    cli.guard(main, "limit.py")
