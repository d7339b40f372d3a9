"""Where the time of a step goes: from the rung that leaves everything to
Python down to the matrix products alone, in differences of two runs of the
same block."""

from bench.analyse.groups import by_block

AGAIN = "-again"  # names the second run of a script that has one already
# From the top down; a level that was not run is stepped over.
LEVELS = {
    "jax": (("jax", "eager"), ("jax-unfused", "step"), ("jax", "step"),
            ("jax", "epoch")),
    "torch": (("torch", "eager"), ("torch-traced", "step"),
              ("torch", "step"), ("torch", "graph"))}


def waterfall(groups, floors, framework, size):
    """[((upper level, lower level), [seconds a step in each block])] from
    eager down, the last one ("products", None); [] where eager or the floors
    were not run. Levels below the rungs: "own", the bare products by the
    framework itself where another library is faster; "bare", by the fastest
    library after gathering the batch; "products"."""
    levels = []
    for level in LEVELS[framework]:
        times = by_block(groups.get((*level, "device", size), []),
                         "steady_epoch_s")
        if times:
            levels.append((level, times))
    rows = {block: row for (block, other), row in floors.items()
            if other == size}
    if not rows or not levels or levels[0][0] != LEVELS[framework][0]:
        return []
    if all(framework in row["own"] and row["library"] != framework
           for row in rows.values()):
        levels.append(("own", {block: row["own"][framework]
                               for block, row in rows.items()}))
    levels += [(name, {block: row[name] for block, row in rows.items()})
               for name in ("bare", "products")]
    blocks = sorted(set.intersection(*(set(times) for _, times in levels)))
    steps = next(r["steps_per_epoch"] for r in groups[
        (*levels[0][0], "device", size)] if r["status"] == "ok")
    levels.append((None, dict.fromkeys(blocks, 0.0)))
    return [((upper, lower), [(above[block] - below[block]) / steps
                              for block in blocks])
            for (upper, above), (lower, below) in zip(levels, levels[1:])
            ] if blocks else []


def waterfalls(groups, floors):
    """{(framework, batch size): waterfall} of all that there are."""
    return {(framework, size): bars for framework in LEVELS
            for size in sorted({size for _, size in floors})
            if (bars := waterfall(groups, floors, framework, size))}


def ends(groups, framework, floors, size, again=""):
    """{block: seconds a step between eager and the products}; again: of the
    script's second run."""
    contender, rung = LEVELS[framework][0]
    return {r["block"]: (r["timing"]["steady_epoch_s"] - floors[
        r["block"], size]["products"]) / r["steps_per_epoch"]
        for r in groups.get((contender + again, rung, "device", size), ())
        if r["status"] == "ok" and r["timing"]["steady_epoch_s"]
        and (r["block"], size) in floors}
