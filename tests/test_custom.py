"""docs/custom.md: a loss and a loop of one's own in every library, run: all leave
the same weights. Those whose packages are missing are skipped: make peers."""

import importlib.util
import re
import subprocess
import sys

import pytest
from common import ROOT

TEXT = (ROOT / "docs" / "custom.md").read_text("utf-8")
BLOCKS = {(name, kind): code for name, kind, code in re.findall(
    r"^## (\w+), (\w+)\n\n```python\n(.*?)^```", TEXT, re.M | re.S)}
TABLE = {name: (loss, loop) for name, loss, loop in re.findall(
    r"^\| (\w+) \| ([\d-]+) \| ([\d-]+) \|$", TEXT, re.M)}
BEGIN = f"""
import sys
sys.path[:0] = {str(ROOT)!r}, {str(ROOT / "peers")!r}
import argparse
import numpy as np
import mlp_numpy
rng, sizes = np.random.default_rng(0), [12, 16, 8, 10]
batches = [(rng.random((32, 12), np.float32), np.eye(10, dtype=np.float32)[
    rng.integers(10, size=32)]) for _ in range(20)]
weights = [(rng.standard_normal((i, o)).astype(np.float32), np.zeros(o, np.float32))
           for i, o in zip(sizes, sizes[1:])]
args = argparse.Namespace(optimizer="sgd", lr=0.1, schedule="constant", dropout=None,
                          hidden=(16, 8), batch_size=32, seed=0, rung="step")
"""
TENSORS = "batches = [tuple(map(torch.from_numpy, one)) for one in batches]"
TORCH = """
def put(model):
    for layer, (w, b) in zip([x for x in model.modules() if hasattr(x, "weight")],
                             weights):
        layer.weight.data, layer.bias.data = (
            torch.from_numpy(w.T.copy()), torch.from_numpy(b.copy()))
    return model
"""
KERAS = """
import keras_{0}, mlp_keras
from mlp_keras import keras, ops, pairs
model = mlp_keras.make_model(sizes, "float32", None)
model.set_weights([a for pair in weights for a in pair])
optimizer = keras.optimizers.SGD(0.1)
"""
FIT = "for x, y in batches: model.train_on_batch(x, y)\n"
JAX = "import jax, jax.numpy as jnp\n"
LIGHTNING = """
import torch, mlp_lightning
from mlp_lightning import MLP, lightning, pairs
mlp_lightning.quiet()
""" + TORCH
TRAINER = """
class Own(Own):
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)
model = put(Own(args, sizes))
lightning.Trainer(max_epochs=1, accelerator="cpu", logger=False,
    enable_checkpointing=False, enable_progress_bar=False,
    enable_model_summary=False).fit(model, torch.utils.data.DataLoader(
        [tuple(map(torch.from_numpy, one)) for one in batches], batch_size=None))
"""
# {library: (package, what stands before its blocks, what after its loss where the
# loop is the library's, what reads its weights)}
LIBRARIES = {
    "jax": ("jax", JAX + "from mlp_jax import forward\nparams = weights\n", None,
            "params"),
    "torch": ("torch", "import torch, mlp_torch\n" + TORCH + """
model = put(mlp_torch.MLP(sizes))
optimizer = torch.optim.SGD(model.parameters(), 0.1)
""" + TENSORS, None,
              "[(x.weight.detach().numpy().T, x.bias.detach()) for x in model.layers]"),
    "numpy": ("numpy", "from mlp_numpy import forward\nmodel = [tuple(a.copy() for a"
              " in pair) for pair in weights]\n", None, "model"),
    **{f"keras_{one}": (one, KERAS.format(one) + f"import {module}\n", FIT,
                        "pairs(model)")
       for one, module in (("tensorflow", "tensorflow as tf"), ("jax", "jax"),
                           ("torch", f"torch\n{TENSORS}"))},
    "flax": ("flax", JAX + """
from mlp_flax import MLP, nnx, optax, pairs
model = MLP(sizes, np.float32, None, nnx.Rngs(0))
for layer, (w, b) in zip(model.layers, weights):
    layer.kernel[...], layer.bias[...] = jnp.asarray(w), jnp.asarray(b)
optimizer = nnx.Optimizer(model, optax.sgd(0.1), wrt=nnx.Param)
""", None, "pairs(model)"),
    "equinox": ("equinox", JAX + """
from mlp_equinox import MLP, eqx, leaves, optax, pairs
model = eqx.tree_at(leaves, MLP(sizes, 0, jax.random.key(0)), [
    jnp.asarray(a) for w, b in weights for a in (w.T, b)])
optimizer = optax.sgd(0.1)
""", None, "pairs(model)"),
    "lightning": ("lightning", LIGHTNING, TRAINER, "pairs(model)")}
END = """
for pair, own in zip(model, found):
    for right, one in zip(pair, own):
        np.testing.assert_allclose(np.asarray(one), right, rtol=1e-4, atol=1e-5)
assert abs(model[0][0] - weights[0][0]).max() > 1e-3
"""


def lines(code):
    return str(sum(bool(line.strip()) for line in code.splitlines()))


def block(name, kind):
    """Its code, or that of all backends of Keras."""
    return BLOCKS.get((name, kind)) or BLOCKS.get((name.partition("_")[0], kind), "")


def test_the_lines_are_counted():
    assert TABLE.keys() == {*LIBRARIES, "sklearn"}
    assert TABLE == {name: tuple(lines(code) if (code := block(name, kind)) else "-"
                                 for kind in ("loss", "loop")) for name in TABLE}


def run(package, *code):
    if not importlib.util.find_spec(package) or package == "tensorflow" and (
            not importlib.util.find_spec("keras")):
        pytest.skip(f"{package} is not installed: make peers")
    done = subprocess.run([sys.executable, "-c", "\n".join([BEGIN, *code])],
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("name, kind", [
    (name, kind) for name, (_, _, after, _) in LIBRARIES.items()
    for kind in ("loss", "loop") if kind == "loop" or after])
def test_all_leave_the_weights_of_numpy(name, kind):
    package, before, after, read = LIBRARIES[name]
    if name.startswith("keras") and not importlib.util.find_spec("keras"):
        pytest.skip("keras is not installed: make peers")
    code = block(name, "loss")
    if kind == "loop":
        code += block(name, "loop")
    if kind == "loss" or name == "lightning":
        code += after
    run(package, "host = batches", before, code, f"found = {read}", "batches = host",
        LIBRARIES["numpy"][1], block("numpy", "loss"),
        block("numpy", "loop"), END)


def test_scikit_learn_is_called_batch_by_batch():
    run("sklearn", "import mlp_sklearn\nmodel = mlp_sklearn.make(args, 12, 10, "
        "np.float32)\nmlp_sklearn.restart(model, weights)\n", BLOCKS["sklearn", "loop"],
        "found, model = model, [tuple(a.copy() for a in pair) for pair in weights]\n"
        "mlp_numpy.train_epoch(mlp_numpy.sgd, (model, model, 0), *map(np.concatenate, "
        "zip(*batches)), np.arange(640).reshape(20, 32), [np.float32(0.1)] * 20)\n"
        "found = mlp_sklearn.pairs(found)", END)
