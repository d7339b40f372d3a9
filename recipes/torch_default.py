"""mlp_torch.py as most tutorials start it: nn.Linear's own initial weights
(uniform, bounded by 1 / sqrt(fan-in), biases too) in place of He's."""

import torch

import data
import mlp_torch
from mlp_torch import *  # noqa: F403  all the rest is as it is there


def init_params(seed, sizes):
    """seed, [784, 256, 128, 10] -> the network with its weights drawn"""
    torch.manual_seed(seed)
    return mlp_torch.MLP(sizes)


mlp_torch.init_params = init_params

if __name__ == "__main__":
    data.run(mlp_torch.main)
