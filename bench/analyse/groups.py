"""What records say together: groups, medians, pairs."""

import numpy as np

from bench.analyse import stats

SUMMARY = ("contender", "rung", "feed", "batch_size", "runs", "ok",
           "steady_epoch_s", "steady_low_s", "steady_high_s", "compile_s",
           "first_epoch_s", "total_s", "test_accuracy", "test_accuracy_sd",
           "host_peak_mib", "device_peak_mib")


def key(row):
    """(contender, rung, feed, batch size) of a row of summarise()."""
    return tuple(row[column] for column in SUMMARY[:4])


def steady(row):
    """(median, interval or None) of the steady epochs of such a row."""
    low = row["steady_low_s"]
    return row["steady_epoch_s"], low and (low, row["steady_high_s"])


def group(records):
    """{(contender, rung, feed, batch size): [record, …]} in order."""
    groups = {}
    for r in records:
        c = r["config"]
        groups.setdefault((r["contender"], c["rung"], c["feed"],
                           c["batch_size"]), []).append(r)
    return dict(sorted(groups.items(), key=lambda item: (
        item[0][3], item[0][:3])))


def summarise(records):
    """-> [{column of SUMMARY: value, or None where nothing was measured}]"""
    rows = []
    for variant, members in group(records).items():
        done = [r for r in members if r["status"] == "ok"]
        row = dict.fromkeys(SUMMARY)
        row.update(zip(SUMMARY, (*variant, len(members), len(done))))

        def median(*path, done=done):
            values = [r[path[0]][path[1]] for r in done]
            values = [value for value in values if value is not None]
            return float(np.median(values)) if values else None

        for column in ("compile_s", "first_epoch_s", "total_s"):
            row[column] = median("timing", column)
        for place in ("host", "device"):
            peak = median("memory", f"{place}_peak_bytes")
            row[f"{place}_peak_mib"] = peak and peak / 2**20
        steady = [r["timing"]["steady_epoch_s"] for r in done]
        if steady and None not in steady:
            row["steady_epoch_s"], span = stats.seconds(steady)
            row["steady_low_s"], row["steady_high_s"] = span or (None, None)
        scores = list(scores_by_seed(done).values())
        if scores:
            row["test_accuracy"] = float(np.mean(scores))
            row["test_accuracy_sd"] = (float(np.std(scores, ddof=1))
                                       if len(scores) > 1 else None)
        rows.append(row)
    return rows


def by_block(records, field):
    """{block: timing[field]} of the finished runs that have it."""
    return {r["block"]: r["timing"][field] for r in records
            if r["status"] == "ok" and r["timing"].get(field) is not None}


def scores_by_seed(records, score=lambda r: r["final"]["test_accuracy"]):
    """{seed: mean score of its finished runs}. Repeats of a seed start from
    the same weights on the same batches: they are one score, not several."""
    scores = {}
    for r in records:
        if r["status"] == "ok":
            scores.setdefault(r["config"]["seed"], []).append(score(r))
    return {seed: float(np.mean(values)) for seed, values in scores.items()}


def together(*series):
    """Several {block: value} -> their values in the blocks that all have."""
    blocks = sorted(set.intersection(*map(set, series)))
    return [[one[block] for block in blocks] for one in series]


def paired(groups, first, second):
    """Ratio of the steady times of two keys over the blocks both finished in
    -> (ratio, interval or None, blocks), or None without any."""
    one, two = together(*(by_block(groups[key], "steady_epoch_s")
                          for key in (first, second)))
    return (*stats.ratio(one, two), len(one)) if one else None
