"""What a figure says, in one sentence: its title. Each follows from the numbers,
and is None where they say nothing; then the figure has the name that
figures.toml gives it."""

import numpy as np

from bench.analyse import costs, ratios, stats
from bench.analyse.floor import fits
from bench.analyse.groups import unsteady
from bench.analyse.waterfall import LEVELS
from bench.proof.judging import differences
from bench.report.answer import claim
from bench.report.floor import bar_words, micro
from bench.report.words import (
    FRAMEWORKS,
    at_sizes,
    capital,
    listed,
    name,
    plural,
    three,
)

ALIKE = 0.01  # of validation accuracy: less is not seen in the figure
TARGET = 0.97  # of test accuracy


def pair(found):
    """Of the ratios by batch size."""
    two = ratios.pooled(found)
    return two and claim(found, two)


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


def throughput(found):
    """The most images a second."""
    rows = [(done[0]["samples_per_epoch"] / seconds, one)
            for one, done in found.groups.items() if (seconds := stats.median(
                r["timing"]["steady_epoch_s"] for r in done))]
    most, one = max(rows, default=(0, None))
    return one and (f"{name(one)} handles the most images: {most:,.0f} a second"
                    f"{at_sizes(one[3:])}")


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
    return gaps and ("JAX and PyTorch learn alike: means within "
                     f"{100 * max(gaps):.2f} percentage points at every epoch"
                     if max(gaps) < ALIKE else "JAX and PyTorch learn differently: "
                     f"means up to {100 * max(gaps):.1f} percentage points apart")


def scores(found):
    """The best and the worst test accuracy."""
    rows = {name(one): stats.spread([r["final"]["test_accuracy"] for r in done])[0]
            for one, done in found.groups.items()}
    return (f"Test accuracy is {min(rows.values()):.2%} to {max(rows.values()):.2%}, "
            "the mean over seeds")


def target(found):
    """Who is the first to be good enough."""
    waits = [(since[0], one) for one, done in found.groups.items()
             for _, _, since in [costs.waits(done, TARGET)] if since]
    soonest, one = min(waits, default=(0, None))
    return (f"{name(one)} is the first at {TARGET:.0%}: after {three(soonest)} s"
            f"{at_sizes(one[3:])}" if one else f"No variant reaches {TARGET:.0%} in "
            "half of its runs")


def payoff(found):
    """Which compiled variants repay their compiling within the runs."""
    rows = [(one, epochs) for one, _, epochs, *_ in ratios.repayments(found.groups)]
    most = max(r["config"]["epochs"] for r in found.done)
    soon = {name(one) for one, epochs in rows if epochs and epochs <= most}
    late = {name(one) for one, _ in rows} - soon
    return ", ".join(f"{text} by {listed(sorted(who))}" for who, text in (
        (soon, f"Compiling is repaid within {most} epochs"),
        (late, "not" if soon else f"Compiling is not repaid within {most} epochs"))
        if who)


def parts(found):
    """The largest share that one part has of a run."""
    shares = []
    for one, done in found.groups.items():
        for r in done[:1]:
            split = costs.parts(r)
            part = max(split, key=split.get)
            shares.append((split[part] / sum(split.values()), part, one))
    share, part, one = max(shares)
    verb = {"import": "Importing", "data": "Reading data", "compile": "Compiling",
            "train": "Training", "evaluate": "Evaluating", "rest": "Starting"}[part]
    return f"{verb} is {share:.0%} of a run of {name(one)}{at_sizes(one[3:])}"


def waterfall(found):
    """What an eager step spends most on, the products apart."""
    said = {}
    for framework in LEVELS:
        for (other, size), bars in found.waterfalls.items():
            rows = [(micro(values)[0], bar_words(bar)) for bar, values in bars[:-1]]
            if other == framework and rows:
                most, what = max(rows)
                whole = sum(np.mean(values) for _, values in bars)
                said.setdefault(framework, (
                    f"{what} is {1e-6 * most / whole:.0%} of {framework} eager"
                    f"{at_sizes([size])}"))
    return said and capital(listed(said.values()))


def answers(found):
    """The shortest wait for an answer."""
    waits = [(np.median(rows[:, 0]), one) for one, rows in costs.answers(
        found.groups).items()]
    least, one = min(waits, default=(0, None))
    return one and (f"{name(one)} answers soonest: half of its answers within "
                    f"{three(1e3 * least)} ms{at_sizes(one[3:])}")


def energy(found):
    """The fewest joules."""
    rows = [(stats.median(row["gross"]), one) for one, row in costs.values(
        found.measured, "energy").items()]
    least, one = min(rows, default=(0, None))
    return one and (f"{name(one)} takes the least energy: {three(least)} J an epoch"
                    f"{at_sizes(one[3:])}")


def steps(found):
    """The smallest fixed cost of a step."""
    rows = [(np.mean([fit[0] for fit in fitted]), variant)
            for variant, fitted in fits(found.groups).items()]
    least, variant = min(rows, default=(0, None))
    return variant and (f"{name(variant)} has the smallest fixed cost: "
                        f"{three(1e6 * max(least, 0))} µs a step")


def parity(found):
    """The largest difference in float64."""
    rows = [row for row in (found.proof[2] or {"rows": ()})["rows"]
            if row["precision"] == "fp64" and row.get("losses")]
    first = {}
    for row in rows:
        if name(tuple(row[part] for part in ("contender", "rung", "feed"))) == row[
                "reference"]:
            first[row["batch_size"], row["seed"], row["optimizer"]] = row["losses"]
    gaps = [differences(row["losses"], first[place]).max() for row in rows
            if (place := (row["batch_size"], row["seed"], row["optimizer"])) in first]
    return gaps and (f"The losses of all variants differ by at most {max(gaps):.0e} in "
                     "float64")
