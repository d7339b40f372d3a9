"""Figures that are as wide as a phone: the ratio of the pair, seconds of an epoch, and
from the floor up to the rung that leaves most to Python."""

import math

import numpy as np

from bench.analyse import stats
from bench.analyse.groups import cold, key, log_ratios, steady
from bench.analyse.ratios import pooled
from bench.report.answer import at
from bench.report.figures import axes, style
from bench.report.figures.style import COLOURS, NARROW, QUIET, note, tell
from bench.report.floor import bar_words
from bench.report.words import name, plural, three, with_span

# Of a waterfall from below, and of a bar of its own that has another name.
LEVELS = {"the products": "#444444", "gathering the batch": "#888888",
          "another library's products": "#bbbbbb", "softmax, update, loop": "#56B4E9",
          "all but batch and products": "#56B4E9", "all but the products": "#56B4E9",
          "a call from Python per step": "#E69F00",
          "a launch from Python per kernel": "#E69F00",
          "Python dispatch and fusion": "#D55E00", "fusion": "#009E73",
          "Python per operation": "#CC79A7",
          "Python per operation, and fusion": "#CC79A7",
          "autograd, optimizer objects": "#882255"}
OTHER = "#999933"


def pair(found):
    """The ratio of each framework's fastest by batch size, and over all: a dot for
    each block, the mean with its interval."""
    two = pooled(found)
    if not two:
        return None
    rows = [(f"batch {size}", at(found, two, size), log_ratios(
        found.groups, *((*one[:3], size) for one in two[:2]))) for size in found.sizes]
    if len(rows) > 1:
        blocks = sorted(set.intersection(*(set(logs) for _, _, logs in rows)))
        rows.append(("all", two, {block: np.mean([logs[block] for _, _, logs in rows])
                                  for block in blocks}))
    figure, axis = style.plt.subplots(figsize=(NARROW, 0.42 * len(rows) + 1.1))
    axes.label_rows(axis, [label for label, *_ in rows])
    axis.axvline(1, color="black", lw=1)
    if found.width is not None:
        axis.axvspan(math.exp(-found.width), math.exp(found.width), lw=0,
                     color=QUIET, alpha=0.2)
    for height, (_, one, logs) in enumerate(rows):
        if one:
            _pair(axis, height, one, logs)
    axis.set_xlabel(f"seconds, {name(two.first)} / {name(two.second)}")
    axis.margins(x=0.1)
    return figure


def _pair(axis, height, two, logs):
    paint = COLOURS[two.order[0][0]] if two.order else QUIET
    what, beside = two.first, f"over {name(two.second)}"
    for block, value in logs.items():
        dot, = axis.plot(math.exp(value), height, "o", ms=3, color=paint, alpha=0.5)
        tell(dot, what, f"{beside}, block {block + 1}: {three(math.exp(value))}")
    if two.span:
        axis.plot(two.span, [height + 0.22] * 2, color=paint, lw=2)
    mean, = axis.plot(two.value, height + 0.22, "D", ms=4.5, color=paint)
    text = with_span(two.value, two.span)
    tell(mean, what, f"{beside}: {text}, {plural(two.count, 'block')}")
    note(axis, three(two.value), (two.value, height), (0, 8), ha="center")


def seconds(found):
    """Left steady epochs, right the first one with its compilation: a bar for the
    median, a dot for each run, a line for the interval."""
    variants = list(dict.fromkeys(name(key(row)) for row in found.rows))
    figure, panels = axes.stacked(found.sizes, 2, 0.19 * len(variants) + 0.42,
                                  sharex="col", sharey=True)
    look = style.looks(found.groups)
    for size, (left, right) in panels.items():
        axes.label_rows(left, variants)
        if bound := axes.floor(found, size):
            line = left.axvline(bound, color="black", lw=1)
            tell(line, ("the", "floor", "", size), f"{three(bound)} s")
        for row in found.rows:
            if row["batch_size"] == size and row["ok"]:
                height, one = variants.index(name(key(row))), key(row)
                done, paint = found.groups[one], look[one]["color"]
                _bar(left, height, one, *steady(row), paint,
                     [(r, r["timing"]["steady_epoch_s"]) for r in done])
                _bar(right, height, one, row["first_epoch_s"], None, paint,
                     [(r, r["timing"]["first_epoch_s"]) for r in cold(done)])
    for axis, what in zip((left, right), ("steady", "first")):
        axis.set_xlabel(f"{what} epoch, s")
        axis.set_xlim(0, 1.22 * axis.get_xlim()[1])
    return figure


def _bar(axis, height, one, value, span, paint, runs):
    """From zero to the median, with a dot for every run."""
    if value is None:
        return
    bar, = axis.barh(height, value, color=paint, alpha=0.35, height=0.75)
    tell(bar, one, f"{with_span(value, span)} s, {plural(len(runs), 'run')}")
    if span:
        axis.plot(span, [height] * 2, color="black", lw=1)
    for r, second in runs:
        dot, = axis.plot(second, height, "o", ms=2, color=paint)
        tell(dot, one, f"{three(second)} s, block {r['block'] + 1}, seed "
                       f"{r['config']['seed']}")
    most = max([value, *(span or ()), *(second for _, second in runs)])
    note(axis, three(value), (most, height), fontsize=7.5)


def waterfall(found):
    """From the products up to each first rung: a bar for each batch size, whose
    parts are differences of two runs; what makes it longer goes to the right, what
    makes it shorter, hatched, to the left."""
    if not found.waterfalls:
        return None
    labels = [f"{' '.join(bars[0][0][0])}, batch {size}"
              for (_, size), bars in found.waterfalls.items()]
    figure, axis = style.plt.subplots(figsize=(NARROW, 0.34 * len(labels) + 2.1))
    axes.label_rows(axis, labels)
    for height, ((_, size), bars) in enumerate(found.waterfalls.items()):
        _stack(axis, height, size, bars, found)
    axis.set_xlabel("seconds an epoch")
    axis.set_xlim(0, 1.12 * axis.get_xlim()[1])
    style.legend(figure)
    return figure


def _stack(axis, height, size, bars, found):
    steps = next(r["steps_per_epoch"] for r in found.done
                 if r["config"]["batch_size"] == size)
    end = most = 0.0
    for bar, values in reversed(bars):
        middle, span = stats.mean(np.multiply(values, steps))
        what = bar_words(bar)
        longer = middle >= 0
        level = height if longer else height + 0.18
        part, = axis.barh(level, middle, left=end, height=0.6 if longer else 0.24,
                          color=LEVELS.get(what, OTHER), label=what, lw=0.5,
                          hatch="" if longer else "/////", edgecolor="white")
        end += middle
        most = max(most, end)
        tell(part, (*bars[0][0][0], "", size), f"{what} {with_span(middle, span)} "
             f"s an epoch, {plural(len(values), 'block')}")
        if span:
            half = (span[1] - span[0]) / 2
            axis.plot([end - half, end + half], [level] * 2, color="black", lw=1)
            most = max(most, end + half)
    note(axis, three(end), (most, height))
