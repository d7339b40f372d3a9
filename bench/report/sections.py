"""The sections of a report, under the questions that they answer: summary.md and
report.html have all of them in this order, recipes choose which are printed.

To add one: a function that makes blocks of what was found, or nothing where
this comparison has nothing to say; its name and the function under a question;
words in texts.toml.
"""

import math
import time
from itertools import zip_longest
from typing import NamedTuple

from bench.analyse.groups import lasted
from bench.proof import audit
from bench.report import (
    accuracy,
    answer,
    compiling,
    costs,
    floor,
    proof,
    reasons,
    speed,
)
from bench.report.words import TEXTS, capital, plural, versions, where


class Question(NamedTuple):
    """title: as a reader asks it; says: found -> its sentences; sections: {title:
    function}; fair: do they need a fair comparison?"""

    title: str
    says: object
    sections: dict
    fair: bool = True


QUESTIONS = {
    "speed": Question("Which is faster?", answer.speed, {
        "Speed": speed.speed, "Peers": speed.peers, "Ratios": speed.ratio_section,
        "Answers": costs.answers}),
    "accuracy": Question("Is the accuracy the same?", answer.accuracy, {
        "Accuracy": accuracy.accuracies,
        "Time to accuracy": accuracy.time_to_accuracy,
        "Early stopping": accuracy.early_stopping}),
    "compiling": Question("What does compiling cost, and when is it repaid?",
                          compiling.compiling, {
        "Break-even": speed.break_even, "First epoch": speed.first_epochs,
        "Compilation": costs.compilation}),
    "why": Question("Where does the time go, and why do they differ?",
                    reasons.sentences, {
        "Where the time goes": floor.where_time_goes,
        "Cost per step": floor.cost_per_step, "Operations": costs.operations}),
    "floor": Question("How close are they to what the machine could do?",
                      floor.closeness, {"Floor": floor.floor}),
    "memory": Question("How much memory?", costs.peaks, {"Memory": costs.memory}),
    "proof": Question("Can these numbers be trusted?", proof.seals, {
        "Audit": proof.audit, "Parity": proof.parity,
        "Not measured": proof.not_measured, "Runs that are not ok": proof.not_ok},
        fair=False),
    "rest": Question("What else was measured", lambda found: (), {
        "Latency": costs.latency, "Energy": costs.energy,
        "Measurements": costs.measurements})}
SECTIONS = {"Answer": answer.answer, **{
    title: section for question in QUESTIONS.values()
    for title, section in question.sections.items()}}
# Not ratios, and so shown of an unfair comparison, too.
KEPT = {"Answer", "Speed", *QUESTIONS["proof"].sections}


def sections(found):
    """{title: blocks} of all that have something to say, with the paragraphs
    of texts.toml above their tables."""
    made = {}
    for title, section in SECTIONS.items():
        shown = not found.unfair or title in KEPT
        if blocks := shown and section(found):
            above = [" ".join(text.split()) for text in TEXTS["sections"].get(
                title, "").split("\n\n")][:len(blocks)]
            made[title] = [part for pair in zip_longest(above, blocks)
                           for part in pair if part]
    return made


def asked(found, made):
    """(name in QUESTIONS, (its sentences, {title: blocks} of made)) of each that
    has an answer; made: of sections()."""
    for name, question in QUESTIONS.items():
        shown = found.done and not (found.unfair and question.fair)
        says = [*question.says(found)] if shown else []
        parts = {title: made[title] for title in question.sections if title in made}
        if says or parts:
            yield name, (says, parts)


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
