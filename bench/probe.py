"""Measurements beside the runs, in the same blocks: the parent's half.

floor    the products alone, per batch size          (bench/limit.py);
         floor-again: once more, as a control; dispatch comes with it
serving  latency of a trained network, per framework (bench/serving.py)
energy   joules of steady epochs, per point          (bench/energy.py)
anatomy  operations and programs of one step, per point, once: it counts
         and does not time                           (bench/anatomy.py)

Each is a child process; what it found lies in OUT/measured as a record
{"schema", "kind", "contender", "rung", "feed", "batch_size", "block",
"device", "measurements": {name: {"value", "unit", "n", "method"}}}.
What could not be measured is a reason, never a number.
"""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

import data
from bench import environment, lesson, record
from bench.cli import ENVIRONMENT, Fault
from bench.plan import Point

HERE = Path(__file__).resolve().parent
PROGRAMS = {"floor": ("limit.py", "floor"),
            "floor-again": ("limit.py", "floor"),
            "dispatch": ("limit.py", "dispatch"), "serving": ("serving.py",),
            "energy": ("energy.py",), "anatomy": ("anatomy.py",)}
KINDS = tuple(kind for kind in PROGRAMS if kind != "dispatch")
ANYONE = Point("", "", "")  # a measurement of the machine, not of a point


class Probe(NamedTuple):
    """One measurement; batch_size 0: it covers all sizes that matter."""

    kind: str
    point: Point
    batch_size: int
    seed: int
    repeat: int

    def __str__(self):
        return " ".join(filter(None, (
            self.kind, self.point.contender, self.point.rung,
            f"batch {self.batch_size}" if self.batch_size else "")))


def block(kinds, points, batch_sizes, seed, repeat, first):
    """The probes of one block of the comparison; first: it is the first."""
    found, pair = [], [p for p in points if p.contender in ("jax", "torch")]
    for kind in kinds:
        if kind in ("floor", "floor-again"):
            wanted = [(ANYONE, size) for size in batch_sizes]
            if kind == "floor":
                found.append(Probe("dispatch", ANYONE, 0, seed, repeat))
        elif kind == "serving":
            wanted = [(Point(name, "", ""), 0)
                      for name in dict.fromkeys(p.contender for p in pair)]
        elif kind == "energy":
            wanted = [(point, size) for point in pair for size in batch_sizes
                      if environment.accelerators()]
        else:  # a count is the same in every block
            wanted = [(point, batch_sizes[0]) for point in pair if first]
        found += [Probe(kind, *where, seed, repeat) for where in wanted]
    return found


class Measurements:
    """The probes of a comparison and what they found."""

    def __init__(self, grid, points, kinds):
        self.grid, self.points, self.kinds = grid, points, kinds
        self.folder = grid.out / "measured"
        self.found, self.reasons = {}, {}

    def path(self, probe):
        """Its settings, code and versions are in its name, as with a run."""
        grid, point = self.grid, probe.point
        identity = record.digest([
            self._settings(point), grid.cpus,
            [grid.code(name) for name in self._scripts(probe)],
            *((HERE / name).read_text("utf-8") for name in (
                PROGRAMS[probe.kind][0], "probe.py", "lesson.py"))])
        return self.folder / ("_".join(filter(None, (
            probe.kind, *point, f"b{probe.batch_size}", f"s{probe.seed}",
            f"r{probe.repeat}", identity))) + ".json")

    def _settings(self, point):
        """The flags that decide what is measured, a contender's own among
        them."""
        found = {**self.grid.settings,
                 **self.grid.own.get(point.contender, {})}
        return {name: value for name, value in found.items()
                if name not in ("epochs", "schedule", "init", "cache")}

    def _scripts(self, probe):
        """Whose frameworks it needs: of a floor, all that are here."""
        if probe.point is not ANYONE:
            return [probe.point.contender]
        return [name for name in ("jax", "torch") if any(
            point.contender == name and not self.grid.lacking.get(point)
            for point in self.points)]

    def done(self, probe):
        """Whether it is known already; then it counts."""
        found = record.read_json(self.path(probe))
        if not valid(found) or found["kind"] != probe.kind:
            return False
        self.found[probe] = found
        return True

    def run(self, probe, number):
        """Measure, as part of block `number` -> None or why it could not."""
        grid, point = self.grid, probe.point
        record.make_folder(self.folder)
        temporary = grid.temporary()
        flags = [f"--{name.replace('_', '-')}={value}" for name, value in (
            ("data_dir", grid.data_dir), ("rung", point.rung),
            ("feed", point.feed), ("batch_size", probe.batch_size),
            ("seed", probe.seed), *self._settings(point).items())
            if value and name != "hidden"]
        flags += ["--hidden", *map(str, grid.settings["hidden"])]
        program, *kind = PROGRAMS[probe.kind]
        scripts = ",".join(
            str(point._replace(contender=name).script(grid.scripts))
            for name in self._scripts(probe))
        status, ending, _ = grid.launch(
            HERE / program, [*kind, str(temporary), scripts, *flags])
        found = record.read_json(temporary)
        temporary.unlink(missing_ok=True)
        found.update(schema=record.SCHEMA, kind=probe.kind, block=number,
                     contender=point.contender, rung=point.rung,
                     feed=point.feed, batch_size=probe.batch_size)
        if status == "ok" and valid(found):
            record.write_atomic(self.path(probe), record.dumps(found))
            self.found[probe] = found
            return None
        self.reasons[probe] = (ending["tail"] or [status])[-1]
        return self.reasons[probe]

    def missing(self):
        """{kind that was asked for: why some of it is missing, or None}"""
        return {**dict.fromkeys(self.kinds), **{
            probe.kind: reason for probe, reason in self.reasons.items()}}

    def all(self, numbers):
        """Everything found; numbers: {probe: its block}, which may have been
        another when it was measured."""
        return [{**self.found[probe], "block": number}
                for probe, number in numbers.items() if probe in self.found]


def valid(found):
    """Is this a record of a measurement? Its numbers are not negative."""
    try:
        entries = found["measurements"].values()
        return (found["schema"] == record.SCHEMA and found["kind"] in PROGRAMS
                and isinstance(found["device"], str) and bool(entries)
                and all(isinstance(entry["unit"], str)
                        and isinstance(entry["method"], str)
                        and type(entry["value"]) in (int, float)
                        and 0 <= entry["value"] < math.inf
                        and entry["n"] > 0 for entry in entries))
    except (KeyError, TypeError, AttributeError):
        return False


# ---------------------------------------------------------------- children

class Subject(NamedTuple):
    """A script of the lesson that is looked at, set up and ready."""

    module: object
    args: object
    place: dict  # what its setup() says of device and versions


def start(argv):
    """What a child begins with -> (path for its answer, subjects). A
    framework that cannot be imported is left out; Fault 4 if none is left."""
    out, paths, *rest = argv
    subjects, reasons = [], []
    for path in paths.split(","):
        try:
            module = lesson.load_script(path)
        except SystemExit:
            reasons.append(path)
            continue
        args = module.parse_flags(rest)
        subjects.append(Subject(module, args, module.setup(args)))
    if not subjects:
        raise Fault(ENVIRONMENT, "no framework can be imported: "
                                 + ", ".join(reasons))
    return Path(out), subjects


def read_sets(args):
    """-> {"train", "val", "test": (images, labels)} in NumPy, in the type
    that the flags ask for."""
    sets = data.split(*data.load(args.dataset, args.data_dir), args.split)
    sets["train"] = tuple(a[:args.examples] for a in sets["train"])
    return {part: tuple(a.astype(args.dtype, copy=False) for a in arrays)
            for part, arrays in sets.items()}


def ready(subject, sets):
    """Initial state, the training set where the feed has it, and the
    arguments of build() that follow it: (state, images, labels, order, lrs)."""
    module, args, _ = subject
    x, y = sets["train"]
    weights = module.load_weights(args, sets, {})
    lrs = np.full(len(x) // args.batch_size, args.lr, args.dtype)
    order = data.batch_order(len(x), args.batch_size, args.seed, 0)
    if args.feed == "device":
        x, y = put(subject, (x, y))
    return module.init_state(weights, args), x, y, order, lrs


def put(subject, arrays):
    """NumPy arrays -> on the device of a subject."""
    module, args, _ = subject
    if hasattr(module, "jax"):
        return module.jax.device_put(arrays)
    return [module.torch.from_numpy(a).to(args.device) for a in arrays]


def answer(path, device, measurements):
    """Write what was found; measurements: {name: (value, unit, n, method)}"""
    record.write_atomic(path, record.dumps({
        "device": device, "measurements": {
            name: dict(zip(("value", "unit", "n", "method"), entry))
            for name, entry in measurements.items()}}))
