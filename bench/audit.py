"""Is this comparison fair? One verdict per rule, in words.

Rules across records: what must be equal between the runs of one batch size
and seed, or the ratio of their times would be about something else. Rules
within a record: what a true one cannot break, so that a wrong clock, an epoch
of one step or a recompilation is found by arithmetic. An unfair comparison
gets no ratio and no joint figure.
"""

import math
from typing import NamedTuple

import numpy as np

FAIR, WARNING, UNFAIR, UNKNOWN = "fair", "warning", "UNFAIR", "not measured"
# What a short product reaches beside other work can be a third of what the
# machine can do; the errors that this is for are wrong by far more.
FLOPS_MARGIN = 4
COMPILED = ("step", "epoch")


class Verdict(NamedTuple):
    rule: str
    level: str
    words: str


# ------------------------------------------------------------------ across

def _of(*path):
    def get(r):
        for key in path:
            r = r.get(key) if isinstance(r, dict) else None
        return r
    return get


def _sizes(r):
    sizes = r["dataset"]["sizes"]
    return " / ".join(str(sizes.get(part)) for part in ("train", "val", "test"))


# (rule, what must be equal, what `vary` in a recipe calls it)
SAME = (
    ("device", lambda r: f"{r['environment']['device_kind']}: "
                         f"{r['environment']['device_name']}", None),
    ("processor", _of("environment", "cpu_model"), None),
    ("precision", _of("config", "precision"), None),
    ("data", _of("dataset", "sha256"), None),
    ("split", lambda r: f"{r['dataset'].get('split')} ({_sizes(r)})", None),
    ("steps per epoch", _of("steps_per_epoch"), None),
    ("samples per epoch", _of("samples_per_epoch"), None),
    ("epochs", _of("config", "epochs"), None),
    ("parameters", _of("parameters"), None),
    ("optimizer", _of("config", "optimizer"), "optimizer"),
    ("learning rate", _of("config", "lr"), "lr"),
    ("initial weights", _of("init_sha256"), "init"),
    ("batch order", _of("order_sha256"), None),
    ("residency of the data", _of("config", "feed"), "feed"),
    ("threads", _of("environment", "threads"), None),
    ("cores", lambda r: str(r.get("affinity")), None),
    ("compile cache", _of("cache"), None),
)


def _who(r):
    return r.get("contender", r["framework"])


def _name(r):
    c = r["config"]
    return (f"{_who(r)} {c['mode']}, batch "
            f"{c['batch_size']}, seed {c['seed']}")


def _across(done, vary):
    groups = {}
    for r in done:
        c = r["config"]
        groups.setdefault((c["batch_size"], c["seed"]), []).append(r)
    for rule, get, variable in SAME:
        verdict = Verdict(rule, FAIR, "")
        for members in groups.values():
            # The feed stands in the name of a point: a contender's own two
            # feeds are two points, but contenders must share one.
            if rule == "residency of the data":
                feeds = {}
                for r in members:
                    feeds.setdefault(_who(r), set()).add(get(r))
                if len(feeds) < 2 or set.intersection(*feeds.values()):
                    continue
            values = {}
            for r in members:
                values.setdefault(_show(get(r)), r)
            if len(values) > 1:
                text = " but ".join(f"{value} ({_name(r)})"
                                    for value, r in values.items())
                verdict = (Verdict(rule, FAIR, f"varied on purpose: {text}")
                           if variable in vary and variable
                           else Verdict(rule, UNFAIR, f"differs: {text}"))
                break
        if not verdict.words:
            values = sorted({_show(get(r)) for r in done})
            verdict = verdict._replace(words="the same: " + ", ".join(
                values[:4]) + (" …" if len(values) > 4 else ""))
        yield verdict


def _show(value):
    """A value in a verdict; of a long hash the beginning."""
    text = str(value)
    return text[:12] if len(text) == 64 else text


# ------------------------------------------------------------------ within

def flops_per_sample(hidden):
    """Floating-point operations of one training sample: a product and a sum
    per weight forward, as many for its gradient, and as many for the gradient
    that is passed on, which the first layer need not make."""
    sizes = [784, *hidden, 10]
    weights = [i * o for i, o in zip(sizes, sizes[1:])]
    return 6 * sum(weights) - 2 * weights[0]


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
    sizes = [784, *r["config"]["hidden"], 10]
    count = sum(i * o + o for i, o in zip(sizes, sizes[1:]))
    if r["parameters"] != count:
        return f"{r['parameters']} parameters, but the network has {count}"


def _flops(r, floor):
    if floor is None:
        return None
    implied = (flops_per_sample(r["config"]["hidden"])
               * r["samples_per_epoch"] / min(r["timing"]["epoch_s"]))
    if implied > FLOPS_MARGIN * floor:
        return (f"an epoch of {min(r['timing']['epoch_s']):.3g} s implies "
                f"{implied / 1e9:.0f} GFLOP/s, but this machine does "
                f"{floor / 1e9:.0f}")


def _fence(r, _):
    seconds, reads = r["timing"]["epoch_s"], r["timing"].get("read_s") or []
    for second, read in zip(seconds, reads):
        if read > 0.05 + 0.3 * second:
            return (f"reading the losses of an epoch of {second:.3g} s took "
                    f"another {read:.3g} s: the clock stopped too early")


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
    if r["config"]["mode"] in COMPILED and (counts[0] != 1 or counts[1]):
        return (f"{counts[0]} compilations ahead of the first epoch and "
                f"{counts[1]} in it, expected 1 and 0: what ran is not what "
                "was compiled")
    if any(counts[2:]):
        epoch = next(n for n, c in enumerate(counts[2:], 2) if c)
        return f"{counts[epoch]} recompilations in the steady epoch {epoch}"


def _memory(r, _):
    width = 8 if r["config"]["precision"] == "fp64" else 4
    weights = r["parameters"] * width
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
    ("the clock waits", _fence, UNFAIR, "nothing was left to wait for"),
    ("times are in order", _clock, UNFAIR, "positive and monotonic"),
    ("evaluation outside the clock", _evaluation, UNFAIR, "parts fit the sum"),
    ("compilations", _compilations, UNFAIR, "as many as there should be"),
    ("possible memory", _memory, UNFAIR, "not below the weights"),
    ("better than chance", _chance, WARNING, "every run learned"),
)


def _within(done, floor):
    for rule, check, level, words in WITHIN:
        if check is _flops and floor is None:
            yield Verdict(rule, UNKNOWN, "the machine's speed is not known")
            continue
        found = [(r, reason) for r in done if (reason := check(r, floor))]
        yield Verdict(rule, level, f"{_name(found[0][0])}: {found[0][1]}" + (
            f" (and {len(found) - 1} more)" if found[1:] else "")
                      ) if found else Verdict(rule, FAIR, words)
    yield _cold(done)


def _cold(done):
    """A cache that was warm but called cold shows in the seconds."""
    groups = {}
    for r in done:
        if r["timing"].get("compile_s"):
            groups.setdefault((_who(r), r["config"]["mode"],
                               r["config"]["feed"],
                               r["config"]["batch_size"]), []).append(r)
    rule = "cold means cold"
    for members in groups.values():
        seconds = [r["timing"]["compile_s"] for r in members]
        r = members[int(np.argmin(seconds))]
        if r.get("cache") == "cold" and min(seconds) < np.median(seconds) / 3:
            return Verdict(rule, UNFAIR, (
                f"{_name(r)}: compiled in {min(seconds):.3g} s where others "
                f"of this point took {np.median(seconds):.3g} s, and calls "
                "its cache cold"))
    return Verdict(rule, FAIR, "compile seconds agree within a point")


# --------------------------------------------------------------------- all

def audit(records, vary=(), floor=None):
    """Finished records of one comparison -> [Verdict]. `vary`: what differs
    on purpose; `floor`: FLOP/s that the machine was seen to do, or None."""
    done = [r for r in records if r["status"] == "ok"]
    if not done:
        return [Verdict("runs", UNFAIR, "no run finished")]
    return [*_across(done, vary), *_within(done, floor)]


def unfair(verdicts):
    return [v for v in verdicts if v.level == UNFAIR]


def comparable(first, second):
    """May a ratio of these two groups of records be shown? Only when they
    agree in what a recipe may vary on purpose."""
    return all({_show(get(r)) for r in first} == {_show(get(r)) for r in second}
               for _, get, variable in SAME if variable)


def table(verdicts):
    """Markdown lines, broken rules first."""
    order = {UNFAIR: 0, WARNING: 1, UNKNOWN: 2, FAIR: 3}
    return ["| rule | verdict | |", "|---|---|---|", *(
        f"| {v.rule} | {v.level} | {v.words.replace('|', '/')} |"
        for v in sorted(verdicts, key=lambda v: order[v.level]))]
