"""How far each rung is from what the machine could do.

From the records of a comparison and the floors that bench/measure took in the
same blocks. Every number is a difference or a ratio taken inside a block, with
the t interval over blocks.
"""

import numpy as np

from bench.analyse import stats
from bench.analyse.groups import by_block, together
from bench.kit import network


def floors(records, measured, kind="floor"):
    """{(block, batch size): {"products", "bare", "dispatch", "memory",
    "floor": seconds an epoch, "library": the one whose products took the
    least over all blocks, "own", "libraries": {library: bare, products}}}"""
    r = next((r for r in records if r["status"] == "ok"), None)
    starts = {m["block"]: _named(m) for m in measured
              if m["kind"] == "dispatch"}
    mine = [m for m in measured if m["kind"] == kind
            and m["block"] in starts] if r else []
    found = {}
    for m in mine:
        shape, size = network.of(r["config"]), m["batch_size"]
        start = starts[m["block"]]
        steps = r["dataset"]["sizes"]["train"] // size
        products, bare = (_named(m, f"{what} ", steps)
                          for what in ("products", "bare"))
        medians = {library: np.median([
            other["measurements"][f"products {library}"]["value"]
            for other in mine if other["batch_size"] == size])
            for library in products}
        library = min(medians, key=medians.get)
        chain = min(value for name, value in start.items()
                    if name.endswith(("chain", "operation")))
        parts = {
            "products": products[library],
            "dispatch": steps * chain * shape.chain,
            "memory": steps * (size * shape.sizes[0] * network.width(
                r["config"])) / start["bandwidth"]}
        found[m["block"], size] = {
            **parts, "floor": max(parts.values()), "bare": bare[library],
            "library": library, "own": bare, "libraries": products}
    return found


def _named(m, prefix="", times=1):
    """{name of a measurement without its prefix: value}"""
    return {name.removeprefix(prefix): times * entry["value"]
            for name, entry in m["measurements"].items()
            if name.startswith(prefix)}


def shares(found):
    """(key, blocks, steady epochs over the products, share of the floor): the
    last two as geometric mean and interval."""
    for key, members in found.groups.items():
        times, rows = together(
            by_block(members, "steady_epoch_s"),
            {block: row for (block, size), row in found.floors.items()
             if size == key[3]})
        if times:
            yield (key, len(times),
                   stats.ratio(times, [row["products"] for row in rows]),
                   stats.ratio([row["floor"] for row in rows], times))


def orders(groups):
    """What drawing the batch order takes, which is inside the clock:
    [(seconds an epoch, share of a steady epoch, key), …]"""
    return [(float(np.median([np.median(t["order_s"]) for t in times])),
             float(np.median([np.median(t["order_s"]) / t["steady_epoch_s"]
                              for t in times])), key)
            for key, members in groups.items()
            if (times := [r["timing"] for r in members
                          if r["status"] == "ok" and r["timing"].get("order_s")
                          and r["timing"]["steady_epoch_s"]])]


# ----------------------------------------------------------- cost per step

def fit(sizes, seconds):
    """Seconds per step at batch sizes -> (fixed seconds, seconds per sample,
    largest relative misfit), by least squares of the relative errors."""
    sizes, seconds = (np.asarray(a, np.float64) for a in (sizes, seconds))
    design = np.stack([1 / seconds, sizes / seconds], axis=1)
    (fixed, each), *_ = np.linalg.lstsq(design, np.ones(len(sizes)),
                                        rcond=None)
    return fixed, each, float(np.max(np.abs(
        (fixed + each * sizes) / seconds - 1)))


def fits(groups):
    """{(contender, rung, feed): [fit of a block, …]} where a block has four
    batch sizes or more."""
    times = {}
    for key, members in groups.items():
        for r in members:
            if r["status"] == "ok" and r["timing"]["steady_epoch_s"]:
                times.setdefault(key[:3], {}).setdefault(r["block"], {})[
                    key[3]] = (r["timing"]["steady_epoch_s"]
                               / r["steps_per_epoch"])
    found = {variant: [fit(list(block), list(block.values()))
                       for block in blocks.values() if len(block) >= 4]
             for variant, blocks in times.items()}
    return {variant: rows for variant, rows in found.items() if rows}
