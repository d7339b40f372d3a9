"""Figures of the limit: seconds per step, and where they go."""

import numpy as np
from matplotlib.ticker import NullLocator

from bench import attribution, stats
from bench.style import COLOURS, STYLES, colour, plain_log, plt
from bench.summary import name, three


def steps(groups):
    """Time per step against batch size with the fitted lines; None below
    four batch sizes."""
    fitted = attribution.fits(groups)
    if not fitted:
        return None
    known = [point[0] for point in fitted]
    figure, axis = plt.subplots(figsize=(7.2, 4.6))
    for point, rows in fitted.items():
        times = {key[3]: [r["timing"]["steady_epoch_s"] / r["steps_per_epoch"]
                          for r in members if r["status"] == "ok"
                          and r["timing"]["steady_epoch_s"]]
                 for key, members in groups.items() if key[:3] == point}
        sizes = [size for size in times if times[size]]
        fixed, each = np.mean([row[:2] for row in rows], axis=0)
        line = np.geomspace(min(sizes), max(sizes), 100)
        paint = colour(point[0], known)
        axis.plot(sizes, [1e3 * np.median(times[size]) for size in sizes],
                  "o", color=paint, ms=4)
        axis.plot(line, 1e3 * (fixed + each * line), STYLES[point[1]],
                  color=paint, lw=1.2, label=(
                      f"{name((*point, 0))}: {three(1e6 * max(fixed, 0))} µs "
                      f"+ {three(1e9 * each)} ns a sample"))
    axis.set(xscale="log", yscale="log", xlabel="batch size",
             ylabel="ms per step")
    axis.set_xticks(sizes, map(str, sizes))
    axis.xaxis.set_minor_locator(NullLocator())
    plain_log(axis.yaxis)
    axis.legend(loc="upper left", fontsize=8, handlelength=3)
    return figure


def waterfalls(groups, found):
    """From each eager rung down to the products; None without floors."""
    grid = attribution.waterfalls(groups, found)
    if not grid:
        return None
    rows = sorted({framework for framework, _ in grid})
    columns = sorted({size for _, size in grid})
    figure, axes = plt.subplots(
        len(rows), len(columns), squeeze=False,
        figsize=(5.2 * len(columns) + 1, 2.5 * len(rows) + 0.9))
    for (framework, size), bars in grid.items():
        _waterfall(axes[rows.index(framework), columns.index(size)],
                   framework, size, bars)
    for axis in axes.flat:
        axis.set_visible(axis.has_data())
    return figure


def _waterfall(axis, framework, size, bars):
    """Level by level on a log axis, where the short bars are seen, too."""
    upper = 1e6 * sum(np.mean(values) for _, values in bars)
    axis.set_title(f"{framework}, batch {size}: eager {three(upper)} µs a "
                   "step", loc="left", fontsize=9)
    axis.set_xscale("log")
    end = 0.6e6 * np.mean(bars[-1][1])
    for height, (_, values) in enumerate(bars):
        middle, span = 1e6 * np.mean(values), stats.interval(values)
        lower = max(end, upper - middle)
        axis.barh(-height, upper - lower, left=lower, height=0.6, color=(
            "#999999" if height == len(bars) - 1 else COLOURS[framework]))
        ends = [lower, upper]
        if span:  # of the bar's length, at its lower end
            reach = [max(end, upper - 1e6 * value) for value in span]
            axis.plot(reach, [-height] * 2, color="black", lw=0.8)
            ends += reach
        axis.annotate(three(middle), (max(ends), -height), fontsize=8,
                      xytext=(4, 0), textcoords="offset points", va="center")
        upper -= middle
    axis.set_yticks(range(0, -len(bars), -1), [text for text, _ in bars],
                    fontsize=8)
    axis.set_xlim(left=end)
    axis.margins(x=0.12)
    plain_log(axis.xaxis)
    axis.set_xlabel("µs a step, log scale")
    axis.grid(axis="y", visible=False)
