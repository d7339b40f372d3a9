#!/usr/bin/env python3
"""Quick checks of data.py, mlp_jax.py and mlp_torch.py, in half a minute.

    python test_mlp.py

No data file, network, compiler or test framework is needed: the pictures are
made here, and torch.compile is replaced by a function that changes nothing,
so the rungs `model` and `step` of PyTorch run as plain Python.
"""

import contextlib
import gzip
import hashlib
import io
import json
import struct
import sys
import tempfile
import traceback
from functools import cache
from pathlib import Path
from unittest import mock

import jax
import numpy as np
import torch

import data
import mlp_jax
import mlp_torch

SIZES = [784, 256, 128, 10]


@cache
def pictures():
    """2,000 noisy pictures of 10 patterns, uint8 (2000, 28, 28), labels"""
    rng = np.random.default_rng(0)
    patterns = rng.random((10, 784)) < 0.15
    labels = rng.integers(10, size=2000).astype(np.uint8)
    noise = rng.normal(0, 0.3, (2000, 784))
    images = np.clip(0.3 * patterns[labels] + noise, 0, 1) * 255
    return images.astype(np.uint8).reshape(-1, 28, 28), labels


@cache
def sample():
    """The same, as the network reads it: x (2000, 784), y (2000, 10)"""
    images, labels = pictures()
    return (images.reshape(2000, 784).astype(np.float32) / 255,
            data.one_hot(labels, 10))


@cache
def weights():
    """Initial weights of seed 0, drawn by JAX, in NumPy"""
    return jax.device_get(mlp_jax.init_params(0, SIZES))


def settings(module, line):
    """Flags -> namespace, with the device set up"""
    args = module.parse_flags(["--device", "cpu", *line.split()])
    # setup() looks for a C++ compiler where a rung needs one: not wanted.
    wanted, args.rung = args.rung, "eager"
    module.setup(args)
    args.rung = wanted
    return args


def steps(module, line, order, lr):
    """Train by the functions of a script -> state, metrics (S, 2)"""
    args = settings(module, line)
    x, y = sample()
    if args.feed == "device":
        place = jax.device_put if module is mlp_jax else torch.from_numpy
        x, y = place(x), place(y)
    state = module.init_state(weights(), args)
    epoch = state, x, y, order, np.full(len(order), lr, np.float32)
    with mock.patch("torch.compile", lambda function, **_: function):
        program = module.build(args, *epoch, {})
    state, metrics = module.train_epoch(program, args, *epoch)
    return state, module.to_host(metrics)


def worst(first, second):
    """Largest relative difference of two lists of losses"""
    first, second = np.asarray(first), np.asarray(second)
    assert first.shape == second.shape
    return np.max(np.abs(first - second) / np.abs(second))


def fails(kind, words, function, *arguments):
    """The call must raise this error, and its text hold these words"""
    try:
        function(*arguments)
    except kind as error:
        assert words in str(error), error
    else:
        raise AssertionError(f"accepted: {arguments}")


# ------------------------------------------------------- the same network

def test_parameter_count_and_he_variance():
    model = mlp_torch.init_params(0, SIZES)
    for pairs in (weights(), mlp_torch.pairs(model.parameters())):
        assert sum(w.size + b.size for w, b in pairs) == 235_146
        for (w, b), shape in zip(pairs, zip(SIZES, SIZES[1:]), strict=True):
            assert w.shape == shape and b.shape == shape[1:]
            assert w.dtype == b.dtype == np.float32 and not b.any()
            assert abs(w.std() / np.sqrt(2 / shape[0]) - 1) < 0.08
            assert abs(w.mean()) < 0.1 * w.std()


def test_weights_follow_the_seed():
    def drawn(module, seed):
        made = module.init_params(seed, SIZES)
        made = jax.device_get(made) if module is mlp_jax else \
            mlp_torch.pairs(made.parameters())
        return [w.ravel() / np.sqrt(2 / len(w)) for w, _ in made]

    for module in (mlp_jax, mlp_torch):
        torch.rand(1)  # a draw from the global generator changes nothing
        layers = drawn(module, 0)
        for one, again, other in zip(layers, drawn(module, 0),
                                     drawn(module, 1), strict=True):
            assert np.array_equal(one, again)
            assert not np.isclose(one, other).all()
        # and no layer begins with the numbers of another one
        for one, other in zip(layers, layers[1:] + layers[:1]):
            size = min(one.size, other.size)
            assert not np.isclose(one[:size], other[:size]).all()


def test_logits_loss_and_every_gradient_agree():
    x, y = (array[:64] for array in sample())
    settings(mlp_jax, "")
    (loss, logits), grads = jax.value_and_grad(
        mlp_jax.objective, has_aux=True)(weights(), x, y)
    model, params, _ = mlp_torch.init_state(
        weights(), settings(mlp_torch, ""))
    theirs, out = mlp_torch.objective(params, model, *map(
        torch.from_numpy, (x, y)))
    theirs.backward()
    assert np.abs(logits - out.detach().numpy()).max() < 1e-4
    assert abs(float(loss) - theirs.item()) < 1e-5
    for ours, grad in zip(jax.tree.leaves(grads), params.values(),
                          strict=True):
        assert np.abs(ours - grad.grad.numpy().T).max() < 1e-5
    hits = mlp_torch.accuracy(out, torch.from_numpy(y)).item()
    assert hits == mlp_jax.accuracy(logits, y) == np.mean(
        np.argmax(logits, 1) == np.argmax(y, 1))


def test_vmap_of_one_image_is_the_batch():
    x = sample()[0][:16]
    one_by_one = jax.vmap(mlp_jax.forward, (None, 0))(weights(), x)
    assert np.allclose(one_by_one, mlp_jax.forward(weights(), x), atol=1e-5)
    model, x = mlp_torch.init_params(0, SIZES), torch.from_numpy(x)
    assert torch.allclose(torch.func.vmap(model)(x), model(x), atol=1e-5)


def test_no_gradient_for_the_images():
    x, y = (array[:8] for array in sample())
    # JAX: grad differentiates by argument 0, and x is argument 1.
    text = str(jax.make_jaxpr(jax.grad(
        lambda params: mlp_jax.objective(params, x, y)[0]))(weights()))
    assert text.count("dot_general") == 8  # 3 forward, 3 for w, 2 for x
    # PyTorch: only what requires a gradient is on the tape.
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    state = mlp_torch.init_state(weights(), settings(mlp_torch, ""))
    mlp_torch.train_step(state[0], state, x, y, 0.1)
    assert not x.requires_grad and x.grad is None


# --------------------------------------------------------- the same steps

def test_every_rung_and_feed_takes_the_same_sgd_steps():
    order, few = data.batch_order(2000, 64, seed=0, epoch=0), slice(5)
    before = [w.copy() for w, _ in weights()]
    expected = steps(mlp_torch, "--optimizer sgd", order, 0.1)[1]
    assert expected.shape == (31, 2) and expected[-1, 0] < expected[0, 0]
    for module, line, part in (
            (mlp_jax, "--rung eager", few),
            (mlp_jax, "--rung step", slice(None)),
            (mlp_jax, "--rung epoch", slice(None)),
            (mlp_jax, "--rung eager --feed host", few),
            (mlp_jax, "--rung step --feed host", slice(None)),
            (mlp_torch, "--rung model", slice(None)),
            (mlp_torch, "--rung step", slice(None)),
            (mlp_torch, "--feed host", slice(None)),
            (mlp_torch, "--rung model --feed host", few),
            (mlp_torch, "--rung step --feed host", few)):
        got = steps(module, f"--optimizer sgd {line}", order[part], 0.1)[1]
        assert worst(got[:, 0], expected[part, 0]) < 1e-5, line
        # accuracy: at most one image of a batch may fall the other way
        assert np.abs(got - expected[part])[:, 1].max() < 1.5 / 64, line
    # The arrays that a run starts from are left as they were.
    for old, (w, _) in zip(before, weights(), strict=True):
        assert np.array_equal(old, w)


def test_adam_first_steps_agree():
    order = data.batch_order(2000, 256, seed=0, epoch=0)
    expected = steps(mlp_torch, "", order, 1e-3)[1]
    for module in (mlp_jax, mlp_torch):
        got = steps(module, "--rung step", order, 1e-3)[1]
        assert worst(got[:, 0], expected[:, 0]) < 1e-4


def test_the_first_update_is_that_of_the_formula():
    rng = np.random.default_rng(0)
    start, slope = ([(rng.normal(size=(5, 3)).astype(np.float32),
                      rng.normal(size=3).astype(np.float32))] for _ in "ab")
    # The first step of Adam goes by lr against the sign of the gradient.
    for name, change in (("sgd", lambda g: 0.01 * g),
                         ("adam", lambda g: 0.01 * np.sign(g))):
        for module in (mlp_jax, mlp_torch):
            args = settings(module, f"--rung step --optimizer {name}")
            params, opt = module.init_state(start, args)[-2:]
            grads = module.init_state(slope, args)[-2]
            new, _ = module.UPDATES[name](params, grads, opt, 0.01)
            new = (jax.device_get(new) if module is mlp_jax
                   else mlp_torch.pairs(new.values()))
            for got, p, g in zip(new[0], start[0], slope[0], strict=True):
                assert np.allclose(got, p - change(g), atol=1e-6), name


def test_the_rate_of_every_step():
    for module in (mlp_jax, mlp_torch):
        args = settings(module, "--epochs 3 --lr 0.5")
        assert module.rates(args, 2, 4).tolist() == [0.5] * 4
        args = settings(module, "--epochs 3 --lr 0.5 --schedule cosine")
        lrs = np.concatenate([module.rates(args, e, 4) for e in range(3)])
        assert lrs[0] == 0.5 and abs(lrs[6] - 0.25) < 1e-7
        assert 0 < lrs[-1] < 0.01 and np.all(np.diff(lrs) < 0)


def test_it_learns():
    order = np.concatenate([data.batch_order(2000, 64, 0, epoch)
                            for epoch in range(10)])
    state, metrics = steps(mlp_jax, "--rung epoch", order, 1e-3)
    assert metrics[:5, 0].mean() > 1.5 and metrics[-5:, 0].mean() < 0.4
    loss, accuracy = map(float, mlp_jax.evaluate(state, *sample()))
    assert accuracy > 0.9
    # and the other framework, given the same weights, says the same
    other = mlp_torch.init_state(jax.device_get(state[0]),
                                 settings(mlp_torch, ""))
    theirs = mlp_torch.evaluate(other, *map(torch.from_numpy, sample()))
    assert abs(theirs[0].item() - loss) < 1e-5
    assert abs(theirs[1].item() - accuracy) <= 1 / 2000


# ---------------------------------------------------------- the whole run

@contextlib.contextmanager
def tiny():
    """A folder with 1,200 + 300 pictures, known to data.py as `tiny`"""
    with tempfile.TemporaryDirectory() as folder:
        images, labels = pictures()
        raws = [idx(part) for part in (images[:1200], labels[:1200],
                                       images[1200:1500], labels[1200:1500])]
        for name, raw in zip(data.FILES, raws, strict=True):
            Path(folder, f"{name}.gz").write_bytes(gzip.compress(raw))
        known = data.DATASETS["mnist"]._replace(
            bytes=tuple(map(len, raws)), mirrors=(), sha256=tuple(
                hashlib.sha256(raw).hexdigest() for raw in raws))
        with mock.patch.dict(data.DATASETS, tiny=known):
            yield Path(folder)


def run(module, folder, line):
    """main() of a script -> exit code, its lines on stderr, its record"""
    path, lines = folder / "record.json", io.StringIO()
    path.unlink(missing_ok=True)
    with contextlib.redirect_stderr(lines):
        try:
            data.run(lambda: module.main(
                ["--device", "cpu", "--dataset", "tiny", "--data-dir",
                 str(folder), "--json", str(path), *line.split()]))
            code = 0
        except SystemExit as end:
            code = end.code
    record = json.loads(path.read_bytes()) if path.exists() else None
    return code, lines.getvalue().splitlines(), record


def test_two_whole_runs_agree_in_float64():
    with tiny() as folder:
        start = folder / "start.npz"
        code, lines, record = run(mlp_jax, folder,
                                  f"--epochs 0 --save {start}")
        assert (code, lines, record) == (0, [], None)
        found = []
        for module in (mlp_jax, mlp_torch):
            end = folder / f"{module.__name__}.npz"
            code, lines, record = run(module, folder, (
                f"--init {start} --save {end} --epochs 2 --precision fp64 "
                "--schedule cosine --examples 640"))
            assert code == 0 and len(lines) == 3, lines
            assert record["status"] == "ok" and len(record["epochs"]) == 2
            assert record["dataset"]["sizes"] == {
                "train": 640, "val": 200, "test": 300}
            with np.load(end) as file:
                found.append((record, list(file.values())))
        settings(mlp_jax, "")  # back to float32
        (ours, first), (theirs, second) = found
        for name in ("init_sha256", "order_sha256", "parameters", "schema"):
            assert ours[name] == theirs[name], name
        assert set(ours) == set(theirs)
        assert len(ours["steps"]["loss"]) == 20
        assert worst(ours["steps"]["loss"], theirs["steps"]["loss"]) < 1e-10
        assert ours["steps"]["accuracy"] == theirs["steps"]["accuracy"]
        for one, other in zip(ours["epochs"], theirs["epochs"], strict=True):
            assert abs(one["test_loss"] - other["test_loss"]) < 1e-10
            assert one["val_accuracy"] == other["val_accuracy"]
        for one, other in zip(first, second, strict=True):
            assert one.dtype == np.float64
            assert np.abs(one - other).max() < 1e-9


def test_a_run_that_diverges_says_so():
    with tiny() as folder:
        for module in (mlp_jax, mlp_torch):
            code, lines, record = run(module, folder, "--epochs 3 --lr 1e30")
            assert code == 6 and "training diverged" in lines[-1], lines
            assert (record["status"], record["epochs"]) == ("diverged", [])


# --------------------------------------------------------------- the data

def idx(array):
    """uint8 array -> bytes of an IDX file"""
    return (bytes([0, 0, 8, array.ndim])
            + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes())


def test_idx_parser_names_the_fault():
    good = idx(np.arange(7, dtype=np.uint8))
    assert np.array_equal(data.parse_idx(good), np.arange(7))
    cube = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    assert np.array_equal(data.parse_idx(idx(cube)), cube)
    for raw, words in (
            (b"", "cut short"), (good[:6], "cut short"),
            (b"\0\0\x09\1" + good[4:], "00 00 09 01"),
            (idx(np.zeros((2, 2), np.uint8)), "00 00 08 02"),
            (good[:-1], "needs 7 bytes"), (good + b"\0", "needs 7 bytes"),
            (idx(np.zeros(0, np.uint8)), "empty"),
            (b"\0\0\x08\3\x80\0\0\0\x80\0\0\0\0\0\0\4", "needs")):
        fails(ValueError, words, data.parse_idx, raw)


def test_only_the_true_bytes_are_unpacked():
    raw = idx(np.arange(7, dtype=np.uint8))
    packed, true = gzip.compress(raw), hashlib.sha256(raw).hexdigest()
    assert data.unpack(packed, len(raw), true) == raw
    for wrong, words in (
            (b"<html>", "HTML"), (b"", "is empty"), (raw, "not compressed"),
            (packed[:-9], "unpack to exactly"), (packed + packed, "exactly"),
            (gzip.compress(raw * 2), "exactly"),
            (gzip.compress(raw[::-1]), "SHA-256")):
        fails(ValueError, words, data.unpack, wrong, len(raw), true)


def test_a_label_that_is_none_is_refused():
    labels = np.array([1, 2, 10], np.uint8)
    fails(ValueError, "label 10 at index 2", data.one_hot, labels, 10)
    fails(ValueError, "label -1 at index 0", data.one_hot,
          np.array([-1, 2]), 10)
    assert np.array_equal(data.one_hot(labels[:2], 4),
                          [[0, 1, 0, 0], [0, 0, 1, 0]])
    images = np.zeros((3, 2, 2), np.uint8)
    fails(ValueError, "label 10 at index 2", data.split, images, labels,
          images, labels % 3)
    fails(ValueError, "(2,)", data.split, images, labels[:2],
          images, labels % 3)


def test_split_is_stratified_and_complete():
    assert data.split_sizes("mnist", "standard") == (50000, 10000, 10000)
    assert data.split_sizes("mnist", "pooled") == (56000, 7000, 7000)
    # 4 of 8 zeros and 3 ones are 2.9 and 1.1: three and one
    few = np.repeat([0, 1], [8, 3])
    chosen, rest = data.stratified(few, 4, np.random.default_rng(0))
    assert np.bincount(few[chosen]).tolist() == [3, 1] and len(rest) == 7
    # 700 pictures of 4 x 5 pixels in 7 classes of unlike size; the first
    # two pixels hold the number of the picture.
    number = np.arange(700)
    images = np.zeros((700, 4, 5), np.uint8)
    images[:, 0, 0], images[:, 0, 1] = number // 256, number % 256
    labels = np.minimum(number * 37 % 100 // 8, 6).astype(np.uint8)
    for kind, sizes in (("standard", (500, 100, 100)),
                        ("pooled", (560, 70, 70))):
        sets = data.split(images[:600], labels[:600], images[600:],
                          labels[600:], kind)
        seen = {}
        for (part, (x, y)), size in zip(sets.items(), sizes, strict=True):
            assert x.shape == (size, 20) and y.shape == (size, 7), part
            assert x.dtype == y.dtype == np.float32
            seen[part] = np.rint(x[:, :2] * 255 @ [256, 1]).astype(int)
            assert np.array_equal(y.argmax(1), labels[seen[part]]), part
            assert np.array_equal(y.sum(1), np.ones(size))
        assert np.array_equal(np.sort(np.concatenate(list(seen.values()))),
                              number)
        assert kind == "pooled" or np.array_equal(seen["test"], number[600:])
        held = number if kind == "pooled" else number[:600]
        share = np.bincount(labels[held]) / len(held)
        for part in ("val", "test") if kind == "pooled" else ("val",):
            count = np.bincount(labels[seen[part]], minlength=7)
            assert np.abs(count - share * len(seen[part])).max() < 2, part
        again = data.split(images[:600], labels[:600], images[600:],
                           labels[600:], kind)
        assert all(np.array_equal(sets[part][0], again[part][0])
                   for part in sets)


def test_batch_order_is_a_shuffle_without_the_ragged_batch():
    order = data.batch_order(100, 7, seed=3, epoch=0)
    assert order.shape == (14, 7) and order.dtype == np.int32
    assert len(np.unique(order)) == 98 and order.min() >= 0
    assert order.max() < 100 and not np.array_equal(
        order.ravel(), np.sort(order.ravel()))
    assert np.array_equal(order, data.batch_order(100, 7, 3, 0))
    assert not np.array_equal(order, data.batch_order(100, 7, 3, 1))
    assert not np.array_equal(order, data.batch_order(100, 7, 4, 0))


# -------------------------------------------------------------- the flags

def refused(module, words):
    """-> exit code and stderr of a command line that must not be taken"""
    lines = io.StringIO()
    with contextlib.redirect_stderr(lines):
        try:
            module.parse_flags(words)
        except SystemExit as end:
            return end.code, lines.getvalue()
    raise AssertionError(f"accepted {words}")


def test_nonsense_is_refused_with_exit_2():
    for line in (
            "--batch-size 0", "--batch-size -1", "--batch-size 50001",
            "--batch-size 1_000", "--batch-size +5", "--batch-size 6.4",
            "--batch-size 101 --examples 100", "--lr 0", "--lr nan",
            "--lr inf", "--lr 1e400", "--lr -1", "--lr x", "--seed -1",
            "--seed 4294967296", "--epochs -1", "--epochs 100001",
            "--epochs", "--rung turbo", "--batch 64", "--hidden 0",
            "--hidden", "--hidden 64 x", "--examples 0",
            "--examples 50001", "--examples 56001 --split pooled",
            "--dataset letters", "--optimizer lion", "--precision fp8",
            "--feed disk", "--split thirds", "--schedule step",
            "--device tpu"):
        for module in (mlp_jax, mlp_torch):
            code, text = refused(module, line.split())
            flag = line.split()[0]
            assert code == 2 and flag in text, (line, text)
            assert text.count("\n") == 1 and "error: " in text, text
    try:
        mlp_jax.setup(mlp_jax.parse_flags(
            "--rung epoch --feed host".split()))
    except data.Fault as fault:
        assert fault.code == 2 and "--feed" in str(fault)
    else:
        raise AssertionError("accepted --rung epoch --feed host")
    assert refused(mlp_torch, ["--rung", "epoch"])[0] == 2


def test_a_file_that_cannot_be_written_is_refused_with_exit_5():
    with tempfile.TemporaryDirectory() as folder:
        for module in (mlp_jax, mlp_torch):
            for flag in ("--json", "--save"):
                for path in (folder, f"{folder}/none/x", ""):
                    code, text = refused(module, [flag, path])
                    assert code == 5 and "cannot write" in text, text


def test_the_defaults():
    for module, rung in ((mlp_jax, "step"), (mlp_torch, "eager")):
        with mock.patch.object(data, "FOLDER", "here"):
            got = vars(module.parse_flags([]))
        assert got == dict(
            batch_size=64, epochs=10, examples=None, seed=0, rung=rung,
            feed="device", hidden=[256, 128], optimizer="adam", lr=0.001,
            schedule="constant", precision="fp32", device="auto",
            dataset="mnist", data_dir="here", split="standard", init=None,
            save=None, json=None, turns=False, dtype=np.float32)
        assert module.parse_flags(["--optimizer", "sgd"]).lr == 0.1
        assert module.parse_flags(["--epochs", "0"]).epochs == 0
        args = module.parse_flags("--precision fp64 --lr 1.5e-3".split())
        assert args.dtype is np.float64 and args.lr == 1.5e-3


def main():
    """Call every test_ function -> exit code"""
    tests = [value for key, value in globals().items()
             if key.startswith("test_")]
    failed = 0
    for test in tests:
        try:
            test()
            print(f"ok      {test.__name__}", flush=True)
        except Exception:
            failed += 1
            print(f"FAILED  {test.__name__}", flush=True)
            traceback.print_exc()
    print(f"{len(tests) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
