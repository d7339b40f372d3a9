"""What several figures have in common: a panel for each batch size, a row for
each variant, an axis of batch sizes, log axes with plain numbers."""

from matplotlib import ticker

from bench.analyse import stats
from bench.report.figures.style import NARROW, plt
from bench.report.words import chosen


class PlainLog(ticker.Locator):
    """Ticks of a log axis at 1, 2, 5, 10, …; of a short one evenly spaced; of
    a long one at powers of ten."""

    def __call__(self):
        return self.tick_values(*self.axis.get_view_interval())

    def tick_values(self, low, high):
        if high < 4 * low:
            even = ticker.MaxNLocator(5, steps=(1, 2, 5, 10))
            return [tick for tick in even.tick_values(low, high) if tick > 0]
        subs = (1, 2, 5) if high < 1000 * low else (1,)
        return ticker.LogLocator(subs=subs).tick_values(low, high)


def log(axis, which, form="{x:g}"):
    """Make "x" or "y" a log axis whose ticks are plain numbers."""
    axis.set(**{f"{which}scale": "log"})
    ticks = getattr(axis, f"{which}axis")
    ticks.set_major_locator(PlainLog())
    ticks.set_major_formatter(form)
    ticks.set_minor_formatter("")


def percent(value, _):
    """The text of a tick: no more digits than it needs."""
    return f"{100 * value:g} %"


def panels(sizes, xlabel, labels, tall=2.2, narrow=False):
    """A column for each batch size, a row, so many inches tall, for each
    label of the y axis: an accuracy in percent, anything else on a log axis;
    x is the epoch or on a log axis -> figure, {batch size: axes from
    above}"""
    sizes = chosen(sizes)
    figure, grid = plt.subplots(
        len(labels), len(sizes), squeeze=False, sharex=True, sharey="row",
        figsize=(NARROW if narrow else max(6.6, 3.3 * len(sizes) + 1),
                 tall * len(labels) + 1))
    for size, column in zip(sizes, grid.T):
        column[0].set_title(f"batch {size}", loc="left", fontsize=8 if narrow else 10)
        column[-1].set_xlabel(xlabel)
    if xlabel == "epoch":
        grid[0, 0].xaxis.get_major_locator().set_params(integer=True)
    else:
        log(grid[0, 0], "x")
    for axis, label in zip(grid[:, 0], labels):
        axis.set_ylabel(label)
        if "accuracy" in label:
            axis.yaxis.set_major_formatter(percent)
        elif label:
            log(axis, "y")
    return figure, dict(zip(sizes, grid.T))


def stacked(sizes, columns, tall, **shared):
    """A narrow figure: a row of panels, so many inches tall, for each batch size
    -> figure, {batch size: axes from the left}"""
    sizes = chosen(sizes)
    figure, grid = plt.subplots(
        len(sizes), columns, squeeze=False, **shared,
        figsize=(NARROW, tall * len(sizes) + 0.9))
    for size, row in zip(sizes, grid):
        row[0].set_title(f"batch {size}", loc="left", fontsize=9)
    return figure, dict(zip(sizes, grid))


def label_rows(axis, labels):
    """A row for each label, from above, at the heights 0, 1, 2, …"""
    axis.set_yticks(range(len(labels)), labels, fontsize=8)
    axis.set_ylim(len(labels) - 0.4, -0.7)


def rows(labels, shares=(1,)):
    """A row for each label, and columns of these shares of the width, which
    grows with them -> figure, axes from the left"""
    figure, axes = plt.subplots(
        1, len(shares), squeeze=False, sharey=True, width_ratios=shares,
        figsize=(7 + sum(shares), 0.3 * len(labels) + 1.6))
    label_rows(axes[0, 0], labels)
    return figure, axes[0]


def by_size(sizes, ylabel, form="{x:g}"):
    """Batch sizes against something, both on log axes -> figure, axis"""
    figure, axis = plt.subplots(figsize=(7.6, 4.4))
    axis.set(xscale="log", xlabel="batch size", ylabel=ylabel)
    axis.set_xticks(sizes, map(str, sizes))
    axis.xaxis.set_minor_locator(ticker.NullLocator())
    log(axis, "y", form)
    return figure, axis


def floor(found, size):
    """Seconds an epoch at the floor, median over blocks; None where it was
    not measured."""
    return stats.median(
        row["floor"] for row in found.floors.get(size, {}).values())
