"""Four vision networks in PyTorch, by hand: modules with torchvision's names.

ResNet-50 (He and others 2015, https://arxiv.org/abs/1512.03385, with the
stride in the 3x3 convolution), ViT-B/16 (Dosovitskiy and others 2020,
https://arxiv.org/abs/2010.11929), MobileNetV3-Small (Howard and others 2019,
https://arxiv.org/abs/1905.02244) and EfficientNet-B0 (Tan and Le 2019,
https://arxiv.org/abs/1905.11946), as torchvision builds them: its names, its
shapes, its numbers. vision_jax.py is the same in JAX, section by section;
read the two side by side.

An array of images is (B, channels, height, width), NCHW, and the kernel of a
convolution (out, in, height, width), OIHW. In which order they lie in memory
is another question: channels_last keeps these shapes and puts the channels of
a pixel next to each other, as NHWC does.
"""

# ---------------------------------------------------------------- 1. Setup
import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

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
# A module owns its parameters, and BatchNorm its running statistics beside
# them, as buffers: in state_dict(), not in parameters(), so without a gradient
# and out of the optimizer's reach. They stay there from step to step; nothing
# hands them on. Names are the paths to them: the attribute of an attribute,
# the place in a Sequential. model.train() and model.eval() set `training` in
# all modules of a model (a new one trains); BatchNorm and Drop heed it.

class Drop(nn.Module):
    """x times a mask of 0 and 1 / (1 - rate), which is handed in: no network
    draws random numbers. Whoever trains draws one for each step, (B, *shape),
    and sets it: an old one would be used again. drops() lists them."""

    def __init__(self, rate, shape):
        super().__init__()
        self.rate, self.shape, self.mask = rate, shape, None

    def forward(self, x):
        return x * self.mask if self.training and self.rate else x


def conv(channels, out, kernel, stride=1, groups=1, bias=False):
    """(B, C, H, W) -> (B, out, H / stride, W / stride)"""
    # Symmetric padding: half of the kernel on each side. Patches that do not
    # overlap have none.
    pad = kernel // 2 if stride < kernel else 0
    return nn.Conv2d(channels, out, kernel, stride, pad, groups=groups,
                     bias=bias)


def batch_norm(channels, eps=1e-5, momentum=0.1):
    """Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167. In eval() it
    takes the running statistics, which start at 0 and 1; in train() those of
    the batch, and in the same call, in place, running = (1 - momentum) *
    running + momentum * batch. So momentum is the share of the new value;
    that of Flax and Keras is the share of the old one, 0.9 where it is 0.1
    here. The n = B x H x W values of a channel in this batch are normalised by
    their own variance, sum / n, and the gradient goes through it. The running
    one estimates that of all images, for which sum / n is too small: hence
    times n / (n - 1)."""
    return nn.BatchNorm2d(channels, eps, momentum)


def layer_norm(width, eps=1e-6):
    """Ba and others 2016, https://arxiv.org/abs/1607.06450, over the last
    axis. PyTorch's own epsilon is 1e-5; ViT has 1e-6."""
    return nn.LayerNorm(width, eps)


ACTIVATIONS = {"relu": nn.ReLU, "hardswish": nn.Hardswish, "silu": nn.SiLU}


# --------------------------------------------------------------- 4. Blocks

def conv_norm(channels, out, kernel, stride=1, groups=1, act=None, **norm):
    """A convolution, its BatchNorm, an activation. In a compiled
    model that answers, the last two are one kernel."""
    layers = [conv(channels, out, kernel, stride, groups),
              batch_norm(out, **norm)]
    return nn.Sequential(*layers, *([ACTIVATIONS[act]()] if act else []))


class SqueezeExcite(nn.Module):
    """Hu and others 2017, https://arxiv.org/abs/1709.01507: one factor for
    each channel of an image, from the means of all."""

    def __init__(self, channels, inside, act, gate):
        super().__init__()
        self.fc1 = conv(channels, inside, 1, bias=True)
        self.fc2 = conv(inside, channels, 1, bias=True)
        self.act, self.gate = ACTIVATIONS[act](), gate

    def forward(self, x):
        s = x.mean((2, 3), keepdim=True)
        return x * self.gate(self.fc2(self.act(self.fc1(s))))


class Bottleneck(nn.Module):
    """ResNet-50's block."""

    def __init__(self, channels, inside, stride):
        super().__init__()
        out = 4 * inside
        self.conv1, self.bn1 = conv(channels, inside, 1), batch_norm(inside)
        self.conv2 = conv(inside, inside, 3, stride)
        self.bn2 = batch_norm(inside)
        self.conv3, self.bn3 = conv(inside, out, 1), batch_norm(out)
        self.downsample = (conv_norm(channels, out, 1, stride)
                           if channels != out or stride > 1 else None)

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return F.relu(y + (self.downsample(x) if self.downsample else x))


class Inverted(nn.Module):
    """The block of MobileNetV3 and EfficientNet: wide inside, each channel
    filtered alone, narrow outside. squeeze: channels of its
    squeeze-and-excite, or 0; gate: activation and gate of that; depth: rate at
    which an image skips it."""

    def __init__(self, channels, kernel, inside, out, stride, act, squeeze,
                 gate, depth=0, **norm):
        super().__init__()
        layers = []
        if inside != channels:
            layers.append(conv_norm(channels, inside, 1, act=act, **norm))
        layers.append(conv_norm(inside, inside, kernel, stride, inside, act,
                                **norm))
        if squeeze:
            layers.append(SqueezeExcite(inside, squeeze, *gate))
        layers.append(conv_norm(inside, out, 1, **norm))
        self.block = nn.Sequential(*layers)
        self.same = stride == 1 and channels == out
        self.drop = Drop(depth if self.same else 0, (1, 1, 1))

    def forward(self, x):
        y = self.block(x)
        return x + self.drop(y) if self.same else y


class Attention(nn.Module):
    """Its weights have torchvision's names."""

    def __init__(self, width):
        super().__init__()
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * width))
        self.out_proj = nn.Linear(width, width)

    def forward(self, x):
        heads = VIT[3]
        q, k, v = F.linear(x, self.in_proj_weight, self.in_proj_bias).reshape(
            *x.shape[:2], 3, heads, -1).permute(2, 0, 3, 1, 4)
        # Each (B, heads, tokens, part). One fused kernel where there is one:
        # scores divided by the root of the part, softmax, the weighted sum.
        y = F.scaled_dot_product_attention(q, k, v)
        return self.out_proj(y.transpose(1, 2).reshape(x.shape))


class Encoder(nn.Module):
    """A layer of ViT: x (B, tokens, width) -> the same shape. LayerNorm comes
    before attention and before the MLP, not after."""

    def __init__(self):
        super().__init__()
        _, width, _, _, wide = VIT
        self.ln_1 = layer_norm(width)
        self.self_attention = Attention(width)
        self.ln_2 = layer_norm(width)
        # GELU by the error function, PyTorch's default; 1 and 2 of
        # torchvision's MLP have no weights.
        self.mlp = nn.Sequential(nn.Linear(width, wide), nn.GELU(),
                                 nn.Identity(), nn.Linear(wide, width))

    def forward(self, x):
        x = x + self.self_attention(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


# ------------------------------------------------------------- 5. Networks
# x (B, 3, 224, 224) -> logits (B, classes)

class ResNet50(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.conv1, self.bn1 = conv(3, 64, 7, 2), batch_norm(64)
        channels = 64
        for layer, (blocks, inside, stride) in enumerate(RESNET, 1):
            made = []
            for n in range(blocks):
                made.append(Bottleneck(channels, inside,
                                       stride if n == 0 else 1))
                channels = 4 * inside
            setattr(self, f"layer{layer}", nn.Sequential(*made))
        self.fc = nn.Linear(channels, classes)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.max_pool2d(x, 3, 2, 1)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


class ViTB16(nn.Module):
    def __init__(self, classes):
        super().__init__()
        patch, width, layers, _, _ = VIT
        self.class_token = nn.Parameter(torch.empty(1, 1, width))
        self.conv_proj = conv(3, width, patch, patch, bias=True)
        self.encoder = nn.Module()
        self.encoder.pos_embedding = nn.Parameter(
            torch.empty(1, 1 + (SIZE // patch)**2, width))
        self.encoder.layers = nn.Sequential()
        for n in range(layers):
            self.encoder.layers.add_module(f"encoder_layer_{n}", Encoder())
        self.encoder.ln = layer_norm(width)
        self.heads = nn.Module()
        self.heads.head = nn.Linear(width, classes)

    def forward(self, x):
        x = self.conv_proj(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(len(x), -1, -1), x], dim=1)
        x = self.encoder.layers(x + self.encoder.pos_embedding)
        return self.heads.head(self.encoder.ln(x)[:, 0])


class MobileNetV3Small(nn.Module):
    def __init__(self, classes):
        super().__init__()
        norm = {"eps": 1e-3, "momentum": 0.01}
        layers = [conv_norm(3, 16, 3, 2, act="hardswish", **norm)]
        channels = 16
        for kernel, inside, out, excite, act, stride in MOBILENET:
            # A quarter, rounded to a multiple of 8, and 8 at least.
            squeeze = max(8, (inside // 4 + 4) // 8 * 8) if excite else 0
            layers.append(Inverted(channels, kernel, inside, out, stride, act,
                                   squeeze, ("relu", F.hardsigmoid), **norm))
            channels = out
        layers.append(conv_norm(channels, 6 * channels, 1, act="hardswish",
                                **norm))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Linear(6 * channels, 1024), nn.Hardswish(),
            Drop(DROPOUT, (1024,)), nn.Linear(1024, classes))

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


class EfficientNetB0(nn.Module):
    def __init__(self, classes):
        super().__init__()
        layers, channels, done = [conv_norm(3, 32, 3, 2, act="silu")], 32, 0
        blocks = sum(row[0] for row in EFFICIENTNET)
        for count, kernel, times, out, stride in EFFICIENTNET:
            stage = []
            for n in range(count):
                stage.append(Inverted(
                    channels, kernel, times * channels, out,
                    stride if n == 0 else 1, "silu", max(1, channels // 4),
                    ("silu", torch.sigmoid),
                    STOCHASTIC_DEPTH * done / blocks))
                channels, done = out, done + 1
            layers.append(nn.Sequential(*stage))
        layers.append(conv_norm(channels, 4 * channels, 1, act="silu"))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            Drop(DROPOUT, (4 * channels,)), nn.Linear(4 * channels, classes))

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


NETWORKS = {"resnet50": ResNet50, "vit_b_16": ViTB16,
            "mobilenet_v3_small": MobileNetV3Small,
            "efficientnet_b0": EfficientNetB0}


# -------------------------------------------------------------- 6. Weights

def initial(network, seed, classes=1000):
    """-> the network with its weights drawn. Kernels as He and others 2015,
    https://arxiv.org/abs/1502.01852, by their outputs ("fan out": kernel
    height x width x channels out); matrices by their inputs. Running
    statistics are no parameters and stay at 0 and 1."""
    model = NETWORKS[network](classes)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, a in model.named_parameters():
            end = name.rpartition(".")[2]
            if a.ndim == 4:
                # A channel that is filtered alone gives out one. (PyTorch's
                # own start counts all, and differs from network to network.)
                out = len(a) if a.shape[1] > 1 else 1
                a.normal_(0, math.sqrt(2 / (a[0, 0].numel() * out)),
                          generator=generator)
            elif a.ndim == 2:
                a.normal_(0, 1 / math.sqrt(a.shape[1]), generator=generator)
            elif end == "pos_embedding":
                a.normal_(0, 0.02, generator=generator)
            else:
                a.fill_(float(end == "weight"))
    return model


def put(model, arrays):
    """Give it the weights and statistics {name: array} by their names;
    ValueError where one is missing or has another shape. -> model"""
    here = model.state_dict()  # the arrays themselves, no copies
    for name, a in here.items():
        if name not in arrays or arrays[name].shape != a.shape:
            raise ValueError(f"{name}: {tuple(a.shape)} is wanted: these are "
                             "not the weights of this network")
        a.copy_(torch.as_tensor(np.asarray(arrays[name])))
    return model


class Hardswish(nn.Module):
    def forward(self, x):
        return x * F.relu6(x + 3) / 6


def exact(model):
    """For float64, where PyTorch 2.13 takes 1 / 6 as a number of float32, off
    by 3e-8: in F.hardsigmoid's gradient on a processor, in Hardswish on a
    GPU."""
    for module in model.modules():
        if getattr(module, "gate", None) is F.hardsigmoid:
            module.gate = lambda x: F.relu6(x + 3) / 6
        for name, child in module.named_children():
            if isinstance(child, nn.Hardswish):
                setattr(module, name, Hardswish())


def drops(model):
    """-> {name: module} of all that take masks"""
    return {name.removesuffix(".drop"): module
            for name, module in model.named_modules()
            if isinstance(module, Drop) and module.rate}


# ----------------------------------------------------- 7. Loss and one step

def train_step(model, optimizer, x, y):
    """One step of a model in train(), whose masks are set: the forward pass
    overwrites the statistics, backward() adds a gradient to every parameter's,
    and the optimizer, which holds the same parameters, changes those. y:
    one-hot (B, classes) -> [loss, accuracy] before the step"""
    optimizer.zero_grad()
    logits = model(x)
    loss = F.cross_entropy(logits, y)
    loss.backward()
    optimizer.step()
    right = (logits.argmax(1) == y.argmax(1)).to(loss.dtype).mean()
    return torch.stack([loss.detach(), right])
