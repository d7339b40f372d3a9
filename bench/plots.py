"""The figures of a comparison, as PNG and SVG, from records alone."""

import numpy as np
from matplotlib.ticker import FuncFormatter, PercentFormatter

from bench import attribution, plots_limit
from bench.style import STYLES, caption, colour, plain_log, plt, save, width
from bench.summary import group, name, three, where

WINDOW = 25  # most steps averaged in the per-iteration curves
BAND = "lines: mean over runs; bands: one standard deviation; "


def curves(groups, size, series):
    """For each point of one batch size: (key, mean, low, high) over runs of
    series(record), low and high one standard deviation away."""
    for key, members in groups.items():
        lines = [series(r) for r in members if r["status"] == "ok"]
        if key[3] == size and lines:
            lines = np.array(lines, np.float64)
            mean = lines.mean(axis=0)
            spread = lines.std(axis=0, ddof=1) if len(lines) > 1 else 0
            yield key, mean, mean - spread, mean + spread


def panels(groups, rows):
    """Figure with a column per batch size -> figure, axes (rows, columns),
    sizes."""
    sizes = sorted({key[3] for key in groups})
    figure, axes = plt.subplots(
        len(rows), len(sizes), figsize=(3.3 * len(sizes) + 1, 2.3 * len(rows)
                                        + 1.1),
        squeeze=False, sharex="col", sharey="row")
    for column, size in enumerate(sizes):
        axes[0, column].set_title(f"batch {size}", loc="left")
    for row, label in enumerate(rows):
        axes[row, 0].set_ylabel(label)
        if "loss" in label:
            axes[row, 0].set_yscale("log")
            plain_log(axes[row, 0].yaxis)
        else:
            axes[row, 0].yaxis.set_major_formatter(PercentFormatter(1))
    return figure, axes, sizes


def finish(figure, axes):
    """One legend for all panels, above them; loss axes that end at the
    lowest line (on a log axis a band can reach down to nothing)."""
    handles = {}
    for axis in axes.flat:
        if axis.get_yscale() == "log" and axis.lines:
            axis.set_ylim(bottom=0.7 * min(
                np.min(line.get_ydata())
                for other in axis.get_shared_y_axes().get_siblings(axis)
                for line in other.lines))
        handles.update(zip(*axis.get_legend_handles_labels()[::-1]))
    figure.legend(handles.values(), handles.keys(), loc="outside upper right",
                  ncols=len(handles), handlelength=3)


def per_epoch(groups):
    names = [f"{part}_{what}" for what in ("loss", "accuracy")
             for part in ("train", "val")]
    labels = ["training loss", "validation loss", "training accuracy",
              "validation accuracy"]
    figure, axes, sizes = panels(groups, labels)
    known = [key[0] for key in groups]
    for row, field in enumerate(names):
        for axis, size in zip(axes[row], sizes):
            for key, mean, low, high in curves(groups, size, lambda r: [
                    entry[field] for entry in r["epochs"]]):  # noqa: B023
                epochs = np.arange(1, len(mean) + 1)
                paint = colour(key[0], known)
                axis.plot(epochs, mean, STYLES[key[1]], color=paint,
                          label=name(key), lw=width(key[0], known))
                axis.fill_between(epochs, low, high, color=paint, alpha=0.12,
                                  lw=0)
    for axis in axes[-1]:
        axis.set_xlabel("epoch")
        axis.xaxis.get_major_locator().set_params(integer=True)
    finish(figure, axes)
    return figure


def smooth(values):
    """Mean of the last fifth of the values so far, of WINDOW at most."""
    sums = np.cumsum(np.concatenate([[0.0], values]))
    end = np.arange(1, len(values) + 1)
    start = end - np.clip(end // 5, 1, WINDOW)
    return (sums[end] - sums[start]) / (end - start)


def per_iteration(groups):
    figure, axes, sizes = panels(groups, ["training loss",
                                          "training accuracy"])
    known = [key[0] for key in groups]
    for row, field in enumerate(("loss", "accuracy")):
        for axis, size in zip(axes[row], sizes):
            for key, mean, low, high in curves(
                    groups, size, lambda r: smooth(r["steps"][field])):  # noqa: B023
                steps = np.arange(1, len(mean) + 1)
                thin = slice(None, None, max(1, len(mean) // 1000))
                paint = colour(key[0], known)
                axis.plot(steps[thin], mean[thin], STYLES[key[1]],
                          color=paint, label=name(key),
                          lw=width(key[0], known))
                axis.fill_between(steps[thin], low[thin], high[thin],
                                  color=paint, alpha=0.12, lw=0)
    for axis in axes[-1]:
        axis.set_xlabel(f"step (mean of up to {WINDOW} steps)")
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter(
            FuncFormatter(lambda value, _: f"{value:g}"))
    finish(figure, axes)
    return figure


def seconds_per_epoch(rows, found):
    """Steady epochs (filled) and the first with compilation (hollow); found:
    the floors of attribution.floors, whose limit is a line."""
    sizes = sorted({row["batch_size"] for row in rows})
    points = list(dict.fromkeys(
        (row["contender"], row["mode"], row["feed"]) for row in rows))[::-1]
    known = [point[0] for point in points]
    figure, axes = plt.subplots(
        1, len(sizes), figsize=(3.3 * len(sizes) + 1, 0.42 * len(points) + 2),
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
            height = points.index((row["contender"], row["mode"],
                                   row["feed"]))
            paint = colour(row["contender"], known)
            if steady is not None:
                axis.plot([steady, first], [height] * 2, color=paint, lw=0.8,
                          alpha=0.5)
                axis.plot(steady, height, "o", color=paint)
                axis.annotate(three(steady), (steady, height), fontsize=8,
                              xytext=(0, 6), textcoords="offset points",
                              ha="center")
                if row["steady_low_s"]:
                    axis.plot([row["steady_low_s"], row["steady_high_s"]],
                              [height] * 2, color=paint, lw=3, alpha=0.35,
                              solid_capstyle="butt")
            axis.plot(first, height, "o", color=paint, mfc="white")
            axis.annotate(three(first), (first, height), fontsize=8,
                          xytext=(0, -12), textcoords="offset points",
                          ha="center", color="#555555")
    axes[0, 0].set_yticks(range(len(points)),
                          [name((*point, 0)) for point in points])
    axes[0, 0].set_ylim(-0.7, len(points) - 0.4)
    return figure


def draw(folder, records, rows, proof, measured=()):
    """All figures of a comparison into `folder` -> their names."""
    groups, found = group(records), attribution.floors(records, measured)
    done = sum(r["status"] == "ok" for r in records)
    if not done:
        return []
    drawn = []
    place, _, rest = where(records).partition(", ")
    rest += f"; {done} of {len(records)} runs"
    for stem, title, figure, text in (
            ("curves_epoch", "Learning per epoch", per_epoch(groups), BAND),
            ("curves_iteration", "Learning per iteration",
             per_iteration(groups), BAND),
            ("seconds", "Seconds per epoch", seconds_per_epoch(rows, found),
             "filled: steady epochs, median and 95 % interval; hollow: the "
             "first epoch with compilation" + (
                 "; limit: what no run can beat" if found else "") + "\n"),
            ("steps", "Seconds per step", plots_limit.steps(groups),
             "points: steady epochs, median; lines: fixed cost and cost per "
             "sample, mean fit\n"),
            ("waterfall", "Where the time goes", plots_limit.waterfalls(
                groups, found),
             "µs a step; each bar is the difference of two runs, with its "
             "95 % interval\n")):
        if figure is None:
            continue
        caption(figure, f"{title} on {place}", text + rest, proof)
        save(figure, folder, stem)
        drawn.append(stem)
    return drawn
