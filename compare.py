#!/usr/bin/env python3
"""Compare scripts that train the same network: run, record, tabulate, draw.

    python compare.py                   36 runs: 4 points x 3 sizes x 3 seeds
    python compare.py --quick           6 runs of two epochs
    python compare.py --points jax:epoch torch:step:host --repeats 5

Each run is one fresh process. Finished runs lie in OUT/runs and are not run
again; tables and figures are made anew from them. See the README for exit
codes and for how to compare a script of your own.
"""

import os
import sys
import time

from bench import cli, flags, grid, plan, record, report
from bench.cli import ENVIRONMENT, FAILED, OK, warn

PROG = "compare.py"
POINTS = ["jax:step", "jax:epoch", "torch:eager", "torch:step"]
QUICK = {"points": ["jax:step", "jax:epoch", "torch:eager"],
         "batch_sizes": [256, 1024], "seeds": [0], "epochs": 2}
FULL = {"points": POINTS, "batch_sizes": [64, 256, 1024], "seeds": [0, 1, 2],
        "epochs": 10}


def arguments(argv=None):
    """The command line -> namespace; Fault 2 on nonsense."""
    parser = cli.Parser(prog=PROG, description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--quick", action="store_true",
        help="one seed, two epochs, two batch sizes, the cheap rungs")
    add("--points", nargs="+", metavar="NAME:RUNG[:FEED]",
        help=f"default: {' '.join(POINTS)}")
    add("--batch-sizes", nargs="+", type=cli.whole(1), metavar="N",
        help="default: 64 256 1024")
    add("--seeds", nargs="+", type=cli.seed, metavar="N",
        help="default: 0 1 2")
    add("--epochs", type=cli.whole(1, 100_000), metavar="N",
        help="default: 10")
    add("--repeats", type=cli.whole(1, 10_000), default=1, metavar="N",
        help="runs of each point, batch size and seed")
    add("--threads", type=cli.whole(1, 4096), metavar="N",
        help="cores that a run may use; default: all")
    add("--contender", action="append", default=[], metavar="NAME=SCRIPT",
        help="another script that keeps the contract; may be repeated")
    add("--out", type=cli.path, default="results", metavar="DIR", help=" ")
    add("--timeout", type=cli.seconds, default=1800.0, metavar="S",
        help="seconds of wall clock for one run")
    flags.add_settings(parser, datasets=("mnist", "digits", "auto"))
    args = parser.parse_args(argv)
    for name, value in (QUICK if args.quick else FULL).items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    flags.check_settings(args, args.batch_sizes, "--batch-sizes")
    for name in ("batch_sizes", "seeds"):
        once = list(dict.fromkeys(getattr(args, name)))
        if once != getattr(args, name):
            warn(PROG, f"--{name.replace('_', '-')}: each value is run once")
        setattr(args, name, once)
    args.scripts = {**plan.SCRIPTS, **plan.parse_contenders(args.contender)}
    args.points = plan.parse_points(args.points, args.scripts)
    args.cpus = plan.choose_cores(args.threads)
    return args


def main():
    """Arguments, folder, data, frameworks, and only then the grid."""
    args = arguments()
    settings = {name: getattr(args, name) for name in (
        "dataset", "split", "limit", "hidden", "optimizer", "lr", "precision",
        "device", "epochs")}
    job_grid = grid.Grid(args.out, settings, args.scripts, args.cpus,
                         args.timeout, args.data_dir)
    with job_grid.locked():
        report.check_targets(args.out)
        settings["dataset"] = grid.find_data(args.dataset, args.data_dir)
        job_grid.find_weights(args.points, args.seeds)
        blocks = plan.blocks(args.points, args.batch_sizes, args.seeds,
                             args.repeats)
        records = run_all(job_grid, blocks)
        bad = report.write(args.out, records)
    print(report.terminal_table(args.out))
    print(f"summary  {os.path.join(args.out, 'summary.md')}\n"
          f"figures  {os.path.join(args.out, 'figures')}")
    if not bad:
        return OK
    warn(PROG, f"{bad} of {len(records)} runs are not ok: see the reasons in "
               f"{os.path.join(args.out, 'summary.md')}. Run the same command "
               "again to try them again")
    return FAILED if bad < len(records) or not all(
        r["status"] == "unavailable" for r in records) else ENVIRONMENT


def run_all(job_grid, blocks):
    """Run what is not done yet -> the records of all jobs."""
    jobs = [(block, job) for block, jobs in enumerate(blocks) for job in jobs]
    records = {job: job_grid.done(job) for _, job in jobs}
    for block, job in jobs:  # numbered anew: the grid may have grown
        if records[job]:
            records[job]["block"] = block
    todo = [(block, job) for block, job in jobs if records[job] is None
            or records[job]["status"] not in record.FINAL]
    print(f"{len(jobs)} runs on {job_grid.settings['dataset']}, "
          f"{len(jobs) - len(todo)} of them done, {len(todo)} to run"
          + plan.estimate(todo, job_grid.settings), flush=True)
    reasons = job_grid.probe({job.point for _, job in todo})
    for point, reason in reasons.items():
        if reason:
            warn(PROG, f"{point} is unavailable: {reason}")
    started, finished = time.monotonic(), 0
    for number, (block, job) in enumerate(todo, 1):
        reason = reasons[job.point]
        try:
            records[job] = job_grid.run(job, block, reason)
        except cli.Stopped:
            warn(PROG, f"stopped with {number - 1} of {len(todo)} runs "
                       "finished; the same command goes on from there: "
                       "python " + " ".join(sys.argv))
            raise
        finished += reason is None
        left = (time.monotonic() - started) / max(1, finished) * sum(
            reasons[j.point] is None for _, j in todo[number:])
        print(report.progress(number, len(todo), job, records[job], left),
              flush=True)
    return [records[job] for _, job in jobs]


if __name__ == "__main__":
    cli.guard(main, PROG)
