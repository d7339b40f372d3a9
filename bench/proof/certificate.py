"""The parity certificate: proof that what is timed computes the same.

From the same initial weights and the same batches, with a falling learning
rate (with another seed: the one that is timed), every program runs for at least
one whole epoch, as it is timed. What its record and its final weights say is
compared with one reference (torch eager, the textbook loop, where it runs):
loss and accuracy of every step, every evaluation, every weight; and, by the
functions of the two scripts, logits and gradients of the first batch. In
float64 rounding is far below the effect of any difference in the mathematics,
so the bound is tight. In float32 rounding grows with every step, and Adam
divides by it: the first 100 steps of SGD are bounded and the first 20 of Adam.
"""

import math
import time
from itertools import product

from bench.kit import files, network
from bench.kit.rungs import RUNGS
from bench.proof import judging
from bench.proof.judging import SHORT
from bench.proof.rules import variant_at
from bench.proof.traces import CHILD, KEY, SEED, key, make, variant_of
from bench.run import folder
from bench.run.plan import Variant, parse_variants


def required(optimizers, batch_sizes, n, seeds=(), against=None, brief=False,
             sgd=judging.RATES["sgd"]):
    """[{KEY…, epochs, steps, against}]: what a comparison has to prove, with `n`
    training images; optimizers: {variant: {optimizer: learning rate}}; seeds:
    of the comparison, of which one beside SEED is enough; against: {variant: that
    whose form of Adam it has}, which are run, too; brief: one epoch of two steps
    in float64 are enough, of a network whose steps take seconds; sgd: its rate where
    none is chosen."""
    against = against or {}
    for variant, other in against.items():
        if "adam" in optimizers[variant]:
            optimizers = {other: {"adam": optimizers[variant]["adam"]},
                          **optimizers}
    largest = max(batch_sizes)  # whose epochs are the cheapest
    # A loop that is a library's own trains on batches of its own.
    optimizers = {variant: chosen for variant, chosen in optimizers.items()
                  if not RUNGS[variant.rung].own}
    rows = []
    for variant, chosen in optimizers.items():
        asked = [*product(["fp64"], chosen.items(), batch_sizes, [SEED]),
                 *product(["fp64"], chosen.items(), [largest], beside(seeds)),
                 *product(["fp32"], [("sgd", chosen.get("sgd", sgd))],
                          batch_sizes, [SEED])]
        if "adam" in chosen:
            asked.append(("fp32", ("adam", chosen["adam"]), largest, SEED))
        if brief:
            asked = asked[:len(batch_sizes)]
        for precision, rate, batch_size, seed in asked:
            # An epoch, or more of them to make 100 steps; of a tiny set not
            # many, or its loss vanishes below rounding. Two at least of the
            # largest batches: nothing may be baked into what was compiled.
            epochs = 1 if brief else max(1 + (batch_size == largest), min(
                3, -(-SHORT // (n // batch_size))))
            images = min(n, 2 * batch_size) if brief else n
            rows.append(dict(
                zip(KEY, (*variant, *rate, precision, batch_size, seed)),
                epochs=epochs, steps=epochs * (images // batch_size),
                examples=images if brief else None,
                against=against.get(variant) if rate[0] == "adam" else None))
    return rows


def rates(settings):
    """{optimizer: learning rate} where none is chosen."""
    # More inputs make a steeper loss. At 0.1 that of a network for CIFAR-10 soars to
    # 11 in its first steps, and rounding with it, to 0.27 in a hundred of them.
    gentle = min(1, 784 / network.of(settings).sizes[0])
    return {**judging.RATES, "sgd": judging.RATES["sgd"] * gentle}


def beside(seeds):
    """The seed of a comparison that is proved beside SEED, if there is one: [seed]"""
    return [seed for seed in seeds if seed != SEED][:1]


def for_comparison(grid, variants, batch_sizes, seeds, vary):
    """-> (certificate or None, why there is none): what the variants of a
    comparison must prove with the settings that they have in it."""
    chosen, different = {}, {}
    for variant in variants:
        own = grid.chosen(variant.contender)
        chosen[variant] = {own["optimizer"]: own["lr"]}
        different[f"{own['optimizer']} {own['lr']:g}"] = variant
    if len(different) > 1 and not {"optimizer", "lr"} & set(vary):
        return None, "parity NOT PROVED: " + " but ".join(
            f"{variant.contender} trains with {value}"
            for value, variant in different.items())
    if sum(not RUNGS[variant.rung].own for variant in variants) < 2:
        return None, None
    return obtain(grid, required(
        chosen, batch_sizes, grid.size(), seeds, references(grid, variants),
        brief=bool(grid.settings.get("network")),
        sgd=rates(grid.settings)["sgd"])), None


def forms(grid):
    """{contender: that whose form of Adam it has}, where its recipe names one."""
    return {name: own["adam"] for name, own in grid.own.items() if "adam" in own}


def references(grid, variants):
    """The same of variants that are certified: {variant: a variant}"""
    texts = forms(grid)
    return {variant: parse_variants([texts[variant.contender]], grid.scripts)[0]
            for variant in variants if variant.contender in texts
            and not RUNGS[variant.rung].own}


# ------------------------------------------------------------------ making

def obtain(grid, rows):
    """The certificate that covers `rows`: the one in the output folder if
    nothing that decides it has changed, else a new one."""
    identity = files.digest([
        {name: grid.code(name) for name in {row["contender"] for row in rows}},
        {name: value for name, value in grid.settings.items() if name not in (
            "optimizer", "lr", "precision", "epochs")},
        sorted({str(row["against"]) for row in rows}),
        *(path.read_text("utf-8")
          for path in sorted(CHILD.parent.glob("*.py"))),
        *(grid.weights[seed][1] for seed in sorted({row["seed"]
                                                    for row in rows}))])
    path = grid.out / "certificate.json"
    if grid.shared is None:
        return _kept(path, identity, grid, rows)
    began = time.time()
    # One of each kind of node: the first makes it, the others wait for it.
    files.make_folder(grid.shared)
    with folder.waited(grid.shared / f"{identity}.lock"):
        certificate = _kept(grid.shared / f"{identity}.json", identity, grid, rows,
                            began)
    files.write_atomic(path, files.dumps(certificate))
    return certificate


def _kept(path, identity, grid, rows, began=math.inf):
    """The certificate at `path` if it is this one and covers all rows, else a new
    one there. What it has only a reason for is tried again, unless that was found
    since `began`, while this process waited."""
    old = load(path)
    if old and old["identity"] == identity and set(map(key, rows)) <= {
            key(row) for row in old["rows"]
            if "reason" not in row or path.stat().st_mtime > began}:
        return old
    print(f"parity certificate: {len(rows)} runs to compare", flush=True)
    found = make(grid, rows)
    certificate = {"schema": files.SCHEMA, "identity": identity,
                   "rows": judging.judge(rows, found)}
    files.write_atomic(path, files.dumps(certificate))
    return certificate


def load(path):
    """The certificate at `path`, or None. Verdicts are not believed but made
    again, from the losses too."""
    found = files.read_json(path)
    try:
        for row in judging.conclude(found["rows"]):
            hash(key(row))  # what it is about is there
        return found if (found["schema"] == files.SCHEMA
                         and found["identity"]) else None
    except (LookupError, TypeError, ValueError, ArithmeticError):
        return None


# ------------------------------------------------------------------ saying

def verdict(certificate, records, refused=None):
    """(proved, line, certificate): about the variants that have timings. Each
    must have a float64 trace, and every trace of it must be proved."""
    if refused:
        return False, refused, None
    wanted = {variant_at(r) for r in records if r["status"] == "ok"}
    own = {one for one in wanted if RUNGS[one[1]].own}
    wanted -= own
    rest = ". On batches of their own, and not proved: " + ", ".join(sorted({
        str(Variant(*one[:3])) for one in own})) if own else ""
    if any(r["config"].get("dropout") for r in records):
        rest += (". Dropout is off in what is compared: each library draws masks of "
                 "its own")
    if certificate is None:
        return True, ("parity: one variant, nothing to compare it with"
                      + rest), None
    rows = [row for row in certificate["rows"]
            if (*key(row)[:3], row["batch_size"]) in wanted]
    missing = wanted - {(*key(row)[:3], row["batch_size"]) for row in rows
                        if row["precision"] == "fp64"}
    if missing:
        *variant, batch_size = min(missing)
        return False, (f"parity NOT PROVED: no float64 trace of "
                       f"{Variant(*variant)}, batch {batch_size}"), certificate
    return all(row["proved"] for row in rows), line(rows) + rest, certificate


def line(rows):
    """One line about rows of a certificate."""
    bad = [row for row in rows if not row["proved"]]
    if bad:  # numbers before absences, and a cause before what follows from it
        first = min(bad, key=lambda row: ("reason" in row,
                                          row.get("reason") == judging.ALONE))
        return "parity NOT PROVED: " + explain(first)
    precise = [row for row in rows if row["precision"] == "fp64"
               and str(variant_of(row)) != row["reference"]]
    if not precise:
        return "parity: nothing to compare"
    rough = [row for row in rows if row["precision"] == "fp32"]
    others = " or ".join(sorted({row["reference"] for row in precise}))
    count, far = len(precise), max(row["loss"] for row in precise)
    return (f"parity proved: in float64 the losses of {count} trace{'s' * (count > 1)} "
            f"agree with those of {others} within {far:.1e} (relative) over up to "
            f"{max(row['steps'] for row in precise)} steps"
            + ("; in float32, where rounding grows step by step, within "
               f"{max(row['loss'] for row in rough):.1e} over up to "
               f"{max(row['steps_bounded'] for row in rough)} steps" if rough
               else ""))


def explain(row):
    """One line on why a row is not proved."""
    return (f"{variant_of(row)}, {row['optimizer']}, {row['precision']}, "
            f"batch {row['batch_size']}, seed {row['seed']}: "
            f"{judging.doubt(row)}")
