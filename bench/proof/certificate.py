"""The parity certificate: proof that what is timed computes the same.

From the same initial weights and the same batches, with a falling learning
rate, every program runs for at least one whole epoch, as it is timed. What its
record and its final weights say is compared with one reference (torch eager,
the textbook loop, where it runs): loss and accuracy of every step, every
evaluation, every weight; and, by the functions of the two scripts, logits and
gradients of the first batch. In float64 rounding is far below the effect of
any difference in the mathematics, so the bound is tight; float32 is bounded
over the first 100 steps of SGD only, because rounding grows with every step
and Adam divides by it.
"""

from pathlib import Path

from bench.kit import files
from bench.proof.judging import (
    FOUND,
    SHORT,
    bound,
    compare_losses,
    judge,
    proved,
)
from bench.proof.traces import CHILD, KEY, SEED, key, make, variant_of
from bench.run import lesson
from bench.run.plan import Variant

PRECISIONS = ("fp64", "fp32")


def required(optimizers, batch_sizes, n):
    """[{KEY…, epochs, steps}]: what a comparison has to prove, with `n`
    training images; optimizers: {variant: {optimizer: learning rate}}."""
    rows = []
    for precision in PRECISIONS:
        for variant, chosen in optimizers.items():
            if precision == "fp32":
                chosen = {"sgd": chosen.get("sgd", 0.1)}
            for optimizer, lr in chosen.items():
                for batch_size in batch_sizes:
                    # An epoch, or more of them to make 100 steps; of a tiny
                    # set not many, or its loss vanishes below rounding.
                    epochs = min(3, -(-SHORT // (n // batch_size)))
                    rows.append(dict(zip(KEY, (
                        *variant, optimizer, lr, precision, batch_size)),
                        epochs=epochs, steps=epochs * (n // batch_size)))
    return rows


def for_comparison(grid, variants, batch_sizes, vary):
    """-> (certificate or None, why there is none): what the variants of a
    comparison must prove with the settings that they have in it."""
    if len(variants) == 1:
        return None, None
    optimizers = {}
    for variant in variants:
        chosen = grid.chosen(variant.contender)
        optimizers[variant] = {chosen["optimizer"]: chosen["lr"]}
    different = {" ".join(f"{name} {lr:g}" for name, lr in chosen.items()):
                 variant for variant, chosen in optimizers.items()}
    if len(different) > 1 and not {"optimizer", "lr"} & set(vary):
        return None, "parity NOT PROVED: " + " but ".join(
            f"{variant.contender} trains with {value}"
            for value, variant in different.items())
    return obtain(grid, required(optimizers, batch_sizes, grid.size())), None


# ------------------------------------------------------------------ making

def obtain(grid, rows):
    """The certificate that covers `rows`: the one in the output folder if
    nothing that decides it has changed, else a new one."""
    path = grid.out / "certificate.json"
    identity = files.digest([
        {name: grid.code(name) for name in sorted(
            {row["contender"] for row in rows})},
        [grid.settings[name] for name in ("dataset", "split", "examples",
                                          "hidden", "device")],
        *(path.read_text("utf-8") for path in (
            *sorted(CHILD.parent.glob("*.py")), Path(lesson.__file__))),
        grid.weights[SEED][1]])
    old = load(path)
    if old and old["identity"] == identity and {key(row) for row in rows} <= {
            key(row) for row in old["rows"] if "reason" not in row}:
        return old
    print(f"parity certificate: {len(rows)} runs to compare", flush=True)
    found = make(grid, rows)
    certificate = {"schema": files.SCHEMA, "identity": identity,
                   "rows": [judge(row, rows, found) for row in rows]}
    files.write_atomic(path, files.dumps(certificate))
    return certificate


def load(path):
    """The certificate at `path`, or None. Verdicts are not believed but made
    again, from the losses too."""
    found = files.read_json(path)
    try:
        rows = found["rows"]
        for row in rows:
            if "reason" not in row:
                first = next(other for other in rows if key(other)[3:] == key(
                    row)[3:] and str(variant_of(other)) == row[
                        "reference"])
                compare_losses(row, row["losses"], first["losses"])
            row["proved"] = proved(row)
        return found if (found["schema"] == files.SCHEMA
                         and found["identity"]) else None
    except (KeyError, TypeError, ValueError, StopIteration):
        return None


# ------------------------------------------------------------------ saying

def verdict(certificate, records, refused=None):
    """(proved, line, certificate): about the variants that have timings. Each
    must have a float64 trace, and every trace of it must be proved."""
    if refused:
        return False, refused, None
    wanted = {(r["contender"], r["config"]["rung"], r["config"]["feed"],
               r["config"]["batch_size"])
              for r in records if r["status"] == "ok"}
    if certificate is None:
        return True, "parity: one variant, nothing to compare it with", None
    rows = [row for row in certificate["rows"]
            if (*key(row)[:3], row["batch_size"]) in wanted]
    missing = wanted - {(*key(row)[:3], row["batch_size"]) for row in rows
                        if row["precision"] == "fp64"}
    if missing:
        name, rung, feed, batch_size = sorted(missing)[0]
        return False, (f"parity NOT PROVED: no float64 trace of "
                       f"{Variant(name, rung, feed)}, batch {batch_size}"
                       ), certificate
    return all(row["proved"] for row in rows), line(rows), certificate


def line(rows):
    """One line about rows of a certificate."""
    bad = [row for row in rows if not row["proved"]]
    if bad:
        bad.sort(key=lambda row: "reason" in row)  # numbers before absences
        return "parity NOT PROVED: " + explain(bad[0])
    precise = [row for row in rows if row["precision"] == "fp64"
               and str(variant_of(row)) != row["reference"]]
    if not precise:
        return "parity: nothing to compare"
    rough = [row for row in rows if row["precision"] == "fp32"]
    traces = "1 float64 trace differs" if len(precise) == 1 else (
        f"{len(precise)} float64 traces differ")
    return (f"parity proved: {traces} from {precise[0]['reference']} by at most "
            f"{max(row['loss'] for row in precise):.1e} over up to "
            f"{max(row['steps'] for row in precise)} steps"
            + (f", float32 by {max(row['loss'] for row in rough):.1e} over "
               f"{max(row['steps_bounded'] for row in rough)}" if rough
               else ""))


def explain(row):
    """One line on why a row is not proved."""
    where = (f"{row['contender']} {row['rung']}"
             f"{' (host feed)' if row['feed'] == 'host' else ''}, "
             f"{row['optimizer']}, {row['precision']}, batch "
             f"{row['batch_size']}")
    if "reason" in row:
        return f"{where}: not compared: {row['reason']}"
    if len(row["losses"]) < row["steps"]:
        return f"{where}: a loss is not finite"
    for name in FOUND:
        if row[name] is not None and not row[name] <= bound(row, name):
            return (f"{where}: {name} differs by {row[name]:.1e} from "
                    f"{row['reference']}, allowed {bound(row, name):.0e}")
    return f"{where}: proved"
