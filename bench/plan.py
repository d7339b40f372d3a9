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
# The rung that is a program of its own, beside the lesson.
GRAPH = ROOT / "recipes" / "torch_graph.py"
ORDER_SEED = 0  # of the order of runs; stands in every record


class Point(NamedTuple):
    """What is compared: a contender, its rung and its feed."""

    contender: str
    rung: str
    feed: str

    def __str__(self):
        return f"{self.contender} {self.rung}" + (
            " (host feed)" if self.feed == "host" else "")

    def script(self, scripts):
        """The program that has this rung; scripts: {contender: path}."""
        path = scripts[self.contender]
        return GRAPH if self.rung == "graph" and (
            path == SCRIPTS["torch"]) else path


# Every rung and feed; what a machine lacks is said to be unavailable there.
EVERY_POINT = ["jax:eager", "jax:step", "jax:epoch", "jax:eager:host",
               "jax:step:host", "torch:eager", "torch:model", "torch:step",
               "torch:eager:host", "torch:model:host", "torch:step:host",
               "torch:graph"]
NO_HOST = ("epoch", "graph")  # they take all the data at once


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
        name, rung, feed = parts if len(parts) == 3 else ("", "", "")
        if (name not in scripts or rung not in RUNGS
                or feed not in ("device", "host")
                or rung in NO_HOST and feed == "host"):
            raise Fault(USAGE, f"argument {option}: {clean(text)!r} is not "
                        f"NAME:RUNG or NAME:RUNG:FEED with NAME in "
                        f"{', '.join(scripts)}, RUNG in {', '.join(RUNGS)}, "
                        "FEED device or host (epoch, graph: device only)")
        points.append(Point(name, rung, feed))
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
        (20 if job.point.rung in ("model", "step")
         and job.point.contender == "torch" else 5)
        + epochs * (0.3 + 20 / job.batch_size)
        * (30 if (job.point.contender, job.point.rung) == ("jax", "eager")
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
