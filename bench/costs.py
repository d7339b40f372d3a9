"""What a run costs beside its steady epochs: sections of summary.md on
compilation, time to accuracy, serving, memory, energy and what was compiled.
"""

import numpy as np

from bench import stats
from bench.attribution import spread
from bench.summary import (
    by_block,
    group,
    name,
    scores_by_seed,
    three,
    together,
    with_span,
)

TARGETS = (0.97, 0.98)


def timed(values):
    """'1.23 (1.20 to 1.26)': median of times, interval of their geometric
    mean; '-' without any."""
    return with_span(*stats.seconds(values)) if values else "-"


def finished(groups):
    for key, members in groups.items():
        done = [r for r in members if r["status"] == "ok"]
        if done:
            yield key, done


# ------------------------------------------------------------- compilation

# Of torch.compile, by its own clock (bench/anatomy.py), and what each is.
STAGES = (("tracing", "Dynamo reads the Python"),
          ("autograd", "AOTAutograd differentiates and decomposes"),
          ("inductor", "Inductor fuses and writes C++ or Triton"),
          ("compiler", "the C++ compiler, waited for"))


def compilation(groups, measured):
    """Section: the parts of compiling."""
    lines = ["Seconds before the first step can run, median over processes, "
             "of the sum with its 95 % interval. JAX traces the step (Python "
             "runs once), lowers it to StableHLO, and XLA compiles it; "
             "PyTorch's first call does all in one. Capture: what recording "
             "the CUDA graph of a step takes more than compiling it, by "
             "block.",
             "", "| batch | point | cache | n | trace | lower | compile | "
             "capture | sum |", "|--:|---|---|--:|--:|--:|--:|--:|--:|"]
    for key, done in finished(groups):
        times = [r["timing"] for r in done if r["timing"]["compile_s"]]
        if not times:
            continue
        split = [t for t in times if t.get("trace_s") and t.get("lower_s")]
        cells = [three(float(np.median([part(t) for t in split])))
                 if split else "-" for part in (
                     lambda t: t["trace_s"], lambda t: t["lower_s"],
                     lambda t: t["compile_s"] - t["trace_s"] - t["lower_s"])]
        caches = "/".join(sorted({str(r.get("cache")) for r in done}))
        lines.append(
            f"| {key[3]} | {name(key)} | {caches} | {len(times)} | "
            f"{' | '.join(cells)} | {_capture(groups, key)} | "
            f"{timed([t['compile_s'] for t in times])} |")
    stages = [(key, parts) for key, parts in values(measured, "anatomy"
                                                    ).items()
              if any(stage in parts for stage, _ in STAGES)]
    if stages:
        lines += ["", "One cold compilation by torch.compile's own clock: "
                  + "; ".join(f"{stage}: {text}" for stage, text in STAGES)
                  + ".", "", "| batch | point | " + " | ".join(
                      f"{stage}, s" for stage, _ in STAGES) + " |",
                  "|--:|---|" + "--:|" * len(STAGES)]
        lines += [f"| {key[3]} | {name(key)} | " + " | ".join(
            three(parts[stage][0]) if stage in parts else "-"
            for stage, _ in STAGES) + " |" for key, parts in stages]
    return lines


def _capture(groups, key):
    """Of a CUDA graph: compiling ahead of it less that of the step alone."""
    if key[1] != "graph":
        return "-"
    whole, step = together(*(by_block(groups.get(k, []), "compile_s")
                             for k in (key, ("torch", "step", *key[2:]))))
    return spread(np.subtract(whole, step)) if whole else "-"


# -------------------------------------------------------- time to accuracy

def reached(r, target):
    """(seconds of training, seconds since the process was created) at the end
    of the first epoch whose test accuracy is at least `target`; or None."""
    for number, entry in enumerate(r["epochs"]):
        if entry["test_accuracy"] >= target:
            return ((r["timing"]["compile_s"] or 0.0)
                    + sum(r["timing"]["epoch_s"][:number + 1]),
                    entry["end_s"])
    return None


def _middle(times):
    """The median where some never end."""
    middle = float(np.median(times))
    return three(middle) if np.isfinite(middle) else "-"


def time_to_accuracy(groups):
    """Section: how long until the network is good enough."""
    lines = ["The end of the first epoch whose test accuracy is at least the "
             "target: seconds of training, compilation included, and seconds "
             "since the process was created (imports, data and the "
             "evaluations before it, too). Median over all runs; 95 % "
             "interval of the geometric mean where all got there.", "",
             "| batch | point | target | runs that got there | training, s | "
             "from process start, s |", "|--:|---|--:|--:|--:|--:|"]
    # Of a short comparison nothing would be said but "0 of 3".
    targets = [target for target in TARGETS if any(
        reached(r, target) for _, done in finished(groups) for r in done)]
    for key, done in finished(groups):
        for target in targets:
            times = [found for r in done if (found := reached(r, target))]
            # Fewer than all would flatter the point that fails more often.
            train, whole = (map(timed, zip(*times)) if len(times) == len(done)
                            else map(_middle, zip(*times, *[
                                (np.inf, np.inf)] * (len(done) - len(times)))))
            lines.append(f"| {key[3]} | {name(key)} | {target:.0%} | "
                         f"{len(times)} of {len(done)} | {train} | {whole} |")
    lines += ["", "After the last epoch, mean over seeds with its 95 % "
              "interval:", "", "| batch | point | seeds | epochs | "
              "validation accuracy | test accuracy |",
              "|--:|---|--:|--:|--:|--:|"]
    for key, done in finished(groups):
        scores = [list(scores_by_seed(done, score).values()) for score in (
            lambda r: r["epochs"][-1]["val_accuracy"],
            lambda r: r["final"]["test_accuracy"])]
        lines.append(f"| {key[3]} | {name(key)} | {len(scores[0])} | "
                     f"{done[0]['config']['epochs']} | " + " | ".join(
                         with_span(np.mean(s), stats.interval(s),
                                   "{:.2%}".format) for s in scores) + " |")
    return lines


# ------------------------------------------------------------------ memory

def needed(r):
    """Bytes that must exist on the device at the same time: all images and
    labels (with the device feed), weights, their gradient and the
    optimizer's averages."""
    c = r["config"]
    width = 8 if c["precision"] == "fp64" else 4
    sizes = r["dataset"]["sizes"]
    kept = sum(size for part, size in sizes.items()
               if c["feed"] == "device" or part != "train")
    copies = {"sgd": 2, "adam": 4}[c["optimizer"]]
    return width * (kept * (784 + 10) + copies * r["parameters"])


def memory(groups):
    """Section: bytes that must exist and bytes that were taken."""
    lines = ["MiB. Must exist: the data on the device, weights, gradient and "
             "optimizer state, by arithmetic. Allocator: what the framework "
             "counted on the device at its peak (JAX and PyTorch count on "
             "GPUs only). Process: the largest resident size, with Python "
             "and the framework; median over runs.", "",
             "| batch | point | must exist | weights alone | allocator peak | "
             "process peak |", "|--:|---|--:|--:|--:|--:|"]
    for key, done in finished(groups):
        peaks = []
        for place in ("device", "host"):
            values = [r["memory"][f"{place}_peak_bytes"] for r in done]
            values = [value for value in values if value]
            peaks.append(three(float(np.median(values)) / 2**20) if values
                         else "not measured")
        width = 8 if done[0]["config"]["precision"] == "fp64" else 4
        lines.append(
            f"| {key[3]} | {name(key)} | {three(needed(done[0]) / 2**20)} | "
            f"{three(done[0]['parameters'] * width / 2**20)} | "
            + " | ".join(peaks) + " |")
    return lines


# ----------------------------------------------------- from bench/probe.py

def values(measured, kind):
    """{(contender, rung, feed, batch size): {name: [value of a block, …]}}
    of one kind of measurement."""
    found = {}
    for m in measured:
        if m["kind"] == kind:
            rows = found.setdefault((m["contender"], m["rung"], m["feed"],
                                     m["batch_size"]), {})
            for key, entry in m["measurements"].items():
                rows.setdefault(key, []).append(entry["value"])
    return dict(sorted(found.items(), key=lambda item: (
        item[0][3], item[0][:3])))


def serving(measured):
    """Section: latency and throughput of a trained network."""
    lines = ["One batch of images in NumPy in, its logits in NumPy out, one "
             "request after the other, on an otherwise idle machine: "
             "percentiles of a process's requests, median over processes. "
             "eager: as written; compiled: jit or torch.compile.", "",
             "| batch | framework | rung | n | p50, ms | p95, ms | p99, ms | "
             "images a second |", "|--:|---|---|--:|--:|--:|--:|--:|"]
    rows = []
    for (framework, *_), found in values(measured, "serving").items():
        for rung, size in sorted({tuple(key.split()[:2]) for key in found}):
            p50, p95, p99 = (found[f"{rung} {size} {part}"]
                             for part in ("p50", "p95", "p99"))
            rows.append((int(size), framework, rung, (
                f"| {size} | {framework} | {rung} | {len(p50)} | "
                + " | ".join(three(1e3 * float(np.median(part)))
                             for part in (p50, p95, p99))
                + f" | {int(size) / float(np.median(p50)):,.0f} |")))
    return lines + [row[-1] for row in sorted(rows)]


def energy(measured, reason):
    """Section: joules, by the counter of an NVIDIA device."""
    lines = ["Joules by the device's energy counter around steady epochs of "
             "at least ten seconds; net: less what it takes when idle, "
             "measured just before. Mean over processes.", ""]
    found = values(measured, "energy")
    if not found:
        return [*lines, f"Not measured: {reason or 'no NVIDIA device'}."]
    lines += ["| batch | point | n | gross, J an epoch | net, J an epoch | "
              "net, J per million images | idle, W |",
              "|--:|---|--:|--:|--:|--:|--:|"]
    for key, parts in found.items():
        lines.append(f"| {key[3]} | {name(key)} | {len(parts['gross'])} | "
                     + " | ".join(spread(parts[part]) for part in (
                         "gross", "net", "net per million", "idle")) + " |")
    return lines


def operations(measured):
    """Section: what a step consists of."""
    lines = ["What one step consists of, counted in the compiled programs and "
             "by PyTorch's profiler. Written: primitive operations of the "
             "traced step, or operators that eager PyTorch dispatches. Run: "
             "fusions, library calls and other instructions that are left in "
             "XLA's optimised program; kernels that Inductor generated and "
             "library calls.", "",
             "| batch | point | written | run | of these fused | library "
             "products |", "|--:|---|--:|--:|--:|--:|"]
    for key, parts in values(measured, "anatomy").items():
        cells = [f"{parts[part][0]:.0f}" if part in parts else "-"
                 for part in ("written", "run", "fused", "products")]
        lines.append(f"| {key[3]} | {name(key)} | {' | '.join(cells)} |")
    return lines


def sections(records, measured, asked):
    """[(title, lines)] of everything here that has something to say; asked:
    {kind of measurement: why some of it is missing, or None}."""
    groups = group(records)
    found = [("Compilation", compilation(groups, measured)),
             ("Time to accuracy", time_to_accuracy(groups)),
             ("Memory", memory(groups))]
    kinds = {m["kind"] for m in measured}
    if "serving" in kinds:
        found.append(("Serving", serving(measured)))
    if "energy" in kinds or "energy" in asked:
        found.append(("Energy", energy(measured, asked.get("energy"))))
    if "anatomy" in kinds:
        found.append(("Operations", operations(measured)))
    return found
