#!/usr/bin/env python3
"""Quick sanity checks, under a minute, without network or test framework.

    python test_mlp.py

The long tests (whole float64 epochs, faults, kills) are in tests/.
"""

import ast
import io
import re
import sys
import tokenize
import traceback
from argparse import Namespace
from functools import cache, partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import torch

import data
import mlp_jax
import mlp_torch
from bench import cli, digits, flags, plan, record, stats

ROOT = Path(__file__).resolve().parent
SIZES = [784, 256, 128, 10]


@cache
def sample():
    """2,000 generated digits: images (2000, 784), labels (2000, 10)."""
    images, labels = digits.generate(2000)
    return data.normalise(images), data.one_hot(labels)


@cache
def weights():
    """Initial weights of seed 0, made by JAX, as NumPy."""
    return jax.device_get(mlp_jax.init_params(jax.random.key(0), SIZES))


def settings(mode, optimizer="sgd", **more):
    """What a script's functions read of its flags."""
    return Namespace(mode=mode, optimizer=optimizer, feed="device",
                     device="cpu", lr=0.1 if optimizer == "sgd" else 1e-3,
                     **more)


def jax_state(mode="step", optimizer="sgd"):
    params = [(jnp.array(w), jnp.array(b)) for w, b in weights()]
    return mlp_jax.init_state(params, settings(mode, optimizer))


def torch_model():
    return mlp_torch.load_pairs(mlp_torch.MLP(SIZES), weights())


def train_jax(mode, order, lrs, feed="device", optimizer="sgd"):
    """One epoch by the script's own functions -> state, metrics (S, 2)."""
    args = settings(mode, optimizer)
    args.feed = feed
    images, labels = sample()
    if feed == "device":
        images, labels = jnp.array(images), jnp.array(labels)
    state = jax_state(mode, optimizer)
    program = mlp_jax.build(args, state, images, labels, order, lrs,
                            lambda name: None)
    state, metrics = mlp_jax.train_epoch(program, args, state, images, labels,
                                         order, lrs)
    return state, np.asarray(jax.device_get(metrics))


def train_torch(order, lrs, feed="device", optimizer="sgd", pure=False):
    """The same; `pure` is the step that the rung `step` compiles."""
    args = settings("step" if pure else "eager", optimizer)
    args.feed = feed
    images, labels = sample()
    if feed == "device":
        images, labels = torch.from_numpy(images), torch.from_numpy(labels)
    model = torch_model()
    state = mlp_torch.init_state(model, args)
    program = partial(
        mlp_torch.gather_step,
        partial(mlp_torch.pure_step, model, mlp_torch.UPDATES[optimizer])
    ) if pure else mlp_torch.build(args, model, state, images, labels, order,
                                   lrs, None)
    state, metrics = mlp_torch.train_epoch(program, args, state, images,
                                           labels, order, lrs)
    return state, torch.stack(metrics).numpy()


def worst(first, second):
    """Largest relative difference of two arrays of losses."""
    return float(np.max(np.abs(first - second) / np.abs(second)))


# ------------------------------------------------------- the same network

def test_parameter_count_and_he_variance():
    for pairs in (weights(), mlp_torch.pairs(dict(mlp_torch.init_params(
            mlp_torch.MLP(SIZES), 0).named_parameters()))):
        assert sum(w.size + b.size for w, b in pairs) == 235_146
        for (w, b), inputs in zip(pairs, SIZES):
            assert w.shape[0] == inputs and not b.any()
            assert abs(w.std() / np.sqrt(2 / inputs) - 1) < 0.08


def test_weights_follow_the_seed():
    again = jax.device_get(mlp_jax.init_params(jax.random.key(0), SIZES))
    other = jax.device_get(mlp_jax.init_params(jax.random.key(1), SIZES))
    assert np.array_equal(again[0][0], weights()[0][0])
    assert not np.array_equal(other[0][0], weights()[0][0])


def test_logits_loss_and_every_gradient_agree():
    x, y = (a[:64] for a in sample())
    (loss, logits), grads = jax.value_and_grad(
        mlp_jax.objective, has_aux=True)(weights(), x, y)
    model = torch_model()
    out = model(torch.from_numpy(x))
    theirs = mlp_torch.loss_fn(out, torch.from_numpy(y))
    theirs.backward()
    assert np.abs(logits - out.detach().numpy()).max() < 1e-4
    assert abs(float(loss) - theirs.item()) < 1e-5
    for (gw, gb), layer in zip(grads, model.layers):
        assert np.abs(gw - layer.weight.grad.numpy().T).max() < 1e-5
        assert np.abs(gb - layer.bias.grad.numpy()).max() < 1e-5


def test_vmap_of_one_image_is_the_batch():
    x = sample()[0][:16]
    one_by_one = jax.vmap(mlp_jax.forward, (None, 0))(weights(), x)
    assert np.allclose(one_by_one, mlp_jax.forward(weights(), x), atol=1e-5)


def test_no_gradient_for_the_images():
    x, y = (torch.from_numpy(a[:8]) for a in sample())
    state = mlp_torch.init_state(model := torch_model(), settings("eager"))
    mlp_torch.train_step(model, state, x, y, 0.1)
    assert not x.requires_grad and x.grad is None
    # JAX: grad differentiates by argument 0, and x is argument 1.
    text = str(jax.make_jaxpr(jax.grad(lambda p: mlp_jax.objective(
        p, sample()[0][:8], sample()[1][:8])[0]))(weights()))
    assert text.count("dot_general") == 8  # 3 forward, 3 for w, 2 for x


def test_every_rung_and_feed_takes_the_same_sgd_steps():
    order = data.batch_order(2000, 64, seed=0, epoch=0)
    lrs = np.full(len(order), 0.1, np.float32)
    expected = train_torch(order, lrs)[1][:, 0]
    for mode in ("step", "epoch"):
        assert worst(train_jax(mode, order, lrs)[1][:, 0], expected) < 1e-5
    assert worst(train_jax("step", order, lrs, "host")[1][:, 0],
                 expected) < 1e-5
    assert worst(train_jax("eager", order[:3], lrs)[1][:, 0],
                 expected[:3]) < 1e-5
    assert worst(train_torch(order, lrs, "host")[1][:, 0], expected) < 1e-5
    assert worst(train_torch(order, lrs, pure=True)[1][:, 0],
                 expected) < 1e-5


def test_adam_first_steps_agree():
    order = data.batch_order(2000, 256, seed=0, epoch=0)
    lrs = np.full(len(order), 1e-3, np.float32)
    expected = train_torch(order, lrs, optimizer="adam")[1][:, 0]
    for got in (train_jax("step", order, lrs, optimizer="adam"),
                train_torch(order, lrs, optimizer="adam", pure=True)):
        assert worst(got[1][:, 0], expected) < 1e-3


def test_it_learns():
    order = np.concatenate([data.batch_order(2000, 64, 0, epoch)
                            for epoch in range(10)])
    state, metrics = train_jax("epoch", order, np.full(
        len(order), 1e-3, np.float32), optimizer="adam")
    assert metrics[:5, 0].mean() > 1.5 and metrics[-5:, 0].mean() < 0.4
    loss, accuracy = mlp_jax.evaluate(state, *sample())
    assert accuracy > 0.9
    # and the other framework, given the same weights, says the same
    params = dict(mlp_torch.load_pairs(
        mlp_torch.MLP(SIZES), jax.device_get(state[0])).named_parameters())
    model = mlp_torch.MLP(SIZES)
    other = mlp_torch.evaluate(model, (params, ()),
                               *map(torch.from_numpy, sample()))
    assert abs(float(other[1]) - float(accuracy)) <= 1 / 2000
    assert abs(float(other[0]) - float(loss)) < 1e-5


# --------------------------------------------------------------- the data

def test_idx_parser_names_the_fault():
    good = digits.idx(np.arange(7, dtype=np.uint8))
    assert np.array_equal(data.parse_idx(good), np.arange(7))
    header = bytes([0, 0, 8, 3])
    for raw, words in (
            (b"", "cut short"), (good[:6], "cut short"),
            (b"\0\0\x09\1" + good[4:], "00 00 09 01"),
            (good[:-1], "needs 7 bytes"), (good + b"\0", "needs 7 bytes"),
            (digits.idx(np.zeros(0, np.uint8)), "empty"),
            (header + b"\x80\0\0\0\x80\0\0\0\0\0\0\4", "needs")):
        try:
            data.parse_idx(raw)
        except ValueError as error:
            assert words in str(error), error
        else:
            raise AssertionError(f"accepted {raw[:20]}")


def test_labels_above_nine_are_refused():
    try:
        data.one_hot(np.array([1, 2, 10], np.uint8))
    except ValueError as error:
        assert "label 10 at index 2" in str(error)
    else:
        raise AssertionError("label 10 accepted")


def test_split_is_stratified_and_complete():
    labels = np.repeat(np.arange(10, dtype=np.uint8), range(10, 60, 5))
    chosen, rest = data.stratified(labels, 50, np.random.default_rng(0))
    assert len(chosen) == 50
    assert np.array_equal(np.sort(np.concatenate([chosen, rest])),
                          np.arange(len(labels)))
    share = np.bincount(labels) * 50 / len(labels)
    assert np.all(np.abs(np.bincount(labels[chosen]) - share) < 1)
    assert data.split_sizes("standard") == (50000, 10000, 10000)
    assert data.split_sizes("pooled") == (56000, 7000, 7000)


def test_batch_order_is_a_shuffle_without_the_ragged_batch():
    order = data.batch_order(100, 7, seed=3, epoch=0)
    assert order.shape == (14, 7) and order.dtype == np.int32
    assert len(np.unique(order)) == 98
    assert np.array_equal(order, data.batch_order(100, 7, 3, 0))
    assert not np.array_equal(order, data.batch_order(100, 7, 3, 1))
    assert not np.array_equal(order, data.batch_order(100, 7, 4, 0))


def test_generated_digits_are_the_same_everywhere():
    images, labels = digits.generate(2000)
    assert data.hashlib.sha256(
        images.tobytes() + labels.tobytes()).hexdigest() == (
        "3074a954e936dc08faec0a5ddf3831ff112a207ea3a5fbca060bfdb1cf2b93ad")
    assert np.bincount(labels, minlength=10).min() > 150


# ------------------------------------------------------- flags and records

def test_nonsense_is_refused_with_exit_2():
    for line, option in (
            ("--batch-size 0", "--batch-size"),
            ("--batch-size -1", "--batch-size"),
            ("--batch-size 50001", "--batch-size"),
            ("--batch-size 1_000", "--batch-size"),
            ("--batch-size 101 --limit 100", "--batch-size"),
            ("--lr 0", "--lr"), ("--lr nan", "--lr"), ("--lr inf", "--lr"),
            ("--lr 1e400", "--lr"), ("--seed -1", "--seed"),
            ("--seed 4294967296", "--seed"), ("--epochs 0", "--epochs"),
            ("--mode turbo", "--mode"), ("--batch 64", "--batch"),
            ("--mode epoch --feed host", "--feed"),
            ("--hidden 0", "--hidden"), ("--limit 0", "--limit")):
        try:
            flags.parse("mlp_jax.py", flags.RUNGS, "step", line.split())
        except cli.Fault as fault:
            assert fault.code == cli.USAGE and option in str(fault), fault
        else:
            raise AssertionError(f"accepted {line}")
    args = flags.parse("mlp_jax.py", flags.RUNGS, "step", [])
    assert (args.lr, args.batch_size, args.mode) == (1e-3, 64, "step")


def test_records_are_read_strictly():
    for text, words in ((b"[]", "object"), (b'{"a": NaN}', "NaN"),
                        (b'{"a": 1, "a": 2}', "twice"), (b"{", "JSON"),
                        (b'{"schema": 999}', "schema"),
                        (b"[" * 100_000, "JSON"), (b"\xff", "JSON")):
        try:
            record.parse(text)
        except record.BadRecord as error:
            assert words in str(error), error
        else:
            raise AssertionError(f"accepted {text[:20]}")


def test_ratio_and_its_interval():
    value, span = stats.ratio([2.0, 2.2, 1.8, 2.0], [1.0, 1.1, 0.9, 1.0])
    assert abs(value - 2) < 1e-9 and stats.decided(span)
    value, span = stats.ratio([1.0, 1.3, 0.8], [1.1, 1.0, 1.0])
    assert not stats.decided(span)
    assert stats.ratio([1.0, 2.0], [1.0, 1.0])[1] is None


def test_blocks_hold_every_point_once_in_another_order():
    points = plan.parse_points(["jax:step", "torch:eager:host"], plan.SCRIPTS)
    blocks = plan.blocks(points, [64, 256], [0, 1], 2)
    assert len(blocks) == 4
    assert all(len(set(block)) == 4 for block in blocks)
    keys = [[job[:2] for job in block] for block in blocks]
    assert any(keys[0] != other for other in keys[1:])


# -------------------------------------------------- the pair is one lesson

def code_lines(source):
    """Numbers of the lines that hold code, docstrings left out."""
    skip = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT,
            tokenize.DEDENT, tokenize.ENDMARKER)
    lines = {n for token in tokenize.generate_tokens(
        io.StringIO(source).readline) if token.type not in skip
        for n in range(token.start[0], token.end[0] + 1)}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Module, ast.FunctionDef, ast.ClassDef)):
            first = node.body[0]
            if isinstance(first, ast.Expr):
                lines -= set(range(first.lineno, first.end_lineno + 1))
    return lines


def test_the_pair_keeps_one_outline():
    outlines, total = [], 0
    for name, most in (("mlp_jax.py", 170), ("mlp_torch.py", 190)):
        source = (ROOT / name).read_text("utf-8")
        outlines.append(re.findall(r"^ *# -+ (\d\. [A-Z].*)$", source, re.M))
        assert max(map(len, source.splitlines())) <= 79, name
        lines = code_lines(source)
        assert len(lines) <= most, (name, len(lines))
        total += len(lines)
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef):
                body = {n for n in lines if node.lineno < n <= node.end_lineno}
                assert len(body) <= 15, (name, node.name, len(body))
                assert ast.get_docstring(node) or node.name in (
                    "__init__", "body"), node.name
    assert outlines[0] == outlines[1] and len(outlines[0]) == 9
    assert total <= 340


def test_the_pair_shares_its_vocabulary():
    names = []
    for name in ("mlp_jax.py", "mlp_torch.py"):
        tree = ast.parse((ROOT / name).read_text("utf-8"))
        names.append([node.name for node in ast.walk(tree)
                      if isinstance(node, ast.FunctionDef)])
    for shared in ("setup describe init_params init_state forward loss_fn "
                   "accuracy objective train_step sgd adam gather_step "
                   "batches build train_epoch evaluate train main").split():
        assert shared in names[0] and shared in names[1], shared


def main():
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
