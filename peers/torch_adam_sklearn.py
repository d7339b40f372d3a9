"""mlp_torch.py with the other Adam: what scikit-learn and Keras are certified
against.

Kingma and Ba (2015, arXiv:1412.6980) give two. In Algorithm 1, which PyTorch,
Optax and the pair follow, epsilon is added to the corrected root; in the form
after it ("epsilon hat") to the uncorrected one. An Algorithm 1 whose epsilon is
epsilon hat / sqrt(1 - 0.999**t) at step t is that form.
"""

import itertools

import data
import mlp_torch
from mlp_torch import *  # noqa: F403  all the rest is as it is there

EPSILON_HAT = 1e-8  # scikit-learn's; Keras has 1e-7
SGD_OR_ADAM, STEPS = mlp_torch.train_step, itertools.count(1)


def train_step(forward, state, x, y, lr):
    """The arguments and results of mlp_torch.train_step."""
    state[2].param_groups[0]["eps"] = EPSILON_HAT / math.sqrt(  # noqa: F405
        1 - mlp_torch.BETA2 ** next(STEPS))
    return SGD_OR_ADAM(forward, state, x, y, lr)


mlp_torch.train_step = train_step

if __name__ == "__main__":
    data.run(mlp_torch.main)
