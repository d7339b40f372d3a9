"""How far each rung is from what the machine could do.

From the records of a comparison and the floors that bench/measure took in the
same blocks, in turns with the runs. Every number is a difference or a ratio
taken inside a block, with the t interval over blocks.
"""

import numpy as np

from bench.analyse import stats
from bench.analyse.groups import alone, by_block
from bench.kit import network


def floors(done, measured, kind="floor"):
    """Finished records, measurements -> {batch size: {block: {"products",
    "bare", "dispatch", "memory", "floor": seconds an epoch, "library": the
    one whose products took the least over all blocks, "own", "libraries":
    {library: bare, products}, bare None and own empty of a network that gathers no
    batch; "rounds": the products in every turn,
    "started": when its block began}}}"""
    starts = {m["block"]: _named(m) for m in measured
              if m["kind"] == "dispatch"}
    mine = [m for m in measured if m["kind"] == kind
            and m["block"] in starts] if done else []
    found = {}
    for m in mine:
        config, size = done[0]["config"], m["batch_size"]
        shape, start = network.of(config), starts[m["block"]]
        steps = done[0]["dataset"]["sizes"]["train"] // size
        products, bare = (_named(m, f"{what} ", steps)
                          for what in ("products", "bare"))
        library = min(products, key=lambda name: np.median([
            other["measurements"][f"products {name}"]["value"]
            for other in mine if other["batch_size"] == size]))
        chain = min(value for name, value in start.items()
                    if name.endswith(("chain", "operation")))
        image = shape.sizes[0] * network.width(config)
        parts = {"products": products[library],
                 "dispatch": steps * chain * shape.chain,
                 "memory": steps * size * image / start["bandwidth"]}
        found.setdefault(size, {})[m["block"]] = {
            **parts, "floor": max(parts.values()), "bare": bare.get(library),
            "library": library, "own": bare, "libraries": products,
            "rounds": np.multiply(steps, m["measurements"][
                f"products {library}"]["turns"]),
            "started": m["block_started_unix_s"]}
    return found


def _named(m, prefix="", times=1):
    """{name of a measurement without its prefix: value}"""
    return {name.removeprefix(prefix): times * entry["value"]
            for name, entry in m["measurements"].items()
            if name.startswith(prefix)}


def shares(found):
    """(key, blocks, steady epochs over the products, share of the floor): the
    last two as geometric mean and interval over blocks."""
    single = alone(found.groups)  # a GPU that admits one process at a time
    for key, members in found.groups.items():
        rows, times, parts = found.floors.get(key[3], {}), [], []
        for r in members:
            row, epochs = rows.get(r["block"]), r["timing"]["epoch_s"][1:]
            if row and epochs and (
                    single or row["started"] == r["block_started_unix_s"]):
                products = row["rounds"][1:]
                least = max(row["dispatch"], row["memory"])
                times.append(stats.log_ratio(epochs, products))
                parts.append(stats.log_ratio(np.maximum(products, least), epochs))
        if times:
            yield key, len(times), stats.across(times), stats.across(parts)


def orders(groups):
    """What drawing the batch order takes, which is inside the clock:
    (seconds an epoch, share of a steady epoch, key)"""
    for key, members in groups.items():
        times = [(np.median(t["order_s"]), t["steady_epoch_s"])
                 for t in (r["timing"] for r in members)
                 if t.get("order_s") and t["steady_epoch_s"]]
        if times:
            yield (stats.median(order for order, _ in times),
                   stats.median(order / epoch for order, epoch in times), key)


# ----------------------------------------------------------- cost per step

def fit(sizes, seconds):
    """Seconds per step at batch sizes -> (fixed seconds, seconds per sample,
    largest relative misfit), by least squares of the relative errors."""
    sizes, seconds = (np.asarray(a, np.float64) for a in (sizes, seconds))
    design = np.stack([1 / seconds, sizes / seconds], axis=1)
    line, *_ = np.linalg.lstsq(design, np.ones(len(sizes)), rcond=None)
    return *line, float(np.max(np.abs(design @ line - 1)))


def fits(groups):
    """{(contender, rung, feed): [fit of a block, …]} where a block has four
    batch sizes or more."""
    times = {}
    for (*variant, size), members in groups.items():
        blocks = times.setdefault(tuple(variant), {})
        for block, seconds in by_block(members, "steady_epoch_s").items():
            blocks.setdefault(block, {})[size] = (
                seconds / members[0]["steps_per_epoch"])
    return {variant: rows for variant, blocks in times.items() if (rows := [
        fit([*block], [*block.values()])
        for block in blocks.values() if len(block) >= 4])}
