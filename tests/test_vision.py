"""The four networks of vision/: the numbers that are published of them, the
names that torchvision gives, and both programs proved equal."""

import ast
import importlib
import re
import shutil
import sys

import numpy as np
import pytest
from common import ROOT, call

VISION = ROOT / "vision"
CERTIFY = VISION / "certify.py"
# {network: parameters}, https://docs.pytorch.org/vision/stable/models.html
PARAMETERS = {"resnet50": 25_557_032, "vit_b_16": 86_567_656,
              "mobilenet_v3_small": 2_542_856, "efficientnet_b0": 5_288_548}


@pytest.fixture(scope="module")
def programs():
    """The two programs, as modules."""
    sys.path.insert(0, str(VISION))
    yield tuple(importlib.import_module(f"vision_{name}") for name in ("jax", "torch"))
    sys.path.remove(str(VISION))


@pytest.mark.parametrize("network", PARAMETERS)
def test_names_shapes_and_parameters_are_those_of_torchvision(programs, network):
    jax_, torch_ = programs
    here = {name: tuple(a.shape)
            for name, a in torch_.NETWORKS[network](1000).state_dict().items()}
    listed = dict(line.split(" ", 1) for line in (
        ROOT / "tests" / "torchvision" / f"{network}.txt").read_text().splitlines())
    assert {name: str(shape) for name, shape in here.items()} == listed
    assert list(here) == list(listed)
    asked = jax_.to_torch({name: np.zeros(shape) for name, shape in
                           jax_.shapes(network)[0].items()})
    assert {name: a.shape for name, a in asked.items()} == here
    assert PARAMETERS[network] == sum(
        int(np.prod(shape)) for name, shape in here.items()
        if not jax_.is_statistic(name))


def test_the_two_are_one_outline_and_narrow():
    """What is alike is the same text: the sizes of all networks."""
    texts = [(VISION / f"vision_{name}.py").read_text("utf-8")
             for name in ("jax", "torch")]
    parts = [re.split(r"^# -+ (\d\. .*)$", text, flags=re.M) for text in texts]
    assert parts[0][1::2] == parts[1][1::2]
    assert [part[part.index("2. Sizes") + 1] for part in parts][0] == (
        parts[1][parts[1].index("2. Sizes") + 1])
    for text in texts:
        assert len(text.splitlines()) <= 500
        assert max(map(len, text.splitlines())) <= 79


def test_what_is_drawn_has_the_same_spread_in_both(programs):
    import jax
    import torch
    jax_, torch_ = programs
    model = torch_.initial("efficientnet_b0", 0)
    one = {name: a.numpy() for name, a in model.state_dict().items()}
    two = jax_.to_torch(jax_.initial("efficientnet_b0", 0))
    for name, a in one.items():
        assert two[name].shape == a.shape
        assert two[name].std() == pytest.approx(a.std(), rel=6 / a.size**0.5), name
    masks = jax_.draw_masks("efficientnet_b0", jax.random.key(0), 4000)
    torch_.draw_masks(model, torch.Generator().manual_seed(0), 4000)
    for name, module in torch_.drops(model).items():
        for mask in (np.asarray(masks[name]), module.mask.numpy()):
            assert mask.shape == (4000, *module.shape)
            np.testing.assert_allclose(
                np.unique(mask), [0, 1 / (1 - module.rate)], rtol=1e-6)
            assert mask.mean() == pytest.approx(1, abs=0.05)


def multiply_adds(network, jax_):
    """Of one image: of its convolutions and matrix products, counted in the program
    that JAX makes of it."""
    import jax

    shapes = jax_.shapes(network)[0]
    program = jax.make_jaxpr(lambda weights, x: jax_.forward(network, weights, x)[0])(
        {name: jax.ShapeDtypeStruct(shape, "float32") for name, shape in
         shapes.items()}, jax.ShapeDtypeStruct((1, 224, 224, 3), "float32"))

    def count(jaxpr):
        total = 0
        for equation in jaxpr.eqns:
            for inner in equation.params.values():
                inner = getattr(inner, "jaxpr", inner)
                total += count(inner) if hasattr(inner, "eqns") else 0
            one, two = [a.aval.shape for a in equation.invars[:2]] if len(
                equation.invars) > 1 else ((), ())
            out = np.prod(equation.outvars[0].aval.shape)
            if equation.primitive.name == "conv_general_dilated":
                total += out * np.prod(two[:3])
            if equation.primitive.name == "dot_general":
                (axes, _), _ = equation.params["dimension_numbers"]
                total += out * np.prod([one[axis] for axis in axes])
        return int(total)
    return count(program.jaxpr)


# In units of 1e9, as torchvision states them for its weights (_ops).
@pytest.mark.parametrize("network, stated", [
    ("resnet50", 4.089), ("vit_b_16", 17.564), ("mobilenet_v3_small", 0.057),
    ("efficientnet_b0", 0.386)])
def test_multiply_adds_are_those_of_torchvision(programs, network, stated):
    assert round(multiply_adds(network, programs[0]) / 1e9, 3) == stated


def certify(folder, *flags):
    return call(folder / "certify.py", "--size", 32, *flags, timeout=900)


@pytest.mark.slow
@pytest.mark.parametrize("network", PARAMETERS)
def test_both_programs_compute_the_same(network):
    # At 32 pixels ten steps of two images make rounding too large to compare.
    done = certify(VISION, "--network", network, "--size", 64)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.match(rf"{network}: answering \S+e-1\d, training", done.stdout)


MOBILE, EFFICIENT, RESNET, VIT = (
    "mobilenet_v3_small", "efficientnet_b0", "resnet50", "vit_b_16")
# (fault, network, program, text, what stands in its place, what is named first)
FAULTS = [
    ("padding SAME at stride 2", MOBILE, "jax", "[(pad, pad)] * 2", '"SAME"',
     "features.0.0: the output, answering"),
    ("the other meaning of momentum", MOBILE, "jax", "old + momentum * (value - old)",
     "value + momentum * (old - value)",
     "features.0.1.running_mean: after one step"),
    ("BatchNorm's epsilon", RESNET, "jax", "x, eps=1e-5, momentum", "x, eps=1e-3, "
     "momentum", "bn1: the output, answering"),
    ("one axis of a kernel's layout", MOBILE, "jax",
     "turned = {2: (1, 0), 4: (2, 3, 1, 0)}", "turned = {2: (1, 0), 4: (3, 2, 1, 0)}",
     "features.0.0: the output, answering"),
    ("GELU by tanh", VIT, "torch", "nn.GELU()", 'nn.GELU("tanh")',
     "encoder.layers.encoder_layer_0.mlp.3: the output, answering"),
    ("statistics that stay", MOBILE, "jax",
     "return {**weights, **moved, **new}", "return {**weights, **moved}",
     "features.0.1.running_mean: after one step"),
    ("the running variance biased", MOBILE, "jax", "batch_var * (n / (n - 1))",
     "batch_var", "features.0.1.running_var: after one step"),
    ("stochastic depth of the wrong branch", EFFICIENT, "torch",
     "return x + self.drop(y) if", "return self.drop(x) + y if",
     "features.3.0.block.0.0: the output, training"),
    ("LayerNorm's epsilon", VIT, "torch", "def layer_norm(width, eps=1e-6)",
     "def layer_norm(width, eps=1e-5)",
     "encoder.layers.encoder_layer_0.ln_1: the output, answering"),
    ("a soft gate", MOBILE, "torch", '("relu", F.hardsigmoid)',
     '("relu", torch.sigmoid)', "features.1.block.2.0: the output, answering"),
    ("the stride in the first convolution", RESNET, "torch",
     "conv(channels, inside, 1), batch_norm(inside)\n"
     "        self.conv2 = conv(inside, inside, 3, stride)",
     "conv(channels, inside, 1, stride), batch_norm(inside)\n"
     "        self.conv2 = conv(inside, inside, 3)",
     "layer2.0.conv1: the output, answering"),
    ("statistics of the batch, answering", MOBILE, "jax",
     "    if net.masks is not None:\n        batch_mean", "    if net.shapes is None:"
     "\n        batch_mean", "features.0.1: the output, answering"),
    ("scores that are not scaled", VIT, "jax", " / math.sqrt(width // heads)", "",
     "encoder.layers.encoder_layer_0.self_attention.out_proj: the output, answering"),
    ("a decay of the weights", MOBILE, "torch", "    optimizer.step()\n",
     "    optimizer.param_groups[0]['weight_decay'] = 1e-4\n    optimizer.step()\n",
     "features.0.0.weight: after one step"),
    ("no gradient through the batch's mean", RESNET, "jax",
     "mean, var = batch_mean, batch_var", "mean, var = lax.stop_gradient("
     "batch_mean), batch_var", "conv1.weight: the gradient")]


QUICK = ("padding SAME at stride 2", "statistics of the batch, answering")


@pytest.mark.parametrize("fault, network, program, old, new, named", [
    pytest.param(*fault, marks=[pytest.mark.slow] * (fault[0] not in QUICK),
                 id=fault[0]) for fault in FAULTS])
def test_a_planted_fault_is_named_by_the_first_tensor(tmp_path, fault, network,
                                                      program, old, new, named):
    folder = shutil.copytree(VISION, tmp_path / "vision",
                             ignore=shutil.ignore_patterns("__pycache__"))
    path = folder / f"vision_{program}.py"
    text = path.read_text("utf-8")
    assert text.count(old) == 1, old
    path.write_text(text.replace(old, new), "utf-8")
    ast.parse(path.read_text("utf-8"))
    done = certify(folder, "--network", network)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{network}: NOT PROVED: {named}" in done.stdout, done.stdout
