"""The same, where torch.compile tries several kernels for every product and, on a GPU,
replays a CUDA graph."""

from bench.kit import program

with program.importing("torch"):
    import run_torch

run_torch.MODE = "max-autotune"

if __name__ == "__main__":
    program.main(run_torch.train, __file__, "torch", "model", rungs=("model",),
                 vision=True)
