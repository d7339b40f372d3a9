"""Four vision networks in JAX, by hand: functions over a dict of arrays.

ResNet-50 (He and others 2015, https://arxiv.org/abs/1512.03385, with the
stride in the 3x3 convolution), ViT-B/16 (Dosovitskiy and others 2020,
https://arxiv.org/abs/2010.11929), MobileNetV3-Small (Howard and others 2019,
https://arxiv.org/abs/1905.02244) and EfficientNet-B0 (Tan and Le 2019,
https://arxiv.org/abs/1905.11946), as torchvision builds them: its names, its
shapes, its numbers. vision_torch.py is the same in PyTorch, section by
section; read the two side by side.

An array of images is (B, height, width, channels), NHWC, and the kernel of a
convolution (height, width, in, out), HWIO, as in most programs in JAX; XLA
may compute in another layout and turn them by itself. from_torch() and
to_torch() turn weights from PyTorch's layout and back, so that both programs
can have the same.
"""

# ---------------------------------------------------------------- 1. Setup
import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

# ---------------------------------------------------------------- 2. Sizes
# What is the same for both programs, as the papers' tables have it.

SIZE = 224  # of an image, in pixels

# ResNet-50: (blocks, channels inside, stride of the first) of each layer; a
# block gives out four times the channels that it has inside.
RESNET = [(3, 64, 1), (4, 128, 2), (6, 256, 2), (3, 512, 2)]

# ViT-B/16: side of a patch, width, layers, heads, width inside the MLP.
VIT = 16, 768, 12, 12, 3072

# MobileNetV3-Small, of each block: kernel, channels inside, channels out,
# squeeze-and-excite or not, activation, stride.
MOBILENET = [
    (3, 16, 16, True, "relu", 2), (3, 72, 24, False, "relu", 2),
    (3, 88, 24, False, "relu", 1), (5, 96, 40, True, "hardswish", 2),
    (5, 240, 40, True, "hardswish", 1), (5, 240, 40, True, "hardswish", 1),
    (5, 120, 48, True, "hardswish", 1), (5, 144, 48, True, "hardswish", 1),
    (5, 288, 96, True, "hardswish", 2), (5, 576, 96, True, "hardswish", 1),
    (5, 576, 96, True, "hardswish", 1)]

# EfficientNet-B0, of each stage: blocks, kernel, channels inside as a
# multiple of those that come in, channels out, stride of the first block.
EFFICIENTNET = [(1, 3, 1, 16, 1), (2, 3, 6, 24, 2), (2, 5, 6, 40, 2),
                (3, 3, 6, 80, 2), (3, 5, 6, 112, 1), (4, 5, 6, 192, 2),
                (1, 3, 6, 320, 1)]

DROPOUT = 0.2           # before the last layer of MobileNetV3 and EfficientNet
STOCHASTIC_DEPTH = 0.2  # EfficientNet's blocks: 0, 0.2 / 16, … 0.2 * 15 / 16


# --------------------------------------------------------------- 3. Layers
# A weight is looked up by its name. No array is ever changed: running
# statistics go in with the weights, layers put new ones into Net.new, which
# forward() makes for each pass and returns; masks go in.

class Net(NamedTuple):
    """One pass through a network.

    weights: {name: array}, the parameters and the running statistics. masks:
    None to answer, as model.eval() in PyTorch; a dict to train, {name: array}
    of dropout and stochastic depth, {} where a network has neither. new:
    {name: array}, the new statistics that this pass collects. shapes: None, or
    a dict in which a pass that only looks notes the shape of every weight;
    `new` then gets those of masks. products: None, or bfloat16: what is
    multiplied, as torch.autocast has it; norms, softmax and loss have the type
    of the weights.
    """

    weights: dict
    masks: dict | None
    new: dict
    shapes: dict | None = None
    products: type | None = None

    def get(self, name, *shape):
        """The array of this name; ValueError without one of this shape."""
        if self.shapes is not None:
            self.shapes[name] = shape
            return jnp.zeros(shape)
        if name not in self.weights or self.weights[name].shape != shape:
            raise ValueError(f"{name}: {shape} is wanted: these are not the "
                             "weights of this network")
        return self.weights[name]

    def cast(self, *factors):
        """What is multiplied, in the type for it."""
        return [a.astype(self.products or a.dtype) for a in factors]


def conv(net, name, x, out, kernel, stride=1, groups=1, bias=False):
    """x (B, H, W, C) -> (B, H / stride, W / stride, out)"""
    w = net.get(f"{name}.weight", kernel, kernel, x.shape[-1] // groups, out)
    # Symmetric padding, as PyTorch pads. padding="SAME" would be another
    # network: at stride 2 it pads one row less, at the top and the left.
    # Patches that do not overlap have none.
    pad = kernel // 2 if stride < kernel else 0
    x = lax.conv_general_dilated(
        *net.cast(x, w), (stride, stride), [(pad, pad)] * 2,
        feature_group_count=groups, dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return x + net.cast(net.get(f"{name}.bias", out))[0] if bias else x


def linear(net, name, x, out):
    """x (…, in) -> (…, out)"""
    w = net.get(f"{name}.weight", x.shape[-1], out)
    x, w, b = net.cast(x, w, net.get(f"{name}.bias", out))
    return x @ w + b


def batch_norm(net, name, x, eps=1e-5, momentum=0.1):
    """Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167. To answer, it
    takes the running statistics; to train, those of the batch, and running =
    (1 - momentum) * running + momentum * batch. So momentum is the share of
    the new value, as in PyTorch; that of Flax and Keras is the share of the
    old one, 0.9 where it is 0.1 here."""
    scale, shift, mean, var = (
        net.get(f"{name}.{end}", x.shape[-1])
        for end in ("weight", "bias", "running_mean", "running_var"))
    count = net.get(f"{name}.num_batches_tracked")
    given, x = x.dtype, x.astype(scale.dtype)
    if net.masks is not None:
        # The n = B x H x W values of a channel in this batch are normalised
        # by their own variance, sum / n (jnp's var; torch.var has n - 1), and
        # the gradient goes through it. The running one estimates that of all
        # images, for which sum / n is too small: hence times n / (n - 1).
        batch_mean, batch_var = x.mean((0, 1, 2)), x.var((0, 1, 2))
        n = x.size // x.shape[-1]
        for end, old, value in (("mean", mean, batch_mean),
                                ("var", var, batch_var * (n / (n - 1)))):
            net.new[f"{name}.running_{end}"] = old + momentum * (value - old)
        net.new[f"{name}.num_batches_tracked"] = count + 1
        mean, var = batch_mean, batch_var
    x = (x - mean) * (lax.rsqrt(var + eps) * scale) + shift
    return x.astype(given)


def layer_norm(net, name, x, eps=1e-6):
    """Ba and others 2016, https://arxiv.org/abs/1607.06450, over the last
    axis. PyTorch's own epsilon is 1e-5; ViT has 1e-6."""
    scale, shift = (net.get(f"{name}.{end}", x.shape[-1])
                    for end in ("weight", "bias"))
    x = x.astype(scale.dtype)
    mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) * lax.rsqrt(var + eps) * scale + shift


def drop(net, name, x, rate, shape):
    """x times a mask of 0 and 1 / (1 - rate), which is handed in: no network
    draws random numbers. Whoever trains draws one for each step, (B, *shape);
    shapes() lists them."""
    if net.shapes is not None and rate:
        net.new[name] = rate, shape
    return x if net.masks is None or not rate else x * net.masks[name]


def hard_sigmoid(x):
    return jnp.clip(x / 6 + 0.5, 0, 1)


def hardswish(x):
    return x * hard_sigmoid(x)


ACTIVATIONS = {"relu": jax.nn.relu, "hardswish": hardswish,
               "silu": jax.nn.silu}


# --------------------------------------------------------------- 4. Blocks

def conv_norm(net, name, x, out, kernel, stride=1, groups=1, act=None,
              **norm):
    """A convolution, its BatchNorm, an activation. To answer, XLA makes one
    kernel of the last two."""
    x = conv(net, f"{name}.0", x, out, kernel, stride, groups)
    x = batch_norm(net, f"{name}.1", x, **norm)
    return ACTIVATIONS[act](x) if act else x


def squeeze_excite(net, name, x, inside, act, gate):
    """Hu and others 2017, https://arxiv.org/abs/1709.01507: one factor for
    each channel of an image, from the means of all."""
    s = x.mean((1, 2), keepdims=True)
    s = ACTIVATIONS[act](conv(net, f"{name}.fc1", s, inside, 1, bias=True))
    return x * gate(conv(net, f"{name}.fc2", s, x.shape[-1], 1, bias=True))


def bottleneck(net, name, x, inside, stride):
    """ResNet-50's block."""
    y, out = x, 4 * inside
    for n, (width, kernel, step) in enumerate(
            ((inside, 1, 1), (inside, 3, stride), (out, 1, 1)), 1):
        y = conv(net, f"{name}.conv{n}", y, width, kernel, step)
        y = batch_norm(net, f"{name}.bn{n}", y)
        y = jax.nn.relu(y) if n < 3 else y
    if x.shape != y.shape:
        x = conv(net, f"{name}.downsample.0", x, out, 1, stride)
        x = batch_norm(net, f"{name}.downsample.1", x)
    return jax.nn.relu(x + y)


def inverted(net, name, x, kernel, inside, out, stride, act, squeeze, gate,
             depth=0, **norm):
    """The block of MobileNetV3 and EfficientNet: wide inside, each channel
    filtered alone, narrow outside. squeeze: channels of its
    squeeze-and-excite, or 0; gate: activation and gate of that; depth: rate at
    which an image skips it."""
    y, parts = x, 0

    def part():
        nonlocal parts
        parts += 1
        return f"{name}.block.{parts - 1}"

    if inside != x.shape[-1]:
        y = conv_norm(net, part(), y, inside, 1, act=act, **norm)
    y = conv_norm(net, part(), y, inside, kernel, stride, inside, act, **norm)
    if squeeze:
        y = squeeze_excite(net, part(), y, squeeze, *gate)
    y = conv_norm(net, part(), y, out, 1, **norm)
    if x.shape != y.shape:
        return y
    return x + drop(net, name, y, depth, (1, 1, 1))


def encoder(net, name, x):
    """A layer of ViT: x (B, tokens, width) -> the same shape. LayerNorm comes
    before attention and before the MLP, not after."""
    _, width, _, heads, wide = VIT
    y = layer_norm(net, f"{name}.ln_1", x)
    w = net.get(f"{name}.self_attention.in_proj_weight", width, 3 * width)
    b = net.get(f"{name}.self_attention.in_proj_bias", 3 * width)
    y, w, b = net.cast(y, w, b)
    q, k, v = ((y @ w + b).reshape(*x.shape[:2], 3, heads, width // heads)
               .transpose(2, 0, 3, 1, 4))  # each (B, heads, tokens, part)
    scores = (q @ k.swapaxes(-1, -2)).astype(x.dtype)
    y, = net.cast(jax.nn.softmax(scores / math.sqrt(width // heads)))
    y = (y @ v).swapaxes(1, 2).reshape(x.shape)
    x = x + linear(net, f"{name}.self_attention.out_proj", y, width)
    y = linear(net, f"{name}.mlp.0", layer_norm(net, f"{name}.ln_2", x), wide)
    # GELU by the error function; jax.nn.gelu's default is its tanh
    # approximation, 5e-4 away.
    y = jax.nn.gelu(y, approximate=False)
    return x + linear(net, f"{name}.mlp.3", y, width)


# ------------------------------------------------------------- 5. Networks
# (net, x (B, 224, 224, 3), classes) -> logits (B, classes)

def resnet50(net, x, classes):
    x = conv(net, "conv1", x, 64, 7, 2)
    x = jax.nn.relu(batch_norm(net, "bn1", x))
    x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 2, 2, 1),
                          ((0, 0), (1, 1), (1, 1), (0, 0)))
    for layer, (blocks, inside, stride) in enumerate(RESNET, 1):
        for n in range(blocks):
            x = bottleneck(net, f"layer{layer}.{n}", x, inside,
                           stride if n == 0 else 1)
    return linear(net, "fc", x.mean((1, 2)), classes)


def vit_b_16(net, x, classes):
    patch, width, layers, _, _ = VIT
    x = conv(net, "conv_proj", x, width, patch, patch, bias=True)
    x = x.reshape(len(x), -1, width)
    first = jnp.broadcast_to(net.get("class_token", 1, 1, width),
                             (len(x), 1, width))
    x = jnp.concatenate([first, x], axis=1)
    x = x + net.get("encoder.pos_embedding", 1, *x.shape[1:])
    for n in range(layers):
        x = encoder(net, f"encoder.layers.encoder_layer_{n}", x)
    x = layer_norm(net, "encoder.ln", x)
    return linear(net, "heads.head", x[:, 0], classes)


def mobilenet_v3_small(net, x, classes):
    norm = {"eps": 1e-3, "momentum": 0.01}
    x = conv_norm(net, "features.0", x, 16, 3, 2, act="hardswish", **norm)
    for n, (kernel, inside, out, excite, act, stride) in enumerate(
            MOBILENET, 1):
        # A quarter, rounded to a multiple of 8, and 8 at least.
        squeeze = max(8, (inside // 4 + 4) // 8 * 8) if excite else 0
        x = inverted(net, f"features.{n}", x, kernel, inside, out, stride, act,
                     squeeze, ("relu", hard_sigmoid), **norm)
    x = conv_norm(net, f"features.{n + 1}", x, 6 * out, 1, act="hardswish",
                  **norm)
    x = hardswish(linear(net, "classifier.0", x.mean((1, 2)), 1024))
    x = drop(net, "classifier.2", x, DROPOUT, (1024,))
    return linear(net, "classifier.3", x, classes)


def efficientnet_b0(net, x, classes):
    x = conv_norm(net, "features.0", x, 32, 3, 2, act="silu")
    blocks, done = sum(row[0] for row in EFFICIENTNET), 0
    for stage, (count, kernel, times, out, stride) in enumerate(
            EFFICIENTNET, 1):
        for n in range(count):
            width = x.shape[-1]
            x = inverted(net, f"features.{stage}.{n}", x, kernel,
                         times * width, out, stride if n == 0 else 1, "silu",
                         max(1, width // 4), ("silu", jax.nn.sigmoid),
                         STOCHASTIC_DEPTH * done / blocks)
            done += 1
    x = conv_norm(net, f"features.{stage + 1}", x, 4 * out, 1, act="silu")
    x = drop(net, "classifier.0", x.mean((1, 2)), DROPOUT, (4 * out,))
    return linear(net, "classifier.1", x, classes)


# {name: (network, name of its last layer)}
NETWORKS = {"resnet50": (resnet50, "fc"),
            "vit_b_16": (vit_b_16, "heads.head"),
            "mobilenet_v3_small": (mobilenet_v3_small, "classifier.3"),
            "efficientnet_b0": (efficientnet_b0, "classifier.1")}


def forward(network, weights, x, masks=None, products=None):
    """-> logits (B, classes), {name: array} of new running statistics. With
    masks it trains; without it answers, and there are none. products: see
    Net."""
    function, head = NETWORKS[network]
    net = Net(weights, masks, {}, products=products)
    bias = weights[f"{head}.bias"]
    return function(net, x, len(bias)).astype(bias.dtype), net.new


# -------------------------------------------------------------- 6. Weights

def shapes(network, classes=1000):
    """-> {name: shape} of all weights, in order; {name: (rate, shape)} of all
    masks. Nothing is computed: the network runs on shapes alone."""
    net = Net({}, None, {}, {})
    jax.eval_shape(lambda x: NETWORKS[network][0](net, x, classes),
                   jnp.zeros((1, SIZE, SIZE, 3)))
    return net.shapes, net.new


def is_statistic(name):
    """True for BatchNorm's running mean, variance and count of batches (which
    nothing here reads: PyTorch has it), False for parameters."""
    return name.rpartition(".")[2].startswith(("running_", "num_batches"))


def initial(network, seed, classes=1000):
    """-> {name: array}. Kernels as He and others 2015,
    https://arxiv.org/abs/1502.01852, by their outputs ("fan out": kernel
    height x width x channels out); matrices by their inputs. NumPy draws:
    JAX would compile once for every shape, half a minute of them."""
    weights, generator = {}, np.random.default_rng(seed)
    for name, shape in shapes(network, classes)[0].items():
        normal = generator.standard_normal(shape, np.float32)
        end = name.rpartition(".")[2]
        if len(shape) == 4:
            # A channel that is filtered alone gives out one. (PyTorch's
            # own start counts all, and differs from network to network.)
            out = shape[3] if shape[2] > 1 else 1
            normal *= math.sqrt(2 / (shape[0] * shape[1] * out))
        elif len(shape) == 2:
            normal /= math.sqrt(shape[0])
        elif end == "pos_embedding":
            normal *= 0.02
        else:
            one = end in ("weight", "running_var")
            normal = np.full(shape, one, np.float32)
        weights[name] = jnp.asarray(normal)
    return weights


def from_torch(arrays):
    """{name: array} as PyTorch keeps them -> as JAX does: OIHW becomes HWIO,
    (out, in) becomes (in, out)."""
    turned = {2: (1, 0), 4: (2, 3, 1, 0)}
    return {name: jnp.asarray(np.transpose(a, turned.get(a.ndim)) if a.ndim in
                              turned else a) for name, a in arrays.items()}


def to_torch(weights):
    """The other way round, in NumPy."""
    turned = {2: (1, 0), 4: (3, 2, 0, 1)}
    return {name: np.transpose(a, turned.get(a.ndim)) if a.ndim in turned
            else np.asarray(a) for name, a in weights.items()}


# ----------------------------------------------------- 7. Loss and one step

def cross_entropy(logits, y):
    """logits, one-hot y (…, B, classes) -> mean loss of a batch (…)"""
    return -(y * jax.nn.log_softmax(logits)).sum(-1).mean(-1)


def gradients(network, weights, x, y, masks, products=None):
    """-> loss, logits, {name: gradient}, {name: new running statistics}. Only
    parameters have gradients; the new statistics come out beside the loss
    (has_aux)."""
    parts = {True: {}, False: {}}
    for name, a in weights.items():
        parts[is_statistic(name)][name] = a

    def loss(params):
        logits, new = forward(network, {**params, **parts[True]}, x, masks,
                              products)
        return cross_entropy(logits, y), (logits, new)

    (value, (logits, new)), grads = jax.value_and_grad(
        loss, has_aux=True)(parts[False])
    return value, logits, grads, new


# Compiled once for each network and type of products (static_argnums), it may
# write the new weights over those given (donate_argnums), which cannot be read
# again: go on with those that it returns.
@partial(jax.jit, static_argnums=(0, 6), donate_argnums=1)
def train_step(network, weights, x, y, masks, lr, products=None):
    """One step of SGD -> weights with the new statistics, which the next step
    is given; [loss, accuracy] before the step"""
    loss, logits, grads, new = gradients(network, weights, x, y, masks,
                                         products)
    right = (logits.argmax(1) == y.argmax(1)).mean(dtype=loss.dtype)
    moved = {name: weights[name] - lr * g for name, g in grads.items()}
    return {**weights, **moved, **new}, jnp.stack([loss, right])
