"""The figures of a comparison, as PNG and SVG, from records alone: learning
curves here, those of time and of the limit in files of their own."""

import numpy as np
from matplotlib.ticker import FuncFormatter, PercentFormatter

from bench import attribution, plots_limit, plots_time
from bench.style import (
    STYLES,
    caption,
    chosen,
    colour,
    legend,
    plain_log,
    plt,
    save,
    wide,
    width,
)
from bench.summary import group, name, where

WINDOW = 25  # most steps averaged in the per-iteration curves
BAND = ("thick: mean over runs; thin: every run; dark band: one standard "
        "error; light band: one standard deviation\n")
# Figures with a panel or a bar for each batch size, of many for some of them.
PANELS = ("curves_epoch", "curves_iteration", "seconds", "epochs",
          "wall_clock", "parts")
FIELDS = (("train_loss", "training loss"), ("val_loss", "validation loss"),
          ("train_accuracy", "training accuracy"),
          ("val_accuracy", "validation accuracy"))


def smooth(values):
    """Mean of the last fifth of the values so far, of WINDOW at most."""
    sums = np.cumsum(np.concatenate([[0.0], values]))
    end = np.arange(1, len(values) + 1)
    start = end - np.clip(end // 5, 1, WINDOW)
    return (sums[end] - sums[start]) / (end - start)


def step_values(field):
    return lambda r: smooth(r["steps"][field])


def epoch_values(field):
    return lambda r: [entry[field] for entry in r["epochs"]]


def lines_of(groups, size, series):
    """For each point of one batch size: (key, series of all runs (R, T))."""
    for key, members in groups.items():
        found = [series(r) for r in members if r["status"] == "ok"]
        if key[3] == size and found:
            yield key, np.array(found, np.float64)


def panels(groups, labels):
    """Figure with a column per batch size (at most three) -> figure, axes
    (rows, columns), sizes."""
    sizes = chosen({key[3] for key in groups})
    figure, axes = plt.subplots(
        len(labels), len(sizes), squeeze=False, sharex="col", sharey="row",
        figsize=(wide(len(sizes)), 2.3 * len(labels) + 1.1))
    for column, size in enumerate(sizes):
        axes[0, column].set_title(f"batch {size}", loc="left")
    for row, label in enumerate(labels):
        measure(axes[row, 0], label)
    return figure, axes, sizes


def measure(axis, label):
    """The y axis of a loss (log) or an accuracy (percent)."""
    axis.set_ylabel(label)
    if "loss" in label:
        axis.set_yscale("log")
        plain_log(axis.yaxis)
    else:
        axis.yaxis.set_major_formatter(PercentFormatter(1))


def draw_lines(axis, key, lines, known):
    """All runs of a point: each thin, their mean thick, two bands."""
    steps = np.arange(1, lines.shape[1] + 1)
    every = slice(None, None, max(1, lines.shape[1] // 600))
    steps, lines = steps[every], lines[:, every]
    paint, mean = colour(key[0], known), lines.mean(axis=0)
    axis.plot(steps, mean, STYLES[key[1]], color=paint, label=name(key),
              lw=width(key[0], known), zorder=3)
    if len(lines) > 1:
        spread = lines.std(axis=0, ddof=1)
        for half, alpha in ((spread, 0.08),
                            (spread / np.sqrt(len(lines)), 0.2)):
            axis.fill_between(steps, mean - half, mean + half, color=paint,
                              alpha=alpha, lw=0)
        axis.plot(steps, lines.T, color=paint, lw=0.4, alpha=0.35)


def finish(figure, axes):
    """One legend for all panels; loss axes that end at the lowest line (on a
    log axis a band can reach down to nothing)."""
    for axis in axes.flat:
        if axis.get_yscale() == "log" and axis.lines:
            axis.set_ylim(bottom=0.7 * min(
                np.min(line.get_ydata())
                for other in axis.get_shared_y_axes().get_siblings(axis)
                for line in other.lines))
    legend(figure, axes.flat)


def curves(groups, fields, values, xlabel):
    """A row per field, a column per batch size."""
    figure, axes, sizes = panels(groups, [label for _, label in fields])
    known = [key[0] for key in groups]
    for row, (field, _) in enumerate(fields):
        for axis, size in zip(axes[row], sizes):
            for key, lines in lines_of(groups, size, values(field)):
                draw_lines(axis, key, lines, known)
    for axis in axes[-1]:
        axis.set_xlabel(xlabel)
    finish(figure, axes)
    return figure, axes


def per_epoch(groups):
    figure, axes = curves(groups, FIELDS, epoch_values, "epoch")
    for axis in axes[-1]:
        axis.xaxis.get_major_locator().set_params(integer=True)
    return figure


def per_iteration(groups):
    figure, axes = curves(
        groups, (("loss", "training loss"), ("accuracy", "training accuracy")),
        step_values, f"step (mean of up to {WINDOW} steps)")
    for axis in axes[-1]:
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter(
            FuncFormatter(lambda value, _: f"{value:g}"))
    return figure


def effects(groups):
    """What the batch size and what the seed does to one point of each
    contender: validation loss per epoch, and per step."""
    points = list({key[0]: key[:3] for key in reversed(groups)
                   if any(r["status"] == "ok" for r in groups[key])
                   }.values())[::-1][:4]
    figure, axes = plt.subplots(
        2, len(points), squeeze=False, sharey=True, sharex="row",
        figsize=(max(6.6, 4.2 * len(points) + 0.6), 5.6))
    for column, point in enumerate(points):
        sizes = sorted(key[3] for key in groups if key[:3] == point)
        paints = plt.get_cmap("viridis")(np.linspace(0, 0.85, len(sizes)))
        for size, paint in zip(sizes, paints):
            done = [r for r in groups[*point, size] if r["status"] == "ok"]
            for number, r in enumerate(done):
                losses = [entry["val_loss"] for entry in r["epochs"]]
                steps = np.arange(1, len(losses) + 1)
                for axis, xs in ((axes[0, column], steps),
                                 (axes[1, column],
                                  steps * r["steps_per_epoch"])):
                    axis.plot(xs, losses, color=paint, lw=0.9, alpha=0.7,
                              label=f"batch {size}" if number == 0 else None)
        axes[0, column].set_title(name((*point, 0)), loc="left")
        axes[0, column].set_xlabel("epoch")
        axes[1, column].set_xlabel("step")
        axes[1, column].set_xscale("log")
        plain_log(axes[1, column].xaxis)
    for row in axes:
        measure(row[0], "validation loss")
    legend(figure, axes.flat)
    return figure


def draw(folder, records, rows, proof, measured=(), width=None):
    """All figures of a comparison into `folder` -> their names; width: of the
    A/A control."""
    groups, found = group(records), attribution.floors(records, measured)
    done = sum(r["status"] == "ok" for r in records)
    if not done:
        return []
    drawn = []
    place, _, rest = where(records).partition(", ")
    rest += f"; {done} of {len(records)} runs"
    sizes = {key[3] for key in groups}
    some = (f"; {len(chosen(sizes))} of {len(sizes)} batch sizes"
            if len(chosen(sizes)) < len(sizes) else "")
    limit = "; limit: the matrix products alone" if found else ""
    ok = [r for r in records if r["status"] == "ok"]
    curve = max(r["config"]["epochs"] for r in ok) > 1  # not a single point
    several = len({(r["config"]["batch_size"], r["config"]["seed"])
                   for r in ok}) > 1
    for stem, title, figure, text in (
            ("curves_epoch", "Learning per epoch", per_epoch(groups), BAND),
            ("curves_iteration", "Learning per iteration",
             per_iteration(groups), BAND),
            ("effects", "The effect of seed and batch size",
             effects(groups) if curve and several else None,
             "a line per run: lines of one colour differ by their seed\n"),
            ("seconds", "Seconds per epoch",
             plots_time.seconds_per_epoch(rows, found),
             "filled: steady epochs, median and 95 % interval; hollow: the "
             f"first epoch with compilation{limit}\n"),
            ("epochs", "Every epoch of every run",
             plots_time.epochs(groups) if curve else None,
             "hollow: the first epoch, with compilation\n"),
            ("throughput", "Images per second",
             plots_time.throughput(groups, found) if len(sizes) > 1 else None,
             f"steady epochs, median over runs{limit}\n"),
            ("wall_clock", "Seconds until it is good",
             plots_time.wall_clock(groups) if curve else None,
             "a line per run, a point per epoch; imports, data and "
             "compilation included\n"),
            ("parts", "What the seconds of a run go into",
             plots_time.stacked(groups), "train: all epochs\n"),
            ("ratios", "JAX / PyTorch", plots_time.ratios(groups, width),
             "geometric mean over blocks and 95 % interval; grey: no "
             "difference shown" + ("; band: one script against itself"
                                   if width is not None else "") + "\n"),
            ("final", "Accuracy, memory and energy" if any(
                m["kind"] == "energy" for m in measured) else
             "Accuracy and memory", plots_time.final(groups, measured), ""),
            ("steps", "Seconds per step", plots_limit.steps(groups),
             "points: steady epochs, median; lines: fixed cost and cost per "
             "sample, mean fit\n"),
            ("waterfall", "Where the time goes",
             plots_limit.waterfalls(groups, found),
             "µs a step; each bar is the difference of two runs, with its "
             "95 % interval\n")):
        if figure is None:
            continue
        caption(figure, f"{title} on {place}", text + rest
                + some * (stem in PANELS), proof)
        save(figure, folder, stem)
        drawn.append(stem)
    return drawn
