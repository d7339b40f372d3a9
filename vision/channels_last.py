"""The same with the channels of a pixel next to each other in memory, as JAX has
them: what tensor cores want in TF32 and bfloat16, and often oneDNN."""

from bench.kit import program

with program.importing("torch"):
    import run_torch
    import torch

run_torch.LAYOUT = torch.channels_last

if __name__ == "__main__":
    program.main(run_torch.train, __file__, "torch", "eager",
                 rungs=("eager", "model"), vision=True)
