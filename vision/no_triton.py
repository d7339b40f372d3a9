"""The same, with XLA told to leave matrix products on a GPU to cuBLAS, and not to try
kernels of its own for them, too: what JAX's users try first where a ViT is slow."""

import os

os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_gpu_enable_triton_gemm=false")

from bench.kit import program  # noqa: E402

with program.importing("jax"):  # XLA reads its flags once, at the import
    import run_jax  # noqa: E402

if __name__ == "__main__":
    program.main(run_jax.train, __file__, "jax", "step", rungs=("step",), vision=True)
