"""Sections on what a run costs beside its steady epochs, and on all that was
measured beside the runs."""

import numpy as np

from bench.analyse import costs, stats
from bench.analyse.groups import key
from bench.kit import network
from bench.report.table import Table, by_variant
from bench.report.words import TEXTS, between, listed, three

MIB = 2**20
SHOWN = ("floor", "floor-again", "dispatch", "latency", "energy",
         "operations")  # measures that have sections


def once(found, heads, form=three):
    """Table of what the measure `operations` counted or timed, which is the
    same in every block; heads: {its name: head}."""
    counted = costs.values(found.measured, "operations")
    rows = [(variant, *(parts.get(what, [None])[0] for what in heads))
            for variant, parts in counted.items() if {*heads} & {*parts}]
    return rows and [by_variant([*heads.values()], rows,
                                dict.fromkeys(heads.values(), form))]


def compilation(found):
    """Section: the parts of compiling."""
    rows = [(variant, "/".join(caches), *row)
            for variant, caches, *row in costs.compilation(found.groups)]
    return [by_variant(["cache", "n", "trace", "lower", "compile", "capture",
                        "sum"], rows),
            *once(found, TEXTS["heads"]["stages"])]


def operations(found):
    """Section: what a step consists of."""
    return once(found, TEXTS["heads"]["operations"], "{:.0f}".format)


def peaks(found):
    """What processes and devices held at most."""
    for place, what in (("host", "process"), ("device", "device")):
        held = {}
        for row in found.rows:
            if peak := row[f"{place}_peak_mib"]:
                held.setdefault(f"{row['contender']} {row['rung']}", []).append(peak)
        if held:
            yield (f"At its peak a {what} held: " + listed([
                f"{who} {between(values)}" for who, values in held.items()]) + " MiB.")


def memory(found):
    """Section: bytes that must exist and bytes that were taken."""
    rows = []
    for variant, done in found.groups.items():
        peaks = [stats.median(r["memory"][f"{place}_peak_bytes"] or None
                              for r in done) for place in ("device", "host")]
        weights = done[0]["parameters"] * network.width(done[0]["config"])
        rows.append((variant, costs.needed(done[0]) / MIB, weights / MIB, *(
            peak / MIB if peak else "not measured" for peak in peaks)))
    return [by_variant(["must exist", "weights alone", "allocator peak",
                        "process peak"], rows)]


def answers(found):
    """Section: how long one waits for an answer."""
    rows = [(variant, len(seconds), *1e3 * np.median(seconds, 0),
             variant[3] / np.median(seconds[:, 0]))
            for variant, seconds in costs.answers(found.groups).items()]
    return rows and [by_variant(
        ["n", "p50, ms", "p95, ms", "p99, ms", "images a second"], rows,
        {"images a second": "{:,.1f}".format})]


# ------------------------------------------------- measured beside the runs

def latency(found):
    """Section: latency and throughput of a trained network."""
    rows = []
    measured = costs.values(found.measured, "latency")
    for (framework, *_), parts in measured.items():
        for form, size in sorted({tuple(name.split()[:2]) for name in parts}):
            times = [parts[f"{form} {size} {part}"]
                     for part in ("p50", "p95", "p99")]
            middle = [*map(stats.median, times)]
            rows.append((int(size), framework, form, len(times[0]),
                         *np.multiply(middle, 1e3), int(size) / middle[0]))
    return rows and [Table(
        ["batch", "framework", "form", "n", "p50, ms", "p95, ms", "p99, ms",
         "images a second"], sorted(rows),
        {"images a second": "{:,.0f}".format})]


def energy(found):
    """Section: joules, by the counter of an NVIDIA device."""
    heads = TEXTS["heads"]["energy"]
    weighed = costs.values(found.measured, "energy")
    rows = [(variant, len(parts["gross"]), *(
        stats.mean(parts[part]) for part in heads))
        for variant, parts in weighed.items()]
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
                seen.setdefault((m["kind"], key(m), what), []).append(entry)
    return seen and [by_variant(
        ["measure", "what", "n", "value", "unit", "method"],
        [(variant, kind, what, len(entries), stats.median(
            entry["value"] for entry in entries), entries[0]["unit"],
          entries[0]["method"])
         for (kind, variant, what), entries in seen.items()])]
