#!/usr/bin/env python3
"""Compare scripts that train the same network: run, record, tabulate, draw.

    python compare.py        90 runs: 5 variants and a control, 3 sizes, 5 seeds
    python compare.py --quick           8 runs of two epochs
    python compare.py --variants jax:epoch torch:step:host --repeats 5
    python compare.py --recipe recipes/aa.toml

Each run is one fresh process; those of one batch size and seed live together
and train one epoch each in turn. Before the first, a certificate is made that
the variants compute the same; after the last, an audit says whether they were
compared fairly. Finished runs lie in OUT/runs and are not run again; tables
and figures are made anew from them. See docs/using.md for exit codes and for
how to compare a script of your own.
"""

import os
import sys
from functools import partial

import data
from bench.analyse.found import Found
from bench.analyse.gathered import gathered
from bench.kit import cli, flags
from bench.kit.cli import ENVIRONMENT, FAILED, OK, Fault, warn
from bench.kit.rungs import RUNGS
from bench.measure import measures
from bench.measure.registry import MEASURES
from bench.proof import audit, certificate
from bench.report import output
from bench.report.render import as_terminal
from bench.report.sections import SECTIONS
from bench.run import (
    cluster,
    dataset,
    environment,
    folder,
    grid,
    plan,
    recipe,
    sweep,
)

PROG = "compare.py"
FULL = {"variants": plan.every_variant(slow=False), "batch_sizes": [64, 256, 1024],
        "seeds": [0, 1, 2, 3, 4], "epochs": 10}
# The cheap ones: torch.compile takes ten seconds for a step.
QUICK = {"variants": [v for v in FULL["variants"] if v.contender != "torch"
                      or not RUNGS[v.rung].ahead],
         "batch_sizes": [256, 1024], "seeds": [0], "epochs": 2}


def make_parser():
    """Every option of this program."""
    parser = cli.Parser(prog=PROG, description=__doc__, epilog="rungs:\n" + "\n".join(
        f"  {name:6} {rung.text}" for name, rung in RUNGS.items()))
    add = parser.add_argument
    add("--quick", action="store_true",
        help="one seed, two epochs, two batch sizes, the cheap rungs")
    add("--recipe", metavar="FILE", help="take the options from a recipe")
    add("--only", choices=("certify", "audit", "report"),
        help="certify: every rung and feed, no runs; audit: what is done; "
             "report: report.pdf of what is done")
    add("--author", type=cli.line, metavar="NAME", help="of report.pdf")
    add("--variants", nargs="+", metavar="NAME:RUNG[:FEED]",
        help="default: " + " ".join(
            f"{v.contender}:{v.rung}" for v in FULL["variants"]))
    add("--batch-sizes", nargs="+", type=cli.whole(1), metavar="N",
        help="default: 64 256 1024")
    add("--seeds", nargs="+", type=cli.seed, metavar="N",
        help="default: 0 1 2 3 4")
    add("--epochs", type=cli.whole(1, 100_000), metavar="N",
        help="default: 10")
    add("--steps", type=cli.whole(1, 1_000_000), metavar="N",
        help="as many epochs as make about N steps, in place of --epochs")
    add("--repeats", type=cli.whole(1, 10_000), default=1, metavar="N",
        help="runs of each variant, batch size and seed")
    add("--measure", nargs="+", choices=MEASURES, default=[],
        help="beside the runs")
    add("--patience", type=cli.whole(1, 100_000), metavar="N",
        help="tell where each would have stopped: after N epochs without a "
             "better validation accuracy")
    add("--threads", type=cli.whole(1, 4096), metavar="N",
        help="cores that a run may use; default: all")
    add("--contender", action="append", default=[], metavar="NAME=SCRIPT",
        help="another script, which uses bench.kit.program; may be repeated")
    add("--out", type=cli.path, default="results", metavar="DIR", help="of results")
    add("--timeout", type=cli.seconds, default=1800.0, metavar="S",
        help="seconds that a run may work; waiting for its turn is free")
    cluster.add_options(add)
    flags.add_settings(parser, datasets=(*data.DATASETS, "auto"), vision=True)
    return parser


def arguments(argv=None):
    """The command line -> namespace; Fault 2 on nonsense."""
    args, args.chosen = recipe.parsed(
        make_parser(), sys.argv[1:] if argv is None else argv, tuple(SECTIONS))
    args.scripts = plan.find_scripts(args.chosen, args.contender)
    if args.variants is not None:
        args.variants = plan.parse_variants(args.variants, args.scripts)
    elif args.only == "certify":
        args.variants = plan.every_variant()
    for name, value in (QUICK if args.quick else FULL).items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    flags.check_settings(args, args.batch_sizes, "--batch-sizes")
    flags.check_vision(args)
    for name in ("batch_sizes", "seeds"):
        once = list(dict.fromkeys(getattr(args, name)))
        if once != getattr(args, name):
            warn(PROG, f"--{name.replace('_', '-')}: each value is run once")
        setattr(args, name, once)
    if args.only != "certify":  # a certificate says what could not run
        args.variants = with_a_gpu(args)
        args.control = plan.add_control(args.variants, args.scripts,
                                        args.chosen.own, bool(args.network))
    away = args.cluster == "slurm"  # whose nodes have other cores
    args.cpus = None if away else plan.choose_cores(args.threads)
    if args.cluster != "off" and args.measure:
        raise Fault(cli.USAGE, "argument --measure: not with --cluster")
    if args.network and (dense := [kind for kind in args.measure
                                   if not MEASURES[kind].networks]):
        raise Fault(cli.USAGE, f"argument --measure: {dense[0]} is of the perceptron, "
                               "and --network asks for another")
    args.units = cluster.units(args.batch_sizes, args.seeds, args.repeats)
    if args.block is not None:
        args.block = cluster.parse(args.block, args.units)
    return args


def with_a_gpu(args):
    """The variants, without those that need an NVIDIA GPU where there is none
    or another device was asked for; Fault 4 if none is left."""
    if args.block:  # the submitter has decided; what cannot run here says so
        return [*args.variants]
    here = args.device != "cpu" and (
        args.gres if args.cluster == "slurm" else environment.accelerators())
    without = [v for v in args.variants if RUNGS[v.rung].gpu and not here]
    if without == args.variants:
        raise Fault(ENVIRONMENT, f"{without[0]} needs an NVIDIA GPU. Choose "
                                 "other --variants")
    if without:
        warn(PROG, f"left out, because they need an NVIDIA GPU: "
                   f"{', '.join(map(str, without))}")
    return [v for v in args.variants if v not in without]


def main():
    """Arguments, folder, data, frameworks, proof, and only then the runs."""
    args = arguments()
    settings = {name: getattr(args, name) for name in (
        "dataset", "split", "examples", "hidden", "optimizer", "lr", "schedule",
        "precision", "device", "epochs", "network", "work", "size", "evaluate")}
    runs = grid.Grid(args.out, settings, args.scripts, args.cpus, args.timeout,
                     args.data_dir, args.chosen.own, args.steps)
    runs.members = args.variants
    with folder.locked(runs.out):
        output.check_targets(runs.out)
        settings["dataset"], runs.data_dir = dataset.find_data(
            args.dataset, args.data_dir)
        if spread(args, runs):
            found = of_many(args, runs)
        else:
            seeds = args.seeds
            if args.block:
                seeds = [args.block.seed, *certificate.beside(args.seeds)]
                runs.shared = runs.out.parent.parent / "certificates"
            runs.find_weights(args.variants, {*seeds, certificate.SEED})
            if args.only == "certify":
                return certify(args, runs)
            found = compare(args, runs)
            if args.block:  # its records are what counts
                return ending(args, found, True)
        drawn = output.write(runs.out, found, args.only == "report", args.author)
    sections = (("Audit", "Parity") if args.only == "audit"
                else args.chosen.sections)
    if args.chosen.title:
        print(f"\n{args.chosen.title}")
    print(f"\n{output.printed(found, sections)}")
    for name, file in (("report", "report.html"), ("summary", "summary.md"),
                       ("figures", "figures"), ("paper", "report.pdf"))[
                           :4 if args.only == "report" else 3]:
        print(f"{name:8} {os.path.join(args.out, file)}")
    return ending(args, found, drawn)


def spread(args, runs):
    """Is or was it run by jobs of a cluster?"""
    return not args.block and args.only != "certify" and (
        args.cluster != "off" or args.only and (runs.out / "blocks").is_dir()
        and not any(runs.runs.glob("*.json")))


def of_many(args, runs):
    """Jobs, as far as something is missing, and what they have left -> Found."""
    args.place = cluster.place_of(runs, args)
    if not args.only:
        cluster.run(runs, args, sys.argv[1:])
    records, proof, peak = gathered(runs, args)
    return Found(records, proof, audit.audit(
        records, args.chosen.vary, peak, nodes=True, forms=certificate.forms(runs)),
        runs.script_hashes(), control=args.control, patience=args.patience)


def compare(args, runs):
    """Certificate, runs, measurements, audit -> Found."""
    certified, refused = certificate.for_comparison(
        runs, [v for v in args.variants if v.contender != args.control],
        args.batch_sizes, args.seeds, args.chosen.vary)
    peak = measures.peak_flops(runs, args.variants)
    measurements = measures.Measurements(runs, args.variants, args.measure)
    dry = args.only in ("audit", "report")
    groups = plan.together(args.variants, runs.at_once(
        args.variants, max(args.batch_sizes), dry))
    if len(groups) > 1 and len(groups[0]) == 1:
        warn(PROG, "the GPU admits one process at a time (compute mode "
                   "Exclusive_Process): runs follow each other and take no turns. "
                   "For turns: nvidia-smi --compute-mode DEFAULT")
    elif len(groups) > 1:
        warn(PROG, f"{len(args.variants)} runs do not fit into the memory together: "
                   f"{len(groups[0])} at a time, {groups[0][0]} among each of them")
    blocks = plan.blocks(
        groups, args.batch_sizes, args.seeds, args.repeats,
        partial(measures.block, args.measure, args.variants, args.batch_sizes))
    if args.block:
        blocks = [one for one in blocks if args.block.holds(one, args.repeats)]
    records, measured = sweep.run_all(
        runs, measurements, blocks, output.line, dry=dry)
    proof = certificate.verdict(certified, [
        r for r in records if r["contender"] != args.control], refused)
    return Found(records, proof,
                 audit.audit(records, args.chosen.vary, peak,
                             forms=certificate.forms(runs)),
                 runs.script_hashes(), measured, measurements.missing(),
                 args.control, args.patience)


def ending(args, found, drawn):
    """Say on stderr what is wrong, if anything -> exit code."""
    for verdict in found.unfair:
        warn(PROG, f"NOT FAIR: {verdict.rule}: {verdict.words}")
    proved, words, _ = found.proof
    if not proved:
        warn(PROG, words)
    lost = len(found.records) - len(found.done)
    if lost:
        warn(PROG, f"{lost} of {len(found.records)} runs are not ok: see the "
                   f"reasons in {os.path.join(args.out, 'summary.md')}. Run "
                   "the same command again to try them again")
    if not found.records:
        warn(PROG, f"no run of these flags lies in {args.out!r}. Leave out "
                   "--only to run them")
        return FAILED
    if {r["status"] for r in found.records} == {"unavailable"}:
        return ENVIRONMENT
    return FAILED if lost or not drawn or found.unfair or not proved else OK


def certify(args, runs):
    """The certificate alone, for both optimizers."""
    rates = {"sgd": args.lr} if args.network else certificate.rates(runs.settings)
    made = certificate.obtain(runs, certificate.required(
        dict.fromkeys(args.variants, rates), args.batch_sizes, runs.size(),
        args.seeds, certificate.references(runs, args.variants),
        brief=bool(args.network)))
    # What others are held against may differ from the pair, and says how far.
    ran = [row for row in made["rows"] if not row.get("unavailable")
           and certificate.variant_of(row) in args.variants]
    proved = bool(ran) and all(row["proved"] for row in ran)
    found = Found([], (proved, certificate.line(ran), made), [], {})
    output.draw_all(runs.out, found)
    print(f"{as_terminal(SECTIONS['Parity'](found))}\n\n{found.proof[1]}\n"
          f"figures  {os.path.join(args.out, 'figures')}")
    return OK if proved else FAILED


if __name__ == "__main__":
    cli.guard(main, PROG)
