"""Where the time of a step goes: from the rung that leaves most to Python down to
the matrix products alone, in differences of two runs of the same block."""

from itertools import pairwise

import numpy as np

from bench.analyse import stats
from bench.analyse.groups import by_block, together

# From the top down; a level that was not run is stepped over.
LEVELS = {
    "jax": (("jax", "eager"), ("jax-unfused", "step"), ("jax", "step"),
            ("jax", "epoch")),
    "torch": (("torch", "eager"), ("torch-traced", "step"),
              ("torch", "step"), ("torch", "graph"))}


def waterfall(groups, floors, framework, size):
    """[((upper level, lower level), [seconds a step in each block])] from the
    first rung that was run down, the last one ("products", None); [] where none was
    or the floors were not. Levels below the rungs: "own", the bare products by the
    framework itself where another library is faster; "bare", by the fastest
    library after gathering the batch; "products"."""
    levels = [(level, times) for level in LEVELS[framework] if (
        times := by_block(groups.get((*level, "device", size), ()),
                          "steady_epoch_s"))]
    rows = floors.get(size)
    if not rows or not levels:
        return []
    if all(framework in row["own"] and row["library"] != framework
           for row in rows.values()):
        levels.append(("own", {block: row["own"][framework]
                               for block, row in rows.items()}))
    levels += [(name, {block: row[name] for block, row in rows.items()})
               for name in ("bare", "products")
               if all(row[name] is not None for row in rows.values())]
    names, series = zip(*levels)
    seconds = np.array(together(*series))  # a row a level, a column a block
    if not seconds.size:
        return []
    steps = groups[(*names[0], "device", size)][0]["steps_per_epoch"]
    bars = -np.diff(seconds, axis=0, append=0) / steps
    return list(zip(pairwise([*names, None]), bars.tolist()))


def waterfalls(groups, floors):
    """{(framework, batch size): waterfall} of all that there are."""
    return {(framework, size): bars for framework in LEVELS for size in sorted(floors)
            if (bars := waterfall(groups, floors, framework, size))}


def gap(found, fast, slow):
    """Two keys of one batch size -> (seconds that an epoch of the slow one takes
    longer, those that its framework's products alone do: [a value a block]; (how
    many times as long these take, interval or None)), or None where the products
    of both were not measured."""
    rows = found.floors.get(fast[3], {})
    mine, theirs = ({block: row["libraries"].get(key[0]) for block, row in rows.items()}
                    for key in (fast, slow))
    if None in (*mine.values(), *theirs.values()):
        return None
    quick, long, few, many = together(*(
        by_block(found.groups.get(key, ()), "steady_epoch_s") for key in (fast, slow)),
        mine, theirs)
    return (np.subtract(long, quick), np.subtract(many, few),
            stats.ratio(many, few)) if quick else None


def ends(groups, floors, top, size, again=""):
    """{block: seconds a step between a waterfall's first level and the products};
    again: of the script's second run."""
    contender, rung = top
    members = groups.get((contender + again, rung, "device", size), ())
    above, rows = by_block(members, "steady_epoch_s"), floors.get(size, {})
    return {block: (above[block] - rows[block]["products"])
            / members[0]["steps_per_epoch"] for block in above if block in rows}
