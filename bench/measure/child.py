"""A measurement in a process of its own: the child of measures.py.

    python bench/measure/child.py MODULE:FUNCTION OUT.json SCRIPT,… FLAG ...

Sets up the scripts that are given (the flags are theirs), calls the function
and leaves {"device", "measurements"} in OUT.json. A framework that cannot be
imported is left out; exit 4 if none is left.
"""

import pkgutil
import sys

import numpy as np

from bench.kit import cli, files
from bench.kit.cli import ENVIRONMENT, Fault
from bench.measure.subject import Subject
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
        args = module.parse_flags(flags)
        found.append(Subject(module, args, module.setup(args)))
    if paths and not found:
        raise Fault(ENVIRONMENT, f"no framework can be imported: {paths}")
    return found


def main():
    function, out, paths, *flags = sys.argv[1:]
    found = subjects(paths, flags)
    with np.errstate(all="ignore"):  # what is not finite is found out later
        measured = pkgutil.resolve_name(function)(found)
    files.write_atomic(out, files.dumps({
        "device": found[0].place["device_name"] if found else "cpu",
        "measurements": {
            name: dict(zip(("value", "unit", "n", "method"), entry,
                           strict=True))
            for name, entry in measured.items()}}))
    return cli.OK


if __name__ == "__main__":
    cli.guard(main, "child.py")
