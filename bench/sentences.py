"""What a comparison shows, in sentences that its own numbers support.

Each function returns sentences, never more than an interval allows: where it
contains 1 (or 0) the sentence says that no difference is shown, and where
there is none, that there are too few runs to say.
"""

import numpy as np

from bench import audit, costs, stats, tables
from bench.summary import by_block, group, name, paired, three


class Found:
    """What a comparison has found, for all sentences."""

    def __init__(self, records, rows, proof, verdicts, width, scripts):
        self.records, self.rows, self.proof = records, rows, proof
        self.width, self.scripts = width, scripts
        self.unfair = audit.unfair(verdicts)
        self.groups = group(records)
        self.done = [r for r in records if r["status"] == "ok"]
        self.sizes = sorted({r["config"]["batch_size"] for r in self.done})

    def best(self, contender, size):
        """Key of a contender's fastest point at a batch size, or None."""
        mine = [row for row in self.rows if row["contender"] == contender
                and row["batch_size"] == size
                and row["steady_epoch_s"] is not None]
        if not mine:
            return None
        row = min(mine, key=lambda row: row["steady_epoch_s"])
        return (contender, row["mode"], row["feed"], size)

    def frameworks(self):
        return [f for f in ("jax", "torch")
                if any(r["contender"] == f for r in self.done)]


def percent(value):
    return f"{100 * value:.2f} %"


def listed(parts):
    """'a', 'a and b', 'a, b and c'"""
    *head, last = parts
    return f"{', '.join(head)} and {last}" if head else last


def plural(count, word):
    return f"{count} {word}{'s' * (count != 1)}"


# ------------------------------------------------------------------ answer

def answer(found):
    """The three sentences that come first: speed, waiting, accuracy."""
    if not found.done:
        return ["No run finished, so there is nothing to compare; the reasons "
                "are below."]
    sentences = [*trouble(found)]
    if not found.unfair:
        sentences += [speed(found)]
    sentences += [waiting(found), accuracy(found)]
    return [sentence for sentence in sentences if sentence]


def trouble(found):
    """What a reader must know before any number."""
    if found.unfair:
        yield ("These runs may not be compared: the audit finds them unfair ("
               + listed([v.rule for v in found.unfair]) + "), so no ratio is "
               "shown.")
    if not found.proof[0]:
        yield ("That the points compute the same is not proved ("
               + found.proof[1].removeprefix("parity NOT PROVED: ") + "), so "
               "a difference in speed may be one in what is computed.")
    states = {}
    for r in found.records:
        if r["status"] != "ok":
            states.setdefault(r["status"], []).append(
                f"{r['contender']} {r['config']['mode']}")
    if states:
        yield listed([f"{plural(len(points), 'run')} of "
                      f"{listed(sorted(set(points)))} ended as {state}"
                      for state, points in sorted(states.items())]) + (
            f"; {len(found.done)} of {len(found.records)} finished.")


def speed(found):
    """The best rung of each framework against the other's, by batch size."""
    if len(found.frameworks()) < 2:
        return _alone(found)
    verdicts = {}
    for size in found.sizes:
        keys = [found.best(f, size) for f in ("jax", "torch")]
        ratio = None not in keys and tables.alike(
            found.groups, *keys) and paired(found.groups, *keys)
        if not ratio:
            continue
        value, span, _ = ratio
        words = tables.ratio_verdict(*keys, *ratio, found.width,
                                     tables.same_script(*keys, found.scripts))
        verdicts.setdefault(_kind(words, value), []).append(
            (size, keys, value, span))
    parts = []
    for kind, entries in verdicts.items():
        where = listed([str(size) for size, *_ in entries])
        batch = f"batch {'sizes' if len(entries) > 1 else 'size'} {where}"
        if kind in (0, 1):
            ratios = {}
            for _, keys, value, span in entries:
                if kind:  # always the faster over the slower
                    value, span = 1 / value, (1 / span[1], 1 / span[0])
                ratios.setdefault((name(keys[kind]), name(keys[1 - kind])),
                                  []).append(tables.with_span(value, span))
            parts.append(f"at {batch} {('JAX', 'PyTorch')[kind]} is faster ("
                         + "; ".join(f"{fast} takes {listed(texts)} of the "
                                     f"time of {slow}" for (fast, slow), texts
                                     in ratios.items()) + ")")
        else:
            parts.append(f"at {batch} {kind}")
    if not parts:
        return _alone(found)
    text = listed(parts)
    return ("Steady epochs, the fastest rung of each framework: " + text
            + ", with 95 % intervals over " + plural(len({
                r["block"] for r in found.done}), "block") + ".")


def _kind(words, value):
    """Index of the faster one of a pair, or why there is none."""
    if words.endswith("is faster"):
        return 0 if value < 1 else 1
    return {"no difference shown": "no difference is shown",
            "too few blocks to say": "there are too few blocks to say which "
                                     "is faster"}.get(
        words, "the difference is smaller than what one script shows against "
               "itself on this machine")


def _alone(found):
    """Of one framework: how long its epochs take."""
    parts = []
    for row in found.rows:
        if row["steady_epoch_s"] is not None:
            span = row["steady_low_s"] and (row["steady_low_s"],
                                            row["steady_high_s"])
            parts.append(f"{name((row['contender'], row['mode'], row['feed'], 0))}"
                         f" {tables.with_span(row['steady_epoch_s'], span)} s "
                         f"at batch size {row['batch_size']}")
    return ("There is nothing to compare with; a steady epoch takes "
            + listed(parts[:6]) + ".") if parts else (
        "No run had a second epoch, so no steady epoch was timed.")


def waiting(found):
    """What must be waited for before the first step."""
    costs_, eager = {}, []
    for row in found.rows:
        if row["compile_s"]:
            costs_.setdefault((row["contender"], row["mode"]), []).append(
                row["compile_s"])
        elif row["ok"]:
            eager.append(f"{row['contender']} {row['mode']}")
    if not costs_:
        return None
    parts = [f"{contender} {mode} "
             + (three(min(values)) if three(min(values)) == three(max(values))
                else f"{three(min(values))} to {three(max(values))}") + " s"
             for (contender, mode), values in costs_.items()]
    cache = {r.get("cache") for r in found.done if r["timing"]["compile_s"]}
    cache = {frozenset(["cold"]): "an empty cache",
             frozenset(["warm"]): "a cache that was filled before"}.get(
        frozenset(cache), "caches of which some were filled before")
    return ("Before its first step a run compiles: " + listed(parts)
            + f" (medians, by batch size, with {cache})" + (
                f"; {listed(sorted(set(eager)))} "
                f"{'compiles' if len(set(eager)) == 1 else 'compile'} nothing "
                "ahead" if eager else "") + ".")


def accuracy(found):
    """How well the networks do, and whether the frameworks differ."""
    scores = [r["final"]["test_accuracy"] for r in found.done]
    text = ("Test accuracy is " + (
        percent(scores[0]) if len(scores) == 1 else
        f"{percent(min(scores))} to {percent(max(scores))} over "
        f"{len(scores)} runs"))
    gaps = []
    for first, second in tables.accuracy_pairs(found.groups):
        if (first[0], second[0]) != ("jax", "torch"):
            continue
        one, two = (tables.scores_by_seed(found.groups[key])
                    for key in (first, second))
        seeds = sorted(one.keys() & two.keys())
        if seeds:
            values = [one[seed] - two[seed] for seed in seeds]
            gaps.append((float(np.mean(values)), tables.gap_verdict(
                values, (f"{name(first)} at batch {first[3]}",
                         f"{name(second)} at batch {second[3]}"))))
    if not gaps:
        return text + "."
    largest = max(abs(value) for value, _ in gaps)
    higher = [words for _, words in gaps if words.endswith("is higher")]
    few = all(words.startswith("too few") for _, words in gaps)
    return (text + "; between the frameworks the means differ by at most "
            f"{100 * largest:.2f} points" + (
                ", with too few seeds to say more" if few else
                ", and no pair by more than the noise of the seeds"
                if not higher else
                f", of {plural(len(gaps), 'pair')} {len(higher)} by more than "
                "the noise of the seeds: " + "; ".join(higher)) + ".")


# ------------------------------------------------------------- explanation

def explanations(found, measured, sections):
    """[(claim, sentence)] on why performance differs, each only if a number
    of this comparison supports it. sections: of attribution.waterfall."""
    result = []
    for text, sentence in (("Compilation", _compilation(found)),
                           ("Amortisation", _amortised(found)),
                           ("Batch size", _batch_size(found)),
                           ("Fusion", _fusion(sections, measured)),
                           ("Immutability", _immutability(found))):
        if sentence:
            result.append((text, sentence))
    return result


def _ratio(found, first, second):
    """Decided ratio of two keys, or None."""
    if first not in found.groups or second not in found.groups:
        return None
    ratio = tables.alike(found.groups, first, second) and paired(
        found.groups, first, second)
    return ratio if ratio and stats.decided(ratio[1]) else None


def _compilation(found):
    parts = []
    for size in found.sizes:
        for framework in found.frameworks():
            for mode in ("epoch", "step"):
                key = (framework, mode, "device", size)
                base = (framework, "eager", "device", size)
                ratio = _ratio(found, key, base)
                if ratio and ratio[1][1] < 1:
                    parts.append(
                        f"{name(key)} takes {tables.with_span(*ratio[:2])} of "
                        f"the time of {name(base)} at batch size {size}")
                    break
    return parts and ("Handing more of the work to a compiler saves time here:"
                      f" {listed(parts[:3])}.")


def _amortised(found):
    parts = []
    for key in found.groups:
        base = ("torch", "eager", key[2], key[3])
        spent = by_block(found.groups[key], "compile_s")
        if not spent or base not in found.groups or not tables.alike(
                found.groups, base, key):
            continue
        slow, fast = (by_block(found.groups[k], "steady_epoch_s")
                      for k in (base, key))
        blocks = sorted(spent.keys() & slow.keys() & fast.keys())
        if blocks:
            _, span, words = tables.repaid([spent[b] for b in blocks],
                                           [slow[b] - fast[b] for b in blocks])
            if span and words.startswith("repaid"):
                parts.append(f"{name(key)} at batch size {key[3]} after "
                             f"{three(span[0])} to {three(span[1])} epochs")
    return parts and ("Compiling is paid once and repaid by faster epochs, "
                      f"counted against torch eager: {listed(parts[:4])}.")


def _batch_size(found):
    parts = []
    if len(found.sizes) > 1:
        small, large = found.sizes[0], found.sizes[-1]
        for framework in found.frameworks():
            for mode in ("eager", "step", "epoch"):
                one, two = ((framework, mode, "device", size)
                            for size in (large, small))
                if one in found.groups and two in found.groups:
                    ratio = paired(found.groups, one, two)
                    if ratio and stats.decided(ratio[1]) and ratio[1][1] < 1:
                        parts.append(f"{name(one)} "
                                     + tables.with_span(*ratio[:2]))
    return parts and (
        f"A step has a fixed cost, and larger batches need fewer steps: an "
        f"epoch at batch size {large} over one at {small} is "
        f"{listed(parts)}.")


def _fusion(waterfalls, measured):
    for (framework, size), bars in waterfalls.items():
        for text, values in bars:
            span = stats.interval(values)
            if text == "fusion" and span and span[0] > 0:
                return (f"Fusing operations saves {framework} "
                        f"{three(1e6 * float(np.mean(values)))} µs "
                        f"({three(1e6 * span[0])} to {three(1e6 * span[1])}) "
                        f"a step at batch size {size}.")
    counts = costs.values(measured, "anatomy")
    for key, parts in counts.items():
        if key[0] == "jax" and {"written", "run"} <= parts.keys():
            return (f"Of {parts['written'][0]:.0f} operations as written, "
                    f"{parts['run'][0]:.0f} kernels are left in the compiled "
                    f"program of {name(key)}.")
    return None


def _immutability(found):
    """Functional updates might be thought to cost memory."""
    peaks = {}
    for framework in found.frameworks():
        values = [r["memory"]["host_peak_bytes"] for r in found.done
                  if r["contender"] == framework
                  and r["memory"]["host_peak_bytes"]]
        if values:
            peaks[framework] = float(np.median(values)) / 2**20
    if len(peaks) < 2:
        return None
    return ("JAX returns new arrays where PyTorch changes them in place, but "
            "donated buffers are written over; the processes peak at "
            f"{three(peaks['jax'])} MiB (JAX) and {three(peaks['torch'])} MiB "
            "(PyTorch), median over runs.")
