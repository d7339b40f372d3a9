"""What records say together: groups, medians, pairs."""

import numpy as np

from bench.analyse import stats
from bench.kit import network

SUMMARY = ("contender", "rung", "feed", "batch_size", "runs", "ok",
           "steady_epoch_s", "steady_low_s", "steady_high_s", "compile_s",
           "first_epoch_s", "total_s", "test_accuracy", "test_accuracy_sd",
           "host_peak_mib", "device_peak_mib")
SPREAD = 1.5  # between the fastest and the slowest steady epoch of a run


def key(row):
    """(contender, rung, feed, batch size) of a row of summarise() or of a
    measurement."""
    return tuple(row[column] for column in SUMMARY[:4])


def steady(row):
    """(median, interval or None) of the steady epochs of such a row."""
    low = row["steady_low_s"]
    return row["steady_epoch_s"], low and (low, row["steady_high_s"])


def in_order(groups):
    """{key: anything} by batch size, then by variant."""
    return dict(sorted(groups.items(), key=lambda item: (
        item[0][3], item[0])))


def group(records):
    """{(contender, rung, feed, batch size): [record, …]} in order. Wherever
    `groups` are asked for, they are of finished records."""
    groups = {}
    for r in records:
        one = key({**r["config"], "contender": r["contender"]})
        groups.setdefault(one, []).append(r)
    return in_order(groups)


def summarise(records):
    """-> [{column of SUMMARY: value, or None where nothing was measured}]"""
    rows = []
    for variant, members in group(records).items():
        done = [r for r in members if r["status"] == "ok"]
        row = dict.fromkeys(SUMMARY)
        row.update(zip(SUMMARY, (*variant, len(members), len(done))))
        for column in ("compile_s", "first_epoch_s", "total_s"):
            row[column] = stats.median(r["timing"][column]
                                       for r in cold(done))
        for place in ("host", "device"):
            peak = stats.median(
                r["memory"][f"{place}_peak_bytes"] for r in done)
            row[f"{place}_peak_mib"] = peak and peak / 2**20
        steady = [r["timing"]["steady_epoch_s"] for r in done]
        if steady and None not in steady:
            row["steady_epoch_s"], span = stats.seconds(steady)
            row["steady_low_s"], row["steady_high_s"] = span or (None, None)
        if done and not only_timed(done[0]):
            row["test_accuracy"], row["test_accuracy_sd"] = stats.spread(
                [*scores_by_seed(done).values()])
        rows.append(row)
    return rows


def only_timed(r):
    """Does the accuracy of this run say nothing?"""
    return network.only_timed(r["config"], r["dataset"]["sizes"]["test"])


def block_of(r):
    """What a run took turns in: a block that is tried again is another one."""
    return r["block"], r["block_started_unix_s"]


def by_block(records, field, block=lambda r: r["block"]):
    """{block: timing[field]} of the finished records that have it."""
    return {block(r): r["timing"][field] for r in records
            if r["timing"].get(field) is not None}


def scores_by_seed(records, score=lambda r: r["final"]["test_accuracy"]):
    """{seed: mean score of its finished records}. Repeats of a seed start
    from the same weights on the same batches: they are one score, not
    several."""
    scores = {}
    for r in records:
        scores.setdefault(r["config"]["seed"], []).append(score(r))
    return {seed: float(np.mean(values)) for seed, values in scores.items()}


def together(*series):
    """Several {block: value} -> their values in the blocks that all have."""
    blocks = sorted(set.intersection(*map(set, series)))
    return [[one[block] for block in blocks] for one in series]


def log_ratios(groups, first, second):
    """{block: log of the ratio of the steady epochs of two keys}, of the
    blocks in which both took their turns to the end; where they were not alive
    together, by a third that took turns with each; and where no two ever were, one
    after the other."""
    def steady_of(key):
        return {block_of(r): r["timing"]["epoch_s"][1:]
                for r in groups.get(key, ()) if r["timing"]["epoch_s"][1:]}

    def logs(one, two):
        return {turn[0]: stats.log_ratio(one[turn], two[turn])
                for turn in sorted(one.keys() & two.keys())}

    one, two = steady_of(first), steady_of(second)
    found = logs(one, two)
    apart = {turn[0] for turn in one} & {turn[0] for turn in two} - found.keys()
    thirds = [key for key in groups if key[3] == first[3]] if apart else []
    for third in map(steady_of, thirds):
        mine, theirs = logs(one, third), logs(two, third)
        for block in apart & mine.keys() & theirs.keys():
            found.setdefault(block, mine[block] - theirs[block])
    if apart and alone(groups):
        mine, theirs = ({turn[0]: seconds for turn, seconds in times.items()}
                        for times in (one, two))
        found = {block: stats.log_ratio(mine[block], theirs[block])
                 for block in apart}
    return dict(sorted(found.items()))


def alone(groups):
    """Are there several runs in a block, and did no two ever take turns?"""
    turns = [(key[3], *block_of(r)) for key, members in groups.items()
             for r in members]
    return len({*turns}) == len(turns) > len({turn[:2] for turn in turns})


def unsteady(records):
    """Finished records whose steady epochs spread by more than SPREAD times:
    something else took the machine."""
    return [r for r in records if max(r["timing"]["epoch_s"][1:], default=0)
            > SPREAD * min(r["timing"]["epoch_s"][1:], default=0)]


def lasted(records):
    """(when the first block of finished records began, seconds until the
    turns of the last one were over)"""
    starts = [r["block_started_unix_s"] for r in records]
    turns = sum(sum(r["turns"]["go_to_epoch_s"] + r["turns"]["epoch_to_done_s"])
                for r in records if r["block_started_unix_s"] == max(starts))
    return min(starts), max(starts) + turns - min(starts)


def cold(records):
    """Those that compiled with an empty cache; all of them where none did."""
    return [r for r in records if r.get("cache") != "warm"] or records
