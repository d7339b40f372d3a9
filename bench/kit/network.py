"""The networks: what follows from their shape alone.

To add one: an entry in NETWORKS, and the function that it names.
"""

import ast
import math
from functools import partial
from typing import NamedTuple

import data
from bench.kit.files import ROOT

SIZE = 224  # of an image of the vision networks, in pixels, unless asked


class Network(NamedTuple):
    """sizes: widths of all layers, of a vision network its inputs and outputs;
    layers: shapes of the arrays of each, as they lie on disk; operations:
    floating-point operations of one example; chain: kernels of a step that cannot
    start at once, each after the other; example: numbers of one example, an image
    and its one-hot label."""

    sizes: list
    layers: list
    operations: int
    chain: int
    example: int

    @property
    def parameters(self):
        """How many numbers are trained."""
        return sum(math.prod(shape) for layer in self.layers for shape in layer)


def dense(sizes):
    """The layers of a perceptron, w (in, out) and b each."""
    return [((i, o), (o,)) for i, o in zip(sizes, sizes[1:])]


def perceptron(config):
    """Operations: a product and a sum per weight forward, as many for its
    gradient, and as many for the gradient that is passed on, which the first
    layer need not make. Chain of L layers: L products forward, the loss, L - 1
    gradients passed back and one of the weights."""
    known = data.DATASETS[config["dataset"]]
    inputs = math.prod(known.shape)
    sizes = [inputs, *config["hidden"], known.classes]
    weights = [i * o for i, o in zip(sizes, sizes[1:])]
    return Network(sizes, dense(sizes), 6 * sum(weights) - 2 * weights[0],
                   2 * len(weights) + 1, inputs + known.classes)


def vision(multiply_adds, config):
    """A network of vision/, whose parameters torchvision lists; multiply_adds: of an
    image of SIZE. Training takes three times what an answer takes, and a chain of
    products twice as long; those of an image of another size are as its pixels."""
    known = data.DATASETS[config["dataset"]]
    path = ROOT / "vision" / "torchvision" / f"{config['network']}.txt"
    size = config.get("size") or SIZE
    shapes = {name: ast.literal_eval(shape) for name, shape in sorted(
        line.split(" ", 1) for line in path.read_text("utf-8").splitlines())
        if "running_" not in name and "num_batches" not in name}
    if (place := "encoder.pos_embedding") in shapes:  # one for each patch, and one
        shapes[place] = 1, 1 + (size // 16)**2, shapes[place][2]
    layers = [(shape,) for shape in shapes.values()]
    times = 1 if config.get("work") == "answer" else 3
    kernels = sum(len(shape) > 1 for shape, in layers)
    return Network([3 * size**2, 1000], layers,
                   round(2 * times * multiply_adds * (size / SIZE)**2),
                   min(2, times) * kernels + 1,
                   math.prod(known.shape) + known.classes)


# Of the vision networks by their multiply-adds, as torchvision states them.
VISION = {"resnet50": 4.089e9, "vit_b_16": 17.564e9,
          "mobilenet_v3_small": 0.057e9, "efficientnet_b0": 0.386e9}
NETWORKS = {"mlp": perceptron,
            **{name: partial(vision, count) for name, count in VISION.items()}}


def of(config):
    """The network of a record's config, or of a comparison's settings."""
    return NETWORKS[config.get("network") or "mlp"](config)


def run_bytes(config, images, batch_size):
    """What a run takes of the memory, roughly: Python and a framework (seen 0.4 to
    1.5 GB with MNIST), all images twice, as they are read and as they are kept, and
    of a large network its weights, in training with gradients, and 100 MB an image of
    a batch, 40 of one that is only answered."""
    known, answered = of(config), config.get("work") == "answer"
    return 2**30 + width(config) * (
        2 * images * known.example + (3 if answered else 8) * known.parameters) + bool(
            config.get("network")) * (4 if answered else 10) * 10**7 * batch_size


def only_timed(config, images):
    """Of a vision network that is tested on so few images that its accuracy says
    nothing."""
    return bool(config.get("network")) and images < 200


def width(config):
    """Bytes of a number."""
    return 8 if config["precision"] == "fp64" else 4
