"""What a run costs beside its steady epochs, in numbers: compilation, time to
accuracy, memory, and what bench/measure found."""

import numpy as np

from bench.analyse import stats
from bench.analyse.groups import by_block, cold, in_order, key, together
from bench.kit import network
from bench.kit.rungs import RUNGS


def parts(r):
    """{what the seconds of a run go into: seconds}; they add up to its
    whole."""
    t = r["timing"]
    found = {"import": t["import_s"], "data": t["data_s"] + t["to_device_s"],
             "compile": t["compile_s"] or 0.0, "train": sum(t["epoch_s"]),
             "evaluate": t["evaluate_s"]}
    return {**found, "rest": max(0.0, t["total_s"] - sum(found.values()))}


def values(measured, kind):
    """{(contender, rung, feed, batch size): {name: [value of a block, …]}}
    of one kind of measurement."""
    found = {}
    for m in measured:
        if m["kind"] == kind:
            rows = found.setdefault(key(m), {})
            for name, entry in m["measurements"].items():
                rows.setdefault(name, []).append(entry["value"])
    return in_order(found)


def answers(groups):
    """{key: seconds (runs, 3)}: until half, 95 and 99 of a hundred answers are
    there, of those that are waited for, without a run's first epoch."""
    return {key: np.array([np.percentile(
        r["timing"]["answer_s"][r["steps_per_epoch"]:], (50, 95, 99))
        for r in done]) for key, done in groups.items() if all(
            r["timing"].get("answer_s") and r["config"]["epochs"] > 1
            for r in done)}


# ------------------------------------------------------------- compilation

def compilation(groups):
    """(key, caches, runs, medians of tracing, lowering and compiling or None
    each, of recording a graph, of the sum) of what compiles."""
    for variant, done in groups.items():
        done = cold(done)
        times = [r["timing"] for r in done if r["timing"]["compile_s"]]
        if not times:
            continue
        split = [(t["trace_s"], t["lower_s"],
                  t["compile_s"] - t["trace_s"] - t["lower_s"])
                 for t in times if t.get("trace_s") and t.get("lower_s")]
        middle = np.median(split, axis=0).tolist() if split else [None] * 3
        yield (variant, sorted({str(r.get("cache")) for r in done}),
               len(times), *middle, captured(groups, *variant),
               stats.seconds([t["compile_s"] for t in times]))


def captured(groups, contender, rung, *more):
    """What recording a CUDA graph takes more than compiling the rung below
    it -> (mean, interval), or None."""
    if not RUNGS[rung].gpu:
        return None
    ladder = [name for name, other in RUNGS.items()
              if RUNGS[rung].scripts.keys() <= other.scripts.keys()]
    whole, step = together(*(
        by_block(groups.get((contender, one, *more), ()), "compile_s")
        for one in (rung, ladder[ladder.index(rung) - 1])))
    return stats.mean(np.subtract(whole, step)) if whole else None


# -------------------------------------------------------- time to accuracy

def ends(done):
    """(record, seconds of training, seconds of work since its process was
    created), each (epochs,): at the end of every epoch. All runs of a variant
    start like those with an empty compile cache, in their median time: the
    others started beside each other, and compiled in no time."""
    compiling, ready = (
        stats.median(start) for start in zip(*(
            (r["timing"]["compile_s"] or 0.0, r["turns"]["ready_s"])
            for r in cold(done))))
    for r in done:
        worked = np.array([epoch["worked_s"] for epoch in r["epochs"]])
        yield (r, compiling + np.cumsum(r["timing"]["epoch_s"]),
               ready + worked - r["turns"]["ready_s"])


def reached(r, target):
    """Index of the first epoch whose test accuracy is at least `target`, or
    None."""
    return next((index for index, epoch in enumerate(r["epochs"])
                 if epoch["test_accuracy"] >= target), None)


def waits(done, target):
    """(runs that got there, seconds of training, seconds since the process
    was created): medians, with intervals where all got there. Those that did
    not count as endless: fewer than all would flatter the variant that fails
    more often."""
    times = [(training[index], worked[index])
             for r, training, worked in ends(done)
             if (index := reached(r, target)) is not None]
    lost = len(done) - len(times)
    if not lost:
        return len(times), *map(stats.seconds, zip(*times))
    middle = np.median([*times, *[(np.inf, np.inf)] * lost], axis=0)
    return len(times), *((float(value), None) if np.isfinite(value) else None
                         for value in middle)


def stopped(curve, patience):
    """Validation accuracies of epochs -> (number of the epoch after which training
    stops, or None; number of the best until then, whose weights are kept). It stops
    after `patience` epochs without a better one: as Keras' and Lightning's
    EarlyStopping count with mode "max" and min_delta 0."""
    best = 0
    for epoch, value in enumerate(curve):
        best = epoch if value > curve[best] else best
        if epoch - best >= patience:
            return epoch + 1, best + 1
    return None, best + 1


# ------------------------------------------------------------------ memory

def needed(r):
    """Bytes that must exist on the device at the same time: all images and
    labels (with the device feed), weights, their gradient and the
    optimizer's averages."""
    c = r["config"]
    sizes = r["dataset"]["sizes"]
    kept = sum(size for part, size in sizes.items()
               if c["feed"] == "device" or part != "train")
    copies = {"sgd": 2, "adam": 4}[c["optimizer"]]
    return network.width(c) * (kept * network.of(c).example
                               + copies * r["parameters"])
