"""How far each rung is from what the machine could do, and why.

From the records of a comparison and the floors that bench/limit.py measured
in the same blocks. Every number is a difference or a ratio taken inside a
block, with the t interval over blocks.
"""

import numpy as np

from bench import stats
from bench.summary import by_block, group, name, three, together, with_span

AGAIN = "-again"  # names the second run of a script that has one already
# What a step of L layers cannot start at once: L products forward, the loss,
# L - 1 gradients passed back and one of the weights, each after the other.


def kernels(hidden):
    return 2 * (len(hidden) + 1) + 1


def config(records):
    """Settings that all finished runs share: hidden widths, precision and
    number of training images, or None without any."""
    for r in records:
        if r["status"] == "ok":
            return (r["config"]["hidden"], r["config"]["precision"],
                    r["dataset"]["sizes"]["train"])
    return None


def floors(records, measured, kind="floor"):
    """{(block, batch size): {"products", "bare", "dispatch", "memory",
    "limit": seconds an epoch, "library", "libraries"}} of a comparison."""
    shared, found = config(records), {}
    mine = [m for m in measured if m["kind"] == kind]
    if shared is None:
        return {}
    hidden, precision, images = shared
    starts = {m["block"]: m["measurements"] for m in measured
              if m["kind"] == "dispatch"}
    for m in mine:
        if m["block"] not in starts:
            continue
        size = m["batch_size"]
        steps = images // size
        values = {key: entry["value"]
                  for key, entry in m["measurements"].items()}
        library = fastest([other for other in mine
                           if other["batch_size"] == size])
        start = {key: entry["value"]
                 for key, entry in starts[m["block"]].items()}
        chain = min(value for key, value in start.items()
                    if key.endswith(("chain", "operation")))
        batch_bytes = size * 784 * (8 if precision == "fp64" else 4)
        row = {"products": steps * values[f"products {library}"],
               "bare": steps * values[f"bare {library}"],
               "own": {key.removeprefix("bare "): steps * value
                       for key, value in values.items()
                       if key.startswith("bare ")},
               "dispatch": steps * chain * kernels(hidden),
               "memory": steps * batch_bytes / start["bandwidth"]}
        found[m["block"], size] = {
            **row, "limit": max(row["products"], row["dispatch"],
                                row["memory"]),
            "library": library, "libraries": {
                key.removeprefix("products "): steps * value
                for key, value in values.items()
                if key.startswith("products ")}}
    return found


def fastest(mine):
    """The library whose products took the least, over all blocks."""
    libraries = [key.removeprefix("products ")
                 for key in mine[0]["measurements"]
                 if key.startswith("products ")]
    return min(libraries, key=lambda library: np.median([
        m["measurements"][f"products {library}"]["value"] for m in mine]))


def spread(values, scale=1.0):
    """'123 (120 to 126)': mean over blocks with its interval."""
    values = scale * np.asarray(values)
    return with_span(float(values.mean()), stats.interval(values))


# --------------------------------------------------------------- the limit

def limit(groups, found):
    """Section: the limit of every batch size and the share of each rung."""
    lines = ["How fast it could be, in seconds an epoch, median over blocks: "
             "the matrix products of every step at their true shapes and "
             "nothing else, by the fastest library that is installed; as many "
             "kernels in a row as a step has when each product is one, doing "
             "nothing; the images read from memory once. The limit is the "
             "largest.",
             "", "| batch | blocks | limit, s | arithmetic by each library, s "
             "| dispatch, s | memory, s |", "|--:|--:|--:|---|--:|--:|"]
    sizes = sorted({size for _, size in found})
    for size in sizes:
        rows = [row for (_, other), row in found.items() if other == size]
        middle = {key: three(float(np.median([row[key] for row in rows])))
                  for key in ("limit", "dispatch", "memory")}
        each = ", ".join(
            f"{library} " + three(float(np.median(
                [row["libraries"][library] for row in rows])))
            for library in sorted(rows[0]["libraries"]))
        lines.append(f"| {size} | {len(rows)} | {middle['limit']} | {each} | "
                     f"{middle['dispatch']} | {middle['memory']} |")
    lines += ["", "Steady epochs over the arithmetic and, the other way "
              "round, over the limit: geometric means over blocks with their "
              "95 % intervals. A share above 100 % means that the floor was "
              "none in that block.", "",
              "| batch | point | blocks | times the arithmetic | share of the "
              "limit |", "|--:|---|--:|--:|--:|"]
    for key, members in groups.items():
        pairs = paired(members, found, key[3])
        if pairs:
            times, rows = zip(*pairs)
            over, span = stats.ratio(times, [row["products"] for row in rows])
            share, part = stats.ratio([row["limit"] for row in rows], times)
            lines.append(
                f"| {key[3]} | {name(key)} | {len(times)} | "
                f"{with_span(over, span)} | "
                f"{with_span(share, part, '{:.0%}'.format)} |")
    return [*lines, *_orders(groups)]


def _orders(groups):
    """What drawing the batch order takes, which is inside the clock."""
    drawn = [(float(np.median([np.median(t["order_s"]) for t in times])),
              float(np.median([np.median(t["order_s"]) / t["steady_epoch_s"]
                               for t in times])), key)
             for key, members in groups.items()
             if (times := [r["timing"] for r in members
                           if r["status"] == "ok" and r["timing"].get("order_s")
                           and r["timing"]["steady_epoch_s"]])]
    if not drawn:
        return []
    _, share, key = max(drawn, key=lambda row: row[1])
    return ["", "Drawing the batch order on the host, which every rung's "
            "clock includes and no floor does, takes "
            f"{three(1e3 * max(row[0] for row in drawn))} ms an epoch at most, "
            f"{share:.1%} of an epoch of {name(key)} at batch size {key[3]}."]


def paired(records, found, size):
    """[(steady epoch of a run, floors of its block), …]"""
    times = by_block(records, "steady_epoch_s")
    return [(times[block], found[block, size]) for block in sorted(times)
            if (block, size) in found]


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
    found = {}
    for point, blocks in times.items():
        rows = [fit(list(block), list(block.values()))
                for block in blocks.values() if len(block) >= 4]
        if rows:
            found[point] = rows
    return found


def cost_per_step(groups):
    """Section: what a step costs whatever its size, and each sample."""
    lines = ["Seconds per step as a fixed cost plus a cost per sample, fitted "
             "over batch sizes in each block: mean over blocks with its 95 % "
             "interval. A straight line is a simplification; the last column "
             "says how far the worst batch size lies off it.", "",
             "| point | blocks | fixed, µs a step | per sample, ns | worst "
             "misfit |", "|---|--:|--:|--:|--:|"]
    for point, rows in fits(groups).items():
        fixed, each, misfit = zip(*rows)
        lines.append(f"| {name((*point, 0))} | {len(rows)} | "
                     f"{spread(fixed, 1e6)} | {spread(each, 1e9)} | "
                     f"{max(misfit):.0%} |")
    return lines


# --------------------------------------------------------------- waterfall

# From the rung that leaves everything to Python down to the products alone;
# a level that was not run is stepped over.
LEVELS = {
    "jax": (("jax", "eager"), ("jax-unfused", "step"), ("jax", "step"),
            ("jax", "epoch")),
    "torch": (("torch", "eager"), ("torch-traced", "step"),
              ("torch", "step"), ("torch", "graph"))}
BARS = {
    (("jax", "eager"), ("jax-unfused", "step")):
        "Python per operation",
    (("jax", "eager"), ("jax", "step")): "Python dispatch and fusion",
    (("jax-unfused", "step"), ("jax", "step")): "fusion",
    (("jax", "step"), ("jax", "epoch")): "a call from Python per step",
    (("torch", "eager"), ("torch-traced", "step")):
        "autograd, optimizer objects",
    (("torch", "eager"), ("torch", "step")): "Python dispatch and fusion",
    (("torch-traced", "step"), ("torch", "step")):
        "Python per operation, and fusion",
    (("torch", "step"), ("torch", "graph")): "a launch from Python per kernel"}


def waterfall(groups, found, framework, size):
    """[(bar, [seconds a step in each block])] from eager down to the
    products, or [] where eager or the floors were not run."""
    levels = []
    for contender, rung in LEVELS[framework]:
        key = (contender, rung, "device", size)
        times = by_block(groups.get(key, []), "steady_epoch_s")
        if times:
            levels.append(((contender, rung), times))
    rows = {block: row for (block, other), row in found.items()
            if other == size}
    if not rows or not levels or levels[0][0][1] != "eager":
        return []
    if all(framework in row["own"] and row["library"] != framework
           for row in rows.values()):
        levels.append(("own", {b: row["own"][framework]
                               for b, row in rows.items()}))
    levels += [("bare", {b: row["bare"] for b, row in rows.items()}),
               ("products", {b: row["products"] for b, row in rows.items()})]
    blocks = sorted(set.intersection(*(set(times) for _, times in levels)))
    if not blocks:
        return []
    steps = next(r["steps_per_epoch"] for r in groups[
        (framework, "eager", "device", size)] if r["status"] == "ok")
    bars = []
    for (upper, above), (lower, below) in zip(levels, levels[1:]):
        rest = ("all but batch and products" if upper[1] == "eager"
                else "softmax, update, loop")
        text = BARS.get((upper, lower), {
            "own": rest, "bare": "another library's products"
            if upper == "own" else rest,
            "products": "gathering the batch"}.get(
                lower, f"from {upper[1]} to {lower[1]}"))
        bars.append((text, [(above[b] - below[b]) / steps for b in blocks]))
    return [*bars, ("the products", [
        levels[-1][1][b] / steps for b in blocks])]


def waterfalls(groups, found):
    """{(framework, batch size): waterfall} of all that there are."""
    return {(framework, size): bars for framework in LEVELS
            for size in sorted({size for _, size in found})
            if (bars := waterfall(groups, found, framework, size))}


def ends(groups, contender, found, size):
    """{block: seconds a step between eager and the products}"""
    key = (contender, "eager", "device", size)
    return {r["block"]: (r["timing"]["steady_epoch_s"] - found[
        r["block"], size]["products"]) / r["steps_per_epoch"]
        for r in groups.get(key, ()) if r["status"] == "ok"
        and r["timing"]["steady_epoch_s"] and (r["block"], size) in found}


def where_time_goes(groups, found, again):
    """Section: the waterfalls."""
    lines = ["µs a step, mean over blocks with its 95 % interval. Each bar is "
             "the difference of two runs of the same block; together they "
             "lead from the eager rung down to the products alone. A negative "
             "bar is a rung that was slower than the one above it.", ""]
    for (framework, size), bars in waterfalls(groups, found).items():
        lines += [f"| {framework}, batch {size} | µs a step | share of eager "
                  "|", "|---|--:|--:|"]
        whole = sum(np.mean(values) for _, values in bars)
        lines += [f"| {text} | {spread(values, 1e6)} | "
                  f"{np.mean(values) / whole:.0%} |" for text, values in bars]
        lines += ["", _again(*(ends(groups, framework + more, floor, size)
                               for more, floor in (("", found),
                                                   (AGAIN, again)))), ""]
    return lines[:-1]


def _again(first, second):
    """Both ends, and both run again by themselves: do they differ?"""
    text = ("From eager down to the products, which is what the bars above "
            f"them add up to: {spread(list(first.values()), 1e6)}")
    if not second:
        return text + "; the two ends were not run again."
    text += ("; the two ends, run again by themselves: "
             + spread(list(second.values()), 1e6))
    one, two = together(first, second)
    span = stats.ratio(one, two)[1] if one and min(*one, *two) > 0 else None
    return text + (
        ": too few blocks to say whether they differ." if span is None else
        ": THEY DIFFER." if stats.decided(span) else ": no difference shown.")


def sections(records, measured):
    """[(title, lines)] of everything here that has something to say."""
    groups = group(records)
    found, again = (floors(records, measured, kind)
                    for kind in ("floor", "floor-again"))
    sections = []
    if found:
        sections.append(("Limit", limit(groups, found)))
    if fits(groups):
        sections.append(("Cost per step", cost_per_step(groups)))
    if waterfalls(groups, found):
        sections.append(("Where the time goes",
                         where_time_goes(groups, found, again)))
    return sections
