"""Sections on speed: seconds, ratios, the first epoch, when compiling pays."""

import math

from bench.analyse import ratios, stats
from bench.analyse.groups import key, steady
from bench.report.proof import control
from bench.report.table import SHARE, Bold, Table, by_variant
from bench.report.words import TEXTS, name, verdict


def speed(found):
    """Section: seconds of every variant at every batch size, bold where it is
    decidedly the fastest."""
    best = ratios.fastest(found)
    return [by_variant(
        ["n", "steady epoch, s", "first epoch, s", "compile, s", "test accuracy"],
        [(key(row), row["ok"] if row["ok"] == row["runs"] else
          f"{row['ok']} of {row['runs']}",
          Bold(steady(row)) if key(row) in best else steady(row),
          row["first_epoch_s"], row["compile_s"],
          None if row["test_accuracy"] is None else (
              row["test_accuracy"], row["test_accuracy_sd"])) for row in found.rows],
        {"test accuracy": SHARE})]


def ratio_section(found):
    """Section: the A/A control, and every variant over every other."""
    rows = [(two.first[3], f"{name(two.first)} / {name(two.second)}",
             (two.value, two.span), two.count, verdict(two, "speed"))
            for two in ratios.every(found)]
    return [control(found), Table(
        ["batch", "first / second", "ratio", "blocks", "verdict"], rows)]


def peers(found):
    """Section: every other library beside the pair's fastest variant with the
    same framework, and which part of its distance is what."""
    rows = {row: one for one in found.rows if (row := key(one))}
    table = [(two.first, rows[two.first]["steady_epoch_s"], stats.median(
        r["timing"]["import_s"] for r in found.groups[two.first]),
        rows[two.first]["first_epoch_s"], rows[two.first]["host_peak_mib"],
        name(two.second), (two.value, two.span), verdict(two, "speed"))
        for two in ratios.peers(found)]
    parts = [(two.first, (two.value, two.span), *(
        part and (part.value, part.span) for part in parts))
        for two, parts in ratios.peer_parts(found)]
    return [by_variant(heads, rows) for heads, rows in (
        (["steady epoch, s", "import, s", "first epoch, s", "memory, MiB",
          "beside", "ratio", "verdict"], table),
        (["ratio", "its own loop", "its step", "a call a step"], parts)) if rows]


def first_epochs(found):
    """Section: the first epoch against steady epochs of the same fresh
    process."""
    rows = []
    for *row, (value, span) in ratios.first_epochs(found.groups):
        words = ("the first epoch takes longer" if span and span[0] > 1 else
                 "no warm-up shown" if span else "too few runs to say")
        rows.append((*row, (value, span), words))
    return [by_variant(["n", "first / steady", "verdict"], rows)]


def break_even(found):
    """Section: epochs after which a compiled rung has repaid its
    compilation."""
    rows = [(*row, (epochs, span), TEXTS["verdicts"]["compiling"][
        code].format(math.ceil(span[1]) if span else ""))
        for *row, epochs, span, code in ratios.repayments(found.groups)]
    return [by_variant(["blocks", "repaid after, epochs", "verdict"], rows)
            if rows else "There is none beside torch eager here."]
