"""What a comparison shows, in sentences that its own numbers support.

Each function returns sentences, never more than an interval allows: where it
contains 1 (or 0) the sentence says that no difference is shown, and where
there is none, that there are too few runs to say.
"""

import numpy as np

from bench import audit, costs, stats, tables
from bench.summary import (
    group,
    name,
    paired,
    scores_by_seed,
    three,
    with_span,
)


class Found:
    """What a comparison has found, for all sentences."""

    def __init__(self, records, rows, proof, verdicts, width, scripts):
        self.records, self.rows, self.proof = records, rows, proof
        self.width, self.scripts = width, scripts
        self.unfair = audit.unfair(verdicts)
        self.groups = group(records)
        self.done = [r for r in records if r["status"] == "ok"]
        self.sizes = sorted({r["config"]["batch_size"] for r in self.done})

    def called(self):
        """What a title calls those that ran: by framework, not by name."""
        names = {"jax": "JAX", "torch": "PyTorch"}
        return listed([names.get(f, f) for f in sorted(
            {r["framework"] for r in self.done})])

    def best(self, contender, size):
        """Key of a contender's fastest point at a batch size, or None."""
        mine = [row for row in self.rows if row["contender"] == contender
                and row["batch_size"] == size
                and row["steady_epoch_s"] is not None]
        if not mine:
            return None
        row = min(mine, key=lambda row: row["steady_epoch_s"])
        return (contender, row["rung"], row["feed"], size)

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
                f"{r['contender']} {r['config']['rung']}")
    if states:
        yield listed([f"{plural(len(points), 'run')} of "
                      f"{listed(sorted(set(points)))} ended as {state}"
                      for state, points in sorted(states.items())]) + (
            f"; {len(found.done)} of {len(found.records)} finished.")


def speed(found):
    """The best rung of each framework against the other's, by batch size."""
    if len(found.frameworks()) < 2:
        return _alone(found)
    verdicts, counts = {}, set()
    for size in found.sizes:
        keys = [found.best(f, size) for f in ("jax", "torch")]
        ratio = None not in keys and tables.alike(
            found.groups, *keys) and paired(found.groups, *keys)
        if not ratio:
            continue
        value, span, count = ratio
        counts |= {count} if span else set()
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
                                  []).append(with_span(value, span))
            parts.append(f"at {batch} {('JAX', 'PyTorch')[kind]} is faster ("
                         + "; ".join(f"{fast} takes {listed(texts)} of the "
                                     f"time of {slow}" for (fast, slow), texts
                                     in ratios.items()) + ")")
        else:
            parts.append(f"at {batch} {kind}")
    if not parts:
        return _alone(found)
    return ("Steady epochs, the fastest rung of each framework in these runs: "
            + listed(parts) + (
                ", with 95 % intervals over "
                + f"{min(counts)} to " * (len(counts) > 1)
                + plural(max(counts), "block") if counts else "") + ".")


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
            parts.append(f"{name((row['contender'], row['rung'], row['feed']))}"
                         f" {with_span(row['steady_epoch_s'], span)} s "
                         f"at batch size {row['batch_size']}")
    lead = ("The ratios stand in the table Ratios"
            if tables.pairs(found.groups) else
            "There is nothing to compare with")
    return (f"{lead}; a steady epoch takes "
            + listed(parts[:6]) + ".") if parts else (
        "No run had a second epoch, so no steady epoch was timed.")


def waiting(found):
    """What must be waited for before the first step."""
    costs_, eager = {}, []
    for row in found.rows:
        if row["compile_s"]:
            costs_.setdefault((row["contender"], row["rung"]), []).append(
                row["compile_s"])
        elif row["ok"]:
            eager.append(f"{row['contender']} {row['rung']}")
    if not costs_:
        return None
    parts = [f"{contender} {rung} "
             + (three(min(values)) if three(min(values)) == three(max(values))
                else f"{three(min(values))} to {three(max(values))}") + " s"
             for (contender, rung), values in costs_.items()]
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
        if found.unfair or (first[0], second[0]) != (
                "jax", "torch") or not tables.alike(
                found.groups, first, second):
            continue
        one, two = (scores_by_seed(found.groups[key])
                    for key in (first, second))
        seeds = sorted(one.keys() & two.keys())
        if seeds:
            values = [one[seed] - two[seed] for seed in seeds]
            value, names = float(np.mean(values)), (name(first), name(second))
            words = tables.gap_verdict(values, names)
            gaps.append((value, words if not words.endswith("is higher") else
                         f"{words} than {names[value > 0]} at batch size "
                         f"{first[3]}"))
    if not gaps:
        return text + "."
    largest = max(abs(value) for value, _ in gaps)
    higher = [words for _, words in gaps if " is higher than " in words]
    few = all(words.startswith("too few") for _, words in gaps)
    return (text + "; between the frameworks the means differ by at most "
            f"{100 * largest:.2f} points" + (
                ", with too few seeds to say more" if few else
                ", and no pair by more than the noise of the seeds"
                if not higher else
                f", of {plural(len(gaps), 'pair')} {len(higher)} by more than "
                "the noise of the seeds (one in twenty is expected by chance): "
                + "; ".join(higher)) + ".")


# ------------------------------------------------------------- explanation

def explanations(found, measured, sections):
    """[(claim, sentence)] on why performance differs, each only if a number
    of this comparison supports it. sections: of attribution.waterfall."""
    if found.unfair:
        return []
    result = []
    for text, sentence in (("Compilation", _compilation(found)),
                           ("Amortisation", _amortised(found)),
                           ("Batch size", _batch_size(found)),
                           ("Fusion", _fusion(sections, measured)),
                           ("Immutability", _immutability(found))):
        if sentence:
            result.append((text, sentence))
    return result


def _faster(found, first, second):
    """'0.5 (0.4 to 0.6)' where the first is decidedly faster, or None."""
    if {first, second} <= found.groups.keys() and tables.alike(
            found.groups, first, second):
        ratio = paired(found.groups, first, second)
        if ratio and ratio[1] and ratio[1][1] < 1:
            return with_span(*ratio[:2])
    return None


def _compilation(found):
    parts = []
    for size in found.sizes:
        for framework in found.frameworks():
            for rung in ("epoch", "graph", "step", "model"):
                key = (framework, rung, "device", size)
                base = (framework, "eager", "device", size)
                if text := _faster(found, key, base):
                    parts.append(f"{name(key)} takes {text} of the time of "
                                 f"{name(base)} at batch size {size}")
                    break
    return parts and ("Handing more of the work to a compiler saves time here:"
                      f" {listed(parts[:3])}.")


def _amortised(found):
    parts = [f"{name(key)} at batch size {key[3]} after {three(span[0])} to "
             f"{three(span[1])} epochs"
             for key, _, _, span, words in tables.repayments(found.groups)
             if span and words.startswith("repaid")]
    return parts and ("Compiling is paid once and repaid by faster epochs, "
                      f"counted against torch eager: {listed(parts[:4])}.")


def _batch_size(found):
    if len(found.sizes) < 2:
        return None
    small, large = found.sizes[0], found.sizes[-1]
    parts = [f"{name(key)} {text}" for key in found.groups
             if key[2:] == ("device", large) and key[0] in found.frameworks()
             and (text := _faster(found, key, (*key[:3], small)))]
    return parts and (
        "Larger batches need fewer steps and make larger products, which take "
        f"less time a row: an epoch at batch size {large} over one at {small} "
        f"is {listed(parts)}.")


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
    """Functional updates might be thought to cost memory. The processes' own
    size, mostly Python and framework, would not show it."""
    parts = []
    for framework in found.frameworks():
        mine = [r for r in found.done if r["contender"] == framework
                and r["memory"]["device_peak_bytes"]]
        if mine:
            most = max(mine, key=lambda r: r["memory"]["device_peak_bytes"])
            parts.append(
                f"{name((framework, most['config']['rung'], 'device'))} "
                f"{three(most['memory']['device_peak_bytes'] / 2**20)} MiB, "
                f"where {three(costs.needed(most) / 2**20)} must exist")
    return len(parts) > 1 and (
        "JAX returns new arrays where PyTorch changes them in place. At most "
        f"the device held {listed(parts)}.")
