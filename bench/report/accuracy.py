"""Sections on accuracy: how good a network is, and how soon."""

from bench.analyse import costs, ratios, stats
from bench.analyse.groups import scores_by_seed
from bench.report.table import PERCENT, SHARE, Table, by_variant
from bench.report.words import name, verdict

TARGETS = (0.97, 0.98)


def accuracies(found):
    """Section: test accuracy by variant, and the differences."""
    if found.only_timed:
        return []
    scores, gaps = [], []
    for key, done in found.groups.items():
        values = [*scores_by_seed(done).values()]
        mean, deviation = stats.spread(values)
        scores.append((key, len(values), (mean, deviation, stats.wilson(
            mean, done[0]["dataset"]["sizes"]["test"]))))
    for pair in ratios.accuracy_pairs(found.groups):
        if two := ratios.gap(found.groups, *pair):
            same = two.first[3] == two.second[3]
            names = {key: name(key) + ("" if same else f" at {key[3]}")
                     for key in pair}
            gaps.append((two.first[3] if same else "",
                         " - ".join(names.values()), (two.value, two.span),
                         two.count, verdict(two, "accuracy", names.get)))
    return [by_variant(["seeds", "test accuracy"], scores,
                       {"test accuracy": SHARE}),
            Table(["batch", "first - second", "difference", "seeds",
                   "verdict"], gaps, {  # in percentage points
                       "difference": lambda gap: f"{100 * gap:+.2f}"})]


def early_stopping(found):
    """Section: where training would have stopped, told from whole curves."""
    rows = []
    for key, done in found.groups.items() if found.patience else ():
        for r in done:
            epochs, seconds = r["epochs"], r["timing"]["epoch_s"]
            end, best = costs.stopped([one["val_accuracy"] for one in epochs],
                                      found.patience)
            rows.append((key, r["config"]["seed"],
                         end or f"not in {len(epochs)}", best,
                         sum(seconds[:end]) + (r["timing"]["compile_s"] or 0),
                         epochs[best - 1]["val_accuracy"],
                         epochs[best - 1]["test_accuracy"]))
    shares = ["validation accuracy", "test accuracy"]
    return [by_variant(["seed", "stops after epoch", "keeps epoch", "training, s",
                        *shares], rows, dict.fromkeys(shares, SHARE))
            ] if rows else None


def time_to_accuracy(found):
    """Section: how long until the network is good enough."""
    if found.only_timed:
        return []
    # Of a short comparison nothing would be said but "0 of 3".
    targets = [target for target in TARGETS
               if any(costs.reached(r, target) is not None
                      for r in found.done)]
    waits = [(key, target, f"{there} of {len(done)}", training, since)
             for key, done in found.groups.items() for target in targets
             for there, training, since in [costs.waits(done, target)]]
    last = [(key, len(scores_by_seed(done)), done[0]["config"]["epochs"], *(
        stats.mean([*scores_by_seed(done, score).values()]) for score in (
            lambda r: r["epochs"][-1]["val_accuracy"],
            lambda r: r["final"]["test_accuracy"])))
            for key, done in found.groups.items()]
    return [by_variant(["target", "runs that got there", "training, s",
                        "from process start, s"], waits, {"target": PERCENT})
            if waits else f"No run gets to {TARGETS[0]:.0%}.",
            by_variant(["seeds", "epochs", "validation accuracy",
                        "test accuracy"], last, {
                "validation accuracy": SHARE, "test accuracy": SHARE})]
