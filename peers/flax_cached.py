"""mlp_flax.py, with the modules taken apart once and not at every step:
nnx.cached_partial, as Flax' guide to performance has it."""

import mlp_flax
from flax import nnx

from bench.kit import program

step, kept = mlp_flax.train_step, []


def train_step(model, optimizer, batch):
    """As mlp_flax.train_step."""
    if not kept or kept[0] is not model:
        kept[:] = model, nnx.cached_partial(step, model, optimizer)
    return kept[1](batch)


mlp_flax.train_step = train_step

if __name__ == "__main__":
    program.main(mlp_flax.train, __file__, "flax", "step", rungs=("step",),
                 dropout=True)
