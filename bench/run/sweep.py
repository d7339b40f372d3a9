"""All runs and measurements of a comparison, one after the other."""

import shlex
import sys
import time

from bench.kit import cli
from bench.kit.cli import warn
from bench.run import plan, record

PROG = "compare.py"


def run_all(grid, measurements, blocks, line, dry=False):
    """Run and measure what is not done yet (dry: nothing) -> the records of
    all jobs that have one, and what was measured beside them.
    line(job, its record, or why it was not measured) -> words for people."""
    every = [(block, job) for block, jobs in enumerate(blocks) for job in jobs]
    records = {job: grid.done(job) for _, job in every
               if isinstance(job, plan.Job)}
    beside = {job: block for block, job in every if job not in records}
    for block, job in every:  # numbered anew: the grid may have grown
        if records.get(job):
            records[job]["block"] = block
    todo = [(block, job) for block, job in every if (
        not measurements.done(job) if job in beside else
        not records[job] or records[job]["status"] not in record.FINAL)]
    _announce(grid, records, [job for _, job in todo if job in records], dry)
    if not dry:
        _make(grid, measurements, records, todo, line)
    return [r for r in records.values() if r], measurements.all(beside)


def _announce(grid, records, todo, dry):
    """How much there is to do, and what of the folder is not used."""
    print(f"{len(records)} runs on {grid.settings['dataset']}, "
          f"{len(records) - len(todo)} of them done"
          + ("" if dry else f", {len(todo)} to run" + plan.estimate(
              [(job, grid.config(job)["epochs"]) for job in todo])),
          flush=True)
    mine = {grid.path(job).name for job in records}
    others = sum(path.name not in mine for path in grid.runs.glob("*.json"))
    if others:
        print(f"{others} records of other settings, code or versions stay in "
              f"{str(grid.runs)!r} and are not used")


def _make(grid, measurements, records, todo, line):
    """Run or measure one after the other; new records go into `records`."""
    reasons = grid.look({job.variant for _, job in todo if job in records})
    for variant, reason in reasons.items():
        if reason:
            warn(PROG, f"{variant} is unavailable: {reason}")
    started, finished = time.monotonic(), 0
    for number, (block, job) in enumerate(todo, 1):
        reason = reasons.get(job.variant)
        try:
            if job in records:
                found = records[job] = grid.run(job, block, reason)
            else:
                found = measurements.run(job, block)
        except cli.Stopped:
            warn(PROG, f"stopped with {number - 1} of {len(todo)} runs and "
                       "measurements finished; the same command goes on from "
                       f"there: python {shlex.join(sys.argv)}")
            raise
        finished += reason is None
        left = (time.monotonic() - started) / max(1, finished) * sum(
            reasons.get(j.variant) is None for _, j in todo[number:])
        print(f"[{number:3}/{len(todo)}] {line(job, found)}" + (
            f"   ({left / 60:.0f} min left)" if left >= 60 else ""), flush=True)
