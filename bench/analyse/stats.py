"""Medians, intervals and ratios; the unit is the process, never the epoch.

Epochs inside a process share its memory layout, its core and its neighbours:
they are not independent, so a process counts as one number, and two processes
that took turns as one ratio.
"""

import math

import numpy as np

# 97.5 % quantiles of Student's t distribution for 1 to 30 degrees of freedom.
T95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
       2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
       2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042)


def t95(freedom):
    """Two-sided 95 % quantile of t; above 30 degrees by the first terms of
    the Cornish-Fisher expansion (Abramowitz and Stegun, 26.7.5)."""
    if freedom <= len(T95):
        return T95[freedom - 1]
    z = 1.959964
    return (z + (z**3 + z) / (4 * freedom)
            + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2))


def interval(values):
    """95 % t interval of the mean of `values` -> (low, high), or None below
    three values: two say nothing of their own spread."""
    values = np.asarray(values, np.float64)
    if len(values) < 3:
        return None
    half = t95(len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
    return float(values.mean() - half), float(values.mean() + half)


def median(values):
    """Median of those that are not None, or None where there is none."""
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None


def mean(values):
    """-> (mean, its 95 % interval or None)"""
    return float(np.mean(values)), interval(values)


def spread(values):
    """-> (mean, standard deviation or None for a single value)"""
    return float(np.mean(values)), (
        float(np.std(values, ddof=1)) if len(values) > 1 else None)


def seconds(values):
    """Positive times, one a process -> (median, (low, high) or None). The
    interval is that of the geometric mean: times scatter by factors."""
    return float(np.median(values)), across(np.log(values))[1]


def ratio(first, second):
    """Times of two variants, paired by block -> (ratio, (low, high) or None):
    geometric mean over blocks of first / second."""
    return across(np.log(first) - np.log(second))


def across(logs):
    """Logarithms of ratios, one a block -> (ratio, (low, high) or None)."""
    span = interval(logs)
    return float(np.exp(np.mean(logs))), span and tuple(map(math.exp, span))


def log_ratio(first, second):
    """Steady epochs of two runs that took turns -> log of the ratio of their
    shortest.

    What else runs on a machine only adds time, and more to a run whose threads
    wait for each other: what it left alone is compared (Chen and Revels 2016,
    https://arxiv.org/abs/1608.04295). docs/protocol.md has what it was chosen
    from.
    """
    return math.log(min(first) / min(second))


def decided(span, same=1):
    """True when an interval excludes `same`: 1 of a ratio, 0 of a
    difference."""
    return span is not None and not span[0] <= same <= span[1]


def wilson(fraction, n):
    """95 % interval of a fraction seen in n trials (Wilson 1927)."""
    z = 1.959964
    middle = (fraction + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(
        fraction * (1 - fraction) / n + z * z / (4 * n * n))
    return middle - half, middle + half
