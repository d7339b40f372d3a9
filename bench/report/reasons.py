"""Why performance differs: sentences, each only if a number of this
comparison supports it."""

from bench.analyse import costs, ratios
from bench.kit.rungs import RUNGS
from bench.proof.judging import REFERENCE
from bench.report.floor import bar_words, micro
from bench.report.words import listed, name, three, with_span


def reasons(found):
    """[(claim, sentence), …]"""
    claims = {"Compilation": compilation, "Amortisation": amortised,
              "Batch size": batch_size, "Fusion": fusion,
              "Immutability": immutability, "Other libraries": libraries}
    return [(claim, sentence) for claim, reason in claims.items()
            if not found.unfair and (sentence := reason(found))]


def faster(found, first, second):
    """'0.5 (0.4 to 0.6)' where the first is decidedly faster, or None."""
    two = ratios.alike_ratio(found, (first, second))
    return with_span(two.value, two.span) if (
        two and two.span and two.span[1] < 1) else None


def compilation(found):
    """What the rung that hands over the most gains on the eager one."""
    parts = []
    for size in found.sizes:
        for framework in found.pair:
            base = (framework, REFERENCE[1], "device", size)
            texts = [f"{framework} {rung} takes {text} of the time of "
                     f"{name(base)} at batch size {size}" for rung in RUNGS
                     if (text := faster(
                         found, (framework, rung, "device", size), base))]
            parts += texts[-1:]  # the last rung hands over the most
    return parts and ("Handing more of the work to a compiler saves time here:"
                      f" {listed(parts[:3])}.")


def amortised(found):
    """After how many epochs that is repaid."""
    parts = [f"{name(key)} at batch size {key[3]} after {three(span[0])} to "
             f"{three(span[1])} epochs" for key, _, _, span, verdict
             in ratios.repayments(found.groups) if verdict == ratios.REPAID]
    return parts and ("Compiling is paid once and repaid by faster epochs, "
                      f"counted against {name(REFERENCE)}: "
                      f"{listed(parts[:4])}.")


def batch_size(found):
    """The largest batch size over the smallest."""
    small, large = found.sizes[:1], found.sizes[-1:]
    parts = [f"{name(key)} {text}" for key in found.groups
             if [*key[2:]] == ["device", *large] and key[0] in found.pair
             and (text := faster(found, key, (*key[:3], *small)))]
    return parts and (
        "Larger batches need fewer steps and make larger products, which take "
        f"less time a row: an epoch at batch size {large[0]} over one at "
        f"{small[0]} is {listed(parts)}.")


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
