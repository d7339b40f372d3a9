"""Sections on whether the numbers can be believed: audit, parity, what could
not be measured, runs that are not ok."""

import math

from bench.analyse.groups import SPREAD, key, unsteady
from bench.kit.cli import clean
from bench.proof import certificate
from bench.proof.audit import line
from bench.proof.rules import FAIR, UNFAIR, UNKNOWN, WARNING
from bench.report.table import Table
from bench.report.words import TEXTS, capital, listed, name, plural, with_span

ORDER = (UNFAIR, WARNING, UNKNOWN, FAIR)
COMPARED = TEXTS["heads"]["parity"]


def seals(found):
    """Three lines: same computation, same conditions, steady machine."""
    return [*filter(None, (
        f"{capital(found.proof[1])}.", f"Audit: {line(found.verdicts)}.",
        steadiness(found.done)[1], control(found)))]


def control(found):
    """What one script against itself comes out as."""
    if found.unfair:
        return ""
    if found.width is None:
        return "Control: not measured, so a small ratio may be the machine's."
    seen = [f"{with_span(value, span)} at batch size {size}"
            for size, (value, span, _) in found.controls.items()]
    return (f"Control: one script against itself comes out as {listed(seen)}: "
            f"this machine tells {math.expm1(found.width):.1%} apart, "
            "and nothing smaller is named.")


def audit(found):
    """Section: a verdict per rule, broken rules first."""
    return [Table(["rule", "verdict", "found"], sorted(
        found.verdicts, key=lambda verdict: ORDER.index(verdict.level)))]


def steadiness(done):
    """(was the machine steady, in words): did anything else take it?"""
    loose = unsteady(done)
    if not loose:
        return True, "The machine was steady."
    names = list(dict.fromkeys(
        f"{name(key({**r['config'], **r}))} at batch size "
        f"{r['config']['batch_size']}" for r in loose))
    return False, (
        f"The machine was not steady: in {len(loose)} of "
        f"{plural(len(done), 'run')} the steady epochs spread by more than "
        f"{SPREAD} times ({listed(names[:3])}{', …' * (len(names) > 3)}). "
        "Ratios are of the shortest epochs, which that disturbs least.")


def parity(found):
    """Section: a row per variant, optimizer and precision; the largest
    difference over batch sizes."""
    if not found.proof[2]:
        return None
    groups, rows = {}, []
    for row in found.proof[2]["rows"]:
        groups.setdefault((*certificate.key(row)[:4], row["precision"]),
                          []).append(row)
    for (*variant, optimizer, precision), members in groups.items():
        said = [certificate.explain(row).partition(": ")[2]
                for row in members if not row["proved"]]
        rows.append((
            name(variant), optimizer, precision,
            ", ".join(f"{row['batch_size']}" + (
                f" (seed {row['seed']})" if row["seed"] else "")
                for row in members),
            ", ".join(str(row["steps"]) for row in members),
            *(max((row[field] for row in members
                   if row.get(field) is not None), default=None)
              for field in COMPARED), [*said, "proved"][0]))
    return [Table(["variant", "optimizer", "precision", "batch sizes", "steps",
                   *COMPARED.values(), "verdict"], rows,
                  dict.fromkeys(COMPARED.values(), "{:.1e}".format))]


def not_measured(found):
    """Section: what was asked for and could not be measured."""
    rows = [(kind, clean(reason, 200))
            for kind, reason in found.missing.items() if reason]
    return rows and [Table(["asked for", "why not"], rows)]


def not_ok(found):
    """Section: the runs that are not ok, and why."""
    rows = []
    for r in [r for r in found.records if r["status"] != "ok"]:
        code = r["exit"]["code"]
        how = r["exit"]["signal"] or ("" if code is None else f"exit {code}")
        rows.append((
            "{contender} {rung} {feed}, batch {batch_size}, seed {seed}, "
            "repeat {repeat}".format(**{**r, **r["config"]}), r["status"],
            f"{how} {clean(''.join(r['exit']['tail'][-1:]), 300)}"))
    return rows and [Table(["run", "state", "reason"], rows)]
