"""What a network multiplies: of each convolution and matrix product its shape."""

import math

import torch
import vision_torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode

CONVOLUTION, *PRODUCTS = (getattr(torch.ops.aten, name) for name in (
    "convolution", "mm", "addmm", "bmm", "baddbmm"))


class Listing(TorchDispatchMode):
    """Notes in `found` what is computed while it is active, however it is written."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        out, kind = operation(*args, **kwargs or {}), operation.overloadpacket
        if kind is CONVOLUTION:
            kernel, groups = args[1], args[8]
            self.found.append((groups, out.numel() // out.shape[1],
                               kernel[0].numel(), len(kernel) // groups))
        elif kind in PRODUCTS:
            one, two = args[-2:]
            self.found.append((math.prod(one.shape[:-2]), *one.shape[-2:],
                               two.shape[-1]))
        return out


def products(network, size, batch_size):
    """[(times, m, k, n), …]: `times` products of (m, k) and (k, n) each, of an answer
    to a batch of images of size x size. A convolution is the product of its patches
    and its kernel, one for each group of channels; in one of single channels n is 1.
    Nothing is computed: shapes are all that there is on the device meta."""
    vision_torch.SIZE, kept = size, vision_torch.SIZE
    try:
        with torch.device("meta"), torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            model = vision_torch.NETWORKS[network](1000).eval()
            with Listing() as listing:
                model(torch.empty(batch_size, 3, size, size))
    finally:
        vision_torch.SIZE = kept
    return listing.found
