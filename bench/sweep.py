"""All runs and measurements of a comparison, one after the other."""

import sys
import time

from bench import cli, plan, record, report
from bench.cli import warn

PROG = "compare.py"


def run_all(job_grid, measurements, blocks, dry=False):
    """Run and measure what is not done yet (dry: nothing) -> the records of
    all jobs that have one, and what was measured beside them."""
    every = [(block, job) for block, jobs in enumerate(blocks) for job in jobs]
    jobs = [(block, job) for block, job in every if isinstance(job, plan.Job)]
    probes = {job: block for block, job in every
              if not isinstance(job, plan.Job)}
    records = {job: job_grid.done(job) for _, job in jobs}
    for block, job in jobs:  # numbered anew: the grid may have grown
        if records[job]:
            records[job]["block"] = block
    todo = [(block, job) for block, job in every
            if (not measurements.done(job) if job in probes else
                records[job] is None
                or records[job]["status"] not in record.FINAL)]
    runs = [(block, job) for block, job in todo if job not in probes]
    print(f"{len(jobs)} runs on {job_grid.settings['dataset']}, "
          f"{len(jobs) - len(runs)} of them done"
          + ("" if dry else f", {len(runs)} to run"
             + plan.estimate([(job, job_grid.config(job)["epochs"])
                              for _, job in runs])), flush=True)
    if dry:
        return [r for r in records.values() if r], measurements.all(probes)
    reasons = job_grid.probe({job.point for _, job in runs})
    for point, reason in reasons.items():
        if reason:
            warn(PROG, f"{point} is unavailable: {reason}")
    started, finished = time.monotonic(), 0
    for number, (block, job) in enumerate(todo, 1):
        reason = reasons.get(job.point)
        try:
            if job in probes:
                line = report.measured_line(job, measurements.run(job, block))
            else:
                records[job] = job_grid.run(job, block, reason)
        except cli.Stopped:
            warn(PROG, f"stopped with {number - 1} of {len(todo)} runs "
                       "finished; the same command goes on from there: "
                       "python " + " ".join(sys.argv))
            raise
        finished += reason is None
        left = (time.monotonic() - started) / max(1, finished) * sum(
            reasons.get(j.point) is None for _, j in todo[number:])
        print(f"[{number:3}/{len(todo)}] " + (
            line if job in probes else report.progress(job, records[job]))
            + report.time_left(left), flush=True)
    return [records[job] for _, job in jobs], measurements.all(probes)
