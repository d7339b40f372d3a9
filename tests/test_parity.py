"""The two scripts compute the same thing, on every rung that runs here."""

import numpy as np
import pytest
from common import DATASET, FOLDER, ROOT, STUB, call, losses, train

from bench.kit import network, weights
from bench.proof import certificate
from bench.run import lesson, plan, record

JAX, TORCH = "mlp_jax.py", "mlp_torch.py"
# As --variants has them; those on a GPU are left out where there is none.
EVERY = [":".join(variant) for variant in plan.every_variant()]


@pytest.fixture(scope="module")
def init(tmp_path_factory):
    path = tmp_path_factory.mktemp("init") / "init.npz"
    done = call(ROOT / JAX, "--epochs", 0, "--save", path, "--dataset", DATASET,
                "--data-dir", FOLDER)
    assert done.returncode == 0, done.stderr
    return path


def worst(first, second):
    assert first.shape == second.shape
    return float(np.max(np.abs(first - second) / np.abs(second)))


def test_real_runs_agree_in_what_they_record(init, tmp_path):
    """Records of runs as they are timed, in float32."""
    flags = ("--optimizer", "sgd", "--examples", 6400, "--epochs", 1,
             "--init", init)
    reference = train(TORCH, tmp_path / "r.json", *flags)
    assert len(losses(reference)) == 100
    for script, rung, feed in ((JAX, "epoch", "device"),
                               (JAX, "step", "host"),
                               (TORCH, "model", "host"),
                               (TORCH, "step", "device")):
        got = train(script, tmp_path / "g.json", "--rung", rung, "--feed",
                    feed, *flags)
        for field in ("init_sha256", "order_sha256", "samples_per_epoch"):
            assert got[field] == reference[field], field
        assert worst(losses(got), losses(reference)) < 1e-5, (script, rung)
        assert got["compilations"] == [1, 0], (script, rung)


@pytest.mark.parametrize("flags, optimizers", [
    (("--only", "audit", "--optimizer", "sgd", "--lr", 0.1, "--seeds", 0,
      "--variants", *EVERY), ["sgd"]),
    pytest.param(("--only", "certify"), ["adam", "sgd"],
                 marks=pytest.mark.slow)], ids=["quick", "make certify"])
def test_every_rung_and_feed_is_certified(tmp_path, flags, optimizers):
    """With 1,280 images, three epochs. The quick way: the certificate of a
    comparison that is never run."""
    done = call(ROOT / "compare.py", *flags, "--dataset", DATASET,
                "--data-dir", FOLDER, "--examples", 1280, "--batch-sizes", 64,
                "--out", tmp_path, timeout=1200)
    # Without runs the comparison itself is no success.
    assert done.returncode == (flags[1] == "audit"), done.stdout + done.stderr
    rows = certificate.load(tmp_path / "certificate.json")["rows"]
    assert {(row["precision"], row["optimizer"]) for row in rows} == {
        (precision, optimizer) for precision in ("fp32", "fp64")
        for optimizer in optimizers}
    for row in rows:
        if "reason" in row:  # no C++ compiler, no NVIDIA GPU
            assert row["contender"] == "torch" and row["unavailable"], row
            continue
        assert row["proved"] and row["steps_bounded"] == (
            20 if (row["precision"], row["optimizer"]) == ("fp32", "adam")
            else 60), row
        # No rounding grows into what a difference in the mathematics makes.
        assert row["precision"] == "fp32" or row["loss"] < 1e-12, row
    assert {row["rung"] for row in rows if row["proved"]} >= {
        "eager", "step", "epoch"}
    # The functions of both were looked at, wherever the data lie.
    assert all(row["logits"] is not None and row["gradient"] is not None
               for row in rows if row["seed"] == 0 and "reason" not in row)


def test_a_program_of_the_kit_and_the_pair_keep_one_record(tmp_path):
    """The same fields, and the same check passes."""
    def fields(value, path=""):
        if isinstance(value, dict):
            return {name for key, inner in value.items()
                    for name in fields(inner, f"{path}.{key}")}
        if isinstance(value, list) and value and isinstance(value[0], dict):
            return fields(value[0], path + "[]")
        return {path}

    found = {}
    for script in (JAX, TORCH, STUB):
        r = train(script, tmp_path / "r.json", "--examples", 640, "--epochs",
                  2, "--optimizer", "sgd", "--rung", "eager",
                  env={"PYTHONPATH": str(ROOT)})
        record.check(r)
        versions = {f".environment.{name}" for name in (
            "jax", "jaxlib", "torch", "cuda")}
        found[script] = fields(r) - versions
    assert found[JAX] == found[TORCH] == found[STUB]
    assert len(found[JAX]) > 50


def test_one_framework_loads_what_the_other_trained(tmp_path):
    import jax
    import torch

    import data
    import mlp_jax
    import mlp_torch

    x, y = data.split(*data.load(DATASET, FOLDER))["test"]
    for script in (JAX, TORCH):
        path = tmp_path / f"{script}.npz"
        got = train(script, tmp_path / "g.json", "--epochs", 1, "--examples",
                    12800, "--save", path)
        pairs = weights.read_weights(path, network.dense([784, 256, 128, 10]))
        args = mlp_torch.parse_flags(["--device", "cpu"])
        model = mlp_torch.init_state(pairs, args)[0]
        with torch.no_grad():
            theirs = model(torch.from_numpy(x)).numpy()
        ours = np.asarray(mlp_jax.forward(pairs, x))
        assert np.abs(ours - theirs).max() < 1e-4 * np.abs(ours).max()
        for logits in (ours, theirs):
            right = (logits.argmax(1) == y.argmax(1)).sum()
            assert abs(right - got["final"]["test_accuracy"] * len(y)) <= 2
    assert jax.devices()


def torch_case(rung, optimizer, precision="fp32"):
    """-> flags of mlp_torch, a state of that rung, 2,000 images, labels."""
    import torch

    import mlp_torch
    args = mlp_torch.parse_flags([
        "--device", "cpu", "--rung", rung, "--optimizer", optimizer,
        "--precision", precision, "--batch-size", "100"])
    rng = np.random.default_rng(0)
    sizes = [784, 256, 128, 10]
    pairs = [((rng.standard_normal(pair) / pair[0]**0.5).astype(args.dtype),
              np.zeros(pair[1], args.dtype))
             for pair in zip(sizes, sizes[1:])]
    images = rng.random((2000, 784)).astype(args.dtype)
    labels = np.eye(10, dtype=args.dtype)[rng.integers(0, 10, 2000)]
    return (args, mlp_torch.init_state(pairs, args),
            *map(torch.from_numpy, (images, labels)))


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_written_out_update_equals_torch_optim(optimizer):
    import torch

    import mlp_torch

    args, state, x, y = torch_case("step", optimizer, "fp64")
    _, eager, *_ = torch_case("eager", optimizer, "fp64")
    lr = torch.tensor(args.lr, dtype=torch.float64)
    for _ in range(20):
        state, pure = mlp_torch.pure_step(
            mlp_torch.UPDATES[optimizer], state, x, y, lr)
        eager, textbook = mlp_torch.train_step(eager[0], eager, x, y, args.lr)
        assert torch.allclose(pure, textbook, rtol=1e-12, atol=0)
    for name, leaf in eager[1].items():
        assert (leaf - state[1][name]).abs().max() < 1e-12, name


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_what_the_cuda_graph_replays_is_the_same_step(optimizer):
    """Two epochs of recipes/torch_graph.py: all but the capture, which needs
    a GPU."""
    from functools import partial

    import torch

    import data
    import mlp_torch
    plain = {name: getattr(mlp_torch, name) for name in (
        "setup", "build", "train_epoch", "RUNGS", "RUNG")}
    try:
        graph = lesson.load_script(ROOT / "recipes" / "torch_graph.py")
    finally:
        for name, value in plain.items():
            setattr(mlp_torch, name, value)
    args, state, images, labels = torch_case("step", optimizer)
    step = partial(mlp_torch.gather_step, partial(
        mlp_torch.pure_step, mlp_torch.UPDATES[optimizer]))
    _, fixed, *_ = torch_case("step", optimizer)
    slots = None
    for epoch in range(2):
        order = data.batch_order(2000, 100, 0, epoch)
        lrs = np.linspace(0.001, 0.01, len(order), dtype=np.float32)
        state, expected = mlp_torch.train_epoch(
            step, args, state, images, labels, order, lrs)
        slots = slots or graph.make_slots(images, order, lrs)
        fixed, metrics = graph.replay(
            partial(graph.slot_step, step, fixed, images, labels, slots),
            slots, fixed, order, lrs)
        assert torch.equal(metrics, torch.stack(expected))
        for old, new in zip(graph.leaves(fixed), graph.leaves(state)):
            assert torch.equal(old, new)


def test_the_graph_says_what_it_needs():
    import os
    for flags, words in ((("--feed", "host"), "--feed: host"),
                         ((), "NVIDIA GPU")):
        if not flags and os.path.exists("/dev/nvidia0"):
            continue
        done = call(ROOT / "recipes" / "torch_graph.py", "--dataset", DATASET,
                    *flags, env={"PYTHONPATH": str(ROOT)})
        assert done.returncode == (2 if flags else 4)
        assert words in done.stderr and done.stderr.count("\n") == 1
