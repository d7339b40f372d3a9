"""mlp_jax.py with one stage of XLA switched off: fusion, which makes one
kernel of many operations. What a step costs more is what fusion saves."""

import os

os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_disable_hlo_passes="
    "fusion,cpu-instruction-fusion,priority-fusion,multi_output_fusion")

import data  # noqa: E402
import mlp_jax  # noqa: E402  (XLA reads its flags once, at the import)
from mlp_jax import *  # noqa: E402, F403  all the rest is as it is there

if __name__ == "__main__":
    data.run(mlp_jax.main)
