"""The sections of a report: summary.md has all of them, recipes choose which
are printed.

To add one: an entry here, a function that makes blocks of what was found, or
nothing where this comparison has nothing to say, and words in texts.toml.
"""

import math
import time
from itertools import zip_longest

from bench.analyse.groups import lasted
from bench.proof import audit
from bench.report import accuracy, costs, floor, proof, speed
from bench.report.answer import answer
from bench.report.words import TEXTS, capital, plural, versions, where

# Not shown of an unfair comparison: no ratio, no cost.
COMPARED = {
    "Peers": speed.peers, "Ratios": speed.ratio_section,
    "Accuracy": accuracy.accuracies, "First epoch": speed.first_epochs,
    "Break-even": speed.break_even, "Floor": floor.floor,
    "Cost per step": floor.cost_per_step,
    "Where the time goes": floor.where_time_goes,
    "Compilation": costs.compilation,
    "Time to accuracy": accuracy.time_to_accuracy,
    "Early stopping": accuracy.early_stopping, "Memory": costs.memory,
    "Answers": costs.answers, "Latency": costs.latency, "Energy": costs.energy,
    "Operations": costs.operations, "Measurements": costs.measurements}
SECTIONS = {
    "Answer": answer, "Speed": speed.speed,
    **COMPARED, "Audit": proof.audit, "Parity": proof.parity,
    "Not measured": proof.not_measured, "Runs that are not ok": proof.not_ok}


def sections(found):
    """{title: blocks} of all that have something to say, with the paragraphs
    of texts.toml above their tables."""
    made = {}
    for title, section in SECTIONS.items():
        shown = not found.unfair or title not in COMPARED
        if blocks := shown and section(found):
            above = [" ".join(text.split()) for text in TEXTS["sections"].get(
                title, "").split("\n\n")][:len(blocks)]
            made[title] = [part for pair in zip_longest(above, blocks)
                           for part in pair if part]
    return made


def head(found):
    """What stands above all sections: where, what ran, when and how long, may
    it be believed."""
    judged = ("NOT FAIR: " + "; ".join(v.rule for v in found.unfair)
              + ". No ratios, no joint figures: see Audit." if found.unfair
              else f"Audit: {audit.line(found.verdicts)}.")
    runs = f"{len(found.done)} of {len(found.records)} runs finished"
    if found.done:
        begin, seconds = lasted(found.done)
        day = time.strftime("%Y-%m-%d", time.gmtime(begin))
        runs += (f", from {day} on, in {plural(math.ceil(seconds / 60), 'minute')}"
                 f". {versions(found.done)}")
    return {"where": where(found.done), "runs": f"{runs}.",
            "verdicts": f"{capital(found.proof[1])}. {judged}"
                        f" {proof.steadiness(found.done)[1]}"}
