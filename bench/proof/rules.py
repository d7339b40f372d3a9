"""What a true record cannot break: rules within a record, or a variant.

A wrong clock, an epoch of one step or a recompilation is found by arithmetic.
"""

import math
from statistics import median
from typing import NamedTuple

import numpy as np

from bench.kit import network
from bench.kit.rungs import RUNGS
from bench.run import record

FAIR, WARNING, UNFAIR, UNKNOWN = "fair", "warning", "UNFAIR", "not measured"
# What a short product reaches beside other work can be a third of what the
# machine can do; the errors that this is for are wrong by far more.
FLOPS_MARGIN = 4
KINDS = 10  # of operations, at least, in a step (seen: 72 and 119)
DRAWN = 1e-9  # seconds for each index of a batch order, at least (seen: 13e-9)
FEW = 5     # epochs: of fewer most may be disturbed
CACHED = 6  # times as fast as others: compiled before


class Verdict(NamedTuple):
    rule: str
    level: str
    words: str


def who(r):
    return r.get("contender", r["framework"])


def name(r):
    c = r["config"]
    return f"{who(r)} {c['rung']}, batch {c['batch_size']}, seed {c['seed']}"


def variant_at(r):
    """(contender, rung, feed, batch size) of a run."""
    c = r["config"]
    return who(r), c["rung"], c["feed"], c["batch_size"]


def all_but_one(late):
    """What all epochs but one reach: of two if there are so many, or one true
    epoch would excuse all others, and a busy machine makes many late."""
    return sorted(late)[:2][-1]


def _steps(r, _):
    size, batch = r["dataset"]["sizes"]["train"], r["config"]["batch_size"]
    stated = r["steps_per_epoch"], r["samples_per_epoch"]
    right = size // batch, size - size % batch
    if stated != right:
        return (f"an epoch of {stated} steps and samples, but {size} images at "
                f"batch {batch} make {right}")


def _parameters(r, _):
    count = network.of(r["config"]).parameters
    if r["parameters"] != count:
        return f"{r['parameters']} parameters, but the network has {count}"


def _flops(r, peak):
    fastest = min(r["timing"]["epoch_s"])
    work = network.of(r["config"]).operations * r["samples_per_epoch"]
    if work / fastest > FLOPS_MARGIN * peak["flops"]:
        return (f"an epoch of {fastest:.3g} s implies "
                f"{work / fastest / 1e9:.0f} GFLOP/s, but this machine does "
                f"{peak['flops'] / 1e9:.0f}")


def _fence(r, _):
    # Losses that lie in an array each are read one by one; an epoch of a GPU
    # may take no more than a few milliseconds.
    each = 0 if RUNGS[r["config"]["rung"]].whole else 1e-4
    seconds, reads = r["timing"]["epoch_s"], r["timing"]["read_s"]
    least = (0.05 if len(seconds) < FEW else 0.005 if r["environment"][
        "device_kind"] == "cpu" else 0.001) + each * r["steps_per_epoch"]
    if all_but_one(read - 0.3 * second for second, read in zip(
            seconds, reads)) > least:
        return (f"reading the losses of epochs of {median(seconds):.3g} s took "
                f"another {median(reads):.3g} s: the clock stopped too early")


def _sums(r, _):
    stated = {**r["timing"], **r["final"]}
    seconds, ahead = stated["epoch_s"], stated["compile_s"]
    ends = record.worked(r["turns"])
    for name, wanted in (
            ("steady_epoch_s", median(seconds[1:]) if seconds[1:] else None),
            ("first_epoch_s", (ahead or 0.0) + seconds[0]),
            ("total_s", ends[-1]),
            ("test_loss", r["epochs"][-1]["test_loss"]),
            ("test_accuracy", r["epochs"][-1]["test_accuracy"])):
        if not math.isclose(stated[name] or 0, wanted or 0, rel_tol=1e-6):
            return f"{name} is {stated[name]}, but the epochs say {wanted}"
    if any(abs(entry["worked_s"] - end) > 1e-6
           for entry, end in zip(r["epochs"], ends)):
        return "worked_s is not what its turns make"
    if (ahead is None) == RUNGS[r["config"]["rung"]].ahead:
        return f"compile_s is {ahead} for the rung {r['config']['rung']}"
    parts = sum(stated.get(name) or 0 for name in ("trace_s", "lower_s"))
    if ahead is not None and parts > ahead:
        return (f"compile_s is {ahead:.3g}, but tracing and lowering took "
                f"{parts:.3g} s of it")


def _means(r, _):
    # Written by the scripts as float64 means of the very losses.
    steps = r["steps_per_epoch"]
    for place, entry in enumerate(r["epochs"]):
        for name in ("loss", "accuracy"):
            values = r["steps"][name][place * steps:][:steps]
            if not values:
                continue
            stated, found = entry[f"train_{name}"], math.fsum(values) / steps
            if stated is None or not math.isclose(stated, found, rel_tol=1e-6,
                                                  abs_tol=1e-9):
                return (f"the mean {name} of epoch {entry['epoch']} is stated "
                        f"as {stated}, but its steps make {found:.6g}")


def _clock(r, _):
    timing, end = r["timing"], 0.0
    size = r["dataset"]["sizes"]["train"]
    orders = timing.get("order_s") or [None] * len(timing["epoch_s"])
    for number, (entry, seconds, drawn) in enumerate(zip(
            r["epochs"], timing["epoch_s"], orders), 1):
        lasted = entry["end_s"] - entry["start_s"]
        if entry["epoch"] != number:
            return f"epoch {entry['epoch']} stands in the place of {number}"
        if drawn is not None and not DRAWN * size <= drawn <= seconds:
            return (f"the batch order of epoch {number} took {drawn:.3g} s of "
                    f"{seconds:.3g}: it was not drawn inside")
        if entry["start_s"] < end - 1e-6 or lasted <= 0:
            return f"epoch {entry['epoch']} begins before another has ended"
        if abs(lasted - seconds) > 1e-3 + 0.01 * seconds:
            return (f"epoch {entry['epoch']} lasted {lasted:.3g} s by its "
                    f"ends and {seconds:.3g} s by the clock")
        end = entry["end_s"]


def _precision(r, _):
    # Where it is known in what the losses are kept.
    if r["framework"] not in ("jax", "torch"):
        return None
    stated, losses = r["config"]["precision"], np.array(r["steps"]["loss"])
    if stated == "tf32" and r["environment"]["device_kind"] == "cpu":
        return "says TF32, which no processor has"
    if (stated == "fp64") == np.array_equal(losses, np.float32(losses)):
        return (f"says {stated}, but its losses are "
                f"{'' if stated == 'fp64' else 'no '}float32 numbers")


def _evaluation(r, _):
    timing = r["timing"]
    parts = sum(timing["epoch_s"]) + sum(timing.get(name) or 0 for name in (
        "import_s", "data_s", "to_device_s", "compile_s", "evaluate_s"))
    if parts > timing["total_s"] * 1.001 + 0.01:
        return (f"the parts last {parts:.3g} s and the whole "
                f"{timing['total_s']:.3g} s: evaluation is counted twice")
    if not timing.get("evaluate_s"):
        return "no time for evaluation is stated, so it was not outside"


def _compilations(r, _):
    counts, rung = r["compilations"], r["config"]["rung"]
    known = r["framework"] in ("jax", "torch")  # others may need none
    if RUNGS[rung].ahead and (counts[1] or known and counts[0] != 1):
        return (f"{counts[0]} compilations ahead and {counts[1]} in the first "
                "epoch, not 1 and 0: what ran is not what was compiled")
    # Operation by operation JAX compiles each kind, and PyTorch none.
    if known and not RUNGS[rung].ahead and not (
            counts[1] >= KINDS if r["framework"] == "jax"
            else counts[:2] == [0, 0]):
        return (f"{counts[0]} compilations ahead and {counts[1]} in the first "
                f"epoch of {rung}: not operation by operation")
    if any(counts[2:]):
        epoch = next(n for n, c in enumerate(counts[2:], 2) if c)
        return f"{counts[epoch]} recompilations in the steady epoch {epoch}"


def _memory(r, _):
    weights = r["parameters"] * network.width(r["config"])
    for place in ("device", "host"):
        peak = r["memory"].get(f"{place}_peak_bytes")
        if peak is not None and peak < weights:
            return (f"{place} peak of {peak} bytes is less than the "
                    f"{weights} bytes of the weights")


def _chance(r, _):
    n, accuracy = r["dataset"]["sizes"]["test"], r["final"]["test_accuracy"]
    if not network.only_timed(r["config"], n) and abs(accuracy - 0.1) < (
            3 * math.sqrt(0.1 * 0.9 / n)):
        return f"test accuracy {accuracy:.2%}: it has not learned"


# (rule, check, level when broken, what it says otherwise, what to look at
# first when it is broken)
WITHIN = (
    ("steps are floor(N / B)", _steps, UNFAIR, "every image once an epoch",
     "the loop over the batches"),
    ("size of the network", _parameters, UNFAIR, "as the hidden widths say",
     "what is counted as parameters"),
    ("possible speed", _flops, UNFAIR, "no epoch beats the machine",
     "the fence, and what is left out of an epoch"),
    ("medians and sums", _sums, UNFAIR, "as the epochs say",
     "whether the record was edited"),
    ("means of the steps", _means, UNFAIR, "as the steps say",
     "whether the record was edited, or losses are kept of other steps"),
    ("the clock waits", _fence, UNFAIR, "nothing was left to wait for",
     "the fence before the clock stops"),
    ("times are in order", _clock, UNFAIR, "positive and monotonic",
     "where the clock is read"),
    ("precision of the losses", _precision, UNFAIR, "as stated",
     "the types of data and weights"),
    ("evaluation outside the clock", _evaluation, UNFAIR, "parts fit the sum",
     "where the evaluation is timed"),
    ("compilations", _compilations, UNFAIR, "as many as there should be",
     "shapes and types that change, and whether the compiled program is called"),
    ("possible memory", _memory, UNFAIR, "not below the weights",
     "which memory is read, and its unit"),
    ("better than chance", _chance, WARNING, "every run learned",
     "the learning rate"),
)


def within(done, peak):
    runs = [(r, peak) for r in done]
    for entry in WITHIN:
        if entry[1] is _flops and {(peak or {}).get("device")} != {
                r["environment"]["device_name"] for r in done}:
            yield Verdict(entry[0], UNKNOWN, "the device's speed is not known")
        else:
            yield judged(entry, runs)
    yield _cold(done)


def judged(entry, runs):
    """The Verdict on a rule, entry: one like those of WITHIN; runs: [(record,
    what its check looks at beside it)]."""
    rule, check, level, words, look = entry
    found = [f"{name(r)}: {reason}" for r, beside in runs
             if (reason := check(r, beside))]
    if not found:
        return Verdict(rule, FAIR, words)
    more = f" (and {len(found) - 1} more)" if found[1:] else ""
    return Verdict(rule, level, advised(found[0] + more, look))


def advised(words, look):
    """Why a rule is broken, and what to look at first."""
    return f"{words}. Look first at {look}"


def grouped(records, key):
    """Lists of the records that agree in key(record)."""
    groups = {}
    for r in records:
        groups.setdefault(key(r), []).append(r)
    return groups.values()


def _cold(done):
    """A compilation that was found in a cache shows in its seconds. Load alone
    makes some several times as long as others, so the bound is wide; whether a
    cache was another than the given one is seen directly (switches.py)."""
    def seconds(r):
        return r["timing"]["compile_s"]

    rule = "cold means cold"
    for members in grouped(filter(seconds, done), lambda r: (
            variant_at(r), r.get("cache"))):
        middle = median(map(seconds, members))
        least = min(members, key=seconds)
        if (middle >= 0.2 and least.get("cache") == "cold"  # worth caching
                and seconds(least) < middle / CACHED):
            return Verdict(rule, UNFAIR, advised(
                f"{name(least)}: compiled in {seconds(least):.3g} s where "
                f"others of this variant took {middle:.3g} s, and calls its "
                "cache cold", "a compile cache of its own"))
    return Verdict(rule, FAIR, "compile seconds agree within a variant")
