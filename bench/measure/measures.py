"""Measurements of a comparison: the parent's half.

Each is a child process (child.py) that calls the function registry.py names. What
it found lies in OUT/measured as a record {"schema", "kind", "contender",
"rung", "feed", "batch_size", "block", "device", "measurements": {name:
{"value", "unit", "n", "method"}}}; one that took turns says when its block
began and has its values in order ("block_started_unix_s", "turns"). What could
not be measured is a reason, never a number.
"""

import math
from pathlib import Path
from typing import NamedTuple

from bench.kit import files
from bench.measure.registry import ANYONE, MEASURES
from bench.run import plan
from bench.run.plan import SCRIPTS, Variant

CHILD = Path(__file__).with_name("child.py")


class Probe(NamedTuple):
    """One measurement; batch_size 0: of no single batch size."""

    kind: str
    variant: Variant
    batch_size: int
    seed: int
    repeat: int

    @property
    def turns(self):
        """Does it take turns with the runs of its block?"""
        return MEASURES[self.kind].turns

    def __str__(self):
        return " ".join(filter(None, (
            self.kind, self.variant.contender, self.variant.rung,
            f"batch {self.batch_size}" if self.batch_size else "")))


def block(kinds, variants, batch_sizes, seed, repeat, first):
    """The probes of one block of the comparison; first: it is the first."""
    kinds = [kind for asked in kinds
             for kind in (asked, MEASURES[asked].along) if kind]
    pair = [v for v in variants if v.contender in SCRIPTS]
    return [Probe(kind, *where, seed, repeat) for kind in kinds
            for where in MEASURES[kind].wanted(pair, batch_sizes, first)]


class Measurements:
    """The probes of a comparison and what they found."""

    def __init__(self, grid, variants, kinds):
        self.grid, self.variants, self.kinds = grid, variants, kinds
        self.folder = grid.out / "measured"
        self.found, self.reasons = {}, {}

    def path(self, probe):
        """Its settings, code and versions are in its name, as with a run."""
        grid, variant = self.grid, probe.variant
        identity = files.digest([
            self._settings(probe), grid.cpus,
            [grid.code(name) for name in self._scripts(probe)],
            *(path.read_text("utf-8")
              for path in sorted(CHILD.parent.glob("*.py")))])
        return self.folder / ("_".join(filter(None, (
            probe.kind, *variant, f"b{probe.batch_size}", f"s{probe.seed}",
            f"r{probe.repeat}", identity))) + ".json")

    def _settings(self, probe):
        """The flags that decide what is measured."""
        found = {name: value for name, value in self.grid.chosen(
            probe.variant.contender).items()
            if name not in ("schedule", "epochs")}
        if probe.turns:  # as many as the runs of its block have
            found["epochs"] = self.grid.config(probe)["epochs"]
        return found

    def _scripts(self, probe):
        """Whose frameworks it needs: of a floor, all that are here."""
        if probe.variant is not ANYONE:
            return [probe.variant.contender]
        return self.grid.here(self.variants)

    def done(self, probe):
        """Whether it is known already; then it counts."""
        found = files.read_json(self.path(probe))
        if valid(found) and found.items() >= about(probe).items():
            self.found[probe] = found
        return probe in self.found

    def run(self, probe, number):
        """Measure, as part of block `number` -> None or why it could not."""
        with files.temporary(self.grid.out) as path:
            return self.take(probe, number, path, *self.grid.launch(
                *self.start(probe, path)[:2])[:2])

    def start(self, probe, path):
        """What launch.Child is made of; the child leaves there what it
        finds."""
        grid, variant, settings = self.grid, probe.variant, self._settings(probe)
        scripts = [variant._replace(contender=name).script(grid.scripts)
                   for name in self._scripts(probe)]
        return CHILD, command(MEASURES[probe.kind].function, path, scripts, {
            **settings, "data_dir": grid.data_dir,
            "rung": variant.rung, "feed": variant.feed,
            "batch_size": probe.batch_size or min(64, settings.get("examples") or 64),
            "seed": probe.seed,
        }), grid.cpus, grid.timeout, None

    def take(self, probe, number, path, status, ending, started=None):
        """Keep what a child has found as part of block `number` -> None, or
        why there is nothing."""
        found, reason = left(path, status, ending)
        found.update(about(probe), block=number)
        if probe.turns:
            found["block_started_unix_s"] = started
        if not valid(found):
            self.reasons[probe] = reason
            self.found.pop(probe, None)  # of a block that is run again
            return reason
        files.make_folder(self.folder)
        files.write_atomic(self.path(probe), files.dumps(found))
        self.found[probe] = found
        return None

    def missing(self):
        """{kind that was asked for: why some of it is missing, or None}"""
        return {**dict.fromkeys(self.kinds), **{
            probe.kind: reason for probe, reason in self.reasons.items()}}

    def all(self, numbers):
        """Everything found; numbers: {probe: its block}, which may have been
        another when it was measured."""
        return [{**self.found[probe], "block": number}
                for probe, number in numbers.items() if probe in self.found]


def about(probe):
    """What a record says beside what was measured."""
    return {"schema": files.SCHEMA, "kind": probe.kind,
            **probe.variant._asdict(), "batch_size": probe.batch_size}


def command(function, path, scripts, settings):
    """The arguments of a child that calls a function."""
    return [function, str(path), ",".join(map(str, scripts)),
            *plan.flags(settings)]


def left(path, status, ending):
    """-> (what a child has written, empty if it failed; its last words)"""
    return (files.read_json(path) if status == "ok" else {},
            (ending["tail"] or [status])[-1])


def valid(found):
    """Is this a record of a measurement? Its numbers are not negative."""
    try:
        entries, turns = found["measurements"].values(), MEASURES[
            found["kind"]].turns
        return (found["schema"] == files.SCHEMA
                and isinstance(found["device"], str) and bool(entries)
                and (not turns or _is_number(found["block_started_unix_s"]))
                and all(isinstance(entry["unit"], str)
                        and isinstance(entry["method"], str)
                        and all(map(_is_number, [
                            entry["value"], *entry.get("turns", ())]))
                        and entry["n"] > 0
                        and (not turns or len(entry["turns"]) == entry["n"])
                        for entry in entries))
    except (KeyError, TypeError, AttributeError):
        return False


def _is_number(value):
    return type(value) in (int, float) and 0 <= value < math.inf


def peak_flops(grid, variants):
    """{"flops", "device"} of a large matrix product on this machine, by the
    first framework of the pair that is here; measured once for an output
    folder and precision. None where it could not be measured."""
    path = grid.out / "peak.json"
    key = [grid.machine(), grid.settings["precision"]]
    found = files.read_json(path)
    if found.get("key") != key or not valid({**found, "kind": "dispatch"}):
        # A framework knows the accelerator; NumPy would measure the host.
        scripts = [SCRIPTS[name] for name in grid.here(variants)]
        function, flags = "peak", {name: grid.settings[name]
                                   for name in ("device", "precision")}
        if flags["precision"] == "bf16":
            function, flags["precision"] = "half", "fp32"
        with files.temporary(grid.out) as target:
            found, _ = left(target, *grid.launch(CHILD, command(
                f"bench.measure.peak:{function}", target, scripts, flags))[:2])
        found.update(key=key, schema=files.SCHEMA)
        if not valid({**found, "kind": "dispatch"}):
            return None
        files.write_atomic(path, files.dumps(found))
    return known_peak(grid.out)


def known_peak(out):
    """What peak_flops() has left in an output folder, or None."""
    found = files.read_json(out / "peak.json")
    return {"flops": found["measurements"]["flops"]["value"],
            "device": found["device"]} if valid({**found, "kind": "dispatch"}) else None
