"""What compiling costs, and after how many epochs faster ones have repaid it."""

from bench.analyse import ratios
from bench.analyse.groups import cold, key
from bench.proof.judging import REFERENCE
from bench.report.words import TEXTS, at_sizes, between, listed, name, three


def compiling(found):
    """What must be waited for before the first step, and when it is repaid."""
    compiles, eager = {}, {}
    for row in found.rows:
        if row["ok"]:
            kind = compiles if row["compile_s"] else eager
            kind.setdefault(f"{row['contender']} {row['rung']}", []).append(
                row["compile_s"])
    if not compiles:
        return []
    parts = [f"{who} {between(values)} s" for who, values in compiles.items()]
    warm = any(r.get("cache") == "warm" and r["timing"]["compile_s"]
               for members in found.groups.values() for r in cold(members))
    cache = "a cache that was filled before" if warm else "an empty cache"
    nothing = (f"; {listed(sorted(eager))} compile{'s' * (len(eager) == 1)} "
               "nothing ahead" if eager else "")
    return [f"Before its first step a run compiles: {listed(parts)} (medians, "
            f"by batch size, with {cache}){nothing}.", *whole(found), *repaid(found)]


def whole(found):
    """What all epochs take with compiling: the fastest of each framework, and the
    textbook loop, which compiles nothing."""
    counts = {r["config"]["epochs"] for r in found.done}
    two = None if found.unfair else ratios.pooled(found)
    if not two or len(counts) > 1 or counts == {1}:
        return
    known, (count,) = {key(row): row for row in found.rows}, counts
    parts = []
    for one in dict.fromkeys([*(one[:3] for one in two[:2]), REFERENCE]):
        rows = [known.get((*one, size)) for size in found.sizes]
        if all(row and row["first_epoch_s"] and row["steady_epoch_s"] for row in rows):
            parts.append(f"{name(one)} " + listed(three(
                row["first_epoch_s"] + (count - 1) * row["steady_epoch_s"])
                for row in rows) + " s")
    if parts:
        yield (f"{count} epochs, the first with compiling: {'; '.join(parts)}"
               f"{at_sizes(found.sizes)}.")


def repaid(found):
    """By faster epochs than those of the textbook loop: after how many, of each
    framework's fastest variant; of others, at which batch sizes."""
    two = ratios.pooled(found)
    told = [*map(name, two[:2])] if two else None
    counts, others, left = {}, {}, {}
    for one, _, epochs, _, code in ratios.repayments(found.groups):
        who = name(one)
        if code not in (ratios.FEW, ratios.REPAID):
            text = TEXTS["repaid"]["unsure" if code == ratios.UNSURE else "never"]
            left.setdefault(text, {}).setdefault(who, []).append(one)
        elif told is None or who in told:
            counts.setdefault(who, []).append((one[3], epochs, code))
        else:
            others.setdefault(who, []).append(one)
    parts = [f"{who} after {'some ' * (ratios.FEW in codes)}"
             f"{listed(map(three, epochs))} epochs{at_sizes(sizes)}"
             for who, rows in counts.items()
             for sizes, epochs, codes in [zip(*sorted(rows))]]
    few = any(ratios.FEW in row for rows in counts.values() for row in rows)
    if others:
        parts.append(f"of the others {_where(others)}")
    said = [f"Faster epochs than those of {name(REFERENCE)} repay compiling: "
            f"{'; '.join(parts)}" + " (some: of too few blocks for an interval)" * few
            + "."] if parts else []
    said += [f"{text.format(_where(which))}." for text, which in left.items()]
    if said and not found.unfair:
        yield " ".join(said)


def _where(which):
    """'jax step at batch size 64 and torch step at batch sizes 64 and 256'"""
    return listed(who + at_sizes(sorted(one[3] for one in keys))
                  for who, keys in which.items())
