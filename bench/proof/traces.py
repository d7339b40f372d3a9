"""What each program computes, found out by running it: starts certify.py for
certificate.py and reads what it leaves."""

from pathlib import Path

import numpy as np

from bench.kit import files
from bench.run import plan
from bench.run.plan import Variant

CHILD = Path(__file__).with_name("certify.py")
SEED = 0           # of weights and batches, in most rows
TIMEOUT = 3600     # seconds for all rows together, or --timeout if longer
KEY = ("contender", "rung", "feed", "optimizer", "lr", "precision",
       "batch_size", "seed")


def key(row):
    """What a row of the certificate is about."""
    return tuple(row[name] for name in KEY)


def variant_of(row):
    """The variant of a row."""
    return Variant(*key(row)[:3])


def make(grid, rows):
    """Run all rows -> {key: {name: array}, or {"unavailable": is something
    lacking here?, "reason": why there is none}}."""
    # Known from making the initial weights; others are found by their run.
    traces = {key(row): {"unavailable": True, "reason": reason} for row in rows
              if (reason := grid.lacking.get(variant_of(row)))}
    rows = [row for row in rows if key(row) not in traces]
    sizes = ",".join({str(row["batch_size"]) for row in rows})
    with files.temporary(grid.out) as folder:
        files.make_folder(folder)
        jobs, looks, places = {}, {}, []
        for n, row in enumerate(rows):
            script = str(variant_of(row).script(grid.scripts))
            out = folder / str(n)
            look = looks.setdefault((script, row["precision"]),
                                    folder / f"f{len(looks)}")
            places.append((row, out, look))
            jobs[str(out)] = [str(CHILD), "program", script, *_flags(
                grid, row, json=f"{out}.json", save=f"{out}.npz")]
            # The flags of any of its rows: how it trains plays no part. Its
            # first batch, and so its logits, are those of one seed.
            jobs[str(look)] = [str(CHILD), "functions", str(look), sizes, script,
                               *_flags(grid, {**row, "seed": SEED}, rung=None,
                                       feed="device")]
        # What PyTorch compiles first, which takes longest: two run side by side.
        asked = folder / "jobs.json"
        asked.write_text(files.dumps(sorted(jobs.items(), key=lambda job: (
            "torch" not in str(job), "--rung=eager" in job[1]))), "utf-8")
        status, ending, _ = grid.launch(CHILD, [str(asked)],
                                        max(grid.timeout, TIMEOUT))
        lost = {"unavailable": False,
                "reason": " ".join([status, *ending["tail"][-1:]])}
        for row, out, look in places:
            traces[key(row)] = _read(row, out, look) or lost
    return traces


def _read(row, out, look):
    """What a run has left at `out`, and what its script's functions gave at
    `look` -> {name: array}; the reason of one that failed; None where
    something is not there or not whole: killed while it wrote."""
    for path in (look.with_suffix(".txt"), out.with_suffix(".txt")):
        if path.exists():  # whatever it wrote before it failed
            return files.read_json(path) or None
    try:
        found = files.read_json(out.with_suffix(".json"))
        trace = {name: np.array(found["steps"][name], np.float64)
                 for name in ("loss", "accuracy") if found["steps"][name]}
        trace["evaluation"] = np.array([[entry[name] for name in (
            "val_loss", "val_accuracy", "test_loss", "test_accuracy")]
            for entry in found["epochs"]], np.float64)
        trace.update((f"w{n}", array) for n, array
                     in enumerate(_arrays(out).values()))
        seen, prefix = _arrays(look), f"{row['batch_size']}."
    except Exception:
        return None
    if row["seed"] == SEED:
        trace.update((name.removeprefix(prefix), array) for name, array
                     in seen.items() if name.startswith(prefix))
    return trace


def _arrays(out):
    with np.load(out.with_suffix(".npz"), allow_pickle=False) as file:
        return dict(file)


def _flags(grid, row, **more):
    return plan.flags({
        **grid.settings, **{name: row[name] for name in KEY[1:]},
        "epochs": row["epochs"],
        # Rates that fall show one that is baked in; the other seed has those
        # that are timed.
        **({"schedule": "cosine"} if row["seed"] == SEED else {}),
        **({"examples": row["examples"]} if row.get("examples") else {}),
        "data_dir": grid.data_dir, "init": grid.weights[row["seed"]][0], **more})
