"""What the parent's own clock and the kernel say of the turns that runs took.

A script's clock is its own word. The parent sees when a run got its turn,
when it said that its epoch is over and when that it is done, and how much
processor time it used while others had their turns.
"""

from statistics import median, median_low

from bench.proof.rules import (
    FAIR,
    FEW,
    UNFAIR,
    WARNING,
    Verdict,
    advised,
    all_but_one,
    grouped,
    judged,
    name,
    variant_at,
)

# How late a line may be read in two of a run's epochs (seen: 0.3 ms; others may
# be late by any time that the machine gave to somebody else).
LATE_S, LATE, SHORTER = 0.003, 0.03, 0.1
# Of fewer epochs most may have been late, or even the best evaluation, which
# is longer, disturbed (and of two no epoch is the usual one).
FEW_S, LONGER_S, DISTURBED_S = 0.05, 0.15, 0.25
# Work outside the clock that is named: a share of an epoch, or of what the
# same framework's evaluation takes elsewhere (which varies by half as much).
WORK, VARIES = 0.1, 0.3
# Threads spin for a while before they sleep (seen: 7 ms of OpenMP in PyTorch,
# 0.1 ms in JAX, 90 ms of OpenBLAS in NumPy).
SPIN_S, OTHERS_S, AWAKE = 0.01, 0.15, 0.02
# What no part of a run counts before its first turn: Python's start, initial
# weights, PyTorch's optimizer: 1.1 s in a quiet moment. Beside work on every core
# the best of many runs took up to 5 s, the best of two up to 6.3. And as long again
# as importing takes there. A GPU is to be started, too. Of a large network many
# weights are drawn, read and hashed: 3.7 to 7.2 s for the 87 million of ViT-B/16, in
# the best of three.
BEFORE_S, BEFORE_FEW_S = 5, 12
GPU_S, WEIGHT_S = 3, 3e-8


def _clock(r, _):
    """A clock that is scaled or stopped; work before or after it."""
    pairs = list(zip(r["turns"]["go_to_epoch_s"], r["timing"]["epoch_s"]))
    for outer, inner in pairs:
        if inner > outer + 0.001:
            return (f"states an epoch of {inner:.3g} s that lasted "
                    f"{outer:.3g} s: its clock runs too fast")
    # Ratios are taken of shortest epochs: of those no clock may say less.
    outer, inner = map(min, zip(*pairs))
    if inner < (1 - SHORTER) * outer - _late(r, FEW_S):
        return (f"states an epoch of {inner:.3g} s, but by the parent's clock "
                f"none took less than {outer:.3g} s")
    late = all_but_one(outer - LATE * inner - inner for outer, inner in pairs)
    if late > _late(r, FEW_S):
        inner = median(inner for _, inner in pairs)
        return (f"states epochs of {inner:.3g} s, but had the machine for "
                f"{late:.3g} s more in all but one: work outside its clock, or "
                "a slow clock")


def _fence(r, _):
    """Evaluation swallows an epoch that nobody has waited for."""
    tails, seconds = r["turns"]["epoch_to_done_s"], r["timing"]["epoch_s"]
    usual, epoch = median(tails), median(seconds)
    for number, (tail, second) in enumerate(zip(tails, seconds), 1):
        if second < epoch / 2 < tail - usual - _late(r, LONGER_S):
            return (f"epoch {number} took {second:.3g} s in place of "
                    f"{epoch:.3g} s, and what follows it {tail:.3g} s in "
                    f"place of {usual:.3g} s: its clock did not wait")


def _after(r, others):
    """Training, or the next batches, in what should be the evaluation."""
    mine = min(r["turns"]["epoch_to_done_s"])  # in the best of its epochs
    # The middle one: who evaluates too little accuses nobody. What it usually takes:
    # Keras' on TensorFlow takes 0.2 to 0.8 s within one run.
    usual = median_low(median(one["turns"]["epoch_to_done_s"]) for one in others)
    epoch = median(r["timing"]["epoch_s"])
    if mine - usual > _late(r, DISTURBED_S) + WORK * epoch + VARIES * usual:
        return (f"takes {mine:.3g} s or more after an epoch of {epoch:.3g} s, where "
                f"the same framework usually takes {usual:.3g} s elsewhere: work "
                "outside its clock")


def _uncounted(r):
    """Seconds before its first turn that no part of it counts."""
    return r["turns"]["ready_s"] - sum(r["timing"].get(name) or 0 for name in (
        "import_s", "data_s", "to_device_s", "compile_s"))


def _before(r, others):
    """Work that should be compiling, or an epoch, before the first turn."""
    spent = min(map(_uncounted, others))  # in the best of this variant's runs
    allowed = BEFORE_S if len(others) > 2 else BEFORE_FEW_S
    allowed += WEIGHT_S * r["parameters"]
    if r["environment"]["device_kind"] == "cuda":
        allowed += GPU_S
    if r is others[0] and spent > allowed + r["timing"]["import_s"]:
        return (f"takes {spent:.3g} s before its first turn that are neither "
                "importing, data nor compiling")


def _places(done):
    """{(block, batch size, number of the epoch): [places of its turns]}"""
    found = {}
    for r in done:
        for number, place in enumerate(r["turns"]["position"]):
            found.setdefault((r["block_started_unix_s"], r["config"]["batch_size"],
                              number), []).append(place)
    return found


def _turns(done):
    """In a round no two runs have the same turn."""
    rule = "turns are taken one by one"
    for (_, size, number), places in _places(done).items():
        if len(set(places)) < len(places):
            return Verdict(rule, UNFAIR, advised(
                f"batch {size}, epoch {number + 1}: turns {sorted(places)} of a "
                "round", "records that were mixed or edited"))
    return Verdict(rule, FAIR, "no two at a time")


def _together(done):
    """Runs of one batch size and block take turns, all of them or in groups that
    have a variant in common, unless one was tried again, or its record is of another
    comparison."""
    rule = "a block is one block"
    for members in grouped(done, lambda r: (
            r["config"]["batch_size"], r.get("block"))):
        first, alive = members[0], {}
        if len(members) == len({r["block_started_unix_s"] for r in members}) > 1:
            return Verdict(rule, WARNING, advised(
                f"batch {first['config']['batch_size']}: the runs followed each "
                "other, so they did not meet the same noise",
                "whether the GPU admits one process only, or records were mixed"))
        for r in members:
            alive.setdefault(r["block_started_unix_s"], set()).add(variant_at(r))
        for r in members:
            if not alive[r["block_started_unix_s"]] & alive[
                    first["block_started_unix_s"]]:
                return Verdict(rule, WARNING, advised(
                    f"{name(r)} did not take turns with {name(first)}, nor both with "
                    "a third: no ratio is formed of them",
                    "runs that were tried again, or mixed"))
    return Verdict(rule, FAIR, "who is compared took turns")


def _late(r, of_few):
    return LATE_S if len(r["timing"]["epoch_s"]) >= FEW else of_few


def _asleep(r, _):
    """Work while others have their turns: unpaid, and it slows them down."""
    spent = [cpu for cpu in r["turns"]["waiting_cpu_s"] if cpu is not None]
    each = SPIN_S if r["framework"] in ("jax", "torch") else OTHERS_S
    if sum(spent) > len(spent) * each + AWAKE * sum(r["timing"]["epoch_s"]):
        return (f"used {sum(spent):.3g} s of the processor while others had "
                "their turns")


# As WITHIN in rules.py; a check is of a run beside those of its framework in
# its block, or of its variant.
BEFORE = ("little before the first turn", _before, UNFAIR, "all of it counted",
          "which work is done before the clock of compiling, or after it")
RULES = (
    ("the parent's clock agrees", _clock, UNFAIR, "to a few milliseconds",
     "which clock it reads, and what it does before and after"),
    ("no epoch ends in the evaluation", _fence, UNFAIR, "each was waited for",
     "the fence before the clock stops"),
    ("evaluation only evaluates", _after, UNFAIR, "as long as elsewhere",
     "what is done between the clock and the next turn"),
    ("who waits sleeps", _asleep, UNFAIR, "no work between turns",
     "threads that were started, and what they still do"),
)


def clocks(done):
    """A Verdict a rule; done: finished records."""
    runs = [(r, members) for members in grouped(done, lambda r: (
        r["block_started_unix_s"], r["config"]["batch_size"], r["framework"]))
        for r in members]
    variants = [(r, members) for members in grouped(done, variant_at)
                for r in members]
    return [judged(BEFORE, variants), _turns(done), _together(done),
            *(judged(entry, runs) for entry in RULES)]
