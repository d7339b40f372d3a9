"""All runs and measurements of a comparison, one block after the other."""

import shlex
import sys
import time

from bench.kit import cli, network
from bench.kit.cli import warn
from bench.run import plan, record

PROG = "compare.py"
LARGE = 10**6  # parameters; the perceptron of the lesson has 235,146


def run_all(grid, measurements, blocks, line, dry=False):
    """Run and measure what is not done yet (dry: nothing) -> the records of
    all jobs that have one, and what was measured beside them.
    line(job, its record, or why it was not measured) -> words for people."""
    records = {job: grid.done(job, block.number)
               for block in blocks for job in block.jobs}
    beside = {probe: block.number for block in blocks for probe in block.beside}
    lacking = {} if dry else grid.look({
        job.variant for job, found in records.items() if not found
        or found["status"] == "unavailable"})
    probes = [probe for probe in beside if not measurements.done(probe)]
    todo = [block for block in blocks if not _finished(
        [records[job] for job in block.jobs],
        [lacking.get(job.variant) for job in block.jobs],
        [measurements.found.get(probe) for probe in block.playing])]
    _announce(grid, records, [job for block in todo for job in block.jobs],
              dry)
    if not dry:
        for variant, reason in lacking.items():
            if reason:
                warn(PROG, f"{variant} is unavailable: {reason}")
        _make(grid, measurements, blocks, todo, probes, records, lacking, line)
    return [r for r in records.values() if r], measurements.all(beside)


def _finished(found, reasons, beside):
    """Is a block done? Each run of it ended in a final state, or cannot be run
    here; what took turns with them is there; and all were alive together."""
    return all(r and (r["status"] in record.FINAL or reason
                      and r["status"] == "unavailable")
               for r, reason in zip(found, reasons)) and all(beside) and len(
        {r["block_started_unix_s"] for r in [*found, *beside]}) == 1


def _announce(grid, records, todo, dry):
    """How much there is to do, and what of the folder is not used. How long a large
    network takes is not guessed, as plan.seconds() is of the lesson's perceptron."""
    small = network.of(grid.settings).parameters < LARGE
    print(f"{len(records)} runs on {grid.settings['dataset']}, "
          f"{len(records) - len(todo)} of them done"
          + ("" if dry else f", {len(todo)} to run" + plan.estimate(
              [(job, grid.config(job)["epochs"]) for job in todo if small])),
          flush=True)
    mine = {grid.path(job).name for job in records}
    others = sum(path.name not in mine for path in grid.runs.glob("*.json"))
    if others:
        print(f"{others} records of other settings, code or versions stay in "
              f"{str(grid.runs)!r} and are not used")


def _make(grid, measurements, blocks, todo, probes, records, lacking, line):
    """Measure and run one block after the other; new records go into
    `records`."""
    blocks = [block for block in blocks
              if block in todo or {*probes} & {*block.beside}]
    started = time.monotonic()
    for number, block in enumerate(blocks):
        passed = time.monotonic() - started

        def told(words, job=None, passed=passed, number=number):
            """A line where a run has compiled, and every few rounds."""
            left = passed / max(1, number) * (len(blocks) - number)
            words = f"{job} {words}" if job else words
            print(f"[{number + 1}/{len(blocks)}] {words}" + (
                f"   ({left / 60:.0f} min left)" if left >= 60 else ""),
                flush=True)
        try:
            for probe in block.beside:
                if probe in probes and not probe.turns:
                    told(line(probe, measurements.run(probe, block.number)))
            if block in todo:
                found = grid.run(block.jobs, block.number, lacking, told,
                                 block.playing, measurements)
                records.update(found)
                for job in block.jobs:
                    told(line(job, found[job]))
                for probe in block.playing:
                    told(line(probe, measurements.reasons.get(probe)))
        except cli.Stopped:
            warn(PROG, f"stopped with {number} of {len(blocks)} blocks "
                       "finished; the same command goes on from there: "
                       f"python {shlex.join(sys.argv)}")
            raise
