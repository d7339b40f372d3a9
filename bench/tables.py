"""The sections of summary.md, as Markdown lines, from records alone.

Each section says what its own numbers support: an interval that contains 1
(or 0) is "no difference shown", and no interval is no verdict.
"""

import math

import numpy as np

from bench import attribution, audit, certificate, costs, stats
from bench.cli import clean
from bench.summary import (
    SUMMARY,
    by_block,
    group,
    name,
    paired,
    scores_by_seed,
    three,
    together,
    versions,
    where,
    with_span,
)


def points(value):
    """A difference of two fractions in percentage points, with its sign."""
    return f"{100 * value:+.2f}"


def pairs(groups):
    """Keys to compare: two contenders, or two feeds or settings of one
    script, at the same batch size and otherwise alike."""
    return [(first, second) for first in groups for second in groups
            if first[3] == second[3] and first[:3] < second[:3]
            # Of one contender: its two feeds, because they are the question.
            and (first[1] == second[1] and first[2] != second[2]
                 if first[0] == second[0] else alike(groups, first, second))]


def alike(groups, first, second):
    """Do the finished runs of two keys differ in nothing that a recipe may
    vary on purpose?"""
    one, two = ([r for r in groups[key] if r["status"] == "ok"]
                for key in (first, second))
    return bool(one and two) and audit.comparable(one, two)


# ---------------------------------------------------------------- sections

def same_script(first, second, scripts):
    """Are these two keys one script and rung under two names?"""
    return first[0] != second[0] and first[1:] == second[1:] and (
        scripts.get(first[0], 1) == scripts.get(second[0], 2))


SPEED = ("batch", "point", "n", "steady epoch, s", "first epoch, s",
         "compile, s", "test accuracy")


def speed_cells(row):
    """A row of summarise() as the table Speed shows it."""
    span = row["steady_low_s"] and (row["steady_low_s"], row["steady_high_s"])
    score = "-" if row["test_accuracy"] is None else (
        f"{row['test_accuracy']:.2%}" + (
            f" ± {row['test_accuracy_sd']:.2%}"
            if row["test_accuracy_sd"] is not None else ""))
    return [str(row["batch_size"]), name([row[c] for c in SUMMARY[:3]]),
            f"{row['ok']}" + f" of {row['runs']}" * (row["ok"] < row["runs"]),
            with_span(row["steady_epoch_s"], span),
            three(row["first_epoch_s"]) or "-",
            three(row["compile_s"]) or "-", score]


def speed(rows, groups, fair, width, scripts):
    lines = ["Median over processes and, in brackets, the 95 % interval of "
             "their geometric mean; bold where the ratio to the runner-up "
             "names it faster. The first epoch includes compilation.", "",
             f"| {' | '.join(SPEED)} |", "|--:|---|" + "--:|" * 5]
    for row in rows:
        key, cells = tuple(row[c] for c in SUMMARY[:4]), speed_cells(row)
        rivals = sorted((r for r in rows if r["batch_size"] == key[3]
                         and r["steady_epoch_s"] is not None),
                        key=lambda r: r["steady_epoch_s"])
        if fair and len(rivals) > 1 and rivals[0] is row:
            other = tuple(rivals[1][c] for c in SUMMARY[:4])
            found = alike(groups, key, other) and paired(groups, key, other)
            if found and ratio_verdict(key, other, *found, width, same_script(
                    key, other, scripts)) == f"{name(key)} is faster":
                cells[3] = f"**{cells[3]}**"
        lines.append(f"| {' | '.join(cells)} |")
    return lines + ["", "Test accuracy: mean ± standard deviation over seeds."]


def ratios(groups, width, scripts):
    """width: what two runs of one script differ by on this machine (natural
    logarithm), or None; scripts: {contender: content hash}."""
    control = ("not measured (`make aa`), so a small ratio may be the "
               "machine's" if width is None else
               "the intervals of one script against itself reach "
               f"{math.expm1(width):.1%} on this machine, so nothing smaller "
               "is named")
    lines = ["Ratio of steady epochs: geometric mean over blocks with its "
             f"95 % interval; above 1 the first is slower. A/A control: "
             f"{control}.", "", "| batch | first / second | ratio | blocks | "
             "verdict |", "|--:|---|--:|--:|---|"]
    for first, second in pairs(groups):
        found = paired(groups, first, second)
        if found:
            same = same_script(first, second, scripts)
            lines.append(
                f"| {first[3]} | {name(first)} / {name(second)} | "
                f"{with_span(*found[:2])} | {found[2]} | "
                f"{ratio_verdict(first, second, *found, width, same)} |")
    return lines


def ratio_verdict(first, second, value, span, blocks, width, same):
    """In words, never more than the interval supports."""
    if span is None:
        return "too few blocks to say"
    if not stats.decided(span):
        return "no difference shown" + ", as it must be" * same
    if same:
        return "FALSE ALARM: the two are the same script"
    if width is not None and abs(math.log(value)) <= width:
        return "smaller than what one script shows against itself"
    return f"{name(first if value < 1 else second)} is faster"


def accuracies(groups):
    lines = ["Test accuracy: mean over seeds ± standard deviation; in brackets "
             "the 95 % interval of the mean that the test set's size alone "
             "allows (Wilson).", "",
             "| batch | point | seeds | test accuracy |",
             "|--:|---|--:|--:|"]
    for key, members in groups.items():
        done = [r for r in members if r["status"] == "ok"]
        if done:
            scores = list(scores_by_seed(done).values())
            low, high = stats.wilson(np.mean(scores),
                                     done[0]["dataset"]["sizes"]["test"])
            lines.append(
                f"| {key[3]} | {name(key)} | {len(scores)} | "
                f"{np.mean(scores):.2%}" + (
                    f" ± {np.std(scores, ddof=1):.2%}" if scores[1:] else "")
                + f" ({low:.2%} to {high:.2%}) |")
    lines += ["", "Differences, paired by seed, in percentage points, with "
              "the 95 % interval of their mean over seeds:", "",
              "| batch | first - second | difference | seeds | verdict |",
              "|--:|---|--:|--:|---|"]
    for first, second in accuracy_pairs(groups):
        one, two = scores_by_seed(groups[first]), scores_by_seed(
            groups[second])
        seeds = sorted(one.keys() & two.keys())
        if seeds:
            gaps = [one[seed] - two[seed] for seed in seeds]
            same = first[3] == second[3]
            names = ([name(key) for key in (first, second)] if same else
                     [f"{name(key)} at {key[3]}" for key in (first, second)])
            lines.append(f"| {first[3] if same else ''} | {names[0]} - "
                         f"{names[1]} | "
                         f"{with_span(np.mean(gaps), stats.interval(gaps), points)}"
                         f" | {len(seeds)} | {gap_verdict(gaps, names)} |")
    return lines


def gap_verdict(gaps, names):
    """Whether differences over seeds are more than the seeds' noise."""
    span = stats.interval(gaps)
    if span is None:
        return "too few seeds to say"
    if span[0] <= 0 <= span[1]:
        return "no difference shown"
    return f"{names[0 if span[0] > 0 else 1]} is higher"


def accuracy_pairs(groups):
    """Two contenders at one batch size, whatever a recipe varies between
    them; and one point at its smallest and at every other batch size."""
    found = [(a, b) for a in groups for b in groups
             if a[3] == b[3] and a[0] < b[0]]
    for key in groups:
        smallest = min(k for k in groups if k[:3] == key[:3])
        if key != smallest:
            found.append((smallest, key))
    return found


def first_epochs(groups):
    """First epoch against steady epochs of the same fresh process."""
    lines = ["First epoch, with compilation, over a steady epoch of the same "
             "fresh process: geometric mean and 95 % interval.", "",
             "| batch | point | n | first / steady | verdict |",
             "|--:|---|--:|--:|---|"]
    for key, members in groups.items():
        first, steady = together(*(by_block(members, field) for field in (
            "first_epoch_s", "steady_epoch_s")))
        if first:
            value, span = stats.ratio(first, steady)
            verdict = ("too few runs to say" if span is None else
                       "the first epoch takes longer" if span[0] > 1 else
                       "no warm-up shown")
            lines.append(f"| {key[3]} | {name(key)} | {len(first)} | "
                         f"{with_span(value, span)} | {verdict} |")
    return lines


def break_even(groups):
    """Epochs after which a compiled rung has repaid its compilation."""
    lines = ["Epochs until the compile seconds of a rung are repaid by its "
             "faster epochs, against torch eager in the same block: geometric "
             "mean and 95 % interval.", "",
             "| batch | point | blocks | repaid after, epochs | verdict |",
             "|--:|---|--:|--:|---|"]
    rows = [f"| {key[3]} | {name(key)} | {blocks} | "
            f"{with_span(epochs, span)} | {verdict} |"
            for key, blocks, epochs, span, verdict in repayments(groups)]
    return lines + rows if rows else [
        "No rung was compiled with an empty cache beside torch eager."]


def repayments(groups):
    """(key, blocks, epochs, interval, verdict) of every rung that compiled
    with an empty cache beside torch eager."""
    for key, members in groups.items():
        base = ("torch", "eager", *key[2:])
        if base not in groups or not alike(groups, base, key) or any(
                r.get("cache") == "warm" for r in members):
            continue
        cost, slow, fast = together(
            by_block(members, "compile_s"),
            *(by_block(groups[k], "steady_epoch_s") for k in (base, key)))
        if cost:
            yield key, len(cost), *repaid(cost, np.subtract(slow, fast))


def repaid(costs, gains):
    """Seconds of compiling, seconds gained an epoch, by block -> (epochs or
    None, interval or None, verdict)."""
    if min(gains) <= 0:
        span = stats.interval(gains)
        never = span is not None and span[1] <= 0
        return None, None, ("never: its epochs are slower" if never else
                            "not shown: in some blocks its epochs are not "
                            "faster")
    value, span = stats.ratio(costs, gains)
    return value, span, (
        "too few blocks to say" if span is None else
        "too uncertain to say" if span[1] > 100 * span[0] else
        f"repaid in a run of {math.ceil(span[1])} epochs or more")


def failed_lines(records):
    """The table of runs that are not ok."""
    lines = ["| run | state | reason |", "|---|---|---|"]
    for r in (r for r in records if r["status"] != "ok"):
        c, ending = r["config"], r["exit"]
        how = ending["signal"] or (
            "" if ending["code"] is None else f"exit {ending['code']}")
        tail = clean(ending["tail"][-1] if ending["tail"] else "", 300)
        lines.append(
            f"| {r['contender']} {c['rung']} {c['feed']}, batch "
            f"{c['batch_size']}, seed {c['seed']}, repeat {r['repeat']} | "
            f"{r['status']} | {how} {tail.replace('|', '/')} |")
    return lines


# --------------------------------------------------------------------- all

def summary(records, rows, proof, verdicts, width, scripts, measured=(),
            missing=None, answer=()):
    """summary.md. proof: (proved, line, certificate or None); verdicts: the
    audit's; measured, missing: of bench/probe.py; answer: sentences that come
    first; the rest as in ratios()."""
    groups = group(records)
    done = sum(r["status"] == "ok" for r in records)
    broken = audit.unfair(verdicts)
    judged = (f"**NOT FAIR: {'; '.join(v.rule for v in broken)}.** No ratios, "
              "no joint figures: see Audit." if broken else
              f"Audit: {audit.line(verdicts)}.")
    lines = [f"# {where(records)}", "",
             f"{done} of {len(records)} runs finished. {versions(records)}.",
             "", (proof[1][:1].upper() + proof[1][1:] if proof[0] else
                  f"**{proof[1]}**") + f". {judged}"]
    sections = [("Answer", "\n\n".join(answer).splitlines()),
                ("Speed", speed(rows, groups, not broken, width, scripts))]
    if not broken:
        sections += [("Ratios", ratios(groups, width, scripts)),
                     ("Accuracy", accuracies(groups)),
                     ("First epoch", first_epochs(groups)),
                     ("Break-even", break_even(groups)),
                     *attribution.sections(records, measured),
                     *costs.sections(records, measured, missing or {})]
    sections.append(("Audit", audit.table(verdicts)))
    if proof[2]:
        sections.append(("Parity", certificate.table(proof[2])))
    lost = [f"| {kind} | {clean(reason, 200).replace('|', '/')} |"
            for kind, reason in (missing or {}).items() if reason]
    if lost:
        sections.append(("Not measured", [
            "| asked for | why not |", "|---|---|", *lost]))
    if done < len(records):
        sections.append(("Runs that are not ok", failed_lines(records)))
    for title, body in sections:
        lines += ["", f"## {title}", "", *body]
    return "\n".join(lines) + "\n"
