"""Figures with a row for each variant: seconds, ratios, parts of a run, what
comes of it and what it takes, and where the time of a step goes."""

import itertools
import math

import numpy as np

from bench.analyse import costs, stats
from bench.analyse.groups import cold, key, steady
from bench.analyse.ratios import every
from bench.report.figures import axes, style
from bench.report.figures.style import COLOURS, QUIET, legend, note
from bench.report.floor import bar_words, micro
from bench.report.words import name, three

PARTS = {"import": "#4d4d4d", "data": "#999999", "compile": "#E69F00",
         "train": "#56B4E9", "evaluate": "#009E73", "rest": "#dddddd"}


def _each(found, sizes, shares=(1,)):
    """A row for each variant that finished at some batch size -> figure, axes
    from the left, [(height, key, its finished runs, its colour), …]"""
    look = style.looks(found.groups)
    keys = [key for key in found.groups if key[3] in sizes]
    figure, columns = axes.rows(
        [f"{name(key)}, batch {key[3]}" for key in keys], shares)
    return figure, columns, [
        (height, key, found.groups[key], look[key]["color"])
        for height, key in enumerate(keys)]


def _at(axis, height, values, *mark, **look):
    """A line through values at one height or, given one, a mark on each;
    None: there is no interval."""
    if values is not None:
        axis.plot(values, [height] * len(values), *mark,
                  solid_capstyle="butt", **look)


def _value(axis, value, height, by=8, **look):
    """The number itself beside its mark."""
    note(axis, three(value), (value, height), (0, by), ha="center",
         path_effects=style.HALO, **look)


def seconds(found):
    """Steady epochs filled, the first with compilation hollow."""
    variants = list(dict.fromkeys(name(key(row)) for row in found.rows))
    figure, columns = axes.panels(found.sizes, "seconds", [""],
                                  0.42 * len(variants) + 1)
    look = style.looks(found.groups)
    for size, (axis,) in columns.items():
        axes.label_rows(axis, variants)
        axis.margins(x=0.18)
        if bound := axes.floor(found, size):
            axis.axvline(bound, color="black", lw=1)
            note(axis, "floor", (bound, 0), (3, 3), va="baseline",
                 xycoords=("data", "axes fraction"))
        for row in found.rows:
            if row["batch_size"] == size and row["ok"]:
                _both_epochs(axis, row, variants.index(name(key(row))),
                             look[key(row)]["color"])
    return figure


def _both_epochs(axis, row, height, color):
    first, (middle, span) = row["first_epoch_s"], steady(row)
    if middle is not None:
        _at(axis, height, (middle, first), color=color, lw=0.8, alpha=0.5,
            zorder=1)
    _at(axis, height, span, color=color, lw=3, alpha=0.35)
    for value, fill, by, ink in ((middle, color, 9, "black"),
                                 (first, "white", -9, "#555555")):
        if value is not None:
            axis.plot(value, height, "o", color=color, mfc=fill)
            _value(axis, value, height, by, color=ink)


def ratios(found):
    """JAX over PyTorch; None without the two."""
    both = [two for two in every(found)
            if [two.first[0], two.second[0]] == [*COLOURS]]
    if not both:
        return None
    figure, (axis,) = axes.rows([
        f"{name(two.first)} / {name(two.second)}, batch {two.first[3]}"
        for two in both])
    axis.axvline(1, color="black", lw=1)
    if found.width is not None:
        axis.axvspan(math.exp(-found.width), math.exp(found.width), lw=0,
                     color=QUIET, alpha=0.2, label="one script against itself")
        legend(figure)
    for height, two in enumerate(both):
        paint = COLOURS[two.order[0][0]] if two.order else QUIET
        _at(axis, height, two.span, color=paint, lw=2)
        axis.plot(two.value, height, "o", color=paint, ms=5)
        _value(axis, two.value, height, fontsize=7.5)
    axes.log(axis, "x")
    axis.set_xlabel("ratio of steady epochs: left of 1 JAX is faster, right "
                    "of 1 PyTorch")
    return figure


def parts(found):
    """What the seconds of a whole run go into."""
    figure, (axis,), variants = _each(found, axes.chosen(found.sizes))
    for height, _, done, _ in variants:
        left, split = 0.0, [costs.parts(r) for r in cold(done)]
        for part, paint in PARTS.items():
            value = stats.median(one[part] for one in split)
            axis.barh(height, value, left=left, color=paint, height=0.7,
                      label=part)
            left += value
        note(axis, three(left), (left, height))
    axis.set_xlabel("seconds of work of a run with an empty compile cache, "
                    "median over those")
    axis.margins(x=0.08)
    legend(figure)
    return figure


def final(found):
    """Test accuracy of every run with the interval that the test set's size
    allows, and the memory of the process."""
    figure, (left, right), variants = _each(found, found.sizes, (1.4, 1))
    for height, _, done, paint in variants:
        scores = [r["final"]["test_accuracy"] for r in done]
        mean, trials = np.mean(scores), done[0]["dataset"]["sizes"]["test"]
        _at(left, height, stats.wilson(mean, trials), color=paint, lw=5,
            alpha=0.25)
        _at(left, height, scores, "o", color=paint, ms=3, alpha=0.6)
        _at(left, height, [mean], "|", color=paint, ms=11, mew=2)
        for place, mark in (("host", "o"), ("device", "D")):
            peaks = [r["memory"][f"{place}_peak_bytes"] for r in done]
            if None not in peaks:
                _at(right, height, np.array(peaks) / 2**20, mark, color=paint,
                    ms=4, alpha=0.7)
    left.set_xlabel("test accuracy: runs, mean, 95 % interval of the test set")
    left.xaxis.set_major_formatter(axes.percent)
    right.set(xlabel="peak memory, MiB: process (◇: device)",
              xlim=(0, 1.1 * right.get_xlim()[1]))
    return figure


def answers(found):
    """Until half, 95 and 99 of a hundred answers are there, of every run."""
    waits = costs.answers(found.groups)
    if not waits:
        return None
    figure, (axis,), variants = _each(found, found.sizes)
    for height, variant, _, paint in variants:
        for row in 1e3 * waits.get(variant, np.empty((0, 3))):
            _at(axis, height, row[::2], color=paint, lw=1, alpha=0.6)
            _at(axis, height, row, "|", color=paint, ms=9)
            _at(axis, height, row[:1], "o", color=paint, ms=4)
    axis.set(xlabel="milliseconds", xlim=(0, 1.1 * axis.get_xlim()[1]))
    return figure


def energy(found):
    """Joules an epoch of every run; None where they were not measured."""
    joules = costs.values(found.measured, "energy")
    if not joules:
        return None
    figure, (axis,), variants = _each(found, found.sizes)
    for height, variant, _, paint in variants:
        for part, fill in (("gross", paint), ("net", "white")):
            _at(axis, height, joules.get(variant, {}).get(part, ()), "o",
                color=paint, ms=4, mfc=fill)
    axis.set(xlabel="joules an epoch", xlim=(0, 1.1 * axis.get_xlim()[1]))
    return figure


def waterfall(found):
    """From each eager rung down to the products; None without floors."""
    sizes = axes.chosen(sorted({size for _, size in found.waterfalls}))
    frameworks = sorted({framework for framework, _ in found.waterfalls})
    if not sizes:
        return None
    figure, grid = style.plt.subplots(
        len(frameworks), len(sizes), squeeze=False,
        figsize=(5.2 * len(sizes) + 1, 2.5 * len(frameworks) + 0.9))
    for axis, place in zip(grid.flat, itertools.product(frameworks, sizes)):
        bars = found.waterfalls.get(place)
        axis.set_visible(bool(bars))
        if bars:
            _bars(axis, *place, bars)
    return figure


def _bars(axis, framework, size, bars):
    """Level by level on a log axis, where the short bars are seen, too."""
    axes.label_rows(axis, [bar_words(bar) for bar, _ in bars])
    upper = 1e6 * sum(np.mean(values) for _, values in bars)
    (top, _), _ = bars[0]
    axis.set_title(f"{' '.join(top)}, batch {size}: {three(upper)} µs a step",
                   loc="left", fontsize=9)
    end = 0.6e6 * np.mean(bars[-1][1])
    for height, (_, values) in enumerate(bars):
        middle, span = micro(values)
        lower = max(end, upper - middle)
        # The interval is of the bar's length, at its lower end.
        reach = [max(end, upper - value) for value in span or ()]
        axis.barh(height, upper - lower, left=lower, height=0.6, color=(
            QUIET if height == len(bars) - 1 else COLOURS[framework]))
        _at(axis, height, reach or None, color="black", lw=0.8)
        note(axis, three(middle), (max(lower, upper, *reach), height))
        upper -= middle
    axis.set_xlim(left=end)
    axis.margins(x=0.12)
    axes.log(axis, "x")
    axis.set_xlabel("µs a step, log scale")
