"""What a figure says, in one sentence: its title. Each follows from the numbers,
and is None where they say nothing; then the figure has the name that
figures.toml gives it."""

import numpy as np

from bench.analyse import costs, ratios, stats
from bench.analyse.floor import fits
from bench.analyse.groups import cold, scores_by_seed, unsteady
from bench.analyse.waterfall import LEVELS
from bench.proof.judging import differences
from bench.report.answer import claim, exceptions
from bench.report.floor import bar_words, micro
from bench.report.words import (
    FRAMEWORKS,
    at_sizes,
    capital,
    chosen,
    listed,
    many,
    name,
    plural,
    three,
)

TARGET = 0.97  # of test accuracy


def pair(found):
    """Of the ratios by batch size."""
    two = ratios.pooled(found)
    return two and claim(found, two) + exceptions(found, two)


def fastest(found):
    """Which variant is decidedly the fastest, and where."""
    best = {}
    for one in sorted(ratios.fastest(found), key=lambda one: one[3]):
        best.setdefault(name(one), []).append(one[3])
    parts = [f"{who} is the fastest" + (
        at_sizes(sizes) if len(sizes) < len(found.sizes) else " at every batch size"
        if len(sizes) > 1 else "") for who, sizes in best.items()]
    return listed(parts) if parts else "No variant is shown to be the fastest"


def pairs(found):
    """How often either framework is shown to be faster."""
    both = [two for two in ratios.every(found)
            if [two.first[0], two.second[0]] == [*FRAMEWORKS]]
    wins = [sum(bool(two.order) and two.order[0][0] == one for two in both)
            for one in FRAMEWORKS]
    return both and (f"Of {plural(len(both), 'pair')} JAX is faster in {wins[0]}, "
                     f"PyTorch in {wins[1]}")


def span_of(rows, form, unit):
    """'20.0 (jax step, batch 64) to 30.0 J (torch step, batch 64)' of [(value, key)],
    or None; form: text of a value."""
    if not rows:
        return None
    least, most = ((form(value), ", batch ".join(
        [name(one), *map(str, one[3:])])) for value, one in (min(rows), max(rows)))
    return (f"{least[0]} {unit} ({least[1]})" if len(rows) == 1 else
            f"{least[0]} ({least[1]}) to {most[0]} {unit} ({most[1]})")


def throughput(found):
    """The fewest and the most images a second."""
    return span_of([(done[0]["samples_per_epoch"] / seconds, one)
                    for one, done in found.groups.items() if (
                        seconds := stats.median(r["timing"]["steady_epoch_s"]
                                                for r in done))],
                   many, "images a second")


def steadiness(found):
    """In how many runs the epochs were not alike."""
    loose = len(unsteady(found.done))
    return (f"{loose} of {plural(len(found.done), 'run')} were not steady" if loose
            else "Every run was steady")


def learning(found):
    """How far the curves of the pair lie from each other."""
    two = ratios.pooled(found)
    gaps = []
    for size in found.sizes if two else ():
        means = [np.mean([[epoch["val_accuracy"] for epoch in r["epochs"]]
                          for r in found.groups[(*one[:3], size)]], axis=0)
                 for one in two[:2]]
        gaps.append(np.abs(np.subtract(*means)).max())
    return gaps and ("Mean validation accuracies of both are at most "
                     f"{100 * max(gaps):.2f} percentage points apart")


def scores(found):
    """The best and the worst test accuracy."""
    means = [stats.mean([*scores_by_seed(done).values()])[0]
             for done in found.groups.values()]
    return (f"Test accuracy is {min(means):.2%} to {max(means):.2%}, "
            "the mean over seeds")


def target(found):
    """How long until it is good enough, in whose hands."""
    waits = [(since[0], one) for one, done in found.groups.items()
             for _, _, since in [costs.waits(done, TARGET)] if since]
    return (f"{TARGET:.0%} after {span_of(waits, three, 's')}" if waits else
            f"No variant reaches {TARGET:.0%} in more than half of its runs")


def payoff(found):
    """Which variants repay their compiling within the runs and which do not, at every
    batch size; where that is said of none, at which."""
    most = max(r["config"]["epochs"] for r in found.done)
    said, counts = {}, set()
    for one, count, epochs, span, code in ratios.repayments(found.groups):
        low, high = span or (epochs, epochs)
        counts.add(count)
        said.setdefault(name(one), {})[one[3]] = (
            "not" if code == ratios.NEVER else None if code in (
                ratios.UNSHOWN, ratios.UNSURE) else "soon" if high <= most else
            "not" if low > most else None)

    def whom(state, everywhere):
        alike = {}  # by where it holds
        for who, states in said.items():
            sizes = [size for size in found.sizes if states.get(size) == state]
            if sizes and (sizes == found.sizes) == everywhere:
                alike.setdefault("" if everywhere else at_sizes(sizes), []).append(who)
        return " and ".join(f"{listed(who)}{sizes}" for sizes, who in alike.items())
    soon = whom("soon", True)
    some = "" if soon else whom("soon", False)
    late = whom("not", True) or ("" if soon or some else whom("not", False))
    parts = [f"{text} by {who}" for text, who in (
        ("repaid", soon), ("repaid at least", some),
        ("not" if soon or some else "not repaid", late)) if who]
    return parts and (f"Within {plural(most, 'epoch')} compiling is "
                      f"{', '.join(parts)} (n {min(counts)})")


def parts(found):
    """The largest share that one part has of a run."""
    shares = []
    for one, done in found.groups.items():
        if one[3] in chosen(found.sizes):
            split = [costs.parts(r) for r in cold(done)]
            middle = {part: stats.median(row[part] for row in split)
                      for part in split[0]}
            part = max(middle, key=middle.get)
            shares.append((middle[part] / sum(middle.values()), part, one))
    share, part, one = max(shares)
    verb = {"import": "Importing", "data": "Reading data", "compile": "Compiling",
            "train": "Training", "evaluate": "Evaluating", "rest": "Starting"}[part]
    return f"{verb} is {share:.0%} of a run of {name(one)}{at_sizes(one[3:])}"


def waterfall(found):
    """What a step of the first rung spends most on, the products apart, of what is
    certain to take time."""
    said = {}
    for framework in LEVELS:
        for (other, size), bars in found.waterfalls.items():
            rows = [(middle, bar_words(bar)) for bar, values in bars[:-1]
                    for middle, span in [micro(values)] if span and span[0] > 0]
            if other == framework and rows:
                most, what = max(rows)
                whole = sum(np.mean(values) for _, values in bars)
                said.setdefault(framework, (
                    f"{what} is {1e-6 * most / whole:.0%} of {' '.join(bars[0][0][0])}"
                    f"{at_sizes([size])}"))
    return said and capital(listed(said.values()))


def answers(found):
    """The shortest and the longest wait for an answer."""
    said = span_of([(1e3 * np.median(rows[:, 0]), one) for one, rows in costs.answers(
        found.groups).items()], three, "ms")
    return said and f"Half of the answers are there within {said}"


def energy(found):
    """The fewest and the most joules."""
    said = span_of([(stats.median(row["gross"]), one) for one, row in costs.values(
        found.measured, "energy").items()], three, "J")
    return said and f"An epoch takes {said}"


def steps(found):
    """The smallest and the largest fixed cost of a step."""
    said = span_of([(1e6 * max(0, np.mean([fit[0] for fit in fitted])), variant)
                    for variant, fitted in fits(found.groups).items()], three, "µs")
    return said and f"Whatever its batch size, a step takes {said}"


def parity(found):
    """The largest difference in float64."""
    rows = [row for row in (found.proof[2] or {"rows": ()})["rows"]
            if row["precision"] == "fp64" and row.get("losses")]
    first = {}
    for row in rows:
        if name([row[part] for part in ("contender", "rung", "feed")]) == row[
                "reference"]:
            first[place(row)] = row["losses"]
    gaps = [differences(row["losses"], first[place(row)]).max() for row in rows
            if place(row) in first]
    return gaps and ("Relative differences of all losses in float64 are at most "
                     f"{max(gaps):.0e}")


def place(row):
    """Of a certificate: what one reference is for."""
    return tuple(map(row.get, ("batch_size", "seed", "optimizer", "lr")))
