"""Which of two is faster or better, and how sure that is: in codes, whose
words are in bench/report."""

import math
from typing import NamedTuple

import numpy as np

from bench.analyse import stats
from bench.analyse.groups import (
    by_block,
    cold,
    key,
    log_ratios,
    paired,
    scores_by_seed,
    together,
)
from bench.proof import audit
from bench.proof.judging import REFERENCE

# Verdicts: too few for an interval; it holds no difference; the difference is
# smaller than what one script shows against itself; the first or the second is
# better; of one script under two names: as it must be, or a false alarm.
FEW, NONE, SMALL, FIRST, SECOND, HELD, ALARM = (
    "few", "none", "small", "first", "second", "held", "alarm")
# Of compiling, too: its epochs are slower; not faster in every block; the
# interval is too wide; it is repaid.
NEVER, UNSHOWN, UNSURE, REPAID = "never", "unshown", "unsure", "repaid"


class Compared(NamedTuple):
    """Two keys of groups; value: a ratio of seconds or a difference of
    accuracies; span: its interval or None; count: blocks or seeds."""

    first: tuple
    second: tuple
    value: float
    span: tuple
    count: int
    verdict: str

    @property
    def order(self):
        """(better, worse), or None where that cannot be said."""
        return {FIRST: (self.first, self.second),
                SECOND: (self.second, self.first)}.get(self.verdict)


# ------------------------------------------------------------------- speed

def pairs(groups):
    """Keys to compare: two contenders, or two feeds or settings of one
    script, at the same batch size and otherwise alike."""
    return [(first, second) for first in groups for second in groups
            if first[3] == second[3] and first[:3] < second[:3]
            # Of one contender: its two feeds, because they are the question.
            and (first[1] == second[1] and first[2] != second[2]
                 if first[0] == second[0] else alike(groups, first, second))]


def alike(groups, first, second):
    """Do the runs of two keys differ in nothing that a recipe may
    vary on purpose?"""
    one, two = (groups.get(key, ()) for key in (first, second))
    return bool(one and two) and audit.comparable(one, two)


def same_script(first, second, scripts):
    """Are these two keys one script and rung under two names?"""
    return first[0] != second[0] and first[1:] == second[1:] and (
        scripts.get(first[0], 1) == scripts.get(second[0], 2))


def ratio(found, first, second):
    """The steady epochs of two keys -> Compared, or None without a block that
    both finished in."""
    numbers = paired(found.groups, first, second)
    if not numbers:
        return None
    return judged(found, first, second, *numbers)


def judged(found, first, second, value, span, count):
    """A ratio -> Compared."""
    same = same_script(first, second, found.scripts)
    verdict = FIRST if value < 1 else SECOND
    if span is None:
        verdict = FEW
    elif not stats.decided(span):
        verdict = HELD if same else NONE
    elif same:
        verdict = ALARM
    elif abs(math.log(value)) <= (found.width or 0):
        verdict = SMALL
    return Compared(first, second, value, span, count, verdict)


def every(found):
    """Compared of all pairs with a block that both finished in."""
    return list(filter(None, (ratio(found, *pair)
                              for pair in pairs(found.groups))))


def alike_ratio(found, keys):
    """ratio() of two keys that are alike, else None."""
    return ratio(found, *keys) if len(keys) == 2 and alike(
        found.groups, *keys) else None


def fastest(found):
    """Keys that are faster than the runner-up at their batch size, as far as
    the ratio of the two can say so."""
    best = [alike_ratio(found, found.ranked(size)[:2])
            for size in found.sizes if not found.unfair]
    return {two.first for two in best if two and two.verdict == FIRST}


def controls(groups, scripts):
    """{batch size: (ratio, interval or None, blocks)} of two runs of one
    script."""
    return {first[3]: two for first, second in pairs(groups)
            if same_script(first, second, scripts)
            and (two := paired(groups, first, second))}


def find_width(controls):
    """The largest |log ratio| that their intervals reach, or None."""
    return max((abs(math.log(end)) for _, span, _ in controls.values()
                for end in span or ()), default=None)


def pooled(found):
    """Each framework's fastest variant over all batch sizes together ->
    Compared, or None where there are no two such. In each block the mean of
    the logarithms over the batch sizes, then the interval over blocks."""
    best = []
    for contender in found.pair:
        means = {}
        for row in found.rows:
            if row["contender"] == contender and row["steady_epoch_s"]:
                means.setdefault(key(row)[:3], []).append(
                    math.log(row["steady_epoch_s"]))
        best += sorted((variant for variant in means
                        if len(means[variant]) == len(found.sizes)),
                       key=lambda variant: np.mean(means[variant]))[:1]
    if len(best) != 2 or len(found.sizes) < 2 or not all(
            alike(found.groups, *((*one, size) for one in best))
            for size in found.sizes):
        return None
    logs = together(*(log_ratios(found.groups, *((*one, size) for one in best))
                      for size in found.sizes))
    if not logs[0]:
        return None
    value, span = stats.across(np.mean(logs, axis=0))
    return judged(found, *((*one, None) for one in best), value, span,
                  len(logs[0]))


# ---------------------------------------------------------------- accuracy

def accuracy_pairs(groups):
    """Two contenders at one batch size, whatever a recipe varies between
    them; and one variant at its smallest and at every other batch size."""
    smallest = {one[:3]: one for one in reversed(groups)}
    return [(a, b) for a in groups for b in groups
            if a[3] == b[3] and a[0] < b[0]] + [
        (smallest[one[:3]], one) for one in groups
        if one != smallest[one[:3]]]


def gap(groups, first, second):
    """Difference of the test accuracies of two keys, paired by seed ->
    Compared, or None without a seed that both finished."""
    one, two = together(*(scores_by_seed(groups[one])
                          for one in (first, second)))
    if not one:
        return None
    value, span = stats.mean(np.subtract(one, two))
    verdict = FIRST if value > 0 else SECOND
    if not stats.decided(span, 0):
        verdict = FEW if span is None else NONE
    return Compared(first, second, value, span, len(one), verdict)


# -------------------------------------------------------------- compilation

def first_epochs(groups):
    """(key, processes, (ratio, interval or None)) of the first epoch, with
    compilation, and a steady epoch of the same process."""
    for one, members in groups.items():
        first, steady = together(*(by_block(cold(members), field) for field in (
            "first_epoch_s", "steady_epoch_s")))
        if first:
            yield one, len(first), stats.ratio(first, steady)


def repayments(groups):
    """(key, blocks, epochs or None, interval or None, verdict) of every rung
    that compiled with an empty cache beside the reference."""
    for one, members in groups.items():
        base = (*REFERENCE[:2], *one[2:])
        members = [r for r in members if r.get("cache") != "warm"]
        if not members or not alike(groups, base, one):
            continue
        cost, slow, fast = together(
            by_block(members, "compile_s"),
            *(by_block(groups[k], "steady_epoch_s") for k in (base, one)))
        if cost:
            yield one, len(cost), *repaid(cost, np.subtract(slow, fast))


def repaid(costs, gains):
    """Seconds of compiling, seconds gained an epoch, by block -> (epochs or
    None, interval or None, verdict)."""
    if min(gains) <= 0:
        span = stats.interval(gains)
        return None, None, NEVER if span and span[1] <= 0 else UNSHOWN
    value, span = stats.ratio(costs, gains)
    if span is None:
        return value, span, FEW
    return value, span, UNSURE if span[1] > 100 * span[0] else REPAID
