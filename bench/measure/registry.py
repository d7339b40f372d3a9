"""What can be measured beside the runs, in the same blocks.

To add a measure: an entry here, and the function that it names. In a process
of its own that function gets the subjects (see subject.py) and returns {name:
(value, unit, n, method)}; one that takes turns returns the function that does
this in each turn.
"""

from typing import NamedTuple

from bench.run import environment
from bench.run.plan import SCRIPTS, Variant

ANYONE = Variant("", "", "")  # a measurement of the machine, not of a variant


class Measure(NamedTuple):
    """function: "module:name"; wanted(variants of the pair, batch sizes, is
    it the first block?) -> [(variant, batch size)] of a block; batch size 0:
    it covers all that matter; along: a measure that comes with it; turns: it
    takes turns with the runs of its batch size; networks: of the networks of vision/,
    too."""

    function: str
    wanted: object
    along: str = ""
    turns: bool = False
    networks: bool = False


def each_size(variants, batch_sizes, first):
    return [(ANYONE, size) for size in batch_sizes]


def once_a_block(variants, batch_sizes, first):
    return [(ANYONE, 0)]


def each_framework(variants, batch_sizes, first):
    names = {variant.contender for variant in variants}
    return [(Variant(name, "", ""), 0) for name in SCRIPTS if name in names]


def each_where_counted(variants, batch_sizes, first):
    return [(variant, size) for variant in variants for size in batch_sizes
            if environment.accelerators()]


def each_once(variants, batch_sizes, first):
    """A count is the same in every block."""
    return [(variant, batch_sizes[0]) for variant in variants if first]


MEASURES = {
    "floor": Measure("bench.measure.floor:products", each_size, "dispatch",
                     turns=True, networks=True),
    # Once more, as a control.
    "floor-again": Measure("bench.measure.floor:products", each_size,
                           turns=True, networks=True),
    "dispatch": Measure("bench.measure.dispatch:dispatch", once_a_block,
                        networks=True),
    "latency": Measure("bench.measure.latency:latency", each_framework),
    "energy": Measure("bench.measure.energy:energy", each_where_counted,
                      networks=True),
    "operations": Measure("bench.measure.operations:operations", each_once),
}
