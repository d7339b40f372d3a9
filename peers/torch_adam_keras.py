"""torch_adam_sklearn.py with the epsilon of Keras."""

import torch_adam_sklearn

import data
import mlp_torch
from mlp_torch import *  # noqa: F403  all the rest is as it is there

torch_adam_sklearn.EPSILON_HAT = 1e-7

if __name__ == "__main__":
    data.run(mlp_torch.main)
