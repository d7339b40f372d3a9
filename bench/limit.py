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
    """{"flops", "device"} of a large matrix product on this machine, by the
    framework of the first point that can; measured once for an output folder
    and precision. None where it could not be measured."""
    path = grid.out / "limit.json"
    key = [grid.machine(), grid.settings["precision"]]
    found = record.read_json(path)
    if found.get("key") == key and isinstance(found.get("flops"), float) and (
            isinstance(found.get("device"), str) and found["flops"] > 0):
        return found
    # A framework knows the accelerator; NumPy would measure the host.
    for name in sorted({point.contender for point in points
                        if not grid.lacking.get(point)},
                       key=lambda name: (name not in ("jax", "torch"), name)):
        temporary = grid.temporary()
        status, _ = launch.run(
            __file__, [str(grid.scripts[name]), str(temporary),
                       f"--device={grid.settings['device']}",
                       f"--precision={grid.settings['precision']}"],
            grid.cpus, grid.timeout, "", grid.temporary)
        found = record.read_json(temporary)
        temporary.unlink(missing_ok=True)
        if status == "ok" and found:
            found.update(key=key, method=f"best product of two {SIZE} x {SIZE}"
                         f" matrices in {SECONDS} s, by the framework of "
                         f"{name}")
            record.write_atomic(path, record.dumps(found))
            return found
    return None


# ---------------------------------------------------------------- the child

def product(module, args):
    """(name of the device, function that multiplies two matrices and waits
    for the result)."""
    a = np.random.default_rng(0).standard_normal((SIZE, SIZE))
    a = a.astype(np.float64 if args.precision == "fp64" else np.float32)
    run = contender.Run(args, module.__file__, "")
    if hasattr(module, "jax"):
        module.setup(args, run)
        x, multiply = module.jax.device_put(a), module.jax.jit(lambda x: x @ x)
        def again():
            multiply(x).block_until_ready()
    elif hasattr(module, "torch"):
        module.setup(args, run)
        x = module.torch.from_numpy(a).to(args.device)
        def again():
            run.fence(x @ x)
    else:
        return "cpu", lambda: a @ a
    return run.record["environment"]["device_name"], again


def main():
    script, out, *rest = sys.argv[1:]
    module = load_script(script)
    args = flags.parse("limit", flags.RUNGS, "eager", rest)
    args.quiet = True
    device, multiply = product(module, args)
    multiply()
    best, end = float("inf"), time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        start = time.perf_counter()
        multiply()
        best = min(best, time.perf_counter() - start)
    with open(out, "w") as file:
        json.dump({"flops": 2 * SIZE**3 / best, "device": device}, file)
    return cli.OK


if __name__ == "__main__":
    cli.guard(main, "limit.py")
