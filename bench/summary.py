"""What records say together: groups, medians, paired ratios, captions."""

from collections import Counter

import numpy as np

from bench import stats

SUMMARY = ("contender", "rung", "feed", "batch_size", "runs", "ok",
           "steady_epoch_s", "steady_low_s", "steady_high_s", "compile_s",
           "first_epoch_s", "total_s", "test_accuracy", "test_accuracy_sd",
           "host_peak_mib", "device_peak_mib")


def three(value):
    """A number with three significant figures, never in powers of ten."""
    if not value:
        return "" if value is None else "0"
    # The exponent of the rounded number: 9.6 is 9.60, 9.996 is 10.0.
    exponent = int(f"{value:.2e}".partition("e")[2])
    return f"{value:.{max(0, 2 - exponent)}f}"


def with_span(value, span, form=three):
    """'1.23 (1.20 to 1.26)', without brackets where there is no interval."""
    return "-" if value is None else form(value) + (
        f" ({form(span[0])} to {form(span[1])})" if span else "")


def name(key):
    """(contender, rung, feed, …) -> 'jax step', the feed if not resident on
    the device."""
    return f"{key[0]} {key[1]}" + " (host feed)" * (key[2] == "host")


def where(records):
    """'MNIST, a processor, 2 cores, fp32, adam lr 0.001' of the finished
    runs, for captions."""
    done = [r for r in records if r["status"] == "ok"]
    if not done:
        return "no finished run"
    parts = [Counter(f(r) for r in done) for f in (
        lambda r: {"mnist": "MNIST", "digits": "GENERATED DIGITS (not MNIST)"}[
            r["dataset"]["name"]],
        lambda r: {"cpu": r["environment"]["cpu_model"] + ", {} cores".format(
            r["environment"]["cores"])}.get(
            r["environment"]["device_kind"], r["environment"]["device_name"]),
        lambda r: r["config"]["precision"],
        lambda r: f"{r['config']['optimizer']} lr {r['config']['lr']:g}"
                  + (" cosine" * (r["config"].get("schedule") == "cosine")))]
    return ", ".join(" and ".join(part) for part in parts)


def versions(records):
    """'jax 0.10.2, torch 2.13.0, …' of the finished runs."""
    seen = {f"{key} {value}" for r in records if r["status"] == "ok"
            for key, value in r["environment"].items()
            if key in ("jax", "torch", "numpy", "python", "cuda") and value}
    return ", ".join(sorted(seen))


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
    for key, members in group(records).items():
        done = [r for r in members if r["status"] == "ok"]
        row = dict.fromkeys(SUMMARY)
        row.update(zip(SUMMARY, (*key, len(members), len(done))))

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
