"""The four networks against torchvision's own, which no one here wrote. No other
test needs that package: pip install --no-deps torchvision==0.28.0"""

import importlib.util
import sys

import jax
import numpy as np
import pytest
import torch
from common import ROOT
from torch import nn

VISION = ROOT / "vision"
SIZE, BATCH = 64, 2
NETWORKS = ("mobilenet_v3_small", "efficientnet_b0", "resnet50", "vit_b_16")


@pytest.fixture(scope="module")
def models():
    """torchvision.models. What it compiled does not load beside another build of
    PyTorch, and then it stops at two operators that no network here calls."""
    if importlib.util.find_spec("torchvision") is None:
        pytest.skip("pip install --no-deps torchvision==0.28.0")
    try:
        return importlib.import_module("torchvision.models")
    except RuntimeError:
        library = torch.library.Library("torchvision", "FRAGMENT")
        library.define("nms(Tensor dets, Tensor scores, float threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float threshold) -> Tensor")
        for name in [name for name in sys.modules if name.startswith("torchvision")]:
            del sys.modules[name]
        return importlib.import_module("torchvision.models")


@pytest.fixture(scope="module")
def certify():
    """vision/certify.py as a module, with JAX in float64 for as long."""
    sys.path.insert(0, str(VISION))
    jax.config.update("jax_enable_x64", True)
    yield importlib.import_module("certify")
    jax.config.update("jax_enable_x64", False)
    sys.path.remove(str(VISION))


class Exact(nn.Module):
    """Hardsigmoid, whose gradient PyTorch has in float32 only (vision_torch.exact)."""

    def forward(self, x):
        return nn.functional.relu6(x + 3) / 6


def theirs(models, network, pair, drops):
    """-> torchvision's network with the weights of the pair and its masks."""
    more = {"image_size": SIZE} if network == "vit_b_16" else {}
    model = getattr(models, network)(weights=None, **more).double()
    model.load_state_dict({name: torch.from_numpy(a)
                           for name, a in pair.arrays.items()})
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.Hardsigmoid):
                setattr(module, name, Exact())
    for name, drop in drops.items():
        inside = hasattr(model.get_submodule(name), "stochastic_depth")
        model.set_submodule(name + ".stochastic_depth" * inside, drop)
    left = [name for name, module in model.named_modules() if type(module).__name__ in (
        "Dropout", "StochasticDepth") and module.p]
    # A block whose shapes differ skips nothing: its rate is never used.
    assert all(not model.get_submodule(name.removesuffix(".stochastic_depth")
                                       ).use_res_connect for name in left), left
    return model


@pytest.mark.parametrize("network", NETWORKS)
def test_both_programs_are_torchvisions_network(models, certify, network):
    pair = certify.Pair(network, SIZE, BATCH, np.float64)
    model = theirs(models, network, pair, certify.vision_torch.drops(pair.model))
    x, y = torch.from_numpy(pair.x), torch.from_numpy(pair.y)
    for train in (False, True):
        logits = model.train(train)(x)
        one = {"logits": logits.detach().numpy()}
        two, (three, grads, _) = pair.torch_pass(train), pair.jax_pass(train)
        for here in (two, three):
            certify.compare("", one, {"logits": here["logits"]}, 1e-10)
    nn.functional.cross_entropy(logits, y).backward()
    one = {name: a.grad.numpy() for name, a in model.named_parameters()}
    certify.compare("the gradient", one, pair.gradients(), 1e-10)
    certify.compare("the gradient", one, grads, 1e-10)


def test_another_weight_is_another_network(models, certify):
    """The comparison above can fail."""
    pair = certify.Pair("mobilenet_v3_small", SIZE, BATCH, np.float64)
    model = theirs(models, "mobilenet_v3_small", pair,
                   certify.vision_torch.drops(pair.model)).eval()
    with torch.no_grad():
        model.features[0][1].eps = 1e-5
        logits = model(torch.from_numpy(pair.x)).numpy()
    with pytest.raises(certify.Differs, match="logits"):
        certify.compare("", {"logits": logits}, {
            "logits": pair.torch_pass(False)["logits"]}, 1e-10)
