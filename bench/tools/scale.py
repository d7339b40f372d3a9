"""What `make scale` has measured -> tables and a figure: is it proved, what does a
step of several processes cost and where does the time go, and from which batch would
more devices pay?

    python -m bench.tools.scale FOLDER

FOLDER has scale.json; the tables go to the terminal and to FOLDER/scale.md and .tex,
the figure to FOLDER/scale.png.

The model: a step of one device takes a fixed time and one for each sample; N devices
take the fixed time, that of their share, and a ring all-reduce of all gradients
(Patarasuk and Yuan 2009, https://doi.org/10.1016/j.jpdc.2008.09.002): 2 (N - 1)
messages one after the other, each with a latency, and 2 (N - 1) / N times all bytes at
the bandwidth. All four numbers are fitted to what was measured; where the arrays of
a step travel one by one, a message is one of each.
"""

import math
import os
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.analyse import stats
from bench.analyse.floor import fit
from bench.kit import cli, files
from bench.kit.cli import ENVIRONMENT, USAGE, Fault
from bench.kit.network import dense
from bench.report.render import as_latex, as_markdown, as_terminal
from bench.report.table import Table

PAPER = (2, 8, 64, 1024)         # devices on paper
WIDTHS = (256, 1024, 4096)       # of the first hidden layer; the second: half


class Model(NamedTuple):
    """Seconds: fixed, of a sample, of a message, of a number that travels once;
    numbers: of the network that was measured."""

    fixed: float
    sample: float
    message: float
    number: float
    numbers: int

    def reduce(self, devices, numbers):
        """Seconds of a ring all-reduce."""
        hops = 2 * (devices - 1)
        return hops * (self.message + numbers / devices * self.number)

    def step(self, devices, batch_size, width=WIDTHS[0]):
        """Seconds of a step; a sample costs as its network has numbers."""
        numbers = parameters(width)
        return (self.fixed + self.sample * numbers / self.numbers * batch_size / devices
                + self.reduce(devices, numbers))

    def pays(self, devices, width):
        """The batch size from which a step of so many devices is shorter than one's."""
        numbers = parameters(width)
        sample = self.sample * numbers / self.numbers
        least = self.reduce(devices, numbers) / (sample * (1 - 1 / devices))
        return max(devices, math.ceil(least))  # a sample for each, at least


def layers(width):
    """The lesson's network with other widths: shapes of w and b of each layer."""
    return dense([784, width, width // 2, 10])


def parameters(width):
    return sum(map(math.prod, sum(layers(width), ())))


def models(runs):
    """{framework: Model}"""
    found = {}
    for name in sorted({r["framework"] for r in runs}):
        steps, waits = {}, {}
        for r in (r for r in runs if r["framework"] == name):
            if r["processes"] == 1:
                steps.setdefault(r["batch_size"], []).append(r["step_s"])
            else:
                for size, seconds in r["all_reduce"].items():
                    waits.setdefault(int(size), []).append(seconds)
        fixed, sample, _ = fit([*steps], [*map(np.median, steps.values())])
        start, number, _ = fit([*waits], [*map(np.median, waits.values())])
        count = max(r["processes"] for r in runs)
        hops = 2 * (count - 1)
        found[name] = Model(max(0, fixed), sample, max(0, start) / hops,
                            number * count / hops, parameters(WIDTHS[0]))
    return found


def measured(runs):
    """Rows: framework, batch, processes, (ms a step, interval), (speed-up over one
    process, interval), then ms of computing a share, of the all-reduce and of what
    is left, and ms that the model says. Computing is what one process takes for the
    share, alone; what is left is waiting, or less than nothing where both overlap."""
    fitted, times = models(runs), {}
    for r in runs:
        times.setdefault((r["framework"], r["processes"], r["batch_size"]), {})[
            r["repeat"]] = r
    for (name, count, size), mine in sorted(times.items()):
        if count == 1:
            continue
        step, span = stats.seconds([r["step_s"] for r in mine.values()])
        alone = times.get((name, 1, size), {})
        both = sorted(mine.keys() & alone.keys())
        ratio = stats.ratio(*([[some[n]["step_s"] for n in both]
                               for some in (alone, mine)])) if both else None
        share = np.median([r["step_s"] for r in times[name, 1, size // count].values()])
        numbers = str(fitted[name].numbers)
        wait = np.median([r["all_reduce"][numbers] for r in mine.values()])
        yield (name, size, count, (1e3 * step, None, span and tuple(
            1e3 * end for end in span)), ratio and (ratio[0], None, ratio[1]),
               1e3 * share, 1e3 * wait, 1e3 * (step - share - wait),
               1e3 * fitted[name].step(count, size))


def tables(found):
    """-> {title: Table} of scale.json"""
    made = {"The same computation?": Table(
        ["framework", "processes", "float64, one epoch", "float32, 100 steps"],
        [(name, count, f"{gaps['fp64']:.1e}", f"{gaps['fp32']:.1e}")
         for name, count, gaps in found["proof"]])}
    if runs := found["runs"]:
        made["A step of several processes, a core each"] = Table(
            ["framework", "batch", "processes", "step, ms", "times as fast as one",
             "computing, ms", "all-reduce, ms", "the rest, ms", "model, ms"],
            list(measured(runs)))
        made["On paper: the batch from which so many devices pay"] = Table(
            ["framework", "width", *(f"{n:,} devices" for n in PAPER)],
            [(name, width, *(f"{one.pays(n, width):,}" for n in PAPER))
             for name, one in models(runs).items() for width in WIDTHS])
    return made


def draw(runs, path):
    """Left: where a step's time goes; right: on paper, times as fast as one."""
    os.environ["MPLBACKEND"] = "agg"
    from bench.report.figures import style
    figure, (left, right) = style.plt.subplots(1, 2, figsize=(11, 4.2))
    rows = list(measured(runs))
    for n, (*_, share, wait, rest, _) in enumerate(rows):
        low = 0
        for value, label, color in ((share, "computing", "C0"),
                                    (wait, "all-reduce", "C1"),
                                    (max(0, rest), "the rest", "C7")):
            left.barh(n, value, left=low, color=color, label=label if n == 0 else None)
            low += value
    left.set_yticks(range(len(rows)), [f"{name}, batch {size}, {count} processes"
                                       for name, size, count, *_ in rows], fontsize=7)
    left.set(xlabel="milliseconds of a step", xscale="linear")
    left.legend()
    devices = 2 ** np.arange(11)
    for (name, one), line in zip(models(runs).items(), ("-", "--")):
        for n, (size, width) in enumerate(((64, 256), (1024, 256), (65536, 256),
                                           (1024, 4096))):
            some = devices[devices <= size]  # a sample for each, at least
            right.plot(some, [one.step(1, size, width) / one.step(d, size, width)
                              for d in some], line, color=f"C{n}",
                       label=f"{name}, batch {size:,}, width {width:,}")
    right.plot(devices, devices, color="0.8", lw=1)
    right.set(xscale="log", yscale="log", xlabel="devices, on paper",
              ylabel="times as fast as one")
    right.legend(fontsize=6)
    figure.savefig(path, dpi=120)


def main():
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_dir():
        raise Fault(USAGE, "argument FOLDER: the folder that make scale has filled")
    folder = Path(sys.argv[1])
    found = files.read_json(folder / "scale.json")
    if found.get("schema") != files.SCHEMA or not found.get("proof"):
        raise Fault(ENVIRONMENT, f"{str(folder)!r}: no scale.json there. Run make "
                                 "scale")
    made = tables(found)
    blocks = [block for pair in made.items() for block in pair]
    print(as_terminal(blocks))
    files.write_atomic(folder / "scale.md", as_markdown(blocks) + "\n")
    files.write_atomic(folder / "scale.tex", "\n".join(map(as_latex, made.values())))
    if found["runs"]:
        draw(found["runs"], folder / "scale.png")
    return cli.OK


if __name__ == "__main__":
    cli.guard(main, "scale.py")
