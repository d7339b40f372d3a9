"""Figures with a line for each run: learning epoch by epoch, the seconds of
every epoch, and the wait for a good network."""

import numpy as np

from bench.analyse.costs import ends
from bench.analyse.groups import unsteady
from bench.report.figures.axes import panels
from bench.report.figures.style import legend, looks

FIELDS = {"train_loss": "training loss", "val_loss": "validation loss",
          "train_accuracy": "training accuracy",
          "val_accuracy": "validation accuracy"}


def _curves(found, xlabel, labels, draw):
    """draw(axes from above, finished runs, look of their lines) is called for
    each variant; None where runs of one epoch would be dots."""
    if max(r["config"]["epochs"] for r in found.done) < 2:
        return None
    figure, columns = panels(found.sizes, xlabel, labels)
    look = looks(found.groups)
    for key, done in found.groups.items():
        if key[3] in columns:
            draw(columns[key[3]], done, look[key])
    legend(figure)
    return figure


def learning(found):
    """All runs of a variant thin, their mean thick, its standard error a
    band. The first contender's means are wide and lie below the others', so
    that curves that coincide are both seen."""
    first = next(iter(found.groups))[0]

    def draw(axes, done, look):
        for axis, field in zip(axes, FIELDS):
            lines = np.array([[epoch[field] for epoch in r["epochs"]]
                              for r in done], float)  # None: not told
            mean, steps = lines.mean(axis=0), range(1, lines.shape[1] + 1)
            axis.plot(steps, mean, zorder=3, **look,
                      lw=3.2 if done[0]["contender"] == first else 1.2)
            if len(done) > 1:
                error = lines.std(axis=0, ddof=1) / len(done)**0.5
                axis.fill_between(steps, mean - error, mean + error, lw=0,
                                  color=look["color"], alpha=0.2)
                axis.plot(steps, lines.T, color=look["color"], lw=0.4,
                          alpha=0.35)
    return _curves(found, "epoch", FIELDS.values(), draw)


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
