"""What each program computes, found out by running it: the parent's half of
certify.py."""

import json
from pathlib import Path

import numpy as np

from bench.kit import files
from bench.run import plan
from bench.run.plan import Variant

CHILD = Path(__file__).with_name("certify.py")
SEED = 0           # of weights and batches: it is code that is certified
TIMEOUT = 3600     # seconds for all of it, whatever one run may take
KEY = ("contender", "rung", "feed", "optimizer", "lr", "precision",
       "batch_size")


def key(row):
    """What a row of the certificate is about."""
    return tuple(row[name] for name in KEY)


def variant_of(row):
    """The variant of a row."""
    return Variant(*key(row)[:3])


def make(grid, rows):
    """Run all rows -> {key: {name: array} or [is something lacking here?,
    the reason why there is none]}."""
    # Found out when the initial weights were made.
    traces = {key(row): [True, reason] for row in rows
              if (reason := grid.lacking.get(variant_of(row)))}
    rows = [row for row in rows if key(row) not in traces]
    with files.temporary(grid.out) as folder:
        files.make_folder(folder)
        jobs, looks = [], {}
        for n, row in enumerate(rows):
            script = str(variant_of(row).script(grid.scripts))
            jobs.append({"run": [script, *_flags(grid, row)],
                         "out": str(folder / str(n))})
            look = looks.setdefault((script, row["precision"]), {
                "functions": script, "batch_sizes": [],
                "flags": _flags(grid, {**row, "rung": None, "feed": "device"}),
                "out": str(folder / f"f{len(looks)}")})
            look["batch_sizes"].append(row["batch_size"])
        # The longest first: two processes run side by side.
        jobs = sorted([*jobs, *looks.values()],
                      key=lambda job: "torch" not in str(job))
        asked = folder / "jobs.json"
        asked.write_text(json.dumps(jobs), "utf-8")
        status, ending, _ = grid.launch(CHILD, [str(asked)],
                                        max(grid.timeout, TIMEOUT))
        lost = [False, " ".join([status, *ending["tail"][-1:]])]
        for n, row in enumerate(rows):
            look = looks[str(variant_of(row).script(grid.scripts)),
                         row["precision"]]
            traces[key(row)] = _read(folder / str(n), row, _look(
                Path(look["out"]), lost), lost)
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
        found = files.parse_json(files.read_bytes(out.with_suffix(".json")))
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
    return plan.flags({
        **grid.settings, **{name: row[name] for name in KEY[1:]},
        "epochs": row["epochs"], "seed": SEED, "schedule": "cosine",
        "data_dir": grid.data_dir, "init": grid.weights[SEED][0]})
