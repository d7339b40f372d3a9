"""Figures of time: epochs, throughput, wall clock, ratios, what it all costs."""

import math

import numpy as np
from matplotlib.ticker import NullLocator, PercentFormatter

from bench import costs, stats, tables
from bench.style import (
    HALO,
    STYLES,
    chosen,
    colour,
    label_ends,
    legend,
    plain_log,
    plt,
    wide,
)
from bench.summary import name, paired, three

PARTS = (("import", "#4d4d4d"), ("data", "#999999"), ("compile", "#E69F00"),
         ("train", "#56B4E9"), ("evaluate", "#009E73"), ("rest", "#dddddd"))


def columns(groups, height=3.2):
    """A panel per batch size (at most three) -> figure, [(axis, size)]"""
    sizes = chosen({key[3] for key in groups})
    figure, axes = plt.subplots(
        1, len(sizes), figsize=(wide(len(sizes)), height), squeeze=False,
        sharey=True)
    for axis, size in zip(axes[0], sizes):
        axis.set_title(f"batch {size}", loc="left")
    return figure, list(zip(axes[0], sizes))


def finished(groups, size):
    for key, members in groups.items():
        done = [r for r in members if r["status"] == "ok"]
        if key[3] == size and done:
            yield key, done


def seconds_per_epoch(rows, found):
    """Steady epochs (filled) and the first with compilation (hollow); found:
    the floors of attribution.floors, whose limit is a line."""
    sizes = chosen({row["batch_size"] for row in rows})
    points = list(dict.fromkeys(
        (row["contender"], row["rung"], row["feed"]) for row in rows))[::-1]
    known = [point[0] for point in points]
    figure, axes = plt.subplots(
        1, len(sizes), figsize=(wide(len(sizes)), 0.42 * len(points) + 2),
        squeeze=False, sharey=True, sharex=True)
    for axis, size in zip(axes[0], sizes):
        axis.set_title(f"batch {size}", loc="left")
        axis.set_xscale("log")
        plain_log(axis.xaxis)
        axis.set_xlabel("seconds")
        axis.margins(x=0.18)
        limits = [row["limit"] for (_, other), row in found.items()
                  if other == size]
        if limits:
            axis.axvline(np.median(limits), color="black", lw=1)
            axis.annotate("limit", (np.median(limits), 0), fontsize=8,
                          xycoords=("data", "axes fraction"), xytext=(3, 3),
                          textcoords="offset points")
        for row in rows:
            first, steady = row["first_epoch_s"], row["steady_epoch_s"]
            if row["batch_size"] != size or first is None:
                continue
            height = points.index((row["contender"], row["rung"],
                                   row["feed"]))
            paint = colour(row["contender"], known)
            if steady is not None:
                axis.plot([steady, first], [height] * 2, color=paint, lw=0.8,
                          alpha=0.5)
                axis.plot(steady, height, "o", color=paint)
                axis.annotate(three(steady), (steady, height), fontsize=8,
                              xytext=(0, 6), textcoords="offset points",
                              ha="center", path_effects=HALO)
                if row["steady_low_s"]:
                    axis.plot([row["steady_low_s"], row["steady_high_s"]],
                              [height] * 2, color=paint, lw=3, alpha=0.35,
                              solid_capstyle="butt")
            axis.plot(first, height, "o", color=paint, mfc="white")
            axis.annotate(three(first), (first, height), fontsize=8,
                          xytext=(0, -12), textcoords="offset points",
                          ha="center", color="#555555", path_effects=HALO)
    axes[0, 0].set_yticks(range(len(points)),
                          [name((*point, 0)) for point in points])
    axes[0, 0].set_ylim(-0.7, len(points) - 0.4)
    return figure


def epochs(groups):
    """Every epoch of every run: what the first one costs, and whether the
    others are steady."""
    figure, panels = columns(groups)
    known = [key[0] for key in groups]
    for axis, size in panels:
        for key, done in finished(groups, size):
            paint = colour(key[0], known)
            for number, r in enumerate(done):
                seconds = [r["timing"]["first_epoch_s"],
                           *r["timing"]["epoch_s"][1:]]
                axis.plot(range(1, len(seconds) + 1), seconds,
                          STYLES[key[1]], color=paint, lw=0.8, alpha=0.8,
                          label=name(key) if number == 0 else None)
                axis.plot(1, seconds[0], "o", color=paint, mfc="white", ms=4)
        axis.set_yscale("log")
        axis.set_xlabel("epoch")
        axis.xaxis.get_major_locator().set_params(integer=True)
    panels[0][0].set_ylabel("seconds")
    plain_log(panels[0][0].yaxis)
    legend(figure, [axis for axis, _ in panels])
    return figure


def throughput(groups, found):
    """Batch size against images per second; found: the floors, whose limit
    is a line."""
    times = {}
    for key, members in groups.items():
        speeds = [r["samples_per_epoch"] / r["timing"]["steady_epoch_s"]
                  for r in members if r["status"] == "ok"
                  and r["timing"]["steady_epoch_s"]]
        if speeds:
            times.setdefault(key[:3], {})[key[3]] = float(np.median(speeds))
    if not times:
        return None
    known = [point[0] for point in times]
    figure, axis = plt.subplots(figsize=(7.6, 4.2))
    ends = []
    for point, row in times.items():
        paint = colour(point[0], known)
        axis.plot(list(row), list(row.values()), STYLES[point[1]], marker="o",
                  ms=4, color=paint, lw=1.4)
        ends.append((max(row), row[max(row)], name((*point, 0)), paint))
    limits = {}
    for (_, size), row in found.items():
        limits.setdefault(size, []).append(row["limit"])
    samples = {key[3]: r["samples_per_epoch"] for key, members in
               groups.items() for r in members if r["status"] == "ok"}
    line = {size: samples[size] / float(np.median(values))
            for size, values in sorted(limits.items()) if size in samples}
    if line:
        axis.plot(list(line), list(line.values()), color="black", lw=1,
                  marker="_")
        ends.append((max(line), line[max(line)], "limit", "black"))
    axis.set(xscale="log", yscale="log", xlabel="batch size",
             ylabel="training images per second")
    sizes = sorted({size for row in times.values() for size in row})
    axis.set_xticks(sizes, map(str, sizes))
    axis.xaxis.set_minor_locator(NullLocator())
    plain_log(axis.yaxis, ",.0f")
    label_ends(axis, ends)
    return figure


def wall_clock(groups):
    """Seconds since the process was created against test accuracy."""
    figure, panels = columns(groups)
    known = [key[0] for key in groups]
    for axis, size in panels:
        for key, done in finished(groups, size):
            for number, r in enumerate(done):
                axis.plot([entry["end_s"] for entry in r["epochs"]],
                          [entry["test_accuracy"] for entry in r["epochs"]],
                          STYLES[key[1]], color=colour(key[0], known), lw=0.9,
                          alpha=0.8, marker=".", ms=3,
                          label=name(key) if number == 0 else None)
        axis.set_xscale("log")
        plain_log(axis.xaxis)
        axis.set_xlabel("seconds since the process began")
    panels[0][0].set_ylabel("test accuracy")
    panels[0][0].yaxis.set_major_formatter(PercentFormatter(1))
    legend(figure, [axis for axis, _ in panels])
    return figure


def parts(r):
    """Seconds of a run by PARTS; they add up to its whole."""
    timing = r["timing"]
    found = [timing["import_s"], timing["data_s"] + timing["to_device_s"],
             timing["compile_s"] or 0.0, sum(timing["epoch_s"]),
             timing["evaluate_s"]]
    return [*found, max(0.0, timing["total_s"] - sum(found))]


def stacked(groups):
    """What the seconds of a whole run go into."""
    keys = [key for key in groups
            if any(r["status"] == "ok" for r in groups[key])
            and key[3] in chosen({k[3] for k in groups})][::-1]
    figure, axis = plt.subplots(figsize=(8.4, 0.3 * len(keys) + 1.5))
    for height, key in enumerate(keys):
        left = 0.0
        values = np.median([parts(r) for r in groups[key]
                            if r["status"] == "ok"], axis=0)
        for (text, paint), value in zip(PARTS, values):
            axis.barh(height, value, left=left, color=paint, height=0.7,
                      label=text if height == 0 else None)
            left += value
        axis.annotate(three(left), (left, height), xytext=(3, 0),
                      textcoords="offset points", va="center", fontsize=8)
    axis.set_yticks(range(len(keys)), [f"{name(key)}, batch {key[3]}"
                                       for key in keys], fontsize=8)
    axis.set_xlabel("seconds of a run from the creation of its process, "
                    "median over runs")
    axis.grid(axis="y", visible=False)
    axis.margins(x=0.08, y=0.02)
    legend(figure, [axis])
    return figure


def ratios(groups, width):
    """JAX over PyTorch, with intervals; width: what one script differs by
    from itself (natural logarithm), or None."""
    rows = [(first, second, *found[:2])
            for first, second in tables.pairs(groups)
            if (first[0], second[0]) == ("jax", "torch")
            and (found := paired(groups, first, second))]
    if not rows:
        return None
    figure, axis = plt.subplots(figsize=(7.6, 0.3 * len(rows) + 1.6))
    axis.axvline(1, color="black", lw=1)
    if width is not None:
        axis.axvspan(math.exp(-width), math.exp(width), color="#999999",
                     alpha=0.2, lw=0)
    for height, (_, _, value, span) in enumerate(rows[::-1]):
        decided = stats.decided(span) and (
            width is None or abs(math.log(value)) > width)
        paint = "#777777" if not decided else colour(
            "jax" if value < 1 else "torch", ("jax", "torch"))
        if span:
            axis.plot(span, [height] * 2, color=paint, lw=2)
        axis.plot(value, height, "o", color=paint, ms=5)
        axis.annotate(three(value), (value, height), xytext=(0, 5),
                      textcoords="offset points", ha="center", fontsize=7.5,
                      path_effects=HALO)
    axis.set_yticks(range(len(rows)), [
        f"{name(first)} / {name(second)}, batch {first[3]}"
        for first, second, *_ in rows[::-1]], fontsize=8)
    axis.set_xscale("log")
    plain_log(axis.xaxis)
    axis.set_ylim(-0.7, len(rows) - 0.2)
    axis.set_xlabel("ratio of steady epochs: left of 1 JAX is faster, right "
                    "of 1 PyTorch")
    axis.grid(axis="y", visible=False)
    return figure


def final(groups, measured):
    """Test accuracy of every run with the interval that the test set's size
    allows, the memory of the process, and energy where it was measured."""
    keys = [key for key in groups
            if any(r["status"] == "ok" for r in groups[key])][::-1]
    known = [key[0] for key in keys]
    joules = costs.values(measured, "energy")
    shares = (1.4, 1, 1) if joules else (1.4, 1)
    figure, axes = plt.subplots(
        1, len(shares), sharey=True, width_ratios=shares,
        figsize=(2.2 + 3 * sum(shares), 0.3 * len(keys) + 1.5))
    left, right = axes[:2]
    for height, key in enumerate(keys):
        paint = colour(key[0], known)
        done = [r for r in groups[key] if r["status"] == "ok"]
        scores = [r["final"]["test_accuracy"] for r in done]
        left.plot(stats.wilson(np.mean(scores), done[0]["dataset"]["sizes"][
            "test"]), [height] * 2, color=paint, lw=5, alpha=0.25,
            solid_capstyle="butt")
        left.plot(scores, [height] * len(scores), "o", color=paint, ms=3,
                  alpha=0.6)
        left.plot(np.mean(scores), height, "|", color=paint, ms=11, mew=2)
        for place, mark in (("host", "o"), ("device", "D")):
            peaks = [r["memory"][f"{place}_peak_bytes"] for r in done]
            if None not in peaks:
                right.plot(np.array(peaks) / 2**20, [height] * len(peaks),
                           mark, color=paint, ms=4, alpha=0.7)
        for part, filled in (("gross", paint), ("net", "white")):
            for value in joules.get(key, {}).get(part, ()):
                axes[2].plot(value, height, "o", color=paint, mfc=filled, ms=4)
    left.set_yticks(range(len(keys)), [f"{name(key)}, batch {key[3]}"
                                       for key in keys], fontsize=8)
    left.set_ylim(-0.6, len(keys) - 0.4)
    left.set_xlabel("test accuracy: runs, mean, 95 % interval of the test set")
    left.xaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    right.set_xlabel("peak memory, MiB: process (◇: device)")
    if joules:
        axes[2].set_xlabel("joules an epoch (hollow: less idle)")
    for axis in axes[1:]:
        axis.set_xlim(0, 1.15 * max([1, *(line.get_xdata().max()
                                          for line in axis.lines)]))
    return figure
