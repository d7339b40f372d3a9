"""The figures, as PNG and SVG, from records alone.

One colour per framework (Okabe and Ito's palette, told apart by colour-blind
readers and in grey) and one line style per rung, in every figure.
"""

import io

import matplotlib
import numpy as np

matplotlib.use("agg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, PercentFormatter  # noqa: E402

from bench import attribution, certificate, stats  # noqa: E402
from bench.plan import Point  # noqa: E402
from bench.record import write_atomic  # noqa: E402
from bench.summary import group, name, three, where  # noqa: E402

COLOURS = {"jax": "#0072B2", "torch": "#D55E00"}
OTHERS = ("#009E73", "#CC79A7", "#56B4E9", "#E69F00")
STYLES = {"eager": ":", "step": "-", "epoch": "--"}
WINDOW = 25  # most steps averaged in the per-iteration curves
BAND = "lines: mean over runs; bands: one standard deviation; "
plt.rcParams.update({
    "font.size": 9, "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "grid.alpha": 0.25, "grid.linewidth": 0.6,
    "figure.dpi": 110, "savefig.dpi": 150, "svg.hashsalt": "mlp",
    "legend.frameon": False, "figure.constrained_layout.use": True})


def colour(contender, known):
    """A framework's colour; other contenders take the next free one."""
    others = sorted({c for c in known if c not in COLOURS})
    return COLOURS.get(contender) or OTHERS[
        others.index(contender) % len(OTHERS)]


def width(contender, known):
    """The first contender's lines are wide and lie below the others', so
    that curves that coincide are both seen."""
    return 3.2 if contender == known[0] else 1.2


def save(figure, folder, stem):
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # laid out once, not once a format
    for kind in ("png", "svg"):
        buffer = io.BytesIO()
        # No date in the file: the same records give the same bytes.
        figure.savefig(buffer, format=kind, metadata={
            "Date" if kind == "svg" else "Software": None})
        write_atomic(folder / f"{stem}.{kind}", buffer.getvalue())
    plt.close(figure)


def caption(figure, title, text, proof):
    """Title, and below it what a reader needs to judge the picture."""
    flag = "" if proof[0] else " (parity NOT PROVED)"
    figure.suptitle(title + flag, x=0.01, ha="left", fontsize=12,
                    fontweight="bold")
    figure.supxlabel(f"{text}\n{proof[1]}", x=0.01, ha="left", fontsize=7.5,
                     color="#555555")


def plain_log(axis):
    """Ticks of a log axis at 1, 2, 5, 10, … written as plain numbers."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


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


def steps(groups):
    """Time per step against batch size with the fitted lines; None below
    four batch sizes."""
    fitted = attribution.fits(groups)
    if not fitted:
        return None
    known = [point[0] for point in fitted]
    figure, axis = plt.subplots(figsize=(7.2, 4.6))
    for point, rows in fitted.items():
        sizes, times = zip(*(
            (key[3], np.median([
                r["timing"]["steady_epoch_s"] / r["steps_per_epoch"]
                for r in members if r["status"] == "ok"]))
            for key, members in groups.items() if key[:3] == point))
        fixed, each = np.mean([row[:2] for row in rows], axis=0)
        line = np.geomspace(min(sizes), max(sizes), 100)
        paint = colour(point[0], known)
        axis.plot(sizes, 1e3 * np.array(times), "o", color=paint, ms=4)
        axis.plot(line, 1e3 * (fixed + each * line), STYLES[point[1]],
                  color=paint, lw=1.2, label=(
                      f"{name((*point, 0))}: {three(1e6 * max(fixed, 0))} µs "
                      f"+ {three(1e9 * each)} ns a sample"))
    axis.set(xscale="log", yscale="log", xlabel="batch size",
             ylabel="ms per step")
    axis.set_xticks(sizes, map(str, sizes))
    axis.xaxis.set_minor_formatter(NullFormatter())
    plain_log(axis.yaxis)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8,
                  handlelength=3)
    return figure


def waterfalls(groups, found):
    """From each eager rung down to the products; None without floors."""
    sizes = sorted({size for _, size in found})
    grid = {(framework, size): bars for framework in attribution.LEVELS
            for size in sizes if (bars := attribution.waterfall(
                groups, found, framework, size))}
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
        if span:  # of the bar's length, at its lower end
            axis.plot([max(end, upper - 1e6 * value) for value in span],
                      [-height] * 2, color="black", lw=0.8)
        axis.annotate(attribution.signed(middle),
                      (max(lower, upper), -height), fontsize=8,
                      xytext=(4, 0), textcoords="offset points", va="center")
        upper -= middle
    axis.set_yticks(range(0, -len(bars), -1), [text for text, _ in bars],
                    fontsize=8)
    axis.set_xlim(left=end)
    axis.margins(x=0.12)
    plain_log(axis.xaxis)
    axis.set_xlabel("µs a step, log scale")
    axis.grid(axis="y", visible=False)


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
            ("steps", "Seconds per step", steps(groups),
             "points: steady epochs, median; lines: fixed cost and cost per "
             "sample, mean fit\n"),
            ("waterfall", "Where the time goes", waterfalls(groups, found),
             "µs a step; each bar is the difference of two runs, with its "
             "95 % interval\n")):
        if figure is None:
            continue
        caption(figure, f"{title} on {place}", text + rest, proof)
        save(figure, folder, stem)
        drawn.append(stem)
    return drawn


# ------------------------------------------------------------------ parity

def draw_parity(folder, proof):
    """For each optimizer of the certificate: the curves on top of each other
    and, below, how far each is from the reference -> names of the figures."""
    drawn = []
    rows = [row for row in proof[2]["rows"] if row.get("losses")]
    for optimizer, lr in sorted({(row["optimizer"], row["lr"])
                                 for row in rows}):
        mine = [row for row in rows
                if (row["optimizer"], row["lr"]) == (optimizer, lr)]
        figure = parity(mine)
        caption(figure, f"One computation: {optimizer}, lr {lr:g}, compared "
                f"with {mine[0]['reference']}",
                "above: loss of every step, the reference wide, all others "
                "thin on top of it; below: relative difference of each from "
                "the reference\n(a point of no difference is not drawn)",
                proof)
        drawn.append(f"parity_{optimizer}_{lr:g}")
        save(figure, folder, drawn[-1])
    return drawn


def parity(rows):
    """Loss above, relative differences below; a column per batch size."""
    sizes = sorted({row["batch_size"] for row in rows})
    known = sorted({row["contender"] for row in rows})
    figure, axes = plt.subplots(
        2, len(sizes), figsize=(3.6 * len(sizes) + 1, 6.4), squeeze=False,
        sharex="col", sharey="row", height_ratios=(1, 1.5))
    for axis in axes[:, 0]:
        axis.set_yscale("log")
    axes[0, 0].set_ylabel("training loss")
    plain_log(axes[0, 0].yaxis)
    axes[1, 0].set_ylabel("relative difference of the loss")
    for column, size in enumerate(sizes):
        loss, gap = axes[:, column]
        loss.set_title(f"batch {size}", loc="left")
        gap.set_xlabel("step")
        for precision in ("fp64", "fp32"):
            mine = [row for row in rows if row["batch_size"] == size
                    and row["precision"] == precision]
            _parity_curves(loss, gap, mine, known, precision)
    handles = {}
    for axis in axes[1]:
        axis.set_ylim(1e-17, 1e-1)
        handles.update(zip(*axis.get_legend_handles_labels()[::-1]))
    figure.legend(handles.values(), handles.keys(), loc="outside right upper",
                  handlelength=3, fontsize=8)
    return figure


def _parity_curves(loss, gap, rows, known, precision):
    if not rows:
        return
    first = min(rows, key=lambda row: (str(Point(
        *certificate.key(row)[:3])) != row["reference"], -row["steps"]))
    loss.plot(np.arange(1, len(first["losses"]) + 1), first["losses"],
              color="#bbbbbb", lw=4)
    for row in rows:
        steps = np.arange(1, len(row["losses"]) + 1)
        style = dict(color=colour(row["contender"], known), lw=0.8,
                     ls=STYLES[row["mode"]])
        loss.plot(steps, row["losses"], **style)
        if row is not first:
            values = certificate.differences(row["losses"], first["losses"])
            steps = steps[:len(values)][values > 0]
            gap.plot(steps, values[values > 0], alpha=0.8, label=name(
                (*certificate.key(row)[:3], 0)), **style)
    bounded = rows[0]["steps_bounded"] if precision == "fp32" else max(
        row["steps"] for row in rows)
    bound = certificate.BOUND[precision](rows[0]["batch_size"])
    gap.plot([1, bounded], [bound] * 2, color="black", lw=1)
    gap.annotate(f"allowed in {'float64' if precision == 'fp64' else 'float32'}",
                 (1, bound), xytext=(2, 3), fontsize=7.5,
                 textcoords="offset points")
