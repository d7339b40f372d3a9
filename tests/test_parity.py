"""The two scripts compute the same thing, on every rung that runs here."""

import numpy as np
import pytest
from common import DATASET, FOLDER, ROOT, call, losses, train

from bench import certificate

JAX, TORCH = "mlp_jax.py", "mlp_torch.py"


@pytest.fixture(scope="module")
def init(tmp_path_factory):
    path = tmp_path_factory.mktemp("init") / "init.npz"
    done = call(ROOT / JAX, "--epochs", 0, "--save", path)
    assert done.returncode == 0, done.stderr
    return path


def worst(first, second):
    assert first.shape == second.shape
    return float(np.max(np.abs(first - second) / np.abs(second)))


def test_real_runs_agree_in_what_they_record(init, tmp_path):
    """Records of runs as they are timed; the certificate has other books."""
    flags = ("--optimizer", "sgd", "--limit", 6400, "--epochs", 1,
             "--init", init)
    reference = train(TORCH, tmp_path / "r.json", *flags)
    assert len(losses(reference)) == 100
    for script, rung, feed in ((JAX, "epoch", "device"),
                               (JAX, "step", "host"),
                               (TORCH, "step", "device")):
        got = train(script, tmp_path / "g.json", "--mode", rung, "--feed",
                    feed, *flags)
        for field in ("init_sha256", "order_sha256", "samples_per_epoch"):
            assert got[field] == reference[field], field
        assert worst(losses(got), losses(reference)) < 1e-5, (script, rung)
        assert got["compilations"] == [1, 0], (script, rung)


def test_every_rung_and_feed_is_certified(tmp_path):
    """`make certify` with 1,280 images: three epochs, both optimizers in
    float64 and SGD in float32. Each function of the pair is in one of these
    points; those left out feed the same functions in another way."""
    done = call(ROOT / "compare.py", "--only", "certify", "--dataset", DATASET,
                "--data-dir", FOLDER, "--limit", 1280, "--batch-sizes", 64,
                "--points", "jax:eager", "jax:step", "jax:epoch",
                "jax:step:host", "torch:eager", "torch:eager:host",
                "torch:step", "--out", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = certificate.load(tmp_path / "certificate.json")["rows"]
    assert {(row["precision"], row["optimizer"]) for row in rows} == {
        ("fp64", "adam"), ("fp64", "sgd"), ("fp32", "sgd")}
    for row in rows:
        if "reason" in row:  # no C++ compiler
            assert row["contender"] == "torch" and row["unavailable"], row
            continue
        assert row["proved"] and row["steps_bounded"] == 60, row
        # No rounding grows into what a difference in the mathematics makes.
        assert row["precision"] == "fp32" or row["loss"] < 1e-12, row
    assert {row["mode"] for row in rows if row["proved"]} >= {
        "eager", "step", "epoch"}


def test_one_framework_loads_what_the_other_trained(tmp_path):
    import jax
    import torch

    import data
    import mlp_jax
    import mlp_torch
    from bench import digits, weights

    sizes = [784, 256, 128, 10]
    arrays = (digits.load() if DATASET == "digits"
              else data.load(f"{FOLDER}/mnist"))
    x, y = data.split(arrays)["test"]
    for script in (JAX, TORCH):
        path = tmp_path / f"{script}.npz"
        got = train(script, tmp_path / "g.json", "--epochs", 1, "--limit", 12800,
                    "--save", path)
        pairs = weights.read_weights(path, sizes)
        model = mlp_torch.load_pairs(mlp_torch.MLP(sizes), pairs)
        with torch.no_grad():
            theirs = model(torch.from_numpy(x)).numpy()
        ours = np.asarray(mlp_jax.forward(pairs, x))
        assert np.abs(ours - theirs).max() < 1e-4 * np.abs(ours).max()
        for logits in (ours, theirs):
            right = (logits.argmax(1) == y.argmax(1)).sum()
            assert abs(right - got["final"]["test_accuracy"] * len(y)) <= 2
    assert jax.devices()


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_written_out_update_equals_torch_optim(optimizer):
    import torch

    import mlp_torch
    from test_mlp import sample, settings, torch_model

    x, y = (torch.from_numpy(a[:64].astype(np.float64)) for a in sample())
    model = torch_model().double()
    rate = settings("step", optimizer).lr
    lr = torch.tensor(rate, dtype=torch.float64)
    state = mlp_torch.init_state(model, settings("step", optimizer))
    eager = mlp_torch.init_state(model, settings("eager", optimizer))
    for _ in range(20):
        state, pure = mlp_torch.pure_step(
            model, mlp_torch.UPDATES[optimizer], state, x, y, lr)
        eager, textbook = mlp_torch.train_step(model, eager, x, y, rate)
        assert torch.allclose(pure, textbook, rtol=1e-12, atol=0)
    for name, leaf in eager[0].items():
        assert (leaf - state[0][name]).abs().max() < 1e-12, name


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_what_the_cuda_graph_replays_is_the_same_step(optimizer):
    """The step on fixed memory, without the capture that needs a GPU."""
    from functools import partial

    import torch

    import data
    import mlp_torch
    from test_mlp import sample, settings, torch_model

    images, labels = (torch.from_numpy(a) for a in sample())
    order = data.batch_order(2000, 100, 0, 0)
    lrs = np.linspace(0.001, 0.01, len(order), dtype=np.float32)
    model, args = torch_model(), settings("step", optimizer)
    step = partial(mlp_torch.gather_step, partial(
        mlp_torch.pure_step, model, mlp_torch.UPDATES[optimizer]))
    state, expected = mlp_torch.train_epoch(
        step, args, mlp_torch.init_state(model, args), images, labels, order,
        lrs)
    fixed = mlp_torch.init_state(model, args)
    slots = mlp_torch.make_slots(images, order, lrs)
    for _ in order:
        mlp_torch.slot_step(step, fixed, images, labels, slots)
    assert torch.equal(slots[3], torch.stack(expected))
    for old, new in zip(mlp_torch.leaves(fixed), mlp_torch.leaves(state)):
        assert torch.equal(old, new)
