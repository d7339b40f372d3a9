"""Sections on what a run costs beside its steady epochs, and on all that was
measured beside the runs."""

import numpy as np

from bench.analyse import costs, stats
from bench.kit import network
from bench.report.table import Table, by_variant
from bench.report.words import TEXTS, three

MIB = 2**20
SHOWN = ("floor", "floor-again", "dispatch", "latency", "energy",
         "operations")  # measures that have sections


def once(found, heads, form=three):
    """Table of what the measure `operations` counted or timed, which is the
    same in every block; heads: {its name: head}."""
    rows = [(key, *(parts.get(what, [None])[0] for what in heads))
            for key, parts in costs.values(found.measured, "operations"
                                           ).items() if {*heads} & {*parts}]
    return rows and [by_variant([*heads.values()], rows,
                                dict.fromkeys(heads.values(), form))]


def compilation(found):
    """Section: the parts of compiling."""
    rows = [(key, "/".join(caches), *row)
            for key, caches, *row in costs.compilation(found.groups)]
    return [by_variant(["cache", "n", "trace", "lower", "compile", "capture",
                        "sum"], rows),
            *once(found, TEXTS["heads"]["stages"])]


def operations(found):
    """Section: what a step consists of."""
    return once(found, TEXTS["heads"]["operations"], "{:.0f}".format)


def memory(found):
    """Section: bytes that must exist and bytes that were taken."""
    rows = []
    for key, done in costs.finished(found.groups):
        peaks = [[value for r in done
                  if (value := r["memory"][f"{place}_peak_bytes"])]
                 for place in ("device", "host")]
        weights = done[0]["parameters"] * network.width(done[0]["config"])
        rows.append((key, costs.needed(done[0]) / MIB, weights / MIB, *(
            np.median(values) / MIB if values else "not measured"
            for values in peaks)))
    return [by_variant(["must exist", "weights alone", "allocator peak",
                        "process peak"], rows)]


# ------------------------------------------------- measured beside the runs

def latency(found):
    """Section: latency and throughput of a trained network."""
    rows = []
    for (framework, *_), parts in costs.values(found.measured,
                                               "latency").items():
        for form, size in sorted({tuple(key.split()[:2]) for key in parts}):
            times = [parts[f"{form} {size} {part}"]
                     for part in ("p50", "p95", "p99")]
            middle = [np.median(part) for part in times]
            rows.append((int(size), framework, form, len(times[0]),
                         *np.multiply(middle, 1e3), int(size) / middle[0]))
    return rows and [Table(
        ["batch", "framework", "form", "n", "p50, ms", "p95, ms", "p99, ms",
         "images a second"], sorted(rows),
        {"images a second": "{:,.0f}".format})]


def energy(found):
    """Section: joules, by the counter of an NVIDIA device."""
    heads = TEXTS["heads"]["energy"]
    rows = [(key, len(parts["gross"]),
             *(stats.mean(parts[part]) for part in heads))
            for key, parts in costs.values(found.measured, "energy").items()]
    if rows:
        return [by_variant(["n", *heads.values()], rows)]
    return "energy" in found.missing and [
        f"Not measured: {found.missing['energy'] or 'no NVIDIA device'}."]


def measurements(found):
    """Section: every measure without a section, so that a new one is seen."""
    seen = {}
    for m in found.measured:
        for what, entry in m["measurements"].items():
            if m["kind"] not in SHOWN:
                key = tuple(m[part] for part in (
                    "contender", "rung", "feed", "batch_size"))
                seen.setdefault((m["kind"], key, what), []).append(entry)
    return seen and [by_variant(
        ["measure", "what", "n", "value", "unit", "method"],
        [(key, kind, what, len(entries), np.median(
            [entry["value"] for entry in entries]), entries[0]["unit"],
          entries[0]["method"])
         for (kind, key, what), entries in seen.items()])]
