"""Is a trace that of the reference? Bounds, differences, a verdict per row."""

import re

import numpy as np

from bench.proof.traces import key, variant_of

SHORT = 100        # steps that float32 is bounded for, and the least there are
BOUNDED = {"sgd": SHORT, "adam": 20}  # Adam divides by rounding: fewer
EARLY = 2          # of them: the first loss, and that after the first update
# At larger rates than these rounding grows faster.
RATES = {"sgd": 0.1, "adam": 1e-3}
REFERENCE = ("torch", "eager", "device")
ALONE = "no other contender computes the same to compare"
# What is compared, in the order of the computation, and what to look at where
# it differs: the first that does is nearest to the cause.
FOUND = {
    "logits": "the forward pass, the weights it gets, its precision",
    "gradient": "the loss, and what it is the mean of",
    "loss": "the update, its rates, the order of the batches, and what is left "
            "over from an epoch",
    "first_losses": "the precision of products, the first batches",
    "accuracy": "what counts as right",
    "evaluation": "which images are evaluated, and with which weights",
    "weights": "the update"}


def rounding(optimizer, lr):
    """((steps, how far a loss may be by rounding alone until then), …) in float32.
    Sooner or later rounding moves one activation across zero: a gradient then
    differs by 2e-3, and Adam, which divides a gradient by its own size, moves a
    weight as far as any whose gradient is nothing else. Half of honest pairs stay
    below 1e-6; the largest of 500 (batches of 32 to 256, SGD at 0.1, Adam at 1e-3)
    had 2e-7 in the first loss, 4e-5 in the second, 8e-4 until the fifth, 9e-3 until
    the twentieth, 4e-2 until the hundredth. At larger rates (1,200 pairs) that grows
    about as their square: Adam's second loss by 3e-4 at 4e-3, 2e-3 at 1e-2."""
    grown = max(1, lr / RATES[optimizer])**2
    return (1, 1e-5), *((steps, most * grown) for steps, most in (
        (EARLY, 1e-4), (5, 5e-3), (20, 5e-2), (SHORT, 0.15)))


def bound(row, name):
    """Largest difference that a row may have in what is named. Products that were
    rounded to TF32 (2**-11) show in the logits at once. Largest of 240 honest pairs
    (seeds 0 to 19, weights of either framework, SGD and Adam, batches of 64 to 1024)
    in float32: logits 7e-7, gradient 2e-3."""
    if row["precision"] == "fp64":
        return 1e-10
    losses = dict(rounding(row["optimizer"], row["lr"]))
    return {"gradient": 2e-2, "loss": losses[BOUNDED[row["optimizer"]]],
            "first_losses": losses[EARLY]}.get(name, 1e-5)


def asked(row):
    """Steps of a row whose losses are bounded."""
    return row["steps"] if row["precision"] == "fp64" else min(
        BOUNDED[row["optimizer"]], row["steps"])


def most(gaps):
    """The largest of some differences, or that one; none is no agreement. JSON
    has no infinity, and max() may lose a NaN."""
    gap = np.max(gaps) if np.size(gaps) else np.inf
    return float(gap) if np.isfinite(gap) else 1e300


def worst(values, expected, least=0.0):
    """Largest difference, relative to the largest expected value, or to `least`."""
    if values.shape != expected.shape:
        return 1e300
    gap = np.abs(values - expected).max()
    return most(gap / max(least, np.abs(expected).max())) if gap else 0.0


def differences(losses, expected):
    """Relative difference of the loss, step by step. A loss below 0.01 counts
    as 0.01: it is a difference of logits, whose rounding does not shrink."""
    steps = min(len(losses), len(expected))
    losses, expected = (np.asarray(a[:steps], np.float64)
                        for a in (losses, expected))
    return np.abs(losses - expected) / np.maximum(np.abs(expected), 0.01)


def judge(rows, traces):
    """The rows with what was found, as traces.make gives it: largest relative
    differences from the reference, or the reason why there are none."""
    traced = [row for row in rows if "reason" not in traces[key(row)]]
    judged = []
    for row in rows:
        found, first = traces[key(row)], reference(row, traced)
        if "reason" not in found:
            found = {
                "reference": str(variant_of(first)),
                "losses": found["loss"].tolist(),
                **largest(found, traces[key(first)], row["precision"] == "fp64")
            } if first else {"unavailable": False, "reason": ALONE}
        judged.append({**row, **found})
    return conclude(judged)


def conclude(rows):
    """The rows with a verdict on each: by its differences, and by its losses as
    they are written and will be read again. Raises LookupError, TypeError,
    ValueError or ArithmeticError where these rows were never written here."""
    losses = {(*key(row)[3:], str(variant_of(row))): row.get("losses")
              for row in rows}
    for row in rows:
        if "reason" not in row:
            gaps = differences(row["losses"], losses[
                (*key(row)[3:], row["reference"])])
            counted = gaps[:asked(row)]
            row.update(loss=most(counted), first_losses=most(gaps[:EARLY]),
                       steps_bounded=len(counted))
        row["proved"] = doubt(row) is None
    return rows


def reference(row, traced):
    """The row of `traced` that this one is compared with, or None: a trace
    that is compared with nobody else's proves nothing."""
    family = [other for other in traced if key(other)[3:] == key(row)[3:]]
    if row.get("against"):
        return next((other for other in family if key(other)[:3] == tuple(
            row["against"])), None)
    names, everyone = ({other["contender"] for other in some}
                       for some in (family, traced))
    if len(family) < 2 or len(names) < min(2, len(everyone)):
        return None
    # Of another form of Adam none proves anything.
    forms = {tuple(other["against"]) for other in traced if other.get("against")}
    return min((other for other in family if not other.get("against")
                and (key(other)[:3] not in forms or other is row)),
               key=lambda other: key(other)[:3] != REFERENCE, default=None)


def largest(trace, expected, precise):
    """{name of FOUND, but for losses: largest difference, or None where there
    is none of a kind}; not precise: rounding decides over all that comes
    after the first step."""
    def of(pattern, required=False):
        names, others = ({name for name in found if re.fullmatch(pattern, name)}
                         for found in (trace, expected))
        if not (names and others):
            return 1e300 if required else None  # some say no accuracy of a step
        # A shift before BatchNorm has a gradient of 0, and is what rounding left.
        least = 1e-3 * max(np.abs(expected[name]).max() for name in others)
        return 1e300 if names != others else max(
            worst(trace[name], expected[name], least) for name in names)

    return {"logits": of("logits"), "gradient": of(r"g\d+"),
            **{name: of(name) if precise else None
               for name in ("accuracy", "evaluation")},
            "weights": of(r"w\d+", required=True) if precise else None}


def doubt(row):
    """Why a row is not proved; None if every number of it is within the bound
    of its precision, over as many steps as it asks for, in the reference, too.
    """
    if "reason" in row:
        return f"not compared: {row['reason']}"
    if len(row["losses"]) != row["steps"]:
        return (f"returned {len(row['losses'])} of {row['steps']} losses. Look "
                "first at the loop over the batches")
    if row["steps_bounded"] != asked(row):
        return (f"{row['reference']}, the reference, returned "
                f"{row['steps_bounded']} of {asked(row)} losses")
    for name in FOUND:
        if row[name] is not None and not 0 <= row[name] <= bound(row, name):
            return (f"{name} differs by {row[name]:.1e} from "
                    f"{row['reference']}, allowed {bound(row, name):.0e}. Look "
                    f"first at {FOUND[name]}")
