"""Figures with a row for each variant: ratios, images a second, parts of a run,
accuracy, answers, joules."""

import math

import numpy as np

from bench.analyse import costs, stats
from bench.analyse.groups import cold, key, steady
from bench.analyse.ratios import every
from bench.report.figures import axes, style
from bench.report.figures.style import COLOURS, QUIET, legend, note, tell
from bench.report.words import chosen, many, name, plural, three, with_span

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


def _value(axis, value, height):
    """The number itself beside its mark."""
    note(axis, three(value), (value, height), (0, 8), ha="center", fontsize=7.5)


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
        dot, = axis.plot(two.value, height, "o", color=paint, ms=5)
        tell(dot, two.first, f"over {name(two.second)}: "
             f"{with_span(two.value, two.span)}, {plural(two.count, 'block')}")
        _value(axis, two.value, height)
    axes.log(axis, "x")
    axis.set_xlabel("ratio of steady epochs: left of 1 JAX is faster, right "
                    "of 1 PyTorch")
    return figure


def parts(found):
    """What the seconds of a whole run go into."""
    figure, (axis,), variants = _each(found, chosen(found.sizes))
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
    allows."""
    if found.only_timed:
        return None
    figure, (axis,), variants = _each(found, found.sizes)
    for height, one, done, paint in variants:
        scores = [r["final"]["test_accuracy"] for r in done]
        mean = float(np.mean(scores))
        span = stats.wilson(mean, done[0]["dataset"]["sizes"]["test"])
        _at(axis, height, span, color=paint, lw=5, alpha=0.25)
        for r, score in zip(done, scores):
            dot, = axis.plot(score, height, "o", color=paint, ms=3, alpha=0.6)
            tell(dot, one, f"{score:.2%}, seed {r['config']['seed']}")
        line, = axis.plot(mean, height, "|", color=paint, ms=11, mew=2)
        tell(line, one, f"{mean:.2%} ({span[0]:.2%} to {span[1]:.2%}), "
             f"{plural(len(done), 'run')}")
    axis.set_xlabel("test accuracy: runs, mean, 95 % interval of the test set")
    axis.xaxis.set_major_formatter(axes.percent)
    return figure


def throughput(found):
    """Images a second as bars, with the interval; a line where the floor is."""
    figure, (axis,), variants = _each(found, found.sizes)
    known = {key(row): row for row in found.rows}
    for height, one, done, paint in variants:
        images, (middle, span) = done[0]["samples_per_epoch"], steady(known[one])
        if not middle:
            continue
        ends = span and (images / span[1], images / span[0])
        bar, = axis.barh(height, images / middle, color=paint, alpha=0.6, height=0.7)
        tell(bar, one, with_span(images / middle, ends, form=many)
             + f" images a second, {plural(len(done), 'run')}")
        _at(axis, height, ends, color="black", lw=1)
        note(axis, many(images / middle), (max(ends or [images / middle]), height))
        if bound := axes.floor(found, one[3]):
            axis.plot([images / bound] * 2, [height - 0.4, height + 0.4], lw=1.2,
                      color="black", label="floor")
    axis.set(xlabel="images a second", xlim=(0, 1.08 * axis.get_xlim()[1]))
    axis.xaxis.set_major_formatter("{x:,.0f}")
    if found.floors:
        legend(figure)
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
