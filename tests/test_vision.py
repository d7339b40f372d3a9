"""The four networks of vision/: the numbers that are published of them, the
names that torchvision gives, and both programs proved equal."""

import ast
import importlib
import json
import math
import re
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from common import DIGITS, ROOT, call

import compare
import data
from bench.kit import network as kit
from bench.kit.cli import Fault
from bench.kit.weights import read_weights, write_weights
from bench.measure import floor
from bench.measure.registry import MEASURES
from bench.run import comparison
from bench.tools import networks

MOBILE, EFFICIENT, RESNET, VIT = (
    "mobilenet_v3_small", "efficientnet_b0", "resnet50", "vit_b_16")
RECIPE = ROOT / "recipes" / "vision.toml"
VISION = ROOT / "vision"
CERTIFY = VISION / "certify.py"
# {network: parameters}, https://docs.pytorch.org/vision/stable/models.html
PARAMETERS = {"resnet50": 25_557_032, "vit_b_16": 86_567_656,
              "mobilenet_v3_small": 2_542_856, "efficientnet_b0": 5_288_548}


@pytest.fixture(scope="module")
def programs():
    """The two programs, as modules."""
    sys.path.insert(0, str(VISION))
    yield tuple(importlib.import_module(f"vision_{name}") for name in ("jax", "torch"))
    sys.path.remove(str(VISION))


@pytest.mark.parametrize("network", PARAMETERS)
def test_names_shapes_and_parameters_are_those_of_torchvision(programs, network):
    jax_, torch_ = programs
    here = {name: tuple(a.shape)
            for name, a in torch_.NETWORKS[network](1000).state_dict().items()}
    listed = dict(line.split(" ", 1) for line in (
        VISION / "torchvision" / f"{network}.txt").read_text().splitlines())
    assert {name: str(shape) for name, shape in here.items()} == listed
    assert list(here) == list(listed)
    asked = jax_.to_torch({name: np.zeros(shape) for name, shape in
                           jax_.shapes(network)[0].items()})
    assert {name: a.shape for name, a in asked.items()} == here
    assert PARAMETERS[network] == sum(
        int(np.prod(shape)) for name, shape in here.items()
        if not jax_.is_statistic(name))


def test_the_two_are_one_outline_and_narrow():
    """What is alike is the same text: the sizes of all networks."""
    texts = [(VISION / f"vision_{name}.py").read_text("utf-8")
             for name in ("jax", "torch")]
    parts = [re.split(r"^# -+ (\d\. .*)$", text, flags=re.M) for text in texts]
    assert parts[0][1::2] == parts[1][1::2]
    assert [part[part.index("2. Sizes") + 1] for part in parts][0] == (
        parts[1][parts[1].index("2. Sizes") + 1])
    for text in texts:
        assert len(text.splitlines()) <= 500
        assert max(map(len, text.splitlines())) <= 79


def test_what_is_drawn_has_the_same_spread_in_both(programs):
    jax_, torch_ = programs
    model = torch_.initial("efficientnet_b0", 0)
    one = {name: a.numpy() for name, a in model.state_dict().items()}
    two = jax_.to_torch(jax_.initial("efficientnet_b0", 0))
    for name, a in one.items():
        assert two[name].shape == a.shape
        assert two[name].std() == pytest.approx(a.std(), rel=6 / a.size**0.5), name


def test_the_masks_of_both_are_drawn_from_the_batches_alone(programs):
    from batches import kept
    jax_, torch_ = programs
    rates = jax_.shapes(EFFICIENT)[1]
    model = torch_.NETWORKS[EFFICIENT](1000)
    assert rates == {name: (one.rate, one.shape)
                     for name, one in torch_.drops(model).items()}
    order = np.arange(4000, dtype=np.int32).reshape(2, 2000)[:, ::-1]
    masks = kept(rates, order)
    for name, mask in kept(dict(reversed(rates.items())), order).items():
        np.testing.assert_array_equal(mask, masks[name])
        rate, shape = rates[name]
        assert mask.dtype == bool and mask.shape == (2, 2000, *shape)
        assert mask.mean() == pytest.approx(1 - rate, abs=0.05)
    assert not np.array_equal(mask, kept(rates, order[:, ::-1])[name])


# In units of 1e9, as torchvision states them for its weights (_ops).
@pytest.mark.parametrize("network, stated", [
    ("resnet50", 4.089), ("vit_b_16", 17.564), ("mobilenet_v3_small", 0.057),
    ("efficientnet_b0", 0.386)])
def test_multiply_adds_are_those_of_torchvision(programs, network, stated):
    """Counted in the operations that PyTorch computes."""
    from products import products
    for batch_size in (1, 3):
        count = sum(map(math.prod, products(network, 224, batch_size)))
        assert round(count / batch_size / 1e9, 3) == stated


def certify(folder, *flags):
    # At 32 pixels BatchNorm of two images makes rounding too large to compare.
    return call(folder / "certify.py", "--size", 64, *flags, timeout=900)


@pytest.mark.slow
@pytest.mark.parametrize("network", PARAMETERS)
def test_both_programs_compute_the_same(network):
    done = certify(VISION, "--network", network)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.match(rf"{network}: answering \S+e-1\d, training", done.stdout)


# (fault, network, program, text, what stands in its place, what is named first)
FAULTS = [
    ("padding SAME at stride 2", MOBILE, "jax", "[(pad, pad)] * 2", '"SAME"',
     "features.0.0: the output, answering"),
    ("the other meaning of momentum", MOBILE, "jax", "old + momentum * (value - old)",
     "value + momentum * (old - value)",
     "features.0.1.running_mean: after one step"),
    ("BatchNorm's epsilon", RESNET, "jax", "x, eps=1e-5, momentum", "x, eps=1e-3, "
     "momentum", "bn1: the output, answering"),
    ("one axis of a kernel's layout", MOBILE, "jax",
     "turned = {2: (1, 0), 4: (2, 3, 1, 0)}", "turned = {2: (1, 0), 4: (3, 2, 1, 0)}",
     "features.0.0: the output, answering"),
    ("GELU by tanh", VIT, "torch", "nn.GELU()", 'nn.GELU("tanh")',
     "encoder.layers.encoder_layer_0.mlp.3: the output, answering"),
    ("statistics that stay", MOBILE, "jax",
     "return {**weights, **moved, **new}", "return {**weights, **moved}",
     "features.0.1.running_mean: after one step"),
    ("the running variance biased", MOBILE, "jax", "batch_var * (n / (n - 1))",
     "batch_var", "features.0.1.running_var: after one step"),
    ("stochastic depth of the wrong branch", EFFICIENT, "torch",
     "return x + self.drop(y) if", "return self.drop(x) + y if",
     "features.3.0.block.0.0: the output, training"),
    ("LayerNorm's epsilon", VIT, "torch", "def layer_norm(width, eps=1e-6)",
     "def layer_norm(width, eps=1e-5)",
     "encoder.layers.encoder_layer_0.ln_1: the output, answering"),
    ("a soft gate", MOBILE, "torch", '("relu", F.hardsigmoid)',
     '("relu", torch.sigmoid)', "features.1.block.2.0: the output, answering"),
    ("the stride in the first convolution", RESNET, "torch",
     "conv(channels, inside, 1), batch_norm(inside)\n"
     "        self.conv2 = conv(inside, inside, 3, stride)",
     "conv(channels, inside, 1, stride), batch_norm(inside)\n"
     "        self.conv2 = conv(inside, inside, 3)",
     "layer2.0.conv1: the output, answering"),
    ("statistics of the batch, answering", MOBILE, "jax",
     "    if net.masks is not None:\n        # The n", "    if net.shapes is None:"
     "\n        # The n", "features.0.1: the output, answering"),
    ("scores that are not scaled", VIT, "jax", " / math.sqrt(width // heads)", "",
     "encoder.layers.encoder_layer_0.self_attention.out_proj: the output, answering"),
    ("a decay of the weights", MOBILE, "torch", "    optimizer.step()\n",
     "    optimizer.param_groups[0]['weight_decay'] = 1e-4\n    optimizer.step()\n",
     "features.0.0.weight: after one step"),
    ("no gradient through the batch's mean", MOBILE, "jax",
     "mean, var = batch_mean, batch_var", "mean, var = lax.stop_gradient("
     "batch_mean), batch_var", "features.0.0.weight: the gradient")]


QUICK = ("padding SAME at stride 2", "statistics of the batch, answering")


@pytest.mark.parametrize("fault, network, program, old, new, named", [
    pytest.param(*fault, marks=[pytest.mark.slow] * (fault[0] not in QUICK),
                 id=fault[0]) for fault in FAULTS])
def test_a_planted_fault_is_named_by_the_first_tensor(tmp_path, fault, network,
                                                      program, old, new, named):
    folder = shutil.copytree(VISION, tmp_path / "vision",
                             ignore=shutil.ignore_patterns("__pycache__"))
    path = folder / f"vision_{program}.py"
    text = path.read_text("utf-8")
    assert text.count(old) == 1, old
    path.write_text(text.replace(old, new), "utf-8")
    ast.parse(path.read_text("utf-8"))
    done = certify(folder, "--network", network)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{network}: NOT PROVED: {named}" in done.stdout, done.stdout


# ------------------------------------------------------- as programs of the lab

@pytest.mark.parametrize("size", [224, 64])
@pytest.mark.parametrize("network", PARAMETERS)
def test_the_lab_knows_what_the_programs_have(programs, monkeypatch, network, size):
    jax_, torch_ = programs
    for module in programs:
        monkeypatch.setattr(module, "SIZE", size)
    known = kit.of({"network": network, "size": size, "dataset": "mnist"})
    here = [tuple(a.shape) for _, a in sorted(
        torch_.NETWORKS[network](1000).named_parameters())]
    assert [(shape,) for shape in here] == known.layers
    asked = jax_.to_torch({name: np.zeros(shape) for name, shape in jax_.shapes(
        network)[0].items() if not jax_.is_statistic(name)})
    assert [asked[name].shape for name in sorted(asked)] == here
    if size == 224:
        assert known.parameters == PARAMETERS[network]


def test_weights_of_another_network_are_named(tmp_path):
    path = tmp_path / "weights.npz"
    layers = {network: kit.of({"network": network, "dataset": "mnist"}).layers
              for network in (MOBILE, EFFICIENT)}
    given = [tuple(np.zeros(shape, np.float32) for shape in layer)
             for layer in layers[MOBILE]]
    write_weights(path, given)
    assert len(read_weights(path, layers[MOBILE])) == len(given)
    with pytest.raises(Fault, match="argument --init: .* arrays, expected 213"):
        read_weights(path, layers[EFFICIENT])


@pytest.mark.parametrize("flags, words", [
    (["--work", "answer"], "--work: is of vision networks"),
    (["--size", "64"], "--size: is of vision networks"),
    (["--network", "resnet50"], "--optimizer: vision networks train with sgd"),
    (["--network", "resnet50", "--optimizer", "sgd", "--size", "100"],
     "--size: 100 is not a multiple of 28, the side of an image of mnist"),
    (["--network", "vit_b_16", "--optimizer", "sgd", "--size", "84"],
     "--size: 84 is not a multiple of 28, the side of an image of mnist, and of 16")])
def test_flags_that_clash_are_named(flags, words):
    with pytest.raises(Fault, match=re.escape(words)) as fault:
        compare.arguments(flags)
    assert fault.value.code == 2


def small(out, *flags):
    """A comparison of MobileNetV3-Small that takes a minute or two. Other tests run
    beside it and may disturb both of its short epochs: then once more."""
    for _ in range(3):
        shutil.rmtree(out, ignore_errors=True)
        done = call("compare.py", "--recipe", RECIPE, "--dataset", "digits",
                    "--data-dir", DIGITS, "--size", 56, "--examples", 4, "--evaluate",
                    2, "--batch-sizes", 2, "--epochs", 2, "--repeats", 1, "--measure",
                    "floor", "--variants", "jax:step", "torch:eager", "--out", out,
                    *flags, timeout=900)
        if not re.search("NOT FAIR: (evaluation only evaluates|the parent's clock)",
                         done.stderr):
            break
    return done


@pytest.mark.parametrize("work", [
    "answer", pytest.param("train", marks=pytest.mark.slow)])
def test_a_vision_network_is_compared(tmp_path, work):
    out = tmp_path / f"{MOBILE}_{work}"
    more = ("jax-cublas:step",) * (work == "train")
    done = small(out, "--work", work, "--variants", "jax:step", "torch:eager", *more)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "min on two cores" not in done.stdout  # guessed from the perceptron's
    assert "52 of 52 rules" in done.stdout and f"{MOBILE} at 56 x 56" in done.stdout
    assert "Parity proved: " in " ".join(done.stdout.split())
    # Of two images, whose accuracy says nothing.
    assert "Test accuracy is" not in done.stdout and "## Accuracy" not in (
        out / "summary.md").read_text("utf-8")
    said = json.loads((out / "answer.json").read_text("utf-8"))
    assert {(*row[:2], row[3]) for row in said["speeds"]} == {
        ("jax", "step", 2), ("torch", "eager", 2), *(("jax-cublas", "step", 2)
                                                     for _ in more)}
    text = (out / "summary.md").read_text("utf-8")
    assert ("## Answers" in text) == (work == "answer")
    assert "## Floor" in text and "product of its patches" in text
    assert {tuple(row[:4]) for row in said["shares"]} == {
        tuple(row[:4]) for row in said["speeds"]}
    assert all(0 < row[4] for row in said["shares"])


def measure(kind, out, scripts, *more, **options):
    """The measuring child of MobileNetV3-Small on two small images."""
    return call(ROOT / "bench" / "measure" / "child.py", MEASURES[kind].function, out,
                ",".join(str(VISION / name) for name in scripts), *DIGITS,
                "--network", MOBILE, "--optimizer", "sgd", "--size", 56, "--examples",
                2, "--batch-size", 2, *more, env={"PYTHONPATH": str(ROOT)}, **options)


@pytest.mark.parametrize("work, count", [("answer", 43), ("train", 3 * 43 - 1)])
def test_the_floor_of_a_network_is_its_products(tmp_path, work, count):
    """52 convolutions and two dense layers, but 11 convolutions of single channels."""
    out = tmp_path / "floor.json"
    done = measure("floor", out, ["run_jax.py", "run_torch.py"], "--work", work,
                   "--epochs", 2, "--turns", input="go\n" * 2)
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text())["measurements"]
    assert {name: entry["method"] for name, entry in found.items()} == {
        "products torch": f"a step's {count} matrix products"}
    turns = found["products torch"]["turns"]
    assert len(turns) == 2 and min(turns) > 0


def test_the_floor_without_pytorch_says_what_it_lacks(tmp_path):
    done = measure("floor", tmp_path / "floor.json", ["run_jax.py"])
    assert done.returncode == 4 and "needs PyTorch, which lists its" in done.stderr


def test_a_step_of_training_multiplies_three_times_what_an_answer_does():
    """But for the gradient that the first layer need not pass on."""
    sizes = [(1, 6, 4, 5), (3, 2, 4, 5), (1, 7, 5, 6)]
    matrices = [[np.ones((times, *shape)) for shape in ((m, k), (k, n), (m, n))]
                for times, m, k, n in sizes]

    def shapes(trained):
        return [(a @ b).shape for a, b in floor.listed_products(matrices, trained)]
    assert shapes(False) == [(times, m, n) for times, m, _, n in sizes]
    assert shapes(True) == shapes(False) + [
        (times, k, n) for times, _, k, n in sizes] + [
        (times, m, k) for times, m, k, _ in sizes[1:]]


@pytest.mark.parametrize("kind", ["latency", "operations"])
def test_what_is_measured_of_the_perceptron_alone_is_refused(kind):
    with pytest.raises(Fault, match=f"--measure: {kind} is of the perceptron") as fault:
        compare.arguments(["--network", RESNET, "--optimizer", "sgd", "--measure",
                           "floor", kind])
    assert fault.value.code == 2


# A clock of 0.1 s a look, a counter that goes up by 1 W at rest, by 3 W afterwards,
# and the word of a device that has one.
WEIGHED = """
import sys
from types import SimpleNamespace
from bench.measure import child, energy, subject
now, watts, joules = [0.0], [1], [0.0]
def go(seconds):
    now[0] += seconds
    joules[0] += seconds * watts[0]
    return now[0]
def rest(seconds):
    go(seconds)
    watts[0] = 3
energy.clock, energy.SECONDS = lambda: go(0.1), 0.45
energy.time, energy.counter = SimpleNamespace(sleep=rest), lambda: lambda: joules[0]
def set_up(*given):
    return subject.set_up(*given)._replace(
        place={"device_kind": "cuda", "device_name": "made up"})
child.set_up = set_up
child.main()
"""


@pytest.mark.parametrize("script, work", [
    ("run_jax.py", "train"), ("run_torch.py", "answer")])
def test_a_network_is_weighed_by_its_own_program(tmp_path, script, work):
    out = tmp_path / "energy.json"
    done = call("-c", WEIGHED, "bench.measure.energy:energy", out, VISION / script,
                *DIGITS, "--network", MOBILE, "--optimizer", "sgd", "--size", 56,
                "--work", work, "--examples", 4, "--evaluate", 2, "--batch-size", 2,
                env={"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    seen = {name: entry["value"] for name, entry in json.loads(out.read_text())[
        "measurements"].items()}
    # 0.45 J in the 0.55 s between two looks; 4 epochs in 0.6 s at 3 W.
    idle = 0.45 / 0.55
    assert seen["idle"] == pytest.approx(idle)
    assert seen["gross"] == pytest.approx(3 * 0.6 / 4)
    assert seen["net"] == pytest.approx((3 - idle) * 0.6 / 4)
    assert seen["net per million"] == pytest.approx(seen["net"] / 4 * 1e6)


def test_a_network_is_not_weighed_without_a_counter(tmp_path):
    done = measure("energy", tmp_path / "energy.json", ["run_torch.py"])
    assert done.returncode == 4 and "the device is a CPU" in done.stderr


@pytest.mark.slow
def test_a_batch_that_does_not_fit_is_a_row_with_its_reason(tmp_path):
    """The others go on. 4 GiB for each program, where the larger batch
    needs more in float64: its pictures, and what the first convolution writes."""
    import resource

    done = call("compare.py", "--recipe", RECIPE, "--dataset", "digits", "--data-dir",
                DIGITS[-1], "--work", "answer", "--size", 224, "--examples", 2000,
                "--evaluate", 2, "--batch-sizes", 50, 2000, "--epochs", 2,
                "--repeats", 1, "--variants", "jax:step", "torch:eager", "--out",
                tmp_path, timeout=1800, preexec_fn=lambda: resource.setrlimit(
                    resource.RLIMIT_DATA, (4 * 2**30, 4 * 2**30)))
    text = (tmp_path / "summary.md").read_text("utf-8")
    assert "OOM" in done.stdout and "## Runs that are not ok" in text, done.stderr
    said = json.loads((tmp_path / "answer.json").read_text("utf-8"))
    assert {(*row[:2], row[3]) for row in said["speeds"]} == {
        ("jax", "step", 50), ("torch", "eager", 50)}


@pytest.mark.slow
@pytest.mark.parametrize("old, new, words", [
    # Masks of another epoch; pictures not centred; statistics that stay.
    ("default_rng(order[0])", "default_rng(order[-1])", "loss differs"),
    ("return 4 * x - 2", "return x", "loss differs"),
    ('a.astype(x.dtype) / (1 - rates[name][0])', "a.astype(x.dtype)",
     "loss differs")])
def test_a_fault_in_what_is_timed_is_not_proved(tmp_path, old, new, words):
    folder = shutil.copytree(VISION, tmp_path / "vision",
                             ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "batches_jax.py").write_text((folder / "batches.py").read_text())
    (folder / "run_jax.py").write_text((folder / "run_jax.py").read_text().replace(
        "from batches import", "from batches_jax import"))
    found = [path for path in (folder / "run_jax.py", folder / "batches_jax.py")
             if old in path.read_text("utf-8")]
    assert len(found) == 1
    found[0].write_text(found[0].read_text("utf-8").replace(old, new))
    recipe = tmp_path / "recipes" / "vision.toml"
    recipe.parent.mkdir()
    shutil.copy(RECIPE, recipe)
    done = small(tmp_path / "out", "--recipe", recipe)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"parity NOT PROVED: jax step, sgd, fp64, batch 2, seed 0: {words}" in (
        done.stderr)


def test_a_record_is_stale_when_a_network_changes():
    """However many imports lie between."""
    assert {path.name for path in comparison.beside(VISION / "channels_last.py")} == {
        "batches.py", "products.py", "run_torch.py", "vision_torch.py"}


@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_a_gpu_without_a_precision_says_so(programs, precision):
    able = importlib.import_module("batches").able
    args = SimpleNamespace(precision=precision)
    able(args, 8.0)
    able(args, 0)  # no GPU: other words are found for that
    with pytest.raises(data.Fault, match=f"{precision}: this GPU .*7.5. has none"):
        able(args, 7.5)
    able(SimpleNamespace(precision="fp32"), 7.5)


def pipeline(*flags, **options):
    return call("-m", "vision.input_pipeline", *DIGITS, "--images", 48,
                "--batch-size", 32, *flags, **options)


def test_the_input_pipeline_is_a_row_of_its_own(copied):
    done = pipeline("--workers", 2)
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"^.* +\d+ \(\d+ to \d+\)$", done.stdout, re.M)) == 4
    done = pipeline("--workers", 0)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    # One way that reads in another order is found before anything is timed.
    path = shutil.copytree(VISION, copied / "vision") / "input_pipeline.py"
    text = path.read_text("utf-8")
    assert text.count("pictures, batch_size, num_workers") == 1
    path.write_text(text.replace("pictures, batch_size, num_workers",
                                 "pictures, batch_size, True, num_workers"), "utf-8")
    done = pipeline(cwd=copied)
    assert done.returncode == 1 and "makes another batch" in done.stderr


def test_the_table_of_all_networks(tmp_path):
    def say(name, ratio):
        (tmp_path / name).mkdir()
        (tmp_path / name / "answer.json").write_text(json.dumps({
            "speeds": [["jax", "step", "device", 8, 20.0, 18.0, 22.0],
                       ["torch", "eager", "device", 8, 30.0, None, None],
                       ["torch", "model", "device", 8, 40.0, 39.0, 41.0]],
            "shares": [["jax", "step", "device", 8, 0.2, 0.1, 0.3],
                       ["torch", "model", "device", 8, 0.1, None, None]],
            "ratios": [[["jax", "step", "device", 8], ["torch", rung, "device", 8],
                        value, [value - 0.1, value + 0.1]]
                       for rung, value in (("eager", 1.5), ("model", ratio))]}))
    say(f"{RESNET}_train", 2.0)
    say(f"{RESNET}_answer", 2.0)
    refused = tmp_path / f"{RESNET}_answer" / "answer.json"
    refused.write_text(json.dumps({**json.loads(refused.read_text()),
                                   "verdicts": "NOT FAIR: the first losses agree."}))
    say(f"{VIT}_answer", 0.9)
    (tmp_path / f"{RESNET}_train" / "peak.json").write_text(json.dumps({
        "measurements": {"flops": {"value": 1e13}}}))
    made = list(networks.rows(tmp_path))
    found = {(row.network, row.work): row.ratio for row in made}
    # 40 images a second of 6 times 4.089e9 operations.
    assert made[0].share == pytest.approx(40 * 6 * 4.089e9 / 1e13)
    assert found[RESNET, "answer"] == networks.UNFAIR
    assert made[0].floor == (0.1, None)  # of the fastest variant
    assert found[RESNET, "train"] == (2.0, (1.9, 2.1))
    assert found[VIT, "answer"][0] == 0.9 and found[VIT, "train"] is None
    (tmp_path / f"{MOBILE}_train").mkdir()
    done = call("-m", "bench.tools.networks", tmp_path)
    assert done.returncode == 0, done.stderr
    assert {"networks.md", "networks.tex", "networks.png"} <= {
        path.name for path in tmp_path.iterdir()}
    text = (tmp_path / "networks.md").read_text("utf-8")
    assert "| resnet50 | training | 8 | 20.0 (18.0 to 22.0) | 30.0 |" in text
    assert re.search(r"^\| resnet50 \| answering \| 8 .* \| not fair \|", text, re.M)
    assert f"| {MOBILE} | training | nothing finished |" in text
    assert f"| {MOBILE} | answering | not run |" in text
    done = call("-m", "bench.tools.networks", tmp_path / f"{RESNET}_train")
    assert done.returncode == 4 and "nothing has finished there" in done.stderr
