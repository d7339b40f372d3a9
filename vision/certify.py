"""Do the two programs compute the same?

    python vision/certify.py
    python vision/certify.py --network vit_b_16 --size 64

In float64, from the same random weights, on the same random images and masks,
in this order: names and shapes of all weights; answering, the output of every
layer and the logits; training, the same, then every gradient, and weights and
running statistics after one step of SGD and after ten. The first tensor that
differs is named. Then logits and gradients in float32.
"""

import argparse
import contextlib
import sys
import time

import jax
import numpy as np
import torch
import vision_jax
import vision_torch

ONE = 1e-10       # float64: a forward pass, a gradient, a step
SINGLE = 1e-4     # float32: logits, gradients,
OWN = 3           # or times what float32 costs PyTorch itself: JAX rounds, too
TEN = 30          # after ten steps: times what another order of the images makes,
MOST = 1e-6       # and no more than this: beyond it nothing would be compared
# Of a step of SGD: it moves no weight by more than this share of its largest value.
# One step at a rate of 0.01 moves ResNet-50's first kernel, at these weights and two
# images, by four times its size, and what follows is nothing but rounding.
SHARE = 1e-3
LAYERS = ("conv", "linear", "batch_norm", "layer_norm")
MODULES = (torch.nn.Conv2d, torch.nn.Linear, torch.nn.BatchNorm2d,
           torch.nn.LayerNorm)


class Differs(Exception):
    """Which tensor, where, and by how much."""


def compare(stage, one, two, bound):
    """{name: array} of PyTorch and of JAX, in the order of the network -> the
    largest difference. Relative to the largest value of a tensor, or to a
    thousandth of the largest of all: a gradient that is 0 by arithmetic (of a
    shift before BatchNorm) is what rounding left. Raises Differs."""
    least, worst = 1e-3 * max(abs(a).max() for a in one.values()), 0.0
    for name, a in one.items():
        if name not in two or two[name].shape != a.shape:
            raise Differs(f"{name}: {stage}: PyTorch has {a.shape}, JAX "
                          f"{two[name].shape if name in two else 'nothing'}")
        found = abs(a - two[name]).max() / max(least, abs(a).max())
        if not found <= bound:
            raise Differs(f"{name}: {stage} differs by {found:.1e}, more than "
                          f"{bound:.0e}")
        worst = max(worst, found)
    if more := two.keys() - one.keys():
        raise Differs(f"{min(more)}: {stage}: PyTorch has nothing")
    return worst


class Pair:
    """One network in both programs, with the same weights; turned: its images
    stand in the other order, which changes nothing but rounding."""

    def __init__(self, network, size, batch, dtype, turned=False):
        self.network, rng = network, np.random.default_rng(0)
        vision_jax.SIZE = vision_torch.SIZE = size
        self.model = vision_torch.initial(network, 0)
        self.arrays = {}
        for name, a in self.model.state_dict().items():
            a = a.numpy().astype(dtype if a.is_floating_point() else np.int64)
            end = name.rpartition(".")[2]
            if a.ndim == 1:  # nothing of a layer is to be 0 or 1
                a = a + rng.normal(0, 0.1, a.shape).astype(dtype)
                a = abs(a) if end == "running_var" else a
            self.arrays[name] = a
        self.model = vision_torch.put(
            self.model.to(torch.from_numpy(np.zeros(0, dtype)).dtype),
            self.arrays)
        vision_torch.exact(self.model)
        self.weights = vision_jax.from_torch(self.arrays)
        shapes, masks = vision_jax.shapes(network)
        self.asked = vision_jax.to_torch(
            {name: np.ones(shape) for name, shape in shapes.items()})
        self.x = rng.normal(size=(batch, 3, size, size)).astype(dtype)
        self.y = np.eye(1000, dtype=dtype)[rng.integers(1000, size=batch)]
        self.masks = {
            name: ((rng.random((batch, *shape)) >= rate) / (1 - rate)).astype(dtype)
            for name, (rate, shape) in masks.items()}
        if turned:
            self.x, self.y = self.x[::-1].copy(), self.y[::-1].copy()
            self.masks = {name: a[::-1].copy() for name, a in self.masks.items()}
        for name, module in vision_torch.drops(self.model).items():
            module.mask = torch.from_numpy(self.masks[name])

    def torch_pass(self, train):
        """-> {layer: its output, "logits"} of PyTorch, after which gradients
        lie in the model when it trains."""
        seen, hooks = {}, []
        for name, module in self.model.named_modules():
            if isinstance(module, MODULES):
                hooks.append(module.register_forward_hook(
                    lambda _, __, y, name=name: seen.update({name: y})))
        self.model.train(train)
        logits = self.model(torch.from_numpy(self.x))
        if train:
            torch.nn.functional.cross_entropy(
                logits, torch.from_numpy(self.y)).backward()
        for hook in hooks:
            hook.remove()
        return {name: flat(a.detach().numpy())
                for name, a in {**seen, "logits": logits}.items()}

    def gradients(self):
        """{name: gradient} of PyTorch's last pass."""
        return {name: a.grad.numpy()
                for name, a in self.model.named_parameters()}

    def jax_pass(self, train):
        """-> the same of JAX, {name: gradient}, {name: new statistics}"""
        def run(weights, x, y, masks):
            if not train:
                logits, new = vision_jax.forward(self.network, weights, x)
                return logits, {}, new
            return vision_jax.gradients(self.network, weights, x, y, masks)[1:]
        with noting():
            logits, grads, new = jax.jit(run)(
                self.weights, self.x.transpose(0, 2, 3, 1), self.y, self.masks)
        seen = {**new.pop("seen"), "logits": logits}
        return ({name: flat(np.asarray(a), True) for name, a in seen.items()},
                vision_jax.to_torch(grads), vision_jax.to_torch(new))

    def rate(self, grads):
        """-> that of SGD: see SHARE"""
        return SHARE * min(abs(self.arrays[name]).max() / abs(a).max()
                           for name, a in grads.items()
                           if a.any() and self.arrays[name].any())

    def torch_steps(self, count, lr):
        """-> {name: array} after so many more steps of SGD in PyTorch"""
        optimizer = torch.optim.SGD(self.model.parameters(), lr)
        self.model.train()
        for _ in range(count):
            vision_torch.train_step(self.model, optimizer, torch.from_numpy(
                self.x), torch.from_numpy(self.y))
        return {name: a.numpy().copy()
                for name, a in self.model.state_dict().items()}

    def jax_steps(self, count, lr):
        """-> the same in JAX"""
        x = self.x.transpose(0, 2, 3, 1)
        for _ in range(count):
            self.weights, _ = vision_jax.train_step(
                self.network, self.weights, x, self.y, self.masks, lr)
        return vision_jax.to_torch(self.weights)


@contextlib.contextmanager
def noting():
    """Meanwhile the new statistics that vision_jax.forward returns have with
    them, as "seen", the output of every layer."""
    kept = {name: getattr(vision_jax, name) for name in (*LAYERS, "forward")}
    seen = {}

    def noted(layer):
        def call(net, name, *rest, **more):
            seen[name] = layer(net, name, *rest, **more)
            return seen[name]
        return call

    def forward(*arguments):
        logits, new = kept["forward"](*arguments)
        return logits, {**new, "seen": dict(seen)}

    for name in LAYERS:
        setattr(vision_jax, name, noted(kept[name]))
    vision_jax.forward = forward
    try:
        yield
    finally:
        for name, function in kept.items():
            setattr(vision_jax, name, function)


def flat(a, last=False):
    """(B, C, H, W) or, with the channels last, (B, H, W, C) -> (B, H W, C);
    what has no pixels stays as it is."""
    if a.ndim == 4:
        a = a if last else a.transpose(0, 2, 3, 1)
        a = a.reshape(len(a), -1, a.shape[-1])
    return a


def certify(network, size, batch):
    """-> {stage: largest difference}. Raises Differs."""
    pair, found = Pair(network, size, batch, np.float64), {}
    compare("the weight", {name: np.ones(a.shape) for name, a in
                           pair.arrays.items()}, pair.asked, 0)
    found["answering"] = compare(
        "the output, answering", pair.torch_pass(False), pair.jax_pass(False)[0], ONE)
    one, (two, grads, _) = pair.torch_pass(True), pair.jax_pass(True)
    found["training"] = compare("the output, training", one, two, ONE)
    exact = {name: a.copy() for name, a in pair.gradients().items()}
    found["gradients"] = compare("the gradient", exact, grads, ONE)
    vision_torch.put(pair.model, pair.arrays)  # as before that pass
    lr = pair.rate(exact)
    found["one step"] = compare("after one step, the value", pair.torch_steps(1, lr),
                                pair.jax_steps(1, lr), ONE)
    # Ten steps make rounding larger, by how much depends on the network.
    one, turned = pair.torch_steps(9, lr), Pair(network, size, batch, np.float64, True)
    found["allowed"] = min(MOST, max(ONE, TEN * compare(
        "in another order, the value", one, turned.torch_steps(10, lr), np.inf)))
    found["ten steps"] = compare("after ten steps, the value", one,
                                 pair.jax_steps(9, lr), found["allowed"])
    pair = Pair(network, size, batch, np.float32)
    one, (two, grads, _) = pair.torch_pass(True), pair.jax_pass(True)
    bound = max(SINGLE, OWN * compare("in float32, the gradient", exact,
                                      pair.gradients(), np.inf))
    found["float32"] = max(
        compare("in float32, the value", *({"logits": seen["logits"]}
                                           for seen in (one, two)), bound),
        compare("in float32, the gradient", pair.gradients(), grads, bound))
    found["allowed in float32"] = bound
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--network", nargs="+", choices=vision_torch.NETWORKS,
                        default=list(vision_torch.NETWORKS), metavar="NAME")
    parser.add_argument("--size", type=int, default=224, help="of an image (224)")
    parser.add_argument("--batch-size", type=int, default=2, help="(2)")
    args = parser.parse_args()
    if args.size < 32 or args.size % 16 or args.batch_size < 2:
        parser.error("--size is a multiple of 16 from 32 on, as ViT's patches are "
                     "16 wide; --batch-size at least 2, for BatchNorm's variance")
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_default_matmul_precision", "highest")
    failed = False
    for network in args.network:
        start = time.monotonic()
        try:
            found = certify(network, args.size, args.batch_size)
            words = ", ".join(f"{stage} {value:.1e}" for stage, value in found.items())
        except Differs as error:
            failed, words = True, f"NOT PROVED: {error}"
        print(f"{network}: {words} ({time.monotonic() - start:.0f} s)", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
