"""What comes first: the sentences that a comparison's numbers support.

Never more than an interval allows: where it contains 1 (or 0) the sentence
says that no difference is shown, and where there is none, that there are too
few runs to say.
"""

from bench.analyse import ratios
from bench.analyse.groups import cold, key, steady
from bench.report import words
from bench.report.words import listed, name, plural, three, verdict, with_span


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
    states = []
    for state in sorted({r["status"] for r in found.records} - {"ok"}):
        lost = [f"{r['contender']} {r['config']['rung']}"
                for r in found.records if r["status"] == state]
        states.append(f"{plural(len(lost), 'run')} of "
                      f"{listed(sorted({*lost}))} ended as {state}")
    if states:
        yield (f"{listed(states)}; {len(found.done)} of "
               f"{len(found.records)} finished.")


def speed(found):
    """The best rung of each framework against the other's, by batch size."""
    kinds = {}  # what is said: the ratios that it is said of
    for size in found.sizes:
        best = [key for one in found.pair
                for key in found.ranked(size, one)[:1]]
        if two := ratios.alike_ratio(found, best):
            said = verdict(two, "answer", lambda key: words.FRAMEWORKS[key[0]])
            kinds.setdefault(said, []).append(two)
    if not kinds:
        return alone(found)
    parts = []
    for said, compared in kinds.items():
        sizes = [two.first[3] for two in compared]
        parts.append(f"at batch size{'s' * (len(sizes) > 1)} {listed(sizes)} "
                     + said + f" ({_times(compared)})" * bool(compared[0].order))
    counts = {two.count for compared in kinds.values() for two in compared
              if two.span}
    over = (", with 95 % intervals over " + f"{min(counts)} to " * (
        len(counts) > 1) + plural(max(counts), "block")) if counts else ""
    return together(found) + (
        "Steady epochs, the fastest rung of each framework in these runs: "
        f"{listed(parts)}{over}.")


def together(found):
    """One ratio for the whole comparison, where there are several sizes."""
    two = ratios.pooled(found)
    return (f"Over the {len(found.sizes)} batch sizes {_times([two])}"
            + ("" if two.order else f" ({verdict(two, 'answer')})") + ". "
            ) if two else ""


def _times(compared):
    """'jax step takes 0.7 (0.6 to 0.8) of the time of torch step', always
    the faster over the slower."""
    texts = {}
    for fast, slow, value, span, *_ in compared:
        if value > 1:
            fast, slow, value = slow, fast, 1 / value
            span = span and (1 / span[1], 1 / span[0])
        texts.setdefault((name(fast), name(slow)), []).append(
            with_span(value, span))
    return "; ".join(f"{fast} takes {listed(some)} of the time of {slow}"
                     for (fast, slow), some in texts.items())


def alone(found):
    """Of one framework: how long its epochs take."""
    parts = [f"{name(key(row))} {with_span(*steady(row))} s at batch size "
             f"{row['batch_size']}" for row in found.rows
             if row["steady_epoch_s"] is not None]
    lead = ("The ratios stand in the table Ratios" if ratios.every(found) else
            "There is nothing to compare with")
    return (f"{lead}; a steady epoch takes {listed(parts[:6])}." if parts else
            "No run had a second epoch, so no steady epoch was timed.")


def waiting(found):
    """What must be waited for before the first step."""
    compiles, eager = {}, {}
    for row in found.rows:
        if row["ok"]:
            kind = compiles if row["compile_s"] else eager
            kind.setdefault(f"{row['contender']} {row['rung']}", []).append(
                row["compile_s"])
    if not compiles:
        return None
    parts = [f"{who} {' to '.join(dict.fromkeys(map(three, ends)))} s"
             for who, values in compiles.items()
             for ends in [(min(values), max(values))]]
    warm = any(r.get("cache") == "warm" and r["timing"]["compile_s"]
               for members in found.groups.values() for r in cold(members))
    cache = "a cache that was filled before" if warm else "an empty cache"
    nothing = (f"; {listed(sorted(eager))} compile{'s' * (len(eager) == 1)} "
               "nothing ahead" if eager else "")
    return (f"Before its first step a run compiles: {listed(parts)} (medians, "
            f"by batch size, with {cache}){nothing}.")


def accuracy(found):
    """How well the networks do, and whether the frameworks differ."""
    if found.only_timed:
        return None
    scores = [100 * r["final"]["test_accuracy"] for r in found.done]
    text = f"Test accuracy is {min(scores):.2f} %"
    if len(scores) > 1:
        text += f" to {max(scores):.2f} % over {len(scores)} runs"
    gaps = [two for first, second in ratios.accuracy_pairs(found.groups)
            if [first[0], second[0]] == found.pair and not found.unfair
            and ratios.alike(found.groups, first, second)
            and (two := ratios.gap(found.groups, first, second))]
    if not gaps:
        return text + "."
    higher = ["{} is higher than {} at batch size {}".format(
        *map(name, two.order), two.first[3]) for two in gaps if two.order]
    shown = "and no pair by more than the noise of the seeds"
    if higher:
        shown = (f"of {plural(len(gaps), 'pair')} {len(higher)} by more than "
                 "the noise of the seeds (one in twenty is expected by "
                 f"chance): {'; '.join(higher)}")
    elif {two.verdict for two in gaps} == {ratios.FEW}:
        shown = "with too few seeds to say more"
    return (f"{text}; between the frameworks the means differ by at most "
            f"{100 * max(abs(two.value) for two in gaps):.2f} percentage "
            f"points, {shown}.")
