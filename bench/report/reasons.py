"""Why performance differs: sentences, each only if a number of this
comparison supports it."""

from functools import partial

import numpy as np

from bench.analyse import costs, ratios, stats
from bench.analyse.groups import by_block, together
from bench.analyse.waterfall import gap
from bench.kit.rungs import RUNGS
from bench.proof.judging import REFERENCE
from bench.report.floor import bar_words, micro
from bench.report.words import (
    FRAMEWORKS,
    TEXTS,
    at_sizes,
    listed,
    name,
    three,
    with_span,
)

PART = 0.1  # of a gap: less is not named as a part of it
# (variant, the same work with fewer starts from Python, why these are fewer)
STARTS = (
    (("jax", "step"), ("jax", "epoch"), "which Python starts once an epoch"),
    (("torch", "eager"), ("torch", "step"),
     "where a step's operations are started together and fused"))


def sentences(found):
    """Those of reasons(), without what each is about."""
    return [sentence for _, sentence in reasons(found)]


def reasons(found):
    """[(claim, sentence), …]"""
    claims = {"Products": products, "Dispatch": dispatch, "Compilation": compilation,
              "Fusion": fusion, "Immutability": immutability,
              "Other libraries": libraries,
              "Uncertain": partial(products, kinds=["unsure"])}
    return [(claim, sentence) for claim, reason in claims.items()
            if not found.unfair and (sentence := reason(found))]


def faster(found, first, second):
    """'0.5 (0.4 to 0.6)' where the first is decidedly faster, or None."""
    two = ratios.alike_ratio(found, (first, second))
    return with_span(two.value, two.span) if (
        two and two.verdict == ratios.FIRST) else None


def products(found, kinds=("most", "part", "some", "less", "none")):
    """What the libraries' matrix products have of the gap between the frameworks, where
    that is one of these kinds."""
    texts = {kind: [] for kind in kinds}
    for (kind, one, other), rows in shares(found).items():
        if kind in texts:
            sizes, *columns = zip(*rows)
            times, part, whole = map(listed, columns)
            texts[kind].append(TEXTS["products"][kind].format(
                at=at_sizes(sizes), one=one, other=other, ratios=times, part=part,
                whole=whole))
    return " ".join(text for some in texts.values() for text in some)


def shares(found):
    """{(how much of the gap, two frameworks): [(batch size, how many times as long the
    first one's products take, seconds an epoch that they differ by, that the epochs
    differ by), …]}"""
    kinds, pooled = {}, ratios.pooled(found)
    if found.vision:
        return {}  # convolutions are not done as the floor's products are
    for size in found.sizes if pooled else ():
        two = ratios.alike_ratio(found, [(*one[:3], size) for one in pooled[:2]])
        parts = two and two.order and gap(found, *two.order)
        if not parts:
            continue
        whole, mine, (value, span) = parts
        _, share = stats.mean(mine / whole)  # the interval of the products' share
        if not share:
            continue  # too few blocks
        kind = ("most" if share[0] > 0.5
                else ("part" if share[1] < 1 else "some") if share[0] > PART
                else "none" if share[1] < PART else "less" if share[1] < 0.5
                else "unsure")
        fast, slow = (FRAMEWORKS[key[0]] for key in two.order)
        if kind == "none":  # of the faster one, which they do not make faster
            fast, slow, value = slow, fast, 1 / value
            span = span and (1 / span[1], 1 / span[0])
        kinds.setdefault((kind, slow, fast), []).append((
            size, with_span(value, span), f"{stats.median(mine):.2g}",
            f"{stats.median(whole):.2g}"))
    return kinds


def dispatch(found):
    """What Python costs at every step, at the smallest batch size."""
    parts = []
    for slow, fast, what in STARTS:
        keys = [(*one, "device", size) for one in (slow, fast)
                for size in found.sizes[:1]]
        if all(key in found.groups for key in keys):
            steps = found.groups[keys[0]][0]["steps_per_epoch"]
            long, quick = together(*(
                by_block(found.groups[key], "steady_epoch_s") for key in keys))
            value, span = micro(np.subtract(long, quick) / steps) if long else (0, None)
            if span and span[0] > 0:
                whole = three(1e6 * stats.median(long) / steps)
                parts.append(f"{name(keys[1])}, {what}, saves "
                             f"{with_span(value, span)} of the {whole} µs of a step "
                             f"of {name(keys[0])}")
    return parts and ("Starting work from Python costs time at every step: at batch "
                      f"size {found.sizes[0]} {'; '.join(parts)}.")


def compilation(found):
    """What the rung that hands over the most gains on the eager one."""
    said = {}
    for size in found.sizes:
        for framework in found.pair:
            base = (framework, REFERENCE[1], "device", size)
            texts = [(rung, text) for rung in RUNGS if (text := faster(
                found, (framework, rung, "device", size), base))]
            for rung, text in texts[-1:]:  # the last rung hands over the most
                said.setdefault(f"{framework} {rung} takes {{}} of the time of "
                                f"{name(base)}", []).append((size, text))
    parts = [text.format(listed(value for _, value in some)) + at_sizes(
        size for size, _ in some) for text, some in said.items()]
    return parts and ("Handing more of the work to a compiler saves time here: "
                      f"{listed(parts)}.")


def fusion(found):
    """What fusing saves where it was run without; else how few kernels
    are left."""
    for (framework, size), bars in found.waterfalls.items():
        for bar, values in bars:
            value, span = micro(values)
            if bar_words(bar) == "fusion" and span and span[0] > 0:
                return (f"Fusing operations saves {framework} {three(value)} "
                        f"µs ({three(span[0])} to {three(span[1])}) a step at "
                        f"batch size {size}.")
    for key, parts in costs.values(found.measured, "operations").items():
        if {"written", "run"} <= parts.keys() and key[0] != REFERENCE[0]:
            return (f"Of {parts['written'][0]:.0f} operations as written, "
                    f"{parts['run'][0]:.0f} kernels are left in the compiled "
                    f"program of {name(key)}.")
    return None


def immutability(found):
    """Functional updates might be thought to cost memory. The processes' own
    size, mostly Python and framework, would not show it."""
    parts = []
    for framework in found.pair:
        peaks = [(peak / 2**20, costs.needed(r) / 2**20, key)
                 for key, done in found.groups.items() for r in done
                 if key[0] == framework
                 and (peak := r["memory"]["device_peak_bytes"])]
        if peaks:
            peak, needed, key = max(peaks, key=lambda row: row[0])
            parts.append(f"{name(key)} {three(peak)} MiB, where "
                         f"{three(needed)} must exist")
    return len(parts) > 1 and (
        "JAX returns new arrays where PyTorch changes them in place. At most "
        f"the device held {listed(parts)}.")


def libraries(found):
    """Of each other library, which part of its distance is the largest."""
    parts = []
    for two, factors in ratios.peer_parts(found):
        shown = [(factor.value, factor.span, words) for factor, words in zip(
            factors, ("its own loop over its steps", "its step over the pair's",
                      "a call from Python per step"))
            if factor and factor.order == (factor.second, factor.first)]
        if shown:
            value, span, words = max(shown)
            parts.append(f"{name(two.first)} at batch size {two.first[3]}: "
                         f"{words}, {with_span(value, span)}")
    return parts and ("The largest factor between another library and the pair's "
                      f"fastest variant: {'; '.join(parts)}.")
