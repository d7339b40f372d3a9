"""What a true record cannot break: rules within a record, or a variant.

A wrong clock, an epoch of one step or a recompilation is found by arithmetic.
"""

import math
from typing import NamedTuple

import numpy as np

from bench.kit import network
from bench.kit.rungs import RUNGS

FAIR, WARNING, UNFAIR, UNKNOWN = "fair", "warning", "UNFAIR", "not measured"
# What a short product reaches beside other work can be a third of what the
# machine can do; the errors that this is for are wrong by far more.
FLOPS_MARGIN = 4
APART = 600  # seconds without a run that end a block's neighbourhood


class Verdict(NamedTuple):
    rule: str
    level: str
    words: str


def who(r):
    return r.get("contender", r["framework"])


def name(r):
    c = r["config"]
    return (f"{who(r)} {c['rung']}, batch "
            f"{c['batch_size']}, seed {c['seed']}")


def _steps(r, _):
    size, batch = r["dataset"]["sizes"]["train"], r["config"]["batch_size"]
    if r["steps_per_epoch"] != size // batch:
        return (f"{r['steps_per_epoch']} steps an epoch, but {size} images at "
                f"batch {batch} make {size // batch}")
    if r["samples_per_epoch"] != r["steps_per_epoch"] * batch:
        return (f"{r['samples_per_epoch']} samples an epoch, but "
                f"{r['steps_per_epoch']} steps of {batch} are "
                f"{r['steps_per_epoch'] * batch}")


def _parameters(r, _):
    count = network.of(r["config"]).parameters
    if r["parameters"] != count:
        return f"{r['parameters']} parameters, but the network has {count}"


def _flops(r, peak):
    implied = (network.of(r["config"]).operations
               * r["samples_per_epoch"] / min(r["timing"]["epoch_s"]))
    if implied > FLOPS_MARGIN * peak["flops"]:
        return (f"an epoch of {min(r['timing']['epoch_s']):.3g} s implies "
                f"{implied / 1e9:.0f} GFLOP/s, but this machine does "
                f"{peak['flops'] / 1e9:.0f}")


def _fence(r, _):
    seconds, reads = r["timing"]["epoch_s"], r["timing"].get("read_s") or []
    if len(reads) != len(seconds):
        return "it is not stated how long reading the losses took"
    # Losses that lie in an array each are read one by one; an epoch of a GPU
    # may take no more than a few milliseconds.
    each = 0 if RUNGS[r["config"]["rung"]].whole else 1e-4
    least = 0.005 if r["environment"]["device_kind"] == "cpu" else 0.001
    for second, read in zip(seconds, reads):
        if read > least + each * r["steps_per_epoch"] + 0.3 * second:
            return (f"reading the losses of an epoch of {second:.3g} s took "
                    f"another {read:.3g} s: the clock stopped too early")


def _sums(r, _):
    timing, final = r["timing"], r["final"]["test_accuracy"]
    seconds, ahead = timing["epoch_s"], timing.get("compile_s")
    steady = float(np.median(seconds[1:])) if seconds[1:] else None
    for name, value, wanted in (
            ("steady_epoch_s", timing["steady_epoch_s"], steady),
            ("first_epoch_s", timing["first_epoch_s"],
             (ahead or 0.0) + seconds[0]),
            ("test_accuracy", final, r["epochs"][-1]["test_accuracy"])):
        if (value is None) != (wanted is None) or (
                value is not None and not math.isclose(
                    value, wanted, rel_tol=1e-6)):
            return f"{name} is {value}, but the epochs say {wanted}"
    if (ahead is None) == RUNGS[r["config"]["rung"]].ahead:
        return f"compile_s is {ahead} for the rung {r['config']['rung']}"


def _clock(r, _):
    timing, end = r["timing"], 0.0
    for entry, seconds in zip(r["epochs"], timing["epoch_s"]):
        if not (entry["start_s"] >= end - 1e-6
                and entry["end_s"] > entry["start_s"]):
            return f"epoch {entry['epoch']} begins before another has ended"
        if abs(entry["end_s"] - entry["start_s"] - seconds) > 1e-3 + (
                0.01 * seconds):
            return (f"epoch {entry['epoch']} lasted "
                    f"{entry['end_s'] - entry['start_s']:.3g} s by its ends "
                    f"and {seconds:.3g} s by the clock")
        end = entry["end_s"]


def _evaluation(r, _):
    timing = r["timing"]
    parts = sum(timing["epoch_s"]) + sum(
        timing.get(name) or 0 for name in ("import_s", "data_s", "compile_s",
                                           "to_device_s", "evaluate_s"))
    if parts > timing["total_s"] * 1.001 + 0.01:
        return (f"the parts last {parts:.3g} s and the whole "
                f"{timing['total_s']:.3g} s: something, such as evaluation, is "
                "counted twice")
    if not timing.get("evaluate_s"):
        return "no time for evaluation is stated, so it was not outside"


def _compilations(r, _):
    counts = r.get("compilations") or []
    if len(counts) != r["config"]["epochs"] + 1:
        return (f"{len(counts)} counts, expected one before and one for each "
                f"of {r['config']['epochs']} epochs")
    known = r["framework"] in ("jax", "torch")  # others may need none
    if RUNGS[r["config"]["rung"]].ahead and (
            counts[1] or known and counts[0] != 1):
        return (f"{counts[0]} compilations ahead of the first epoch and "
                f"{counts[1]} in it, expected 1 and 0: what ran is not what "
                "was compiled")
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
    if abs(accuracy - 0.1) < 3 * math.sqrt(0.1 * 0.9 / n):
        return f"test accuracy {accuracy:.2%}: it has not learned"


# (rule, check, level when broken, what it says otherwise)
WITHIN = (
    ("steps are floor(N / B)", _steps, UNFAIR, "every image once an epoch"),
    ("size of the network", _parameters, UNFAIR, "as the hidden widths say"),
    ("possible speed", _flops, UNFAIR, "no epoch beats the machine"),
    ("medians and sums", _sums, UNFAIR, "as the epochs say"),
    ("the clock waits", _fence, UNFAIR, "nothing was left to wait for"),
    ("times are in order", _clock, UNFAIR, "positive and monotonic"),
    ("evaluation outside the clock", _evaluation, UNFAIR, "parts fit the sum"),
    ("compilations", _compilations, UNFAIR, "as many as there should be"),
    ("possible memory", _memory, UNFAIR, "not below the weights"),
    ("better than chance", _chance, WARNING, "every run learned"),
)


def within(done, peak):
    for rule, check, level, words in WITHIN:
        if check is _flops and any(
                peak is None or peak["device"] != r["environment"][
                    "device_name"] for r in done):
            yield Verdict(rule, UNKNOWN, "the device's speed is not known")
            continue
        found = [(r, reason) for r in done if (reason := check(r, peak))]
        yield Verdict(rule, level, f"{name(found[0][0])}: {found[0][1]}" + (
            f" (and {len(found) - 1} more)" if found[1:] else "")
                      ) if found else Verdict(rule, FAIR, words)
    yield _cold(done)
    yield _neighbours(done)


def _neighbours(done):
    """Ratios are taken inside a block because its runs are minutes apart; a
    comparison that was stopped and resumed, or has grown, may break that."""
    rule, blocks = "neighbours in time", {}
    for r in done:
        if r["timing"].get("started_unix_s") is not None:
            blocks.setdefault(r.get("block"), []).append(r)
    for members in blocks.values():
        members.sort(key=lambda r: r["timing"]["started_unix_s"])
        for first, second in zip(members, members[1:]):
            gap = (second["timing"]["started_unix_s"] - first["timing"][
                "started_unix_s"] - first["timing"]["total_s"])
            if gap > APART:
                return Verdict(rule, WARNING, (
                    f"{name(second)} began {gap / 60:.0f} minutes after the "
                    "run before it in its block: drift is not cancelled"))
    return Verdict(rule, FAIR, "no pause inside a block")


def _cold(done):
    """A cache that was warm but called cold shows in the seconds."""
    groups = {}
    for r in done:
        if r["timing"].get("compile_s"):
            groups.setdefault((who(r), r["config"]["rung"],
                               r["config"]["feed"],
                               r["config"]["batch_size"]), []).append(r)
    rule = "cold means cold"
    verdict = Verdict(rule, FAIR, "compile seconds agree within a variant")
    for members in groups.values():
        seconds = [r["timing"]["compile_s"] for r in members]
        middle = float(np.median(seconds))
        r = members[int(np.argmin(seconds))]
        if middle < 0.2:  # nothing worth caching
            continue
        if r.get("cache") == "cold" and min(seconds) < middle / 3:
            return Verdict(rule, UNFAIR, (
                f"{name(r)}: compiled in {min(seconds):.3g} s where others "
                f"of this variant took {middle:.3g} s, and calls its cache "
                "cold"))
        if max(seconds) > 3 * middle:
            r = members[int(np.argmax(seconds))]
            verdict = Verdict(rule, WARNING, (
                f"{name(r)}: compiled in {max(seconds):.3g} s where most of "
                f"this variant took {middle:.3g} s: was their cache cold?"))
    return verdict
