"""Made-up records that keep the schema and every rule of the audit, for tests
that change one thing. The numbers are nobody's."""

import copy
import itertools
import statistics

import numpy as np

from bench.analyse.found import Found
from bench.kit.rungs import RUNGS
from bench.proof import audit
from bench.run import record

PARAMETERS = 235_146
PLACES = {}  # of each variant in its rounds
RUNS = itertools.count()
PROVED = True, "parity proved: 3 float64 traces", None
NOT_PROVED = False, "parity NOT PROVED: no float64 trace of jax step", None


def make(contender="jax", rung="step", batch_size=256, seed=0, block=0,
         epoch_s=0.5, epochs=3, accuracy=0.97, feed="device", compile_s=0.6,
         loss=0.5, **config):
    """One finished record."""
    loss = float(np.float32(loss))
    steps = 50_000 // batch_size
    compiled = RUNGS[rung].ahead
    seconds = [epoch_s * (1 + 0.01 * n) for n in range(epochs)]
    start, rows = 1.4 + compile_s * compiled, []
    for number, second in enumerate(seconds, 1):
        rows.append({
            "epoch": number, "start_s": start, "end_s": start + second,
            "train_loss": float(np.float32(loss / number)), "train_accuracy": accuracy,
            "val_loss": loss / number, "val_accuracy": accuracy,
            "test_loss": loss, "test_accuracy": accuracy})
        start += second + 0.1
    turns = {"ready_s": 1.4 + compile_s * compiled,
             "position": [PLACES.setdefault(
                 (contender, rung, feed), len(PLACES))] * epochs,
             "go_to_epoch_s": [second + 5e-4 for second in seconds],
             "epoch_to_done_s": [0.1] * epochs,
             "waiting_cpu_s": [None] + [1e-4] * (epochs - 1),
             "cpu_s": [1.8 * second for second in seconds],
             "busiest_cpu_s": seconds}
    return count(copy.deepcopy({
        "schema": 2, "status": "ok", "framework": contender,
        "contender": contender, "script": f"mlp_{contender}.py",
        "repeat": 0, "block": block, "order_seed": 0,
        "config": {
            "dataset": "mnist", "split": "standard", "examples": None,
            "hidden": [256, 128], "optimizer": "adam", "lr": 0.001,
            "schedule": "constant",
            "precision": "fp32", "device": "auto", "epochs": epochs,
            "rung": rung, "feed": feed, "batch_size": batch_size,
            "seed": seed, **config},
        "environment": {
            "python": "3.11.0", "numpy": "2.0.0", contender: "1.0",
            "cpu_model": "a processor", "cores": 2, "threads": 2,
            "device_kind": "cpu", "device_name": "cpu", "variables": {},
            "modes": {"threads": 2 if contender == "torch" else None}},
        "dataset": {"name": "mnist", "sha256": "d" * 64, "split": "standard",
                    "sizes": {"train": 50_000, "val": 10_000,
                              "test": 10_000}},
        "parameters": PARAMETERS, "steps_per_epoch": steps,
        "samples_per_epoch": steps * batch_size,
        "timing": {
            "import_s": 1.0, "data_s": 0.3, "to_device_s": 0.05,
            "compile_s": compile_s if compiled else None, "epoch_s": seconds,
            "order_s": [0.001] * epochs, "read_s": [0.001 + 1e-9 * next(RUNS)] * epochs,
            "first_epoch_s": seconds[0] + compile_s * compiled,
            "steady_epoch_s": statistics.median(seconds[1:])
            if epochs > 1 else None,
            "evaluate_s": 0.1 * epochs},
        "block_started_unix_s": 1e9 + 100 * block,
        "turns": turns,
        "compilations": [int(compiled), 0 if compiled or contender == "torch"
                         else 99] + [0] * (epochs - 1), "cache": "cold",
        "init_sha256": f"{seed:064x}", "order_sha256": f"{batch_size:032x}{seed:032x}",
        "affinity": [0, 1], "epochs": rows,
        "steps": {"loss": [row["train_loss"] for row in rows
                           for _ in range(steps)],
                  "accuracy": [accuracy] * (steps * epochs)},
        "final": {"test_loss": loss, "test_accuracy": accuracy},
        "memory": {"host_peak_bytes": 500_000_000, "device_peak_bytes": None}}))


def count(r):
    """The record, whose work is counted again by its turns."""
    *ends, r["timing"]["total_s"] = record.worked(r["turns"])
    for entry, end in zip(r["epochs"], ends):
        entry["worked_s"] = end
    return r


def comparison(jax=0.5, torch=0.7, blocks=3, batch_size=256):
    """Records of two contenders, one seed a block; seconds scatter by 1 %."""
    return [make(name, rung, batch_size, seed, seed,
                 seconds * (1 + 0.01 * ((seed * 7 + len(name)) % 3 - 1)))
            for seed in range(blocks) for name, rung, seconds in (
                ("jax", "step", jax), ("torch", "eager", torch))]


def failed(r, status, tail):
    """The record of a run that ended otherwise."""
    kept = ("schema", "framework", "contender", "script", "config",
            "repeat", "block", "order_seed")
    return {**{key: r[key] for key in kept}, "status": status,
            "exit": {"code": 6, "signal": None, "tail": [tail]}}


def found(records, proof=PROVED, width=None, measured=()):
    """What a comparison of these records has found; width: of its control."""
    one = Found(records, proof, audit.audit(
        records, (), {"flops": 200e9, "device": "cpu"}), {"jax": "a", "torch": "b"},
        measured)
    one.width = width
    return one
