"""A comparison on many machines: each block is a job of a cluster, on one node.

A job runs compare.py with the same flags and --block, into a folder of its own,
OUT/blocks/KEY/…, so that runs which are compared were alive together on one node and
no two jobs write in one place; KEY stands for settings, code and versions, as the
name of a record does elsewhere. What is done is known from the records there alone: a
scheduler may forget a job, or take a dead one for alive. Jobs are sent through
submitit (Slurm, or processes of this machine), an optional package.
"""

import importlib.util
import math
import os
import shutil
import subprocess
import sys
import time
from itertools import product
from typing import NamedTuple

from bench.kit import files
from bench.kit.cli import ENVIRONMENT, USAGE, Fault, Stopped, clean, warn, whole, word
from bench.run import folder, plan, record

PROG = "compare.py"
POLL_S, LATE_S = 2.0, 30.0  # between two looks; how late a record may be seen
SKEW_S = 60.0               # between the clocks of two nodes
MOST = 1000                 # jobs of one submission: Slurm's default limit is 1001


def add_options(add):
    """Those of --cluster; add: a parser's add_argument."""
    add("--cluster", choices=("off", "slurm", "local", "debug"), default="off",
        help="each block a job of its own on one node, through submitit; local: "
             "processes of this machine, one after the other; debug: in this one")
    add("--partition", type=word, metavar="NAME", help="of Slurm")
    add("--gres", type=word, metavar="TEXT", help="of Slurm, as gpu:1")
    add("--time", type=whole(1, 100_000), default=60, metavar="MIN",
        help="minutes that a job may take")
    add("--jobs", type=whole(1, 100_000), default=16, metavar="N",
        help="of Slurm that run at once, at most")
    add("--block", metavar="SIZE:SEED:REPEAT",
        help="this one alone: what a job of --cluster does")


class Unit(NamedTuple):
    """The runs of one job, a block: a batch size, a seed and a repeat."""

    batch_size: int
    seed: int
    repeat: int

    def __str__(self):
        return f"{self.batch_size}:{self.seed}:{self.repeat}"

    def folder(self, place):
        """Where its job works; place: that of the comparison."""
        return place / f"b{self.batch_size}_s{self.seed}_r{self.repeat}"

    def holds(self, block, repeats):
        """Is this block of plan.blocks() of it? Where memory makes groups, some runs
        of it are further repeats."""
        return any((job.batch_size, job.seed, job.repeat % repeats) == self
                   for job in block.jobs)


def place_of(grid, args):
    """Where the jobs of a comparison work, each in a folder of its own."""
    codes = {name: grid.code(name) for name in {v.contender for v in args.variants}}
    return grid.out / "blocks" / files.digest([
        grid.settings, grid.steps, grid.own, args.threads,
        sorted(map(str, args.variants)), {name: [
            code["files"], code["versions"], code["python"]]
            for name, code in codes.items()}])


def units(batch_sizes, seeds, repeats):
    """All of a comparison, in its order."""
    return [Unit(size, seed, repeat) for repeat, seed, size in product(
        range(repeats), seeds, batch_sizes)]


def parse(text, every):
    """'64:0:0' -> that Unit of `every`; Fault 2 if it is none of this comparison."""
    for unit in every:
        if str(unit) == text:
            return unit
    raise Fault(USAGE, f"argument --block: {clean(text)!r} is not SIZE:SEED:REPEAT of "
                       "this comparison, as 64:0:0")


# ------------------------------------------------------------ what is done

def found(grid, unit, args):
    """[record] of a unit: those of its folder that answer this request, of each run
    the newest; a record that cannot be believed is none. Where memory made groups,
    the variant that all have in common has further repeats."""
    records = {}
    for variant in args.variants:
        for place in range(len(args.variants)):
            job = plan.Job(variant, unit.batch_size, unit.seed,
                           unit.repeat + args.repeats * place)
            # Whatever machine the node is.
            paths = (unit.folder(args.place) / "runs").glob(f"{grid.stem(job)}_*.json")
            for path in paths:
                try:
                    one = record.read(path)
                    grid.agree(one, job, contender=variant.contender,
                               repeat=job.repeat)
                except (files.BadFile, OSError):
                    continue
                if job not in records or (one["block_started_unix_s"]
                                          > records[job]["block_started_unix_s"]):
                    records[job] = one
            if job not in records:
                break
    return list(records.values())


def finished(records, args, since=math.inf):
    """Did each run of a unit end in a final state, or can it not be run there, as a
    job has found since then (seconds of Unix)?"""
    return {*args.variants} == {*map(plan.Variant.of, records)} and all(
        r["status"] in record.FINAL or r["status"] == "unavailable"
        and r["block_started_unix_s"] > since for r in records)


# -------------------------------------------------------------- submitting

def executor(args, words):
    """submitit's, for --cluster and the flags beside it, which keeps what jobs say in
    the folder `words`. Fault 4 without it, and where
    there is no Slurm."""
    if importlib.util.find_spec("submitit") is None:
        raise Fault(ENVIRONMENT, "argument --cluster: needs the package submitit: "
                    f"{sys.executable} -m pip install -r requirements-cluster.txt")
    if args.cluster == "slurm" and not (shutil.which("sbatch")
                                        and shutil.which("squeue")):
        raise Fault(ENVIRONMENT, "argument --cluster: slurm: sbatch and squeue are not "
                                 "on PATH")
    import submitit
    made = submitit.AutoExecutor(folder=words, cluster=args.cluster)
    made.update_parameters(
        name="compare", timeout_min=args.time, nodes=1, tasks_per_node=1)
    if args.cluster == "slurm":
        made.update_parameters(
            slurm_array_parallelism=args.jobs, slurm_signal_delay_s=1,
            slurm_exclusive=True, slurm_gres=args.gres, slurm_partition=args.partition,
            slurm_use_srun=False)  # which would bind the job to one of its cores
    return made


def command(grid, unit, args, argv):
    """What a job runs: the same flags, what was made of them here, one block, its
    folder."""
    local = [] if args.cluster == "slurm" else [
        # submitit takes its GPUs from a local job that does not ask for some.
        "env", f"CUDA_VISIBLE_DEVICES={seen}" if (seen := os.environ.get(
            "CUDA_VISIBLE_DEVICES")) is not None else "--unset=CUDA_VISIBLE_DEVICES"]
    return [*local, sys.executable, str(files.ROOT / PROG), *argv, "--cluster", "off",
            "--dataset", grid.settings["dataset"], "--data-dir", str(grid.data_dir),
            "--variants", *(v.text for v in args.variants
                            if v.contender != args.control),
            "--block", str(unit), "--out", str(unit.folder(args.place).resolve())]


def alive(known, args):
    """The units whose jobs are waiting or running; known: {unit: job, or the number
    of one that another process has sent}."""
    if args.cluster != "slurm":  # of another process: who works holds the folder
        return {unit for unit, job in known.items() if (
            folder.held(unit.folder(args.place)) if isinstance(job, str)
            else not job.done())}
    if not known:
        return set()
    asked = subprocess.run(
        ["squeue", "--noheader", "--array", "--format=%i", "--user", str(os.getuid())],
        capture_output=True, text=True)
    queued = set(asked.stdout.split())
    if asked.returncode:  # the controller is away: nothing is known
        return set(known)
    return {unit for unit, job in known.items()
            if (job if isinstance(job, str) else job.job_id) in queued}


class Sent:
    """The jobs of a comparison, those of an earlier call of the command, too."""

    def __init__(self, grid, args, argv):
        self.grid, self.args, self.argv = grid, args, argv
        self.file = grid.out / "jobs" / f"{args.cluster}.json"
        self.kept = files.read_json(self.file).get("jobs", {})
        self.known = {unit: self.kept[self._name(unit)] for unit in args.units
                      if self._name(unit) in self.kept}
        self.told = {}  # of this call

    def _name(self, unit):
        return f"{self.args.place.name} {unit}"

    def send(self, wanted):
        """Submit these units, at once where the cluster has a queue."""
        words = self.grid.out / "jobs" / time.strftime("%Y%m%d-%H%M%S")
        files.make_folder(words)
        for start in range(0, len(wanted), MOST):
            group = wanted[start:start + MOST]
            made = executor(self.args, words)
            try:
                with made.batch():
                    jobs = [made.submit(subprocess.call, command(
                        self.grid, unit, self.args, self.argv), cwd=os.getcwd())
                        for unit in group]
            except Exception as error:  # submitit's own: sbatch said no
                raise Fault(ENVIRONMENT, f"argument --cluster: {clean(error, 300)}"
                            ) from error
            self.known.update(zip(group, jobs))
            self.told.update(zip(group, jobs))
            self.kept.update({self._name(unit): job.job_id
                              for unit, job in zip(group, jobs)})
            files.write_atomic(self.file, files.dumps({"jobs": self.kept}))

    def words(self, unit):
        """The last line that a job of this call has left."""
        job = self.told.get(unit)
        for path in (job.paths.stderr, job.paths.stdout) if job else ():
            try:
                lines = path.read_text("utf-8", "replace").strip().splitlines()
            except OSError:
                continue
            if lines:
                return clean(lines[-1], 200)
        return "it left no words"


def run(grid, args, argv):
    """Send what is missing and wait for it, a line for each block. What is lost stays
    missing: the same command sends it again. Ctrl-C leaves the jobs running."""
    every = args.units
    left = [unit for unit in every if not finished(found(grid, unit, args), args)]
    sent, begin, since = Sent(grid, args, argv), time.monotonic(), time.time()
    print(f"{len(every)} blocks, {len(every) - len(left)} of them done", flush=True)
    # Slurm has a queue; on this machine one job at a time is honest.
    room = len(every) if args.cluster == "slurm" else 1
    gone, waiting = {}, list(left)
    try:
        while left:
            busy = alive({u: j for u, j in sent.known.items() if u in left}, args)
            fresh = [u for u in waiting if u not in busy][:max(0, room - len(busy))]
            waiting = [u for u in waiting if u not in fresh and u not in busy]
            if fresh:
                sent.send(fresh)
                busy |= {*fresh}
            now = time.monotonic()  # a job that is queued again is not gone
            gone = {unit: gone.get(unit, now) for unit in left
                    if unit not in busy and unit not in waiting}
            for unit in list(left):
                records = found(grid, unit, args)
                if done := finished(records, args, since - SKEW_S):
                    ok = sum(one["status"] == "ok" for one in records)
                    words = f"{ok} of {len(records)} runs finished"
                elif now - gone.get(unit, now) > grace(args.cluster):
                    words = f"not finished: {sent.words(unit)}"
                else:
                    continue
                left.remove(unit)
                told(every, left, unit, words, begin, done)
            time.sleep(POLL_S if left else 0)
    except Stopped:
        follow(sent, args.cluster)
        raise


def grace(cluster):
    """How long a job that is gone may still have a record on its way: a shared folder
    shows other machines' files late."""
    return LATE_S if cluster == "slurm" else POLL_S


def told(every, left, unit, words, begin, done):
    """A line for a block that is over."""
    passed, over = time.monotonic() - begin, len(every) - len(left)
    rest = passed / max(1, over) * len(left) / 60
    say = print if done else lambda text, **_: warn(PROG, text)
    say(f"[{over}/{len(every)}] batch {unit.batch_size}, seed {unit.seed}: {words}"
        + (f"   ({rest:.0f} min left)" if rest >= 1 else ""), flush=True)


def follow(sent, cluster):
    """How to go on after Ctrl-C."""
    numbers = " ".join(sorted({str(getattr(job, "job_id", job)).partition("_")[0]
                               for job in sent.known.values()}))
    warn(PROG, f"the jobs go on. The same command follows them; scancel {numbers} ends "
               "them" if cluster == "slurm" else "the same command goes on from there")
