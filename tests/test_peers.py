"""The same network in other libraries: certified, and three mistakes in each
named. Needs what peers/requirements.txt lists: make peers, then
.venv-peers/bin/python -m pytest tests/test_peers.py"""

import ast
import importlib.util
import shutil
import tomllib

import numpy as np
import pytest
from common import DIGITS, ROOT, call

from bench.analyse import costs
from bench.kit import files
from bench.run.comparison import beside

PEERS = ROOT / "peers"
RECIPE = tomllib.loads((ROOT / "recipes" / "mnist_peers.toml").read_text("utf-8"))
OPTAX = {
    "epsilon": ("optax.adam,", "lambda r: optax.adam(r, eps=1e-6),"),
    "weight decay": (
        "return {", "return optax.chain(optax.add_decayed_weights(1e-4), {",
        "optimizer](rate)", "optimizer](rate))"),
    "batch order": ("in batches(images, labels, order)",
                    "in batches(images, labels, order[::-1])")}
KERAS = {
    "epsilon": ("number(0.999)", "number(0.999), 1e-6"),
    "weight decay": ("SGD(rate)", "SGD(rate, weight_decay=1e-3)"),
    "batch order": ("zip(order, lrs)", "zip(order[::-1], lrs)")}
# {a peer's file: (package, {mistake: texts and what stands in their place})}
MISTAKES = {
    "mlp_numpy.py": ("numpy", {
        "epsilon": ("EPS = 0.9, 0.999, 1e-8", "EPS = 0.9, 0.999, 1e-6"),
        "weight decay": ("p -= lr * g", "p -= lr * (g + 1e-4 * p)"),
        "batch order": ("zip(order, lrs)", "zip(order[::-1], lrs)")}),
    "mlp_sklearn.py": ("sklearn", {
        "epsilon": ("MLPClassifier(\n", "MLPClassifier(epsilon=1e-6,\n"),
        "weight decay": ("alpha=0.0", "alpha=1e-3"),
        "batch order": ("zip(order, lrs)", "zip(order[::-1], lrs)")}),
    "mlp_flax.py": ("flax", OPTAX),
    "mlp_equinox.py": ("equinox", OPTAX),
    "mlp_lightning.py": ("lightning", {
        "epsilon": ("torch.optim.Adam,",
                    "lambda p, lr: torch.optim.Adam(p, lr, eps=1e-6),"),
        "weight decay": ("torch.optim.SGD}", "lambda p, lr: torch.optim.SGD("
                         "p, lr, weight_decay=1e-4)}"),
        "batch order": ("batches.tolist()", "batches[::-1].tolist()")}),
    "mlp_pytorch.py": ("torch", {
        "epsilon": ("torch.optim.Adam,",
                    "lambda p, lr: torch.optim.Adam(p, lr, eps=1e-6),"),
        "weight decay": ("torch.optim.SGD}", "lambda p, lr: torch.optim.SGD("
                         "p, lr, weight_decay=1e-4)}"),
        "batch order": ("order if host else torch.from_numpy(order)",
                        "order if host else torch.from_numpy(order[::-1].copy())")}),
    "keras_tensorflow.py": ("tensorflow", KERAS),
    "keras_jax.py": ("keras", KERAS),
    "keras_torch.py": ("keras", KERAS)}


def test_each_peer_is_in_the_recipe_and_short():
    scripts = {name: table["script"] for name, table in RECIPE.items()
               if isinstance(table, dict)}
    known = {f"../peers/{name}" for name in MISTAKES}
    assert known <= set(scripts.values())
    for path in PEERS.glob("*.py"):
        assert len(path.read_text("utf-8").splitlines()) <= 150, path.name
        imported = {alias.name for node in ast.walk(ast.parse(path.read_text()))
                    if isinstance(node, ast.Import) for alias in node.names} | {
            node.module for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ImportFrom)}
        assert not {name for name in imported if name.startswith("bench")} - {
            "bench.kit"}, path.name


def plant(folder, script, texts):
    """Make a mistake in the copy of a peer in `folder`: in its file, or in what it
    imports from beside it."""
    files = [folder / script, *beside(folder / script)]
    path = next(path for path in files if texts[0] in path.read_text("utf-8"))
    text = path.read_text("utf-8")
    for old, new in zip(texts[::2], texts[1::2]):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    ast.parse(text)
    path.write_text(text, "utf-8")


def copied(folder):
    return shutil.copytree(PEERS, folder, ignore=shutil.ignore_patterns("__pycache__"))


@pytest.mark.parametrize("script", MISTAKES)
def test_the_places_of_the_mistakes_are_there(tmp_path, script):
    for mistake, texts in MISTAKES[script][1].items():
        plant(copied(tmp_path / mistake), script, texts)


@pytest.mark.slow
@pytest.mark.parametrize("script", MISTAKES)
def test_a_peer_is_proved_and_its_mistakes_are_named(tmp_path, script):
    package, mistakes = MISTAKES[script]
    if not importlib.util.find_spec(package):
        pytest.skip(f"{package} is not installed: make peers")
    name = next(name for name, table in RECIPE.items() if isinstance(table, dict)
                and table["script"].endswith(script))
    recipe = ['title = "mistakes"', f"[{name}]", f'script = "{PEERS / script}"']
    names = {f"{name}-{n}": mistake for n, mistake in enumerate(mistakes)}
    for one, mistake in names.items():
        folder = copied(tmp_path / one)
        plant(folder, script, mistakes[mistake])
        recipe += [f"[{one}]", f'script = "{folder / script}"']
    if adam := RECIPE[name].get("adam"):
        other = adam.partition(":")[0]
        recipe = [line for text in recipe for line in (
            [text, f'adam = "{adam}"'] if text.startswith("script") else [text])]
        recipe += [f"[{other}]", f'script = "{PEERS}/{RECIPE[other]["script"][9:]}"']
    (tmp_path / "recipe.toml").write_text("\n".join(recipe), "utf-8")
    out = tmp_path / "out"
    done = call(ROOT / "compare.py", *DIGITS, "--recipe", tmp_path / "recipe.toml",
                "--examples", 1280, "--batch-sizes", 64, "--seeds", 0, "--variants",
                "torch:eager", *(f"{one}:step" for one in (name, *names)),
                "--only", "certify", "--out", out, timeout=900)
    rows = files.read_json(out / "certificate.json")["rows"]
    named = {row["contender"] for row in rows if not row["proved"]}
    assert named - {RECIPE[name].get("adam", "").partition(":")[0]} == set(
        names), done.stdout[-3000:] + done.stderr[-2000:]


CURVES = [np.round(np.random.default_rng(seed).normal(0.5, 0.02, 30) + np.minimum(
    np.arange(30) * slope, 0.1), 3).tolist() for seed in range(20)
    for slope in (0, 0.005)]


def test_training_stops_after_so_many_epochs_without_a_better_one():
    assert costs.stopped([0.1, 0.3, 0.2, 0.3, 0.29], 3) == (5, 2)
    assert costs.stopped([0.1, 0.3, 0.2, 0.4, 0.39], 3) == (None, 4)
    assert costs.stopped([0.1], 1) == (None, 1)
    ends = {costs.stopped(curve, 5)[0] for curve in CURVES}
    assert None in ends and len(ends) > 5


@pytest.mark.slow
@pytest.mark.parametrize("curve", CURVES)
def test_keras_stops_where_the_report_says(curve):
    keras = pytest.importorskip("keras")
    callback = keras.callbacks.EarlyStopping("val_accuracy", patience=5, mode="max")
    model = keras.Sequential()
    model.stop_training = False  # as fit begins
    callback.set_model(model)
    callback.on_train_begin()
    for epoch, value in enumerate(curve):
        callback.on_epoch_end(epoch, {"val_accuracy": value})
        if model.stop_training:
            break
    assert costs.stopped(curve, 5) == (
        epoch + 1 if model.stop_training else None, callback.best_epoch + 1)


@pytest.mark.slow
@pytest.mark.parametrize("curve", CURVES)
def test_lightning_stops_where_the_report_says(curve):
    callbacks = pytest.importorskip("lightning.pytorch.callbacks")
    torch = pytest.importorskip("torch")
    callback = callbacks.EarlyStopping("val_accuracy", patience=5, mode="max")
    stops = next((epoch + 1 for epoch, value in enumerate(curve) if
                  callback._evaluate_stopping_criteria(torch.tensor(value))[0]), None)
    assert costs.stopped(curve, 5)[0] == stops
