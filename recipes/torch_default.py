"""mlp_torch.py as most tutorials start it: nn.Linear's own initial weights
(uniform, bounded by 1 / sqrt(fan-in), biases too) in place of He's."""

import torch

import mlp_torch
from bench import contender
from mlp_torch import *  # noqa: F403  all the rest is as it is there


def init_params(model, seed):
    """model, seed -> the same model, its weights drawn anew"""
    torch.manual_seed(seed)
    for layer in model.layers:
        layer.reset_parameters()
    return model


mlp_torch.init_params = init_params

if __name__ == "__main__":
    contender.main(mlp_torch.train, __file__, "torch", default_mode="eager")
