"""The figure with the batch size below: seconds per step."""

import numpy as np

from bench.analyse import stats
from bench.analyse.floor import fits
from bench.report.figures.axes import by_size
from bench.report.figures.style import looks
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
