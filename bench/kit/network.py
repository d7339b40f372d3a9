"""The networks: what follows from their shape alone.

To add one: an entry in NETWORKS, and the function that it names.
"""

import math
from typing import NamedTuple

import data


class Network(NamedTuple):
    """sizes: widths of all layers; parameters: numbers that are trained;
    operations: floating-point operations of one training example; chain:
    kernels of a step that cannot start at once, each after the other;
    example: numbers of one example, an image and its one-hot label."""

    sizes: list
    parameters: int
    operations: int
    chain: int
    example: int


def perceptron(config):
    """Operations: a product and a sum per weight forward, as many for its
    gradient, and as many for the gradient that is passed on, which the first
    layer need not make. Chain of L layers: L products forward, the loss, L - 1
    gradients passed back and one of the weights."""
    known = data.DATASETS[config["dataset"]]
    inputs = math.prod(known.shape)
    sizes = [inputs, *config["hidden"], known.classes]
    weights = [i * o for i, o in zip(sizes, sizes[1:])]
    return Network(sizes, sum(weights) + sum(sizes[1:]),
                   6 * sum(weights) - 2 * weights[0], 2 * len(weights) + 1,
                   inputs + known.classes)


NETWORKS = {"mlp": perceptron}


def of(config):
    """The network of a record's config, or of a comparison's settings."""
    return NETWORKS[config.get("network", "mlp")](config)


def host_bytes(config, images):
    """What a run takes of the memory, roughly: Python and a framework (seen 0.4 to
    1.5 GB with MNIST), and all images twice, as they are read and as they are kept.
    """
    return 2**30 + 2 * width(config) * images * of(config).example


def width(config):
    """Bytes of a number."""
    return 8 if config["precision"] == "fp64" else 4
