"""Figures of the parity certificate."""

import numpy as np

from bench import certificate
from bench.plan import Point
from bench.style import STYLES, caption, colour, plain_log, plt, save
from bench.summary import name


def draw(folder, proof):
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
        2, len(sizes), figsize=(max(7, 3.6 * len(sizes) + 1), 6.4), squeeze=False,
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
                     ls=STYLES[row["rung"]])
        loss.plot(steps, row["losses"], **style)
        if row is not first:
            values = certificate.differences(row["losses"], first["losses"])
            steps = steps[:len(values)][values > 0]
            gap.plot(steps, values[values > 0], alpha=0.8, label=name(
                (*certificate.key(row)[:3], 0)), **style)
    bounded = rows[0]["steps_bounded"] if precision == "fp32" else max(
        row["steps"] for row in rows)
    bound = certificate.bound(rows[0], "loss")
    gap.plot([1, bounded], [bound] * 2, color="black", lw=1)
    gap.annotate(f"allowed in {'float64' if precision == 'fp64' else 'float32'}",
                 (1, bound), xytext=(2, 3), fontsize=7.5,
                 textcoords="offset points")
