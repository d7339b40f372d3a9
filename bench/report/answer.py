"""What comes first, everywhere: the sentences that a comparison's numbers
support.

Never more than an interval allows: where it contains 1 (or 0) the sentence
says that no difference is shown, and where there is none, that there are too
few runs to say.
"""

import math

from bench.analyse import ratios
from bench.analyse.groups import key, steady
from bench.kit.rungs import RUNGS
from bench.report.compiling import compiling
from bench.report.reasons import reasons
from bench.report.table import Table
from bench.report.words import (
    FRAMEWORKS,
    TEXTS,
    at_sizes,
    listed,
    name,
    plural,
    verdict,
    with_span,
)


def answer(found):
    """Section: the first screen, then accuracy, compiling and the first two reasons, a
    sentence each."""
    if not found.done:
        return screen(found)
    why = [text for _, text in reasons(found)[:2]]
    return [*screen(found), *accuracy(found), *compiling(found), *why]


def screen(found):
    """What is wrong; one sentence on who is faster; a row per batch size; what these
    are."""
    if not found.done:
        return ["No run finished, so there is nothing to compare; the reasons "
                "are below."]
    if found.unfair:
        return [*trouble(found)]
    two = ratios.pooled(found)
    faster = [*(part(found, two) for part in (headline, beside, compared, named))
              ] if two else speed(found)
    return [*trouble(found), *faster, *others(found)]


def apart(first):
    """The first screen as {"answer": its sentences, "table": its table if it has one,
    "notes": the sentences below that}."""
    at = next((n for n, part in enumerate(first) if isinstance(part, Table)),
              len(first))
    return {"answer": first[:at], "table": first[at:at + 1], "notes": first[at + 1:]}


def trouble(found):
    """What a reader must know before any number."""
    if found.unfair:
        yield ("These runs may not be compared: the audit finds them unfair ("
               + listed([v.rule for v in found.unfair]) + "), so no ratio is "
               "shown.")
    if not found.proof[0]:
        yield ("That the variants compute the same is not proved ("
               + found.proof[1].removeprefix("parity NOT PROVED: ") + "), so "
               "a difference in speed may be one in what is computed.")
    states = []
    for state in sorted({r["status"] for r in found.records} - {"ok"}):
        lost = [f"{r['contender']} {r['config']['rung']}"
                for r in found.records if r["status"] == state]
        states.append(f"{plural(len(lost), 'run')} of "
                      f"{listed(sorted({*lost}))} ended as {state}")
    if states:
        yield (f"{listed(states)}; {len(found.done)} of "
               f"{len(found.records)} finished.")


# ------------------------------------------------------------------- speed

def turned(two):
    """(faster, slower, ratio below 1, its interval or None)"""
    fast, slow, value, span, *_ = two
    if value > 1:
        return slow, fast, 1 / value, span and (1 / span[1], 1 / span[0])
    return fast, slow, value, span


def claim(found, two):
    """'JAX takes 0.7 (0.6 to 0.8) of PyTorch's time', or that no difference is
    shown; two: of ratios.pooled()."""
    fast, slow, value, span = turned(two)
    width = found.width or 0
    # Told apart from 1: what lies outside the interval, and is above the control.
    seen = max(width, *(abs(math.log(end)) for end in span or (1,)))
    return TEXTS["verdicts"]["first"][two.verdict].format(
        fast=FRAMEWORKS[fast[0]], slow=FRAMEWORKS[slow[0]],
        much=with_span(value, span), seen=f"{math.expm1(seen):.1%}",
        width=f"{math.expm1(width):.1%}")


def exceptions(found, two):
    """Who is faster at some batch sizes, where that is not what is said of all."""
    wins = {}
    for size in found.sizes:
        one = at(found, two, size)
        if one and one.order:
            wins.setdefault(one.order[0][0], []).append(size)
    if two.order:
        wins.pop(two.order[0][0], None)
    return wins and ", but " + listed(
        f"{FRAMEWORKS[who]} is faster{at_sizes(sizes)}"
        for who, sizes in wins.items()) or ""


def headline(found, two):
    """One ratio for the whole comparison, and where it is the other way round."""
    return f"{claim(found, two)}{exceptions(found, two)}."


def compared(found, two):
    """What the one ratio of the whole comparison is of."""
    fast, slow, *_ = turned(two)
    over = f"{len(found.sizes)} batch sizes and " * (len(found.sizes) > 1)
    span = ", in brackets its 95 % interval" * bool(two.span)
    return ("Compared are the steady epochs (every epoch after the first) of "
            f"{name(fast)} and {name(slow)}, the fastest variant of each script; the "
            f"ratio is the geometric mean over {over}{plural(two.count, 'block')}"
            f"{span}.")


def at(found, two, size):
    """Compared of those two variants at one batch size, or None."""
    return ratios.alike_ratio(found, [(*one[:3], size) for one in two[:2]])


def beside(found, two):
    """A row per batch size: that same pair, and a rung that is faster there."""
    known, rows = {key(row): row for row in found.rows}, []
    for size in found.sizes:
        mine = [known[*one[:3], size] for one in two[:2]]
        one = at(found, two, size)
        who = (FRAMEWORKS[one.order[0][0]] if one.order else verdict(one, "speed")
               ) if one else None
        rows.append((
            size, *(row["steady_epoch_s"] for row in mine),
            one and (one.value, one.span), "; ".join(filter(None, (
                who, *quicker(found, size, mine)))),
            *(row["first_epoch_s"] for row in mine)))
    names = [*map(name, two[:2])]
    return Table(["batch", *(f"{one}: epoch, s" for one in names), "ratio", "faster",
                  *(f"{one}: first epoch, s" for one in names)], rows)


def named(found, two):
    """What the words of the table say, and why its ratios are not quite those of its
    seconds."""
    texts = {rung: words.text for rung, words in RUNGS.items()
             if any(key[1] == rung for key in found.groups)}
    rows = [at(found, two, size) for size in found.sizes]
    if any(one and one.verdict == ratios.SMALL for one in rows):
        texts[TEXTS["verdicts"]["speed"][ratios.SMALL]] = (
            "a difference smaller than what one script shows against itself on this "
            "machine")
    told = "; ".join(f'"{word}": {text}' for word, text in texts.items())
    return (f"{told}. Seconds are medians over runs, of first epochs over those with "
            "an empty compile cache; a ratio is of the shortest steady epochs of both "
            "in a block, the geometric mean over blocks, so it is not quite that of "
            "the seconds.")


def quicker(found, size, rows):
    """Of each framework the variant, of whatever script, that is decidedly faster
    here than that of `rows`."""
    def framework(one):
        return found.groups[one][0]["framework"]
    for mine in map(key, rows):
        best = next(one for one in found.ranked(size)
                    if framework(one) == framework(mine))
        two = best != mine and ratios.alike_ratio(found, [best, mine])
        if two and two.order == (best, mine):
            yield (f"{name(best)} takes {with_span(two.value, two.span)} of "
                   f"{name(mine)}")


def others(found):
    """Libraries beside the pair."""
    those = sorted(ratios.peers(found), key=lambda two: two.value)
    ends = dict.fromkeys(those[:1] + those[-1:])
    parts = [f"{name(two.first)} takes {with_span(two.value, two.span)} times as long "
             f"as {name(two.second)}{at_sizes(two.first[3:])}"
             + f" ({verdict(two, 'speed')})" * (not two.order) for two in ends]
    if parts:
        yield (f"Of {len(those)} other variants the first and the last: " * (
            len(those) > 2) + f"{'; '.join(parts)}.")


def speed(found):
    """The best rung of each framework against the other's, by batch size; of one
    framework its seconds."""
    kinds = {}  # what is said: the ratios that it is said of
    for size in found.sizes:
        best = [key for one in found.pair
                for key in found.ranked(size, one)[:1]]
        if two := ratios.alike_ratio(found, best):
            said = verdict(two, "answer", lambda key: FRAMEWORKS[key[0]])
            kinds.setdefault(said, []).append(two)
    if not kinds:
        return [alone(found)]
    parts = []
    for said, compared in kinds.items():
        parts.append(said + at_sizes(two.first[3] for two in compared)
                     + f" ({_times(compared)})" * bool(compared[0].order))
    counts = {two.count for compared in kinds.values() for two in compared
              if two.span}
    over = (", with 95 % intervals over " + f"{min(counts)} to " * (
        len(counts) > 1) + plural(max(counts), "block")) if counts else ""
    return ["Steady epochs, the fastest rung of each framework at each batch size: "
            f"{listed(parts)}{over}."]


def _times(compared):
    """'jax step takes 0.7 (0.6 to 0.8) of the time of torch step', always
    the faster over the slower."""
    texts = {}
    for fast, slow, value, span in map(turned, compared):
        texts.setdefault((name(fast), name(slow)), []).append(
            with_span(value, span))
    return "; ".join(f"{fast} takes {listed(some)} of the time of {slow}"
                     for (fast, slow), some in texts.items())


def alone(found):
    """Where no two are compared: how long epochs take."""
    parts = [f"{name(key(row))} {with_span(*steady(row))} s at batch size "
             f"{row['batch_size']}" for row in found.rows
             if row["steady_epoch_s"] is not None]
    lead = ("The ratios stand in the table Ratios" if ratios.every(found) else
            "There is nothing to compare with")
    return (f"{lead}; a steady epoch takes {listed(parts[:6])}"
            + ", …" * (len(parts) > 6) + "." if parts else
            "No run had a second epoch, so no steady epoch was timed.")


# ---------------------------------------------------------------- accuracy

def accuracy(found):
    """How well the networks do, and whether the frameworks differ."""
    if found.only_timed:
        return
    scores = [r["final"]["test_accuracy"] for r in found.done]
    text = f"Test accuracy is {min(scores):.2%}"
    if len(scores) > 1:
        text += f" to {max(scores):.2%} over {len(scores)} runs"
    pooled = None if found.unfair else ratios.pooled(found)
    two = pooled and ratios.pooled_gap(found, pooled)
    if not two:
        yield f"{text}."
        return
    value, span = f"{100 * two.value:+.2f}", ""
    if two.span:
        span = " ({:+.2f} to {:+.2f})".format(*(100 * end for end in two.span))
    better = {ratios.FIRST: two.first, ratios.SECOND: two.second}.get(two.verdict)
    said = (f"{name(better)} is more accurate" if better else
            TEXTS["verdicts"]["accuracy"][two.verdict])
    yield (f"{text}. Between the frameworks: {said}; {name(two.first)} less "
           f"{name(two.second)} is {value}{span} percentage points, over "
           f"{plural(two.count, 'seed')}.")
