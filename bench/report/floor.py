"""Sections on the floor: how fast it could be, and where the time goes."""

import numpy as np

from bench.analyse import stats
from bench.analyse.floor import fits, orders, shares
from bench.analyse.groups import together
from bench.analyse.waterfall import ends
from bench.report.table import PERCENT, Table, by_variant
from bench.report.words import TEXTS, listed, name, three, with_span
from bench.run.plan import AGAIN


def bar_words(bar):
    """(upper level, lower level) of a waterfall in words."""
    upper, lower = bar
    if lower in ("own", "bare") and upper != "own":  # below the rungs
        fused = upper[1] != "eager" and "-" not in upper[0]
        return "softmax, update, loop" if fused else "all but batch and products"
    levels = [level if isinstance(level, str) else " ".join(level)
              for level in (upper, lower or "nothing")]
    if lower == "products" and upper not in ("own", "bare"):  # nothing is gathered
        return "all but the products"
    return TEXTS["bars"].get(", ".join(levels), "from {} to {}".format(
        *(level.split()[-1] for level in levels)))


def closeness(found):
    """The share of the floor of each framework's fastest variant; of a network whose
    floor a kernel may go below, nothing."""
    if found.vision:
        return
    parts = [f"{name(key)} {with_span(*share, form=PERCENT)} at batch size {key[3]}"
             for key, _, _, share in shares(found)
             if found.ranked(key[3], key[0])[:1] == [key] and key[0] in found.pair]
    if parts:
        yield f"Of the speed that the floor allows: {listed(parts)}."


def floor(found):
    """Section: the floor of every batch size and the share of each rung."""
    if not found.floors:
        return None
    floors = []
    for size, by_block in sorted(found.floors.items()):
        rows = [*by_block.values()]
        top, dispatch, memory = (stats.median(row[part] for row in rows)
                                 for part in ("floor", "dispatch", "memory"))
        products = [f"{library} " + three(stats.median(
            row["libraries"][library] for row in rows))
            for library in sorted(rows[0]["libraries"])]
        floors.append((size, len(rows), top, ", ".join(products), dispatch,
                       memory))
    blocks = [Table(["batch", "blocks", "floor, s",
                     "products by each library, s", "dispatch, s",
                     "memory, s"], floors),
              by_variant(["blocks", "times the products",
                          "share of the floor"], shares(found),
                         {"share of the floor": PERCENT})]
    if found.vision:
        blocks.append(TEXTS["network"]["floor"])
    if drawn := [*orders(found.groups)]:
        _, share, key = max(drawn, key=lambda row: row[1])
        blocks.append(
            "Drawing the batch order on the host, which every rung's clock "
            "includes and no floor does, takes "
            f"{three(1e3 * max(row[0] for row in drawn))} ms an epoch at "
            f"most, {share:.1%} of an epoch of {name(key)} at batch size "
            f"{key[3]}.")
    return blocks


def cost_per_step(found):
    """Section: what a step costs whatever its size, and each sample."""
    rows = [(name(variant), len(fitted), micro(fixed), micro(each, 1e9),
             max(misfit)) for variant, fitted in fits(found.groups).items()
            for fixed, each, misfit in [zip(*fitted)]]
    return rows and [Table(
        ["variant", "blocks", "fixed, µs a step", "per sample, ns",
         "worst misfit"], rows, {"worst misfit": PERCENT})]


def micro(seconds, scale=1e6):
    """(mean, interval) in µs"""
    return stats.mean(np.multiply(list(seconds), scale))


def where_time_goes(found):
    """Section: the waterfalls, and whether their ends come out the same
    when they are run again."""
    blocks = []
    for (framework, size), bars in found.waterfalls.items():
        whole = sum(np.mean(values) for _, values in bars)
        top = bars[0][0][0]
        share = f"share of {' '.join(top)}"
        blocks += [Table(
            [f"{framework}, batch {size}", "µs a step", share],
            [(bar_words(bar), micro(values), np.mean(values) / whole)
             for bar, values in bars], {share: PERCENT}),
            _again(top, ends(found.groups, found.floors, top, size),
                   ends(found.groups, found.again, top, size, AGAIN))]
    return blocks


def _again(top, first, second):
    """Both ends, and both run again by themselves: do they differ?"""
    said = (f"From {' '.join(top)} down to the products, which is what the bars above "
            f"them add up to: {with_span(*micro(first.values()))}; the two "
            "ends")
    if not second:
        return said + " were not run again."
    span = stats.interval(np.subtract(*together(second, first)))
    verdict = ("too few blocks to say whether they differ" if span is None else
               "THEY DIFFER" if span[0] > 0 or span[1] < 0 else "no difference shown")
    return (f"{said}, run again by themselves: "
            f"{with_span(*micro(second.values()))}: {verdict}.")
