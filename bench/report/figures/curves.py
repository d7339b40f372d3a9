"""Figures with lines: learning epoch by epoch, the seconds of every epoch, the wait
for a good network, and after how many epochs compiling is repaid."""

import numpy as np

from bench.analyse.costs import ends
from bench.analyse.groups import key, unsteady
from bench.analyse.ratios import repayments
from bench.proof.judging import REFERENCE
from bench.report.figures.axes import log, panels, stacked
from bench.report.figures.style import legend, looks, tell
from bench.report.words import name, plural, three

FIELDS = {"train_loss": "training loss", "val_loss": "validation loss",
          "train_accuracy": "training accuracy",
          "val_accuracy": "validation accuracy"}


def _curves(found, xlabel, labels, draw, **form):
    """draw(axes from above, finished runs, look of their lines) is called for
    each variant; None where runs of one epoch would be dots."""
    if max(r["config"]["epochs"] for r in found.done) < 2:
        return None
    figure, columns = panels(found.sizes, xlabel, labels, **form)
    look = looks(found.groups)
    for one, done in found.groups.items():
        if one[3] in columns:
            draw(columns[one[3]], done, look[one])
    legend(figure)
    return figure


def learning(found, fields=FIELDS, **form):
    """All runs of a variant thin, their mean thick, its standard error a
    band. The first contender's means are wide and lie below the others', so
    that curves that coincide are both seen. None where nothing is learned."""
    if found.only_timed:
        return None
    first = next(iter(found.groups))[0]

    def draw(axes, done, look):
        for axis, field in zip(axes, fields):
            lines = np.array([[epoch[field] for epoch in r["epochs"]]
                              for r in done], float)
            mean, steps = lines.mean(axis=0), range(1, lines.shape[1] + 1)
            if np.isnan(mean).any():
                continue  # a library does not tell it
            thick, = axis.plot(steps, mean, zorder=3, **look,
                               lw=3.2 if done[0]["contender"] == first else 1.2)
            tell(thick, key(done[0]["config"] | done[0]), f"{fields[field]}, "
                 f"{three(mean[-1])} after {plural(len(mean), 'epoch')}, mean of "
                 f"{plural(len(done), 'run')}")
            if len(done) > 1:
                error = lines.std(axis=0, ddof=1) / len(done)**0.5
                axis.fill_between(steps, mean - error, mean + error, lw=0,
                                  color=look["color"], alpha=0.2)
                axis.plot(steps, lines.T, color=look["color"], lw=0.4,
                          alpha=0.35)
    return _curves(found, "epoch", fields.values(), draw, **form)


def two_curves(found):
    """The loss that is trained on and the accuracy on what is not."""
    return learning(found, {field: FIELDS[field] for field in (
        "train_loss", "val_accuracy")}, tall=1.5, narrow=True)


def payoff(found):
    """Seconds of a run of so many epochs, compiling included, over those of the
    reference; a dot where a variant has caught up with it."""
    spent = {key(row): (row["compile_s"] or 0.0, row["steady_epoch_s"])
             for row in found.rows if row["steady_epoch_s"]}
    repaid = {one: epochs for one, _, epochs, *_ in repayments(found.groups)
              if {one, (*REFERENCE[:2], *one[2:])} <= spent.keys()}
    sizes = sorted({one[3] for one in repaid})
    if not sizes:
        return None
    figure, panels = stacked(sizes, 1, 1.35, sharex=True)
    last = max([10, *(r["config"]["epochs"] for r in found.done), *(
        min(2 * epochs, 1e4) for epochs in repaid.values() if epochs)])
    look, count = looks(found.groups), np.geomspace(1, last, 100)
    for one, epochs in repaid.items():
        if one[3] in panels:
            axis, (cost, second) = panels[one[3]][0], spent[one]
            reference = spent[*REFERENCE[:2], *one[2:]][1]
            line, = axis.plot(count, (cost / count + second) / reference, lw=1.2,
                              **look[one])
            tell(line, one, f"compiles {three(cost)} s, then {three(second)} s an "
                 "epoch")
            if epochs:
                dot, = axis.plot(epochs, 1, "o", ms=4, color=look[one]["color"])
                tell(dot, one, f"repaid after {three(epochs)} epochs")
    for axis, in panels.values():
        axis.axhline(1, color="black", lw=1)
        log(axis, "x", "{x:,.0f}")
        log(axis, "y")
    figure.supylabel(f"seconds of a run /\nthose of {name(REFERENCE)}", fontsize=9)
    axis.set_xlabel("epochs of the run")
    legend(figure)
    return figure


def epochs(found):
    """What the first epoch costs, and whether the others are steady: where
    they are not, a cross at the slowest."""
    def draw(axes, done, look):
        for r in done:
            seconds = [r["timing"]["first_epoch_s"],
                       *r["timing"]["epoch_s"][1:]]
            axes[0].plot(range(1, len(seconds) + 1), seconds, lw=0.8,
                         alpha=0.8, marker="o", markevery=[0], mfc="white",
                         ms=4, **look)
            if unsteady([r]):
                slowest = int(np.argmax(seconds[1:])) + 1
                axes[0].plot(slowest + 1, seconds[slowest], marker="x", ms=4,
                             ls="", color=look["color"])
    return _curves(found, "epoch", ["seconds"], draw)


def wall_clock(found):
    """Seconds of work since the process was created against test accuracy."""
    if found.only_timed:
        return None

    def draw(axes, done, look):
        for r, _, worked in ends(done):
            axes[0].plot(worked,
                         [epoch["test_accuracy"] for epoch in r["epochs"]],
                         lw=0.8, alpha=0.8, marker=".", ms=3, **look)
    return _curves(found, "seconds of work since the process began",
                   ["test accuracy"], draw)
