"""mlp_torch.py with a compiled step that is traced and differentiated ahead
but not handed to Inductor: its operators are called one by one. What the step
costs more than the compiled one is what fusion and generated code save."""

from functools import partial

import torch

import data
import mlp_torch
from mlp_torch import *  # noqa: F403  all the rest is as it is there

if __name__ == "__main__":
    torch.compile = partial(torch.compile, backend="aot_eager")
    data.run(mlp_torch.main)
