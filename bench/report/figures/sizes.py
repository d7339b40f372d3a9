"""Figures with the batch size below: images per second, seconds per step."""

import math

import numpy as np

from bench.analyse import stats
from bench.analyse.floor import fits
from bench.report.figures.axes import by_size, floor
from bench.report.figures.style import looks, note
from bench.report.words import three


def _medians(found, value):
    """{variant: {batch size: median over its runs of value(r, seconds of a
    steady epoch)}}"""
    medians = {}
    for (*variant, size), done in found.groups.items():
        if values := [value(r, seconds) for r in done
                      if (seconds := r["timing"]["steady_epoch_s"])]:
            medians.setdefault(tuple(variant), {})[size] = stats.median(values)
    return medians


def throughput(found):
    """Images per second, and at the floor; None for one size."""
    speeds = _medians(found, lambda r, s: r["samples_per_epoch"] / s)
    if not speeds or len(found.sizes) < 2:
        return None
    figure, axis = by_size(found.sizes, "images per second",
                           "{x:,.0f}")
    look = looks(speeds)
    lines = [(row, look[variant]) for variant, row in speeds.items()]
    images = {r["config"]["batch_size"]: r["samples_per_epoch"]
              for r in found.done}
    bound = {size: images[size] / seconds for size in found.sizes
             if (seconds := floor(found, size))}
    if bound:
        lines.append((bound, {"color": "black", "label": "floor"}))
    for row, style in lines:
        axis.plot(row.keys(), row.values(), marker="o", ms=4, lw=1.3, **style)
    _label_ends(axis, lines)
    return figure


def _label_ends(axis, lines):
    """Names at the right ends of lines, [({x: y}, look), …], on a log axis
    moved apart where they would lie on each other."""
    low, high = map(math.log, axis.get_ylim())
    gap, last = (high - low) / 16, -math.inf
    for row, style in sorted(lines, key=lambda line: line[0][max(line[0])]):
        last = max(math.log(row[max(row)]), last + gap)
        note(axis, style["label"], (max(row), math.exp(last)), (8, 0),
             color=style["color"], annotation_clip=False)


def steps(found):
    """Seconds per step with the fitted lines; None below four batch sizes."""
    fitted = fits(found.groups)
    if not fitted:
        return None
    figure, axis = by_size(found.sizes, "ms per step")
    look = looks(fitted)
    for variant, row in _medians(found, lambda r, s: 1e3 * s / r[
            "steps_per_epoch"]).items():
        if variant in fitted:
            fixed, each = np.mean([fit[:2] for fit in fitted[variant]], axis=0)
            sizes, style = np.geomspace(min(row), max(row)), look[variant]
            axis.plot(row.keys(), row.values(), "o", ms=4,
                      color=style["color"])
            axis.plot(sizes, 1e3 * (fixed + each * sizes), lw=1.2, **{
                **style, "label": f"{style['label']}: "
                f"{three(1e6 * max(fixed, 0))} µs + {three(1e9 * each)} ns a "
                "sample"})
    axis.legend(loc="upper left", fontsize=8, handlelength=3)
    return figure
