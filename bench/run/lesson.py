"""The two scripts of the lesson as modules, for the children that look at
them from outside. What may be used of them is in LISTED: the same names with
the same arguments in both (tests/test_lesson.py holds that)."""

import importlib.util
import sys
from pathlib import Path

import numpy as np

LISTED = ("parse_flags", "setup", "init_params", "init_state", "loss_fn",
          "accuracy", "batches", "build", "train_epoch", "evaluate", "fence",
          "to_host", "load_weights", "main")


def load_script(path):
    """The script as a module, without running its main. As when it runs
    itself, what lies beside it can be imported."""
    sys.path.insert(1, str(Path(path).resolve().parent))
    spec = importlib.util.spec_from_file_location(  # it may be called gc.py
        f"contender_{Path(path).stem}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def is_lesson(module):
    """Has it the listed functions, and one of the two frameworks?"""
    return all(hasattr(module, name) for name in LISTED) and (
        hasattr(module, "jax") or hasattr(module, "torch"))


def gradients(module, args, weights, x, y):
    """logits (B, 10) and [gradient of w1, b1, w2, …], w (in, out), in NumPy,
    by autodiff of the framework as a user calls it."""
    params = module.init_state(weights, args)[0]
    if hasattr(module, "torch"):
        x, y = (module.torch.from_numpy(a).to(args.device) for a in (x, y))
        logits = params(x)  # the model
        module.loss_fn(logits, y).backward()
        return logits.detach().cpu().numpy(), [
            leaf.grad.cpu().numpy().T for leaf in params.parameters()]

    def loss(params):
        logits = module.forward(params, x)
        return module.loss_fn(logits, y), logits
    (_, logits), grads = module.jax.value_and_grad(loss, has_aux=True)(params)
    return np.array(logits), [
        np.array(leaf) for leaf in module.jax.tree.leaves(grads)]
