"""The rungs: how much of the work a framework may see at once.

To add one: an entry here, and the script that has it.
"""

from typing import NamedTuple

from bench.kit.files import ROOT

JAX, TORCH = ROOT / "mlp_jax.py", ROOT / "mlp_torch.py"


class Rung(NamedTuple):
    """scripts: {framework: the program of the pair that has it}; ahead: is
    something compiled before the first step; host: can it be fed by the host;
    whole: does it return the losses of an epoch in one array; gpu: does it
    need an NVIDIA GPU; slow: frameworks that take minutes for it, so that it is
    run only where it is asked for; own: is the loop the library's, which draws
    the order of the batches itself and tells no losses of steps; line: its style
    in figures; text: what --help says of it."""

    scripts: dict
    ahead: bool = True
    host: bool = True
    whole: bool = False
    gpu: bool = False
    slow: tuple = ()
    own: bool = False
    line: str = "-"
    text: str = ""


# In the order of the ladder: each hands over more than the one before it.
RUNGS = {
    "eager": Rung({"jax": JAX, "torch": TORCH}, ahead=False,
                  slow=("jax",), line=":",
                  text="Python starts every operation, one by one"),
    "model": Rung({"torch": TORCH}, line="-.", text="the forward pass is compiled"),
    "step": Rung({"jax": JAX, "torch": TORCH}, text="a whole step is compiled"),
    "epoch": Rung({"jax": JAX}, host=False, whole=True, line="--",
                  text="a whole epoch is compiled, its loop included"),
    "graph": Rung({"torch": ROOT / "recipes" / "torch_graph.py"}, host=False,
                  whole=True, gpu=True, line="--",
                  text="a step is recorded once on the GPU and replayed"),
    # As the library's documentation trains; nothing of the pair has it.
    "fit": Rung({}, ahead=False, host=False, own=True, line="-.",
                text="the library's own loop, as its documentation trains"),
}
