"""The runs of a comparison before any is started: points, jobs, their order."""

import os
import random
import re
from pathlib import Path
from typing import NamedTuple

from bench import environment
from bench.cli import ENVIRONMENT, USAGE, Fault, clean
from bench.flags import RUNGS

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = {"jax": ROOT / "mlp_jax.py", "torch": ROOT / "mlp_torch.py"}
ORDER_SEED = 0  # of the order of runs; stands in every record


class Point(NamedTuple):
    """What is compared: a contender, its rung and its feed."""

    contender: str
    mode: str
    feed: str

    def __str__(self):
        return f"{self.contender} {self.mode}" + (
            " (host feed)" if self.feed == "host" else "")


# Every rung and feed; what a machine lacks is said to be unavailable there.
EVERY_POINT = [f"{name}:{mode}{feed}" for name in SCRIPTS for mode, feed in (
    ("eager", ""), ("step", ""), ("epoch", ""), ("eager", ":host"),
    ("step", ":host"))]


class Job(NamedTuple):
    """One run of the grid."""

    point: Point
    batch_size: int
    seed: int
    repeat: int


def parse_points(texts, scripts, option="--points"):
    """['jax:step', 'torch:eager:host', …] -> Points; Fault 2 on nonsense."""
    points = []
    for text in texts:
        parts = text.split(":")
        parts += ["device"] * (len(parts) == 2)
        name, mode, feed = parts if len(parts) == 3 else ("", "", "")
        if (name not in scripts or mode not in RUNGS
                or feed not in ("device", "host")
                or (mode, feed) == ("epoch", "host")):
            raise Fault(USAGE, f"argument {option}: {clean(text)!r} is not "
                        f"NAME:RUNG or NAME:RUNG:FEED with NAME in "
                        f"{', '.join(scripts)}, RUNG in {', '.join(RUNGS)}, "
                        "FEED device or host (epoch: device only)")
        points.append(Point(name, mode, feed))
    return list(dict.fromkeys(points))


def find_scripts(recipe, texts):
    """The pair, the contenders of a recipe and ['name=path', …] of
    --contender -> {name: Path}; Fault 2 or, where there is no script, 4."""
    scripts = dict(SCRIPTS)
    for name in recipe.own:
        if name not in {**SCRIPTS, **recipe.scripts}:
            raise Fault(USAGE, f"argument --recipe: [{clean(name)}] has no "
                               f"script and is not one of {', '.join(SCRIPTS)}")
    named = [("--recipe", *item) for item in recipe.scripts.items()] + [
        ("--contender", *text.partition("=")[::2]) for text in texts]
    for option, name, path in named:
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}", name) or not path:
            raise Fault(USAGE, f"argument {option}: {clean(name)!r}, "
                        f"{clean(path)!r} is not NAME=SCRIPT with NAME of "
                        "a-z, 0-9 and -")
        scripts[name] = Path(path).resolve()
        if not os.path.isfile(scripts[name]):
            raise Fault(ENVIRONMENT, f"argument {option}: {path!r} is not a "
                                     "file. Give the path of the script")
    return scripts


def choose_cores(count):
    """The first `count` cores that this process may use; None: all."""
    allowed = environment.affinity()
    if count is None:
        return None
    if allowed is None or count > len(allowed):
        raise Fault(USAGE, f"argument --threads: {count}: this system lets "
                    f"{'no' if allowed is None else len(allowed)} cores be "
                    "chosen")
    return allowed[:count]


def estimate(todo):
    """[(job, epochs)] -> words for how long that takes. The seconds are rough
    ones of a two-core CPU: start and compilation, then each epoch."""
    if not todo:
        return ""
    seconds = sum(
        (20 if (job.point.contender, job.point.mode) == ("torch", "step")
         else 5) + epochs * (0.3 + 20 / job.batch_size)
        * (30 if (job.point.contender, job.point.mode) == ("jax", "eager")
           else 1) for job, epochs in todo)
    minutes = max(1, round(seconds / 60))
    return (f": about {minutes} minute{'s' * (minutes > 1)} on two cores"
            + (" (the short way: make quick)" if minutes > 3 else ""))


def blocks(points, batch_sizes, seeds, repeats, beside=None):
    """All jobs in blocks [[Job, …], …]. A block is every point and batch size
    of one repeat and seed, shuffled: neighbours in time, so that drift of the
    machine hits all alike and ratios are taken inside a block.
    beside(seed, repeat, first): what else belongs into it."""
    shuffle = random.Random(ORDER_SEED).shuffle
    result = []
    for repeat in range(repeats):
        for seed in seeds:
            block = [Job(point, size, seed, repeat)
                     for point in points for size in batch_sizes]
            if beside:
                block += beside(seed, repeat, not result)
            shuffle(block)
            result.append(block)
    return result
