"""A measurement in a process of its own: the child of measures.py.

    python bench/measure/child.py MODULE:FUNCTION OUT.json SCRIPT,… FLAG ...

Sets up the scripts that are given (the flags are theirs), calls the function
and leaves {"device", "measurements"} in OUT.json. A framework that cannot be
imported is left out; exit 4 if none is left. With --turns the function returns
what is to be called in each turn.
"""

import pkgutil
import sys

import numpy as np

from bench.kit import cli, files
from bench.kit.cli import ENVIRONMENT, Fault
from bench.kit.program import tell
from bench.measure.subject import set_up
from bench.measure.timing import clock
from bench.run import lesson


def subjects(paths, flags):
    """Scripts that are set up; none without paths. Fault 4."""
    found = []
    for path in filter(None, paths.split(",")):
        try:
            module = lesson.load_script(path)
        except SystemExit as end:  # of an import that failed
            if end.code != ENVIRONMENT:
                raise
            continue
        found.append(set_up(module, flags))
    if paths and not found:
        raise Fault(ENVIRONMENT, f"no framework can be imported: {paths}")
    return found


def in_turns(args, turn):
    """{name: (median, unit, turns, method, the value of each turn)}; the
    first turn is not counted, as the first epoch of a run is not."""
    made = []
    tell(args, "ready", wait=True)
    for number in range(1, args.epochs + 1):
        start = clock()
        made.append(turn())
        tell(args, f"epoch {number} {clock() - start}")
        tell(args, f"done {number}", wait=number < args.epochs)
    found = {}
    for name, (_, unit, _, method) in made[0].items():
        values = [one[name][0] for one in made]
        found[name] = (float(np.median(values[1:] or values)), unit,
                       len(values), method, values)
    return found


def main():
    function, out, paths, *flags = sys.argv[1:]
    found = subjects(paths, flags)
    with np.errstate(all="ignore"):  # what is not finite is found out later
        measured = pkgutil.resolve_name(function)(found)
        if found and found[0].args.turns:
            measured = in_turns(found[0].args, measured)
    files.write_atomic(out, files.dumps({
        "device": found[0].place["device_name"] if found else "cpu",
        "measurements": {
            name: dict(zip(("value", "unit", "n", "method", "turns"), entry))
            for name, entry in measured.items()}}))
    return cli.OK


if __name__ == "__main__":
    cli.guard(main, "child.py")
