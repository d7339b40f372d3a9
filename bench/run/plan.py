"""The runs of a comparison before any is started: variants, jobs, their order."""

import os
import re
from itertools import product
from pathlib import Path
from typing import NamedTuple

from bench.kit.cli import ENVIRONMENT, USAGE, Fault, clean
from bench.kit.rungs import JAX, RUNGS, TORCH
from bench.run import environment

SCRIPTS = {"jax": JAX, "torch": TORCH}
FRAMEWORKS = {path: name for name, path in SCRIPTS.items()}
FEEDS = ("device", "host")
ORDER_SEED = 0  # of the order of turns; stands in every record
AGAIN = "-again"  # names the second run of a script that has one already


class Variant(NamedTuple):
    """What is compared: a contender, its rung and its feed."""

    contender: str
    rung: str
    feed: str

    def __str__(self):
        return f"{self.contender} {self.rung}" + (
            " (host feed)" if self.feed == "host" else "")

    @classmethod
    def of(cls, record):
        """That of a run."""
        return cls(record["contender"], record["config"]["rung"],
                   record["config"]["feed"])

    @property
    def text(self):
        """As --variants has it."""
        return f"{self.contender}:{self.rung}" + ":host" * (self.feed == "host")

    def script(self, scripts):
        """The program that has this rung; scripts: {contender: path}."""
        path = scripts[self.contender]
        if not self.rung:  # a measurement of a framework, not of a rung
            return path
        return RUNGS[self.rung].scripts.get(FRAMEWORKS.get(path), path)


def every_variant(slow=True):
    """All rungs and feeds of the pair; or those that `make all` runs: no slow
    ones, and only data on the device."""
    return [Variant(framework, rung, feed) for framework in SCRIPTS
            for rung, known in RUNGS.items() if framework in known.scripts
            for feed in FEEDS[:1 + (slow and known.host)]
            if slow or framework not in known.slow]


class Job(NamedTuple):
    """One run of the grid."""

    variant: Variant
    batch_size: int
    seed: int
    repeat: int

    def __str__(self):
        return f"{self.variant}, batch {self.batch_size}, seed {self.seed}"


def parse_variants(texts, scripts):
    """['jax:step', 'torch:eager:host', …] -> Variants; Fault 2 on nonsense."""
    known = {f"{name}:{rung}{end}": Variant(name, rung, feed)
             for name in scripts for rung in RUNGS for end, feed in (
                 ("", "device"), (":device", "device"), (":host", "host"))
             if feed == "device" or RUNGS[rung].host}
    for text in texts:
        if text not in known:
            alone = [name for name, rung in RUNGS.items() if not rung.host]
            raise Fault(USAGE, f"argument --variants: {clean(text)!r} is not "
                        f"NAME:RUNG or NAME:RUNG:FEED with NAME in "
                        f"{', '.join(scripts)}, RUNG in {', '.join(RUNGS)}, "
                        f"FEED {' or '.join(FEEDS)} ({', '.join(alone)}: "
                        "device only)")
    return list(dict.fromkeys(known[text] for text in texts))


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
            text = clean(f"{name}={path}")
            raise Fault(USAGE, f"argument {option}: {text!r} is not NAME=SCRIPT "
                        "with NAME of a-z, 0-9 and -")
        scripts[name] = Path(path).resolve()
        if not os.path.isfile(scripts[name]):
            raise Fault(ENVIRONMENT, f"argument {option}: {path!r} is not a "
                                     "file. Give the path of the script")
    return scripts


def choose_cores(count):
    """The first `count` cores that this process may use; None: all."""
    allowed = environment.affinity() or []
    if (count or 0) > len(allowed):
        raise Fault(USAGE, f"argument --threads: {count}: of {len(allowed)} "
                           "cores that can be chosen")
    return allowed[:count] if count else None


def seconds(variant, batch_size, epochs):
    """What a run takes, roughly, on two cores: start, compilation and waiting
    until it sleeps, then each epoch. The more a rung hands over, the less it
    takes."""
    rung = RUNGS[variant.rung]
    start = 20 if variant.contender == "torch" and rung.ahead else 8
    return start + epochs * (0.3 + 20 / batch_size) * (
        30 if variant.contender in rung.slow else 0.5 if rung.whole else 1)


def estimate(todo):
    """[(job, epochs)] -> words for how long that takes. The seconds are rough
    ones of a two-core CPU: start and compilation, then each epoch."""
    if not todo:
        return ""
    minutes = max(1, round(sum(seconds(job.variant, job.batch_size, epochs)
                               for job, epochs in todo) / 60))
    return (f": about {minutes} min on two cores"
            + " (the short way: make quick)" * (minutes > 3))


class Block(NamedTuple):
    """The runs of one batch size, one seed and one repeat, which take turns;
    number: of its seed and repeat, over all batch sizes; beside: what is
    measured with them."""

    number: int
    jobs: list
    beside: list

    @property
    def playing(self):
        """What takes turns with the runs; the rest is measured before."""
        return [probe for probe in self.beside if probe.turns]


def together(variants, most):
    """Who is alive at the same time -> lists of variants: all of them, or `most` in
    each, and the cheapest of all in every list: through it all can be compared. One
    in each where a second is not admitted."""
    if most >= len(variants):
        return [variants]
    if most == 1:
        return [[variant] for variant in variants]
    common = min(variants, key=lambda v: seconds(v, 256, 10))
    rest = [variant for variant in variants if variant != common]
    return [[common, *rest[n:n + most - 1]] for n in range(0, len(rest), most - 1)]


def blocks(groups, batch_sizes, seeds, repeats, beside):
    """All jobs -> [Block, …], the batch sizes of a number one after the other, and
    the groups of a batch size. beside(seed, repeat, first): what else belongs to a
    number; it is measured with the first group, or before it where each is alone. A
    variant of several groups runs in each, as further repeats."""
    if len(groups) > 1 and max(map(len, groups)) == 1:
        groups = [[], *groups]
    result = []
    for number, (repeat, seed) in enumerate(product(range(repeats), seeds)):
        more = beside(seed, repeat, number == 0)
        for size, (place, group) in product(batch_sizes, enumerate(groups)):
            again = [repeat + repeats * place * any(
                variant in other for other in groups[:place]) for variant in group]
            result.append(Block(
                number, [Job(variant, size, seed, one)
                         for variant, one in zip(group, again)],
                [probe for probe in more if place == 0
                 and (probe.batch_size or batch_sizes[0]) == size]))
    return [block for block in result if block.jobs or block.beside]


def add_control(variants, scripts, own, large=False):
    """Put a variant of the comparison into it under a second name, as cheap
    as there is: what two runs of one script differ by is what this machine
    cannot tell apart. Not where two are one already, or nothing is compared.
    own: the settings of each contender, {name: dict}; large: a network that takes
    minutes to compile, so one that is not compiled is cheap -> its name, or None."""
    same = [(v.script(scripts), v.rung, v.feed, own.get(v.contender))
            for v in variants]
    if len(same) == 1 or any(same.count(one) > 1 for one in same):
        return None
    cheapest = min(variants, key=lambda v: (
        large and RUNGS[v.rung].ahead, seconds(v, 256, 10)))
    name = f"{cheapest.contender}{AGAIN}"
    for table in (scripts, own):
        if cheapest.contender in table:
            table[name] = table[cheapest.contender]
    variants.append(cheapest._replace(contender=name))
    return name


def flags(settings):
    """{name: value} -> the flags of a script; None and "" are left out."""
    words = []
    for name, value in settings.items():
        option = f"--{name.replace('_', '-')}"
        if isinstance(value, list):
            words += [option, *map(str, value)]
        elif value not in (None, ""):
            words.append(f"{option}={value}")
    return words
