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

import json
import math
import shutil
from pathlib import Path

import numpy as np

from bench import launch, record
from bench.plan import Point

ROOT = Path(__file__).resolve().parent.parent
SEED = 0           # of weights and batches: it is code that is certified
TIMEOUT = 3600     # seconds for all of it, whatever one run may take
SHORT = 100        # steps that float32 is bounded for, and the least there are
EARLY = 20         # of them: too few for rounding to have grown
PRECISIONS = ("fp64", "fp32")
KEY = ("contender", "rung", "feed", "optimizer", "lr", "precision",
       "batch_size")
REFERENCE = ("torch", "eager", "device")
# What is compared, in the order of the computation: the first that differs is
# nearest to the cause.
FOUND = ("logits", "gradient", "loss", "first_losses", "accuracy",
         "evaluation", "weights")


def bound(row, name):
    """Largest difference that a row may have in what is named. In float32 a
    rounding difference moves, sooner or later, one activation across zero;
    the losses then differ by 1e-4 to 1e-3 (seen from step 38 on, at batch 64
    and 256). So the first are bounded tightly and the later ones are not.
    Products that were rounded to TF32 (2**-11) show in the logits at once."""
    if row["precision"] == "fp64":
        return 1e-10
    return 1e-2 if name == "loss" else 1e-5


def required(optimizers, batch_sizes, n):
    """[{KEY…, epochs, steps}]: what a comparison has to prove, with `n`
    training images; optimizers: {point: {optimizer: learning rate}}."""
    rows = []
    for precision in PRECISIONS:
        for point, chosen in optimizers.items():
            if precision == "fp32":
                chosen = {"sgd": chosen.get("sgd", 0.1)}
            for optimizer, lr in chosen.items():
                for batch_size in batch_sizes:
                    # An epoch, or more of them to make 100 steps; of a tiny
                    # set not many, or its loss vanishes below rounding.
                    epochs = min(3, -(-SHORT // (n // batch_size)))
                    rows.append(dict(zip(KEY, (
                        *point, optimizer, lr, precision, batch_size)),
                        epochs=epochs, steps=epochs * (n // batch_size)))
    return rows


def for_comparison(grid, points, batch_sizes, vary):
    """-> (certificate or None, why there is none): what the points of a
    comparison must prove with the settings that they have in it."""
    if len(points) == 1:
        return None, None
    optimizers = {}
    for point in points:
        chosen = {**grid.settings, **grid.own.get(point.contender, {})}
        optimizers[point] = {chosen["optimizer"]: chosen["lr"]}
    different = {" ".join(f"{name} {lr:g}" for name, lr in chosen.items()):
                 point for point, chosen in optimizers.items()}
    if len(different) > 1 and not {"optimizer", "lr"} & set(vary):
        return None, "parity NOT PROVED: " + " but ".join(
            f"{point.contender} trains with {value}"
            for value, point in different.items())
    return obtain(grid, required(optimizers, batch_sizes, grid.size())), None


def key(row):
    return tuple(row[name] for name in KEY)


# ------------------------------------------------------------------ making

def obtain(grid, rows):
    """The certificate that covers `rows`: the one in the output folder if
    nothing that decides it has changed, else a new one."""
    path = grid.out / "certificate.json"
    identity = record.digest([
        {name: grid.code(name) for name in sorted(
            {row["contender"] for row in rows})},
        [grid.settings[name] for name in ("dataset", "split", "examples",
                                          "hidden", "device")],
        *((ROOT / "bench" / name).read_text("utf-8")
          for name in ("certify.py", "certificate.py", "lesson.py")),
        grid.weights[SEED][1]])
    old = load(path)
    if old and old["identity"] == identity and {key(row) for row in rows} <= {
            key(row) for row in old["rows"] if "reason" not in row}:
        return old
    print(f"parity certificate: {len(rows)} runs to compare", flush=True)
    traces = _trace(grid, rows)
    certificate = {"schema": record.SCHEMA, "identity": identity,
                   "rows": [_judge(row, rows, traces) for row in rows]}
    record.write_atomic(path, record.dumps(certificate))
    return certificate


def load(path):
    """The certificate at `path`, or None. Verdicts are not believed but made
    again, from the losses too."""
    found = record.read_json(path)
    try:
        rows = found["rows"]
        for row in rows:
            if "reason" not in row:
                first = next(other for other in rows if key(other)[3:] == key(
                    row)[3:] and str(Point(*key(other)[:3])) == row[
                        "reference"])
                _compare_losses(row, row["losses"], first["losses"])
            row["proved"] = _proved(row)
        return found if (found["schema"] == record.SCHEMA
                         and found["identity"]) else None
    except (KeyError, TypeError, ValueError, StopIteration):
        return None


def _trace(grid, rows):
    """Run all rows -> {key: {name: array} or [is something lacking here?,
    the reason why there is none]}."""
    traces, jobs, looks = {}, [], {}
    for row in rows:  # found out when the initial weights were made
        if reason := grid.lacking.get(Point(*key(row)[:3])):
            traces[key(row)] = [True, reason]
    rows = [row for row in rows if key(row) not in traces]
    folder = grid.temporary()
    record.make_folder(folder)
    try:
        for n, row in enumerate(rows):
            script = str(Point(*key(row)[:3]).script(grid.scripts))
            jobs.append({"run": [script, *_flags(grid, row)],
                         "out": str(folder / str(n))})
            looks.setdefault((script, row["precision"]), []).append(n)
        for n, ((script, _), members) in enumerate(looks.items()):
            flags = _flags(grid, {**rows[members[0]], "rung": None,
                                  "feed": "device"})
            jobs.append({
                "functions": script, "flags": flags, "batch_sizes": sorted(
                    {rows[m]["batch_size"] for m in members}),
                "out": str(folder / f"f{n}")})
        # The longest first: two processes run side by side.
        jobs.sort(key=lambda job: "torch" not in str(job))
        plan = folder / "jobs.json"
        plan.write_text(json.dumps(jobs), "utf-8")
        status, ending, _ = launch.run(
            ROOT / "bench" / "certify.py", [str(plan)], grid.cpus,
            max(grid.timeout, TIMEOUT), grid.temporary)
        lost = [False, " ".join([status, *ending["tail"][-1:]])]
        seen = {m: _look(folder / f"f{n}", lost)
                for n, members in enumerate(looks.values()) for m in members}
        for n, row in enumerate(rows):
            traces[key(row)] = _read(folder / str(n), row, seen[n], lost)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return traces


def _reason(out, lost):
    """Why a job of certify.py failed."""
    try:
        lacking, words = json.loads(out.with_suffix(".txt").read_text("utf-8"))
        return [lacking is True, str(words)]
    except (OSError, ValueError, TypeError):
        return lost


def _look(out, lost):
    """{name: array} that the functions of a script gave, or a reason."""
    try:
        with np.load(out.with_suffix(".npz"), allow_pickle=False) as file:
            return dict(file)
    except Exception:  # killed while it wrote, or never written
        return _reason(out, lost)


def _read(out, row, seen, lost):
    """What one run left and what its script's functions gave -> {name:
    array}, or a reason."""
    if isinstance(seen, list):
        return seen
    if out.with_suffix(".txt").exists():  # whatever it wrote before it failed
        return _reason(out, lost)
    try:
        found = record.parse_json(record.read_bytes(out.with_suffix(".json")))
        trace = {name: np.array(found["steps"][name], np.float64)
                 for name in ("loss", "accuracy")}
        trace["evaluation"] = np.array([[entry[name] for name in (
            "val_loss", "val_accuracy", "test_loss", "test_accuracy")]
            for entry in found["epochs"]], np.float64)
        with np.load(out.with_suffix(".npz"), allow_pickle=False) as file:
            trace.update({f"w{n}": array
                          for n, array in enumerate(file.values())})
    except Exception:
        return _reason(out, lost)
    if row["feed"] == "device":
        prefix = f"{row['batch_size']}."
        trace.update({name.removeprefix(prefix): array for name, array
                      in seen.items() if name.startswith(prefix)})
    return trace


def _flags(grid, row):
    flags = {**grid.settings, **row, "seed": SEED, "schedule": "cosine",
             "data_dir": grid.data_dir, "init": grid.weights[SEED][0]}
    for name in ("contender", "steps"):
        flags.pop(name, None)
    return [f"--{name.replace('_', '-')}={value}"
            for name, value in flags.items()
            if value is not None and name != "hidden"] + [
        "--hidden", *map(str, flags["hidden"])]


# ----------------------------------------------------------------- judging

def worst(values, expected):
    """Largest difference, relative to the largest expected value."""
    if values.shape != expected.shape:
        return math.inf
    gap = np.abs(values - expected).max()
    return float(gap / np.abs(expected).max()) if gap else 0.0


def differences(losses, expected):
    """Relative difference of the loss, step by step. A loss below 0.01 counts
    as 0.01: it is a difference of logits, whose rounding does not shrink."""
    steps = min(len(losses), len(expected))
    losses, expected = (np.asarray(a[:steps], np.float64)
                        for a in (losses, expected))
    return np.abs(losses - expected) / np.maximum(np.abs(expected), 0.01)


def _judge(row, rows, traces):
    """The row with what was found: largest relative differences from the
    reference, or the reason why nothing was."""
    trace = traces[key(row)]
    if isinstance(trace, list):
        return {**row, "unavailable": trace[0], "reason": trace[1],
                "proved": False}
    family = [other for other in rows if key(other)[3:] == key(row)[3:]
              and not isinstance(traces[key(other)], list)]
    everyone = {other["contender"] for other in rows
                if not isinstance(traces[key(other)], list)}
    if len(family) < 2 or len({other["contender"] for other in family}) < min(
            2, len(everyone)):
        return {**row, "unavailable": False, "proved": False,
                "reason": "no other contender computes the same to compare"}
    first = min(family, key=lambda other: key(other)[:3] != REFERENCE)
    expected = traces[key(first)]

    def largest(prefix):
        names, others = ({name for name in found if name.startswith(prefix)
                          and name.removeprefix(prefix).isdigit()}
                         for found in (trace, expected))
        if not names or not others:
            return math.inf if prefix == "w" else None
        return math.inf if names != others else float(np.max(
            [worst(trace[name], expected[name]) for name in names]))

    precise = row["precision"] == "fp64"  # else rounding decides
    result = {
        **row, "reference": str(Point(*key(first)[:3])),
        "logits": (worst(trace["logits"], expected["logits"])
                   if "logits" in trace and "logits" in expected else None),
        "gradient": largest("g"),
        "accuracy": (worst(trace["accuracy"], expected["accuracy"])
                     if precise else None),
        "evaluation": (worst(trace["evaluation"], expected["evaluation"])
                       if precise else None),
        "weights": largest("w") if precise else None}
    # As they are written and will be read again, so that the verdict stays.
    result["losses"], others = (a["loss"].tolist() for a in (trace, expected))
    _compare_losses(result, result["losses"], others)
    for name in FOUND:  # JSON has no infinity
        if result[name] is not None and not np.isfinite(result[name]):
            result[name] = 1e300
    result["proved"] = _proved(result)
    return result


def _compare_losses(row, losses, expected):
    """Put the largest difference of the losses into the row."""
    gaps = differences(losses, expected)
    counted = gaps if row["precision"] == "fp64" else gaps[:SHORT]
    largest, early = (float(np.max(part)) if len(part) else math.inf
                      for part in (counted, gaps[:EARLY]))
    row.update(loss=largest if math.isfinite(largest) else 1e300,
               first_losses=early if math.isfinite(early) else 1e300,
               steps_bounded=len(counted))


def _proved(row):
    """Is every number of the row within the bound of its precision?"""
    if "reason" in row:
        return False
    return len(row["losses"]) == row["steps"] and all(
        0 <= row[name] <= bound(row, name)
        for name in FOUND if row[name] is not None)


# ------------------------------------------------------------------ saying

def verdict(certificate, records, refused=None):
    """(proved, line, certificate): about the points that have timings. Each
    must have a float64 trace, and every trace of it must be proved."""
    if refused:
        return False, refused, None
    wanted = {(r["contender"], r["config"]["rung"], r["config"]["feed"],
               r["config"]["batch_size"])
              for r in records if r["status"] == "ok"}
    if certificate is None:
        return True, "parity: one point, nothing to compare it with", None
    rows = [row for row in certificate["rows"]
            if (*key(row)[:3], row["batch_size"]) in wanted]
    missing = wanted - {(*key(row)[:3], row["batch_size"]) for row in rows
                        if row["precision"] == "fp64"}
    if missing:
        name, rung, feed, batch_size = sorted(missing)[0]
        return False, (f"parity NOT PROVED: no float64 trace of "
                       f"{Point(name, rung, feed)}, batch {batch_size}"
                       ), certificate
    return all(row["proved"] for row in rows), line(rows), certificate


def line(rows):
    """One line about rows of a certificate."""
    bad = [row for row in rows if not row["proved"]]
    if bad:
        bad.sort(key=lambda row: "reason" in row)  # numbers before absences
        return "parity NOT PROVED: " + explain(bad[0])
    precise = [row for row in rows if row["precision"] == "fp64"
               and str(Point(*key(row)[:3])) != row["reference"]]
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


def table(certificate):
    """Markdown: a line per rung, feed, optimizer and precision; the largest
    difference over batch sizes."""
    lines = ["| point | optimizer | precision | batch sizes | steps | logits |"
             " gradient | every loss | first 20 | every accuracy | every "
             "evaluation | final weights | verdict |",
             "|---|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|---|"]
    groups = {}
    for row in certificate["rows"]:
        groups.setdefault((*key(row)[:4], row["precision"]), []).append(row)
    for (name, rung, feed, optimizer, precision), rows in groups.items():
        done = [row for row in rows if "reason" not in row]

        def most(field, done=done):
            values = [row[field] for row in done if row[field] is not None]
            return f"{max(values):.1e}" if values else "-"

        bad = [row for row in rows if not row["proved"]]
        lines.append(
            f"| {Point(name, rung, feed)} | {optimizer} | {precision} | "
            + ", ".join(str(row["batch_size"]) for row in rows) + " | "
            + ", ".join(str(row["steps"]) for row in rows)
            + "".join(f" | {most(field)}" for field in FOUND)
            + f" | {explain(bad[0]).partition(': ')[2] if bad else 'proved'} |")
    return lines
