"""Other data sets by an entry: CIFAR-10 becomes IDX files, verified before and
after; what is not its binary version is named and never trained on."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from common import FOLDER, call

import data
from bench.kit.cli import Fault
from bench.tools import cifar10

JPEG = Path(FOLDER, "cifar10_jpeg").is_dir()
EACH = 200  # images of a small file


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A folder of six small files in the binary format, and their hashes."""
    monkeypatch.setattr(cifar10, "SIZE", EACH * cifar10.RECORD)
    shapes = [16 + n * EACH * 3072 if images else 8 + n * EACH
              for n in (5, 1) for images in (True, False)]
    entry = data.DATASETS["cifar10_jpeg"]._replace(bytes=tuple(shapes))
    monkeypatch.setitem(data.DATASETS, "cifar10_jpeg", entry)
    rng = np.random.default_rng(0)
    for name in cifar10.FILES:
        records = rng.integers(0, 9, (EACH, cifar10.RECORD), np.uint8)
        records[:, 0] = rng.permutation(np.arange(EACH) % 10)
        records.tofile(tmp_path / name)
    return tmp_path


def convert(folder, *flags):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["cifar10.py", "--source", str(folder), *flags,
                                   str(folder / "data")])
        return cifar10.main()


def test_the_pictures_come_back_as_they_were(small, capsys):
    assert convert(small, "--jpeg-copies") == 0
    images, labels, test_images, test_labels = data.load(
        "cifar10_jpeg", small / "data")
    last = np.fromfile(small / "test_batch.bin", np.uint8).reshape(EACH, -1)
    assert (test_labels == last[:, 0]).all()
    assert (test_images.reshape(EACH, -1) == last[:, 1:]).all()
    assert images.shape == (5 * EACH, 96, 32) and labels.shape == (5 * EACH,)
    assert (labels[EACH:2 * EACH] == np.fromfile(
        small / "data_batch_2.bin", np.uint8)[::cifar10.RECORD]).all()
    # The record of a run names what was made, not what could not be known.
    sums = (small / "data" / "cifar10_jpeg" / "SHA256SUMS").read_text().split()
    assert list(data.DATASETS["cifar10_jpeg"].sha256) == sums[::2]


@pytest.mark.parametrize("damage", ["bytes", "sums", "no sums", "few sums"])
def test_what_was_made_is_verified_at_every_load(small, damage, capsys):
    convert(small, "--jpeg-copies")
    folder = small / "data" / "cifar10_jpeg"
    sums = folder / "SHA256SUMS"
    if damage == "bytes":
        path = folder / f"{data.FILES[1]}.gz"
        path.write_bytes(path.read_bytes()[:-9])
    elif damage == "no sums":
        sums.unlink()
        data.DATASETS["cifar10_jpeg"] = data.DATASETS["cifar10"]._replace(
            bytes=data.DATASETS["cifar10_jpeg"].bytes)
    else:
        text = sums.read_text()
        sums.write_text(text[:100] if damage == "few sums" else
                        text.replace(text[:4], "0000"))
    with pytest.raises(Fault, match="bench.tools") as caught:
        data.load("cifar10_jpeg", small / "data")
    assert caught.value.code == 3


def spoil(folder, how):
    first, last = folder / "data_batch_1.bin", folder / "test_batch.bin"
    content = bytearray(first.read_bytes())
    if how == "swapped":
        content[0] = (content[0] + 1) % 10
    if how == "label":
        content[cifar10.RECORD] = 10
    if how == "cut":
        content = content[:-1]
    if how == "long":
        content += b"\0"
    first.write_bytes(content)
    if how == "missing":
        last.unlink()
    if how == "pickles":
        for path in folder.glob("*.bin"):
            path.unlink()
        for name in ("data_batch_1", "test_batch"):
            (folder / name).write_bytes(pickle.dumps({"data": [1]}))


@pytest.mark.parametrize("how, words", [
    ("swapped", r"images of the classes, expected as many of each"),
    ("label", "label 10 at index 1, expected 0 to 9"),
    ("cut", "data_batch_1.bin: 614599 bytes, expected 614600"),
    ("long", "data_batch_1.bin: more than 614600 bytes"),
    ("missing", "test_batch.bin': No such file"),
    ("pickles", "pickles are never read")])
def test_files_that_are_wrong_are_named_and_nothing_is_written(
        small, how, words, monkeypatch):
    monkeypatch.setattr(pickle, "load", None)  # whoever calls it dies of it
    monkeypatch.setattr(pickle, "loads", None)
    spoil(small, how)
    with pytest.raises(Fault, match=words) as caught:
        convert(small, "--jpeg-copies")
    assert caught.value.code == 3 and not (small / "data").exists()


def test_copies_never_carry_the_name_of_the_published_pictures(small):
    with pytest.raises(Fault, match="expected cee916563c9f…: not the published"):
        convert(small)
    with pytest.raises(Fault, match="cifar-10-binary.tar.gz: 614600 bytes, exp"):
        convert(small / "test_batch.bin")
    assert not (small / "data").exists()


@pytest.mark.skipif(not JPEG, reason=f"no cifar10_jpeg/ in {FOLDER}")
def test_the_pair_agrees_on_real_pictures(tmp_path):
    """Eight steps in float64, of 3,072 inputs: the first layer follows the data."""
    init, losses = tmp_path / "init.npz", []
    common = ("--dataset", "cifar10_jpeg", "--data-dir", FOLDER, "--examples", 512,
              "--batch-size", 64, "--precision", "fp64")
    assert call("mlp_jax.py", *common, "--epochs", 0, "--save",
                init).returncode == 0
    for script in ("mlp_jax.py", "mlp_torch.py"):
        done = call(script, *common, "--epochs", 1, "--init", init, "--json", "-")
        assert done.returncode == 0, done.stdout + done.stderr
        losses.append(json.loads(done.stdout)["steps"]["loss"])
    assert len(losses[0]) == 8
    np.testing.assert_allclose(*losses, rtol=1e-12)
