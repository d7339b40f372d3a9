"""What was timed is compared, too: the losses and accuracies of the runs that
a comparison timed, in the precision and with the optimizer that it timed.

The certificate looks at other runs of the same programs. Here runs with the
same weights and batches are held beside each other: their first losses agree
to rounding, later ones part, because rounding grows from step to step, and
what is left is how far chance may move a mean.
"""

import math

import numpy as np

from bench.proof.judging import differences, most, rounding
from bench.proof.rules import UNFAIR, grouped, judged

STEPS = 20  # that are compared one by one
# Of the networks of vision/, whose BatchNorm makes rounding large where a channel of
# a batch is all but constant. Seen on a processor with batches of 8, between JAX,
# PyTorch and its other layout in memory: 5.0e-5 in the first step of ResNet-50, 8.9e-3
# in the second at a rate of 1e-3, 6.1e-2 in the first nine.
LARGE = ((1, 1e-4), (2, 3e-2), (20, 3e-1))
# Standard errors of a fraction, and of a mean loss whose spread is about 1.
# Seen in 300 pairs of runs of ten epochs: 4.4 of a fraction, 0.8 of a loss.
CHANCE, SPREAD = 10, 4


def _who(r):
    """Runs that agree in this train the same network on the same batches."""
    config = {name: value for name, value in r["config"].items()
              if name not in ("rung", "feed", "device", "dropout")}
    return str((sorted(config.items()), r.get("init_sha256"), r.get("order_sha256"),
                r["dataset"].get("sha256")))


def _first(r, beside):
    """The first steps, before rounding has grown."""
    other, count = beside
    gaps = differences(*(one["steps"]["loss"][:count] for one in (r, other)))
    config = r["config"]
    for steps, allowed in LARGE if config.get("network") else rounding(
            config["optimizer"], config["lr"]):
        if (gap := most(gaps[:steps])) > allowed:
            return (f"a loss of its first {len(gaps[:steps])} steps is "
                    f"{gap:.1e} from {_short(other)}'s, allowed {allowed:.0e}")


def _means(r, other):
    """The mean loss of every epoch, on each part of the data."""
    for mine, theirs in zip(r["epochs"], other["epochs"]):
        for part in ("train", "val", "test"):
            # A network of 1,000 classes begins near a loss of 7, and what single
            # images add to it spreads as much more.
            scale = max(1, theirs[f"{part}_loss"]) if r["config"].get("network") else 1
            allowed = scale * SPREAD / math.sqrt(r["dataset"]["sizes"][part])
            gap = abs(mine[f"{part}_loss"] - theirs[f"{part}_loss"])
            if gap > allowed:
                return (f"the mean {part} loss of epoch {mine['epoch']} is "
                        f"{gap:.2g} from {_short(other)}'s, allowed "
                        f"{allowed:.2g}")


def _accuracies(r, other):
    """Accuracies of every epoch, on each part of the data."""
    for mine, theirs in zip(r["epochs"], other["epochs"]):
        for part in ("train", "val", "test"):
            q, p = (one[f"{part}_accuracy"] for one in (mine, theirs))
            if None in (p, q):
                continue
            n, gap = r["dataset"]["sizes"][part], abs(p - q)
            # Of a set that is all but right, one in a hundred may be wrong.
            spread = math.sqrt(max(p * (1 - p), 0.01) / n)
            if gap > CHANCE * spread:
                return (f"the {part} accuracy after epoch {mine['epoch']} is "
                        f"{100 * gap:.2g} percentage points from "
                        f"{_short(other)}'s, allowed "
                        f"{100 * CHANCE * spread:.2g}")


def _short(r):
    return f"{r['contender']} {r['config']['rung']}"


# As WITHIN in rules.py; a check is of a run beside that of its group which is
# nearest to all the others; of first losses, beside that and how many are compared.
RULES = (
    ("the first losses agree", _first, UNFAIR, "to rounding",
     "what it computes only in the run that was timed: its precision, its "
     "first batches, its update"),
    ("the mean losses agree", _means, UNFAIR, "as near as chance would be",
     "batches or steps that are left out after the first"),
    ("the accuracies agree", _accuracies, UNFAIR, "as near as chance would be",
     "which weights and images are evaluated"),
)


def losses(done, forms):
    """A Verdict a rule; done: finished records; forms: {contender: that whose form of
    Adam it has, where it is another}: after the first loss, losses are held beside
    those of the same form. Not judged are TF32 and bfloat16, of which it is not known
    here how far their rounding may go, loops that are a library's own, which trains on
    batches of its own, and dropout, whose masks each library draws by itself."""
    done = [r for r in done if r["steps"]["loss"] and not r["config"].get("dropout")
            and r["config"]["precision"] not in ("tf32", "bf16")]

    def alike(r):
        form = r["config"]["optimizer"] == "adam" and forms.get(r.get("contender"))
        return _who(r), form
    pairs = _beside(done, _who)
    first = [*((r, (other, STEPS)) for r, other in _beside(done, alike)),
             *((r, (other, 1)) for r, other in pairs if alike(r) != alike(other))]
    return [judged(entry, first if entry[1] is _first else pairs) for entry in RULES]


def _beside(done, who):
    """[(a run, that of its group which is nearest to all the others)]"""
    pairs = []
    for members in grouped(done, who):
        nearest = min(members, key=lambda r: sum(
            np.sum(differences(*(one["steps"]["loss"][:STEPS]
                                 for one in (r, other))))
            for other in members))
        pairs += [(r, nearest) for r in members if r is not nearest]
    return pairs
