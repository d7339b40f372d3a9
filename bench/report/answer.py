"""What comes first: the sentences that a comparison's numbers support.

Never more than an interval allows: where it contains 1 (or 0) the sentence
says that no difference is shown, and where there is none, that there are too
few runs to say.
"""

from bench.analyse import ratios
from bench.analyse.groups import key, steady
from bench.report.words import (
    FRAMEWORKS,
    listed,
    name,
    percent,
    plural,
    three,
    verdict,
    with_span,
)


def answer(found):
    """Paragraphs: what is wrong, speed, waiting, accuracy."""
    if not found.done:
        return ["No run finished, so there is nothing to compare; the reasons "
                "are below."]
    return list(filter(None, (
        *trouble(found), None if found.unfair else speed(found),
        waiting(found), accuracy(found))))


def trouble(found):
    """What a reader must know before any number."""
    if found.unfair:
        yield ("These runs may not be compared: the audit finds them unfair ("
               + listed([v.rule for v in found.unfair]) + "), so no ratio is "
               "shown.")
    if not found.proof[0]:
        yield ("That the variants compute the same is not proved ("
               + found.proof[1].removeprefix("parity NOT PROVED: ") + "), so "
               "a difference in speed may be one in what is computed.")
    states = {}
    for r in found.records:
        if r["status"] != "ok":
            states.setdefault(r["status"], []).append(
                f"{r['contender']} {r['config']['rung']}")
    if states:
        yield listed([f"{plural(len(variants), 'run')} of "
                      f"{listed(sorted(set(variants)))} ended as {state}"
                      for state, variants in sorted(states.items())]) + (
            f"; {len(found.done)} of {len(found.records)} finished.")


def speed(found):
    """The best rung of each framework against the other's, by batch size."""
    kinds = {}  # what is said: the ratios that it is said of
    for size in found.sizes:
        best = [key for one in found.pair
                for key in found.ranked(size, one)[:1]]
        if two := ratios.alike_ratio(found, best):
            kinds.setdefault(verdict(two, "answer", lambda key: FRAMEWORKS[
                key[0]]), []).append(two)
    if not kinds:
        return alone(found)
    counts = {two.count for compared in kinds.values() for two in compared
              if two.span}
    parts = []
    for words, compared in kinds.items():
        sizes = [str(two.first[3]) for two in compared]
        parts.append(
            f"at batch {'sizes' if sizes[1:] else 'size'} {listed(sizes)} "
            + words + (_times(compared) if compared[0].order else ""))
    return ("Steady epochs, the fastest rung of each framework in these runs: "
            + listed(parts) + (
                ", with 95 % intervals over "
                + f"{min(counts)} to " * (len(counts) > 1)
                + plural(max(counts), "block") if counts else "") + ".")


def _times(compared):
    """' (jax step takes 0.7 (0.6 to 0.8) of the time of torch step)', always
    the faster over the slower."""
    texts = {}
    for two in compared:
        value, span = two.value, two.span
        if two.verdict == ratios.SECOND:
            value, span = 1 / value, (1 / span[1], 1 / span[0])
        texts.setdefault(tuple(map(name, two.order)), []).append(
            with_span(value, span))
    return " (" + "; ".join(
        f"{fast} takes {listed(some)} of the time of {slow}"
        for (fast, slow), some in texts.items()) + ")"


def alone(found):
    """Of one framework: how long its epochs take."""
    parts = [f"{name(key(row))} {with_span(*steady(row))} s at batch size "
             f"{row['batch_size']}" for row in found.rows
             if row["steady_epoch_s"] is not None]
    lead = ("The ratios stand in the table Ratios"
            if ratios.pairs(found.groups) else
            "There is nothing to compare with")
    return (f"{lead}; a steady epoch takes {listed(parts[:6])}." if parts else
            "No run had a second epoch, so no steady epoch was timed.")


def waiting(found):
    """What must be waited for before the first step."""
    compiles, eager = {}, set()
    for row in found.rows:
        who = f"{row['contender']} {row['rung']}"
        if row["compile_s"]:
            compiles.setdefault(who, []).append(row["compile_s"])
        elif row["ok"]:
            eager.add(who)
    if not compiles:
        return None
    parts = [" to ".join(dict.fromkeys(map(three, (min(values), max(values)))))
             for values in compiles.values()]
    caches = {str(r.get("cache")) for r in found.done
              if r["timing"]["compile_s"]}
    cache = ("caches of which some were filled before" if len(caches) > 1 else
             "a cache that was filled before" if caches == {"warm"} else
             "an empty cache")
    return ("Before its first step a run compiles: " + listed([
        f"{who} {part} s" for who, part in zip(compiles, parts)])
        + f" (medians, by batch size, with {cache})" + (
            f"; {listed(sorted(eager))} "
            f"{'compiles' if len(eager) == 1 else 'compile'} nothing ahead"
            if eager else "") + ".")


def accuracy(found):
    """How well the networks do, and whether the frameworks differ."""
    scores = [r["final"]["test_accuracy"] for r in found.done]
    text = ("Test accuracy is " + (
        percent(scores[0]) if len(scores) == 1 else
        f"{percent(min(scores))} to {percent(max(scores))} over "
        f"{len(scores)} runs"))
    gaps = [two for first, second in ratios.accuracy_pairs(found.groups)
            if [first[0], second[0]] == found.pair and not found.unfair
            and ratios.alike(found.groups, first, second)
            and (two := ratios.gap(found.groups, first, second))]
    if not gaps:
        return text + "."
    higher = ["{} is higher than {} at batch size {}".format(
        *map(name, two.order), two.first[3]) for two in gaps if two.order]
    return (text + "; between the frameworks the means differ by at most "
            f"{100 * max(abs(two.value) for two in gaps):.2f} percentage "
            "points" + (
                ", with too few seeds to say more"
                if {two.verdict for two in gaps} == {ratios.FEW} else
                ", and no pair by more than the noise of the seeds"
                if not higher else
                f", of {plural(len(gaps), 'pair')} {len(higher)} by more than "
                "the noise of the seeds (one in twenty is expected by "
                "chance): " + "; ".join(higher)) + ".")
