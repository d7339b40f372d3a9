"""Is this comparison fair? One verdict per rule, in words.

Here are the rules across records: what must be equal between runs, or the
ratio of their times would be about something else. What a true record cannot
break is in rules.py. An unfair comparison gets no ratio and no joint figure.
"""

from functools import reduce

from bench.kit.rungs import RUNGS
from bench.proof.clocks import clocks
from bench.proof.losses import losses
from bench.proof.rules import (
    FAIR,
    UNFAIR,
    UNKNOWN,
    WARNING,
    Verdict,
    advised,
    grouped,
    name,
    variant_at,
    within,
)
from bench.proof.switches import switches, variables
from bench.run import environment

# ------------------------------------------------------------------ across

def _of(*path):
    """What a record has there, or None; that the objects on the way are some
    has been checked."""
    return lambda r: reduce(dict.get, path, r)


def _device(r):
    return "{device_kind}: {device_name}".format(**r["environment"])


def _split(r):
    sizes = "{train} / {val} / {test}".format(**r["dataset"]["sizes"])
    return f"{r['dataset'].get('split')} ({sizes})"


def _none(r):
    return ()


_size = _of("config", "batch_size")


def _seed(r):
    return _size(r), r["config"]["seed"]


def _drawn(r):
    """A library whose loop is its own draws the order of the batches, too."""
    return _seed(r), _own(r)


def _own(r):
    return RUNGS[r["config"]["rung"]].own


def _cached(r):
    """The first blocks find nothing in a compile cache, later ones may."""
    return r.get("block"), _caches(r)


def _caches(r):
    """Has it something to find there: JAX, what compiles with it, and PyTorch's
    compiled rungs?"""
    return "jax" in r["environment"] or (
        r["framework"] == "torch" and RUNGS[r["config"]["rung"]].ahead)


def _host(r):
    return {name: r["environment"].get(name) for name in ("python", "numpy")}


# What differs between the nodes of a cluster, and never inside a block.
OF_A_NODE = {"device", "processor", "Python and NumPy", "versions", "variables",
             "threads", "cores", "priority", "initial weights"}
# (rule, what must be equal, between the runs that agree in this, what `vary`
# in a recipe calls it)
SAME = (
    ("device", _device, _none, None),
    ("processor", _of("environment", "cpu_model"), _none, None),
    ("Python and NumPy", _host, _none, None),
    ("versions", lambda r: environment.versions(r["environment"]),
     _of("framework"), None),
    ("variables", variables, _none, "compiler"),
    ("precision", _of("config", "precision"), _none, None),
    ("data set", _of("dataset", "name"), _none, None),
    ("data", _of("dataset", "sha256"), _none, None),
    ("split", _split, _none, None),
    ("parameters", _of("parameters"), _none, None),
    ("optimizer", _of("config", "optimizer"), _none, "optimizer"),
    ("learning rate", _of("config", "lr"), _none, "lr"),
    ("schedule", _of("config", "schedule"), _none, None),
    ("dropout", lambda r: r["config"].get("dropout") or 0, _none, "dropout"),
    ("threads", _of("environment", "threads"), _none, None),
    ("cores", _of("affinity"), _none, None),
    ("priority", _of("environment", "priority"), _none, None),
    ("compile cache", lambda r: r.get("cache") if _caches(r) else None, _cached,
     "cache"),
    ("steps per epoch", _of("steps_per_epoch"), _size, None),
    ("samples per epoch", _of("samples_per_epoch"), _size, None),
    ("epochs", _of("config", "epochs"), _size, None),
    ("initial weights", _of("init_sha256"), _seed, "init"),
    ("batch order", _of("order_sha256"), _drawn, None),
)
ALIKE = "the flags, the scripts or the machine of the runs that are named"


def _across(done, vary, nodes):
    for rule, get, scope, variable in SAME:
        groups = {}
        for r in done:
            apart = (scope(r), r["block_started_unix_s"]) if (
                nodes and rule in OF_A_NODE) else scope(r)
            groups.setdefault(apart, {}).setdefault(_show(get(r)), r)
        values = max(groups.values(), key=len)
        if len(values) > 1:
            found = " but ".join(f"{value} ({name(r)})"
                                 for value, r in list(values.items())[:3])
            yield (Verdict(rule, FAIR, f"varied on purpose: {found}")
                   if variable in vary else
                   Verdict(rule, UNFAIR, advised(f"differs: {found}", ALIKE)))
            continue
        values = sorted(set().union(*groups.values()))
        words = ("the same: " if len(groups) == 1
                 else "each the same where it must be: ")
        yield Verdict(rule, FAIR, words + ", ".join(values[:4])
                      + " …" * (len(values) > 4))
    yield _residency(done)
    yield _once(done)
    yield _seeds(done)


def _residency(done):
    """The feed stands in the name of a variant, so that one contender may have
    two; but programs that are compared must share one. How a library's own loop
    feeds itself is part of what is compared."""
    rule, groups = "residency of the data", {}
    for r in done:
        if _own(r):
            continue
        groups.setdefault(_seed(r), {}).setdefault(r["framework"], {}).setdefault(
            r["config"]["feed"], r)
    for feeds in groups.values():
        if not set.intersection(*map(set, feeds.values())):
            return Verdict(rule, UNFAIR, advised("differs: " + " but ".join(
                f"{feed} ({name(r)})" for found in feeds.values()
                for feed, r in found.items()), "the feeds of the variants"))
    return Verdict(rule, FAIR, "shared by all contenders")


def _once(done):
    """A record that is there twice, if under another name, counts twice: no
    two runs take the same times."""
    rule = "runs are counted once"
    for same in grouped(done, lambda r: str([r["timing"][each] for each in (
            "epoch_s", "read_s")])):
        if len(same) > 1:
            return Verdict(rule, UNFAIR, advised(
                f"{name(same[0])}: has the seconds of {name(same[1])}",
                "files that were copied"))
    return Verdict(rule, FAIR, "no two took the same seconds")


def _seeds(done):
    """Runs of several seeds are not one run again: nothing would vary."""
    rule = "every seed is another run"
    for what in ("init_sha256", "order_sha256"):
        for members in grouped(done, lambda r, what=what: (
                variant_at(r), str(r.get(what)))):
            seeds = {r["config"]["seed"]: r for r in members if r.get(what)}
            if len(seeds) > 1:
                one, two = list(seeds.values())[:2]
                return Verdict(rule, UNFAIR, advised(
                    f"{name(one)} and seed {two['config']['seed']}: the same {what}",
                    "what is drawn from the seed"))
    return Verdict(rule, FAIR, "other weights, other batches")


def _show(value):
    """A value in a verdict; of a long hash the beginning."""
    text = str(value)
    return text[:12] if len(text) == 64 else text


# --------------------------------------------------------------------- all

def audit(records, vary=(), peak=None, nodes=False, forms=None):
    """Finished records of one comparison -> [Verdict]. `vary`: what differs
    on purpose; `peak`: {"flops", "device"} of the machine, or None; nodes: each block
    may have run on a machine of its own; forms: of Adam, see losses."""
    done = [r for r in records if r["status"] == "ok"]
    if not done:
        return [Verdict("runs", UNKNOWN, "none of these flags has finished")]
    return [*_across(done, vary, nodes), *within(done, peak), *clocks(done),
            *losses(done, forms or {}), *switches(done, "compiler" in vary)]


def unfair(verdicts):
    return [v for v in verdicts if v.level == UNFAIR]


def line(verdicts):
    """'28 of 30 rules hold; warning: better than chance'"""
    held = sum(v.level == FAIR for v in verdicts)
    text = f"{held} of {len(verdicts)} rules hold"
    for level in (UNFAIR, WARNING, UNKNOWN):
        if names := [v.rule for v in verdicts if v.level == level]:
            text += f"; {level}: {', '.join(names)}"
    return text


def comparable(first, second):
    """May a ratio of these two groups of records be shown? Only when they
    agree, seed by seed, in what a recipe may vary on purpose."""
    for _, get, scope, variable in SAME:
        if variable:
            one, two = ({r["config"]["seed"]: (scope(r), _show(get(r)))
                         for r in records} for records in (first, second))
            # Outside a rule's scope (eager PyTorch has nothing to find in a
            # cache) is no difference.
            if any(one[seed][0] == two[seed][0] and one[seed] != two[seed]
                   for seed in one.keys() & two.keys()):
                return False
    return first[0]["config"]["feed"] == second[0]["config"]["feed"] or any(
        _own(records[0]) for records in (first, second))
