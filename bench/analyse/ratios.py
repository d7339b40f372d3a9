"""Which of two is faster or better, and how sure that is: in codes, whose
words are in bench/report."""

import math
from typing import NamedTuple

import numpy as np

from bench.analyse import stats
from bench.analyse.groups import (
    block_of,
    by_block,
    cold,
    log_ratios,
    scores_by_seed,
    together,
)
from bench.proof import audit
from bench.proof.judging import REFERENCE
from bench.run.plan import SCRIPTS

# Verdicts: too few for an interval; it holds no difference; the difference is
# smaller than what one script shows against itself; the first or the second is
# better; of one script under two names: as it must be, or a false alarm.
FEW, NONE, SMALL, FIRST, SECOND, HELD, ALARM = (
    "few", "none", "small", "first", "second", "held", "alarm")
# Of compiling, too: its epochs are slower; not faster in every block; the
# interval is too wide; it is repaid.
NEVER, UNSHOWN, UNSURE, REPAID = "never", "unshown", "unsure", "repaid"
# The pair's rung that is called once a step, as other libraries' steps are.
CALLED = {"jax": "step", "torch": "eager"}


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


def compared(first, second, value, span, count, even):
    """Compared; even: 1 of a ratio, of which less is better, 0 of a
    difference, of which more is."""
    verdict = FIRST if (value < 1 if even else value > 0) else SECOND
    if not stats.decided(span, even):
        verdict = FEW if span is None else NONE
    return Compared(first, second, value, span, count, verdict)


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
    return judged(found, first, second, [
        *log_ratios(found.groups, first, second).values()])


def judged(found, first, second, logs):
    """Logarithms of a ratio, one a block -> Compared, or None without any."""
    if not len(logs):
        return None
    two = compared(first, second, *stats.across(logs), len(logs), 1)
    if same_script(first, second, found.scripts):
        return two._replace(verdict={NONE: HELD, FEW: FEW}.get(two.verdict, ALARM))
    if two.order and abs(math.log(two.value)) <= (found.width or 0):
        return two._replace(verdict=SMALL)
    return two


def every(found):
    """Compared of all pairs with a block that both finished in."""
    return [two for pair in pairs(found.groups) if (two := ratio(found, *pair))]


def peers(found):
    """[Compared] of each variant of another library and the fastest of the pair
    at its batch size: of the framework that it computes with, if it says so,
    else of both."""
    result = []
    for one, members in found.groups.items():
        if members[0]["framework"] in SCRIPTS:
            continue
        names = {*members[0]["environment"]} & {*found.pair} or {*found.pair}
        best = [key for key in found.ranked(one[3]) if key[0] in names]
        two = best and alike_ratio(found, [one, best[0]])
        if two:
            result.append(two)
    return result


def peer_parts(found):
    """(Compared of a peer and the pair's fastest, [a Compared or None for each
    factor]): its own loop over its steps, its step over the pair's, a call a
    step over the pair's fastest. Their product is the whole, where blocks have
    all; without two of them there is nothing to tell apart."""
    whole = {two.first: two for two in peers(found)}
    for (peer, rung, *rest), two in whole.items():
        fit, step = ((peer, one, *rest) for one in ("fit", "step"))
        if rung == "step" and fit in whole:
            continue  # told with its fit
        name = two.second[0]
        chain = [fit, step, (name, CALLED.get(name), *rest), two.second]
        parts = [alike_ratio(found, keys) if keys[0] != keys[1] else None
                 for keys in zip(chain, chain[1:])]
        if sum(part is not None for part in parts) > 1:
            yield two, parts


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
    return {first[3]: (*stats.across([*logs.values()]), len(logs))
            for first, second in pairs(groups)
            if same_script(first, second, scripts)
            and (logs := log_ratios(groups, first, second))}


def find_width(controls):
    """The largest |log ratio| that their intervals reach, or None."""
    return max((abs(math.log(end)) for _, span, _ in controls.values()
                for end in span or ()), default=None)


def pooled(found):
    """Each framework's fastest variant over all batch sizes together ->
    Compared, whose keys have no batch size, or None where there are no two
    such. In each block the mean of the logarithms over the batch sizes, then
    the interval over blocks."""
    times, best = {}, {}  # {variant: log seconds at each size}, {feed: {name: it}}
    for (*variant, _), members in found.groups.items():
        if seconds := stats.median(r["timing"]["steady_epoch_s"]
                                   for r in members):
            times.setdefault(tuple(variant), []).append(math.log(seconds))
    for variant in sorted(times, key=lambda variant: np.mean(times[variant])):
        if len(times[variant]) == len(found.sizes):
            best.setdefault(variant[2], {}).setdefault(variant[0], variant)
    # With one feed, because two feeds are no comparison of frameworks.
    fed = [[of_feed[name] for name in found.pair if name in of_feed]
           for of_feed in best.values()]
    two = min((two for two in fed if len(two) == 2), default=[],
              key=lambda two: sum(np.mean(times[variant]) for variant in two))
    sized = [[(*variant, size) for variant in two] for size in found.sizes]
    if len(two) != 2 or not all(alike(found.groups, *keys) for keys in sized):
        return None
    logs = together(*(log_ratios(found.groups, *keys) for keys in sized))
    return judged(found, *((*variant, None) for variant in two),
                  np.mean(logs, axis=0))


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
    one, two = together(*map(scores_by_seed, (groups[first], groups[second])))
    if not one:
        return None
    return compared(first, second, *stats.mean(np.subtract(one, two)), len(one), 0)


def pooled_gap(found, two):
    """The same for the two variants of pooled(), over all batch sizes: for each
    seed the mean of the differences, then their interval over seeds."""
    rows = [[*map(scores_by_seed, (found.groups[(*key[:3], size)] for key in two[:2]))]
            for size in found.sizes]
    scores = np.array(together(*(scores for row in rows for scores in row)))
    gaps = np.mean(scores[::2] - scores[1::2], axis=0)
    return compared(*two[:2], *stats.mean(gaps), len(gaps), 0) if len(gaps) else None


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
    that compiled with an empty cache beside the reference: its seconds of compiling,
    of a block whose cache was filled the median of the others, against what it gains
    in the epochs of every block."""
    for one, members in groups.items():
        base = (*REFERENCE[:2], *one[2:])
        costs = by_block([r for r in members if r.get("cache") != "warm"],
                         "compile_s", block_of)
        if not costs or not alike(groups, base, one):
            continue
        slow, fast = (by_block(groups[k], "steady_epoch_s", block_of)
                      for k in (base, one))
        if blocks := sorted(slow.keys() & fast.keys()):
            usual = stats.median(costs.values())
            yield one, len(blocks), *repaid(
                [costs.get(block, usual) for block in blocks],
                [slow[block] - fast[block] for block in blocks])


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
