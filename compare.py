#!/usr/bin/env python3
"""Compare scripts that train the same network: run, record, tabulate, draw.

    python compare.py                   45 runs: 5 points x 3 sizes x 3 seeds
    python compare.py --quick           6 runs of two epochs
    python compare.py --points jax:epoch torch:step:host --repeats 5
    python compare.py --recipe recipes/aa.toml

Each run is one fresh process. Before the first, a certificate is made that
the points compute the same; after the last, an audit says whether they were
compared fairly. Finished runs lie in OUT/runs and are not run again; tables
and figures are made anew from them. See the README for exit codes and for how
to compare a script of your own.
"""

import os
import sys
from functools import partial

import data
from bench import (
    audit,
    certificate,
    cli,
    dataset,
    environment,
    flags,
    grid,
    limit,
    plan,
    probe,
    recipe,
    report,
    sweep,
)
from bench.cli import ENVIRONMENT, FAILED, OK, warn

PROG = "compare.py"
POINTS = ["jax:step", "jax:epoch", "torch:eager", "torch:model", "torch:step"]
CUDA_POINTS = ["torch:graph"]  # a CUDA graph: nothing that a CPU could do
QUICK = {"points": ["jax:step", "jax:epoch", "torch:eager"],
         "batch_sizes": [256, 1024], "seeds": [0], "epochs": 2}
FULL = {"points": POINTS, "batch_sizes": [64, 256, 1024], "seeds": [0, 1, 2],
        "epochs": 10}


def make_parser():
    """Every option of this program."""
    parser = cli.Parser(prog=PROG, description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--quick", action="store_true",
        help="one seed, two epochs, two batch sizes, the cheap rungs")
    recipe.add_option(parser)
    add("--only", choices=("certify", "audit", "report"),
        help="certify: every rung and feed, no runs; audit: what is done; "
             "report: report.pdf of what is done")
    add("--points", nargs="+", metavar="NAME:RUNG[:FEED]",
        help=f"default: {' '.join(POINTS)}")
    add("--cuda-points", nargs="+", default=[], metavar="NAME:RUNG[:FEED]",
        help="further points where there is an NVIDIA GPU; default: "
             f"{' '.join(CUDA_POINTS)}, or none with --points")
    add("--batch-sizes", nargs="+", type=cli.whole(1), metavar="N",
        help="default: 64 256 1024")
    add("--seeds", nargs="+", type=cli.seed, metavar="N",
        help="default: 0 1 2")
    add("--epochs", type=cli.whole(1, 100_000), metavar="N",
        help="default: 10")
    add("--steps", type=cli.whole(1, 1_000_000), metavar="N",
        help="as many epochs as make about N steps, in place of --epochs")
    add("--repeats", type=cli.whole(1, 10_000), default=1, metavar="N",
        help="runs of each point, batch size and seed")
    add("--measure", nargs="+", choices=probe.KINDS, default=[],
        help="beside the runs: the bare products, latency, energy, counts")
    add("--threads", type=cli.whole(1, 4096), metavar="N",
        help="cores that a run may use; default: all")
    add("--contender", action="append", default=[], metavar="NAME=SCRIPT",
        help="another script that keeps the contract; may be repeated")
    add("--out", type=cli.path, default="results", metavar="DIR", help=" ")
    add("--timeout", type=cli.seconds, default=1800.0, metavar="S",
        help="seconds of wall clock for one run")
    flags.add_settings(parser, datasets=(*data.DATASETS, "auto"))
    return parser


def arguments(argv=None):
    """The command line -> namespace; Fault 2 on nonsense."""
    args, args.chosen = recipe.parsed(
        make_parser(), sys.argv[1:] if argv is None else argv)
    if args.only == "certify" and args.points is None:
        args.points = plan.EVERY_POINT
    if args.points is None:
        args.cuda_points = args.cuda_points or CUDA_POINTS
    for name, value in (QUICK if args.quick else FULL).items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    flags.check_settings(args, args.batch_sizes, "--batch-sizes")
    for name in ("batch_sizes", "seeds"):
        once = list(dict.fromkeys(getattr(args, name)))
        if once != getattr(args, name):
            warn(PROG, f"--{name.replace('_', '-')}: each value is run once")
        setattr(args, name, once)
    args.scripts = plan.find_scripts(args.chosen, args.contender)
    args.points = plan.parse_points(args.points, args.scripts)
    further = plan.parse_points(args.cuda_points, args.scripts,
                                "--cuda-points")
    if environment.accelerators() and args.device != "cpu":
        args.points += [p for p in further if p not in args.points]
    args.cpus = plan.choose_cores(args.threads)
    return args


def main():
    """Arguments, folder, data, frameworks, proof, and only then the grid."""
    args = arguments()
    settings = {name: getattr(args, name) for name in (
        "dataset", "split", "examples", "hidden", "optimizer", "lr", "schedule",
        "precision", "device", "epochs")}
    job_grid = grid.Grid(args.out, settings, args.scripts, args.cpus,
                         args.timeout, args.data_dir, args.chosen.own,
                         args.steps)
    with job_grid.locked():
        report.check_targets(args.out)
        settings["dataset"], job_grid.data_dir = dataset.find_data(
            args.dataset, args.data_dir)
        job_grid.find_weights(args.points,
                              {*args.seeds, certificate.SEED})
        if args.only == "certify":
            return certify(args, job_grid)
        certified, refused = certificate.for_comparison(
            job_grid, args.points, args.batch_sizes, args.chosen.vary)
        floor = limit.flops(job_grid, args.points)
        measurements = probe.Measurements(job_grid, args.points, args.measure)
        records, measured = sweep.run_all(job_grid, measurements, plan.blocks(
            args.points, args.batch_sizes, args.seeds, args.repeats,
            partial(probe.block, args.measure, args.points, args.batch_sizes)),
            dry=args.only in ("audit", "report"))
        proof = certificate.verdict(certified, records, refused)
        verdicts = audit.audit(records, args.chosen.vary, floor)
        drawn = report.write(args.out, records, proof, verdicts,
                             job_grid.script_hashes(), job_grid.machine(),
                             measured, measurements.missing(),
                             pdf=args.only == "report")
    sections = (("Audit", "Parity") if args.only == "audit"
                else args.chosen.sections)
    if args.chosen.title:
        print(f"\n{args.chosen.title}")
    print("\n" + report.terminal_tables(args.out, sections))
    print(f"report   {os.path.join(args.out, 'report.html')}\n"
          f"summary  {os.path.join(args.out, 'summary.md')}\n"
          f"figures  {os.path.join(args.out, 'figures')}")
    return ending(args, records, drawn, proof, audit.unfair(verdicts))


def ending(args, records, drawn, proof, broken):
    """Say on stderr what is wrong, if anything -> exit code."""
    for verdict in broken:
        warn(PROG, f"NOT FAIR: {verdict.rule}: {verdict.words}")
    if not proof[0]:
        warn(PROG, proof[1])
    lost = sum(r["status"] != "ok" for r in records)
    if lost:
        warn(PROG, f"{lost} of {len(records)} runs are not ok: see the reasons "
                   f"in {os.path.join(args.out, 'summary.md')}. Run the same "
                   "command again to try them again")
    if records and all(r["status"] == "unavailable" for r in records):
        return ENVIRONMENT
    return FAILED if lost or not drawn or broken or not proof[0] else OK


def certify(args, job_grid):
    """The certificate alone, for both optimizers."""
    found = certificate.obtain(job_grid, certificate.required(
        {point: {"adam": 1e-3, "sgd": 0.1} for point in args.points},
        args.batch_sizes, job_grid.size()))
    ran = [row for row in found["rows"] if not row.get("unavailable")]
    report.write_certificate(args.out, found, ran)
    print("\n".join(report.aligned(certificate.table(found))))
    print(f"\n{certificate.line(ran)}\n"
          f"figures  {os.path.join(args.out, 'figures')}")
    return OK if ran and all(row["proved"] for row in ran) else FAILED


if __name__ == "__main__":
    cli.guard(main, PROG)
