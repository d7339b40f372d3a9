"""mlp_jax.py with one stage of XLA switched off: fusion, which makes one
kernel of many operations. What a step costs more is what fusion saves."""

import os

os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_disable_hlo_passes="
    "fusion,cpu-instruction-fusion,priority-fusion,multi_output_fusion")

import mlp_jax  # noqa: E402  (XLA reads its flags once, at the import)
from bench import contender  # noqa: E402
from mlp_jax import *  # noqa: E402, F403  all the rest is as it is there

if __name__ == "__main__":
    contender.main(mlp_jax.train, __file__, "jax", default_mode="step")
