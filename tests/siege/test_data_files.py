"""D: caches that are damaged, and files that are not what they say."""

import gzip
import hashlib
import os
import shutil
import struct
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from common import FOLDER, ROOT, call
from siege.tools import (
    CLOSED,
    NAMES,
    bomb,
    compare,
    error_of,
    fault,
    fetcher,
    fill,
    hashes,
    needs_mnist,
    peak_kib,
    temporaries,
    true,
)

import data
from bench.run import dataset
from bench.tools import digits, idx
from data import Fault

LABELS = NAMES[3]  # the smallest file


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A folder with a small data set of generated digits, named small."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "small").mkdir()
    data.DATASETS["small"] = digits.write(folder / "small", 600, 100)
    yield folder
    del data.DATASETS["small"]


@pytest.fixture
def copied(small, tmp_path):
    """The same in a folder of its own, to be damaged."""
    shutil.copytree(small / "small", tmp_path / "small")
    return tmp_path


def damaged(kind, good):
    """The bytes of the smallest file after a damage of that kind."""
    rng = np.random.default_rng(7)
    at = int(rng.integers(20, len(good) - 20))
    return {
        "flip": good[:at] + bytes([good[at] ^ 4]) + good[at + 1:],
        "cut": good[:-7], "half": good[:at], "byte": good[:1], "empty": b"",
        "html": b"<!DOCTYPE html><p>Log in", "raw": gzip.decompress(good),
        "other": true(NAMES[1]), "images": true(NAMES[2]),
        "forged": gzip.compress(idx.to_bytes(np.zeros(10000, np.uint8))),
        "member": good + gzip.compress(b"x"), "zeros": good + bytes(512),
        "rubbish": good + b"rubbish", "bomb": bomb()}[kind]


@needs_mnist
@pytest.mark.parametrize("kind, words", [
    fault("D1", "flip", "is damaged"),
    fault("D2", "cut", "exactly 10008", slow=True),
    fault("D2", "half", "exactly 10008"),
    fault("D2", "byte", "is not compressed", slow=True),
    fault("D3", "empty", "is empty"),
    fault("D4", "html", "looks like an HTML page"),
    fault("D5", "raw", "is not compressed", slow=True),
    fault("D6", "other", "exactly 10008"),
    fault("D6", "images", "exactly 10008", slow=True),
    fault("D6", "forged", "SHA-256 is"),
    fault("D7", "member", "exactly 10008"),
    fault("D7", "zeros", "exactly 10008", slow=True),
    fault("D7", "rubbish", "exactly 10008", slow=True),
    fault("D8", "bomb", "exactly 10008")])
def test_a_damaged_cache_heals_or_is_refused(server, tmp_path, kind, words):
    folder = fill(tmp_path)
    path, good = folder / LABELS, true(LABELS)
    bad = damaged(kind, good)
    path.write_bytes(bad)
    refused = fetcher(tmp_path, f"{server.url}/404")
    line = error_of(refused, 3, "data.py")
    assert line.startswith(f"data.py: error: cannot fetch {LABELS}")
    assert words in refused.stderr and repr(str(path)) in refused.stderr
    # the bad file stays until a good one replaces it
    assert path.read_bytes() == bad
    server.requests.clear()
    healed = fetcher(tmp_path, f"{server.url}/good")
    assert healed.returncode == 0, healed.stderr
    assert path.read_bytes() == good and len(server.requests) == 1
    assert sorted(os.listdir(folder)) == sorted(NAMES)


@needs_mnist
@pytest.mark.fault("D1")
@pytest.mark.parametrize("level", [1, 9])
def test_the_true_bytes_may_be_packed_in_another_way(tmp_path, level):
    """A bit of the gzip header is no bit of the data: what is unpacked
    decides, so the same digits may come from another zlib."""
    path = fill(tmp_path) / LABELS
    packed = gzip.compress(gzip.decompress(true(LABELS)), level, mtime=level)
    assert packed != true(LABELS)
    path.write_bytes(packed)
    done = fetcher(tmp_path, CLOSED)
    assert done.returncode == 0 and done.stderr == ""
    assert path.read_bytes() == packed


@needs_mnist
@pytest.mark.fault("D19")
def test_only_the_missing_file_is_fetched(server, tmp_path):
    (fill(tmp_path) / NAMES[1]).unlink()
    assert fetcher(tmp_path, f"{server.url}/good").returncode == 0
    assert server.requests == [f"/good/{NAMES[1]}"]


@needs_mnist
@pytest.mark.fault("D1", "D4", "D6")
@pytest.mark.parametrize("kind", ["flip", "html", "other"])
def test_no_comparison_and_no_training_on_a_damaged_cache(tmp_path, kind):
    """Not even with --dataset auto: a damaged file is said, not avoided."""
    (fill(tmp_path / "data") / LABELS).write_bytes(
        damaged(kind, true(LABELS)))
    away = {"https_proxy": "http://127.0.0.1:9"}  # no mirror is reached
    done = compare(tmp_path / "out", "--data-dir", tmp_path / "data",
                   "--dataset", "auto", env=away)
    assert LABELS in error_of(done, 3, "compare.py")
    assert not list((tmp_path / "out").rglob("*.json"))


@pytest.mark.fault("D6", "D7", "D8", "D2")
def test_the_hash_of_what_is_unpacked_decides():
    right = idx.to_bytes(np.zeros(100, np.uint8))
    known = len(right), hashlib.sha256(right).hexdigest()
    packed = gzip.compress(right)
    assert data.unpack(packed, *known) == right
    for bad, words in (
            (gzip.compress(idx.to_bytes(np.ones(100, np.uint8))), "SHA-256"),
            (packed + gzip.compress(b"x"), "exactly"),
            (packed + bytes(9), "exactly"), (packed[:-9], "exactly"),
            (packed[:-1], "exactly"), (packed[:12], "exactly"),
            (gzip.compress(right + b"x"), "exactly"), (bomb(), "exactly"),
            (packed[:-6] + b"zzzzzz", "damaged|exactly"),
            (packed[:15] + b"\xff" * 9 + packed[24:], "damaged|exactly")):
        with pytest.raises(ValueError, match=words):
            data.unpack(bad, *known)


@pytest.mark.fault("D8")
def test_a_bomb_takes_no_memory(tmp_path):
    """512 MiB of zeros in half a MB, under the name of generated digits."""
    path = tmp_path / "bomb.gz"
    with gzip.open(path, "wb") as file:
        for _ in range(8):
            file.write(bytes(64 * 2**20))
    code = ("import sys, data\n"
            "try: data.read_cached(sys.argv[1], 47040016, '0' * 64)\n"
            "except ValueError: sys.exit(7)")
    exit_code, peak = peak_kib(code, path)
    assert exit_code == 7 and peak < 300 * 1024


# ----------------------------------------------------------- the IDX parser

def header(*dims, magic=None):
    return (magic or bytes([0, 0, 8, len(dims)])) + struct.pack(
        f">{len(dims)}I", *dims)


@pytest.mark.parametrize("words, raw", [
    fault("D9", "needs 7840 bytes", header(10, 28, 28) + bytes(7839)),
    fault("D9", "holds 3", header(4) + bytes(3)),
    fault("D10", "holds 5", header(4) + bytes(5)),
    fault("D10", "needs 784", header(1, 28, 28) + bytes(1568)),
    fault("D7", "holds 6", header(4) + bytes(4) + b"xy"),
    fault("D11", "needs 18446744073709551616", header(2**31, 2**31, 4)),
    fault("D12", "needs 3136000000000", header(4 * 10**9, 28, 28)),
    fault("D13", "magic is 00 00 09 01", header(4, magic=b"\0\0\x09\x01")),
    fault("D13", "magic is 00 00 08 00", header(magic=b"\0\0\x08\0")),
    fault("D13", "magic is 00 00 08 04", header(1, 1, 1, 1) + b"x"),
    fault("D13", "magic is 00 00 08 02", header(1, 1) + b"x"),
    fault("D13", "magic is 01 08 00 00", header(4, magic=b"\1\x08\0\0")),
    fault("D13", "magic is 00 01 08 01", header(4, magic=b"\0\1\x08\1")),
    fault("D15", "is empty", header(0)),
    fault("D15", "is empty", header(0, 28, 28)),
    fault("D15", "is empty", header(5, 0, 28)),
    *(fault("D14", "cut short", header(10, 28, 28)[:n]) for n in range(16))])
def test_the_parser_names_what_is_wrong(words, raw):
    with pytest.raises(ValueError, match=words) as caught:
        data.parse_idx(raw)
    assert "IDX" in str(caught.value) and "reshape" not in str(caught.value)


@pytest.mark.fault("D11", "D12")
def test_a_header_that_claims_too_much_allocates_nothing():
    code = ("import struct, data, resource\n"
            "peak = lambda: resource.getrusage(0).ru_maxrss\n"
            "before = peak()\n"
            "for dims in ((4 * 10**9, 28, 28), (2**31, 2**31, 4)):\n"
            "    raw = b'\\0\\0\\x08\\x03' + struct.pack('>3I', *dims)\n"
            "    try: data.parse_idx(raw)\n"
            "    except ValueError: continue\n"
            "    raise SystemExit(1)\n"
            "raise SystemExit(peak() - before > 1024)")
    assert call("-c", code).returncode == 0


def arrays(part=0, labels=60, side=(28, 28), value=3):
    """A small data set as load() gives it, with something wrong in its
    training set (part 0) or its test set (part 2)."""
    found = [np.zeros((60, 28, 28), np.uint8), np.full(60, 3, np.uint8)] * 2
    wrong = np.full(labels, 3, np.uint8)
    wrong[-2] = value
    found[part:part + 2] = np.zeros((60, *side), np.uint8), wrong
    return found


@pytest.mark.parametrize("words, wrong", [
    fault("D16", "label 10 at index 58", {"value": 10}),
    fault("D16", "label 255 at index 58", {"value": 255}),
    fault("D17", ".60, 28, 28., .59,. do not fit", {"labels": 59}),
    fault("D17", ".60, 28, 28., .61,. do not fit", {"labels": 61}),
    fault("D18", ".60, 28, 27.", {"side": (28, 27)}),
    fault("D18", ".60, 32, 32.", {"side": (32, 32)})])
@pytest.mark.parametrize("part", [0, 2])
@pytest.mark.parametrize("kind", ["standard", "pooled"])
def test_arrays_that_do_not_fit_are_refused(words, wrong, part, kind):
    """Sizes and classes are read, not known: what one of the two sets has and
    the other has not is refused."""
    assert data.split(*arrays(), kind)["train"][1].shape[1] == 4
    with pytest.raises(ValueError, match=words):
        data.split(*arrays(part, **wrong), kind)


@pytest.mark.fault("D16")
def test_no_label_becomes_an_empty_row_or_class_nine():
    for labels in ([0, 10], [0, 255], [0, -1]):
        with pytest.raises(ValueError, match="at index 1"):
            data.one_hot(np.array(labels), 10)


# ----------------------------------------------------- what is no plain file

@needs_mnist
@pytest.mark.parametrize("kind, words", [
    fault("D20", "pipe", "is empty"), fault("D20", "held", "is empty"),
    fault("D20", "folder", "Is a directory"),
    fault("D20", "zero", "is not compressed"),
    fault("D20", "dangling", f"cannot fetch {LABELS}"),
    fault("D20", "loop", "symbolic links")])
def test_what_is_no_file_is_not_waited_for_and_not_used(
        server, tmp_path, kind, words):
    path = fill(tmp_path, *NAMES[:3]) / LABELS
    if kind in ("pipe", "held"):
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to({"zero": "/dev/zero", "loop": path}.get(
            kind, tmp_path / "nowhere"))
    # held: a pipe that someone writes to, but never a word
    writer = os.open(path, os.O_RDWR) if kind == "held" else None
    before = os.lstat(path)
    done = fetcher(tmp_path, f"{server.url}/404", timeout=25)
    error_of(done, 3, "data.py")
    assert words in done.stderr and os.lstat(path).st_ino == before.st_ino
    # A good file replaces it, and not what a link points to; a folder stays.
    done = fetcher(tmp_path, f"{server.url}/good", timeout=25)
    if kind == "folder":
        assert "Is a directory" in error_of(done, 5, "data.py")
        assert path.is_dir()
    else:
        assert done.returncode == 0, done.stderr
        assert path.read_bytes() == true(LABELS) and not path.is_symlink()
    assert not (tmp_path / "nowhere").exists() and not temporaries(tmp_path)
    if writer:
        os.close(writer)


@needs_mnist
@pytest.mark.fault("D20")
def test_a_file_that_may_not_be_read_is_refused(tmp_path):
    (fill(tmp_path) / LABELS).chmod(0)
    command = [sys.executable, ROOT / "data.py", "--data-dir", tmp_path,
               "--mirror", CLOSED, "--deadline", "2"]
    if os.geteuid() == 0:
        for folder in (tmp_path, *tmp_path.parents[:3]):
            os.chmod(folder, os.stat(folder).st_mode | 0o055)
        command = ["setpriv", "--reuid=65534", "--regid=65534",
                   "--clear-groups", *command]
        if subprocess.run([*command[:5], "--help"],
                          capture_output=True).returncode:
            pytest.skip("needs a second user that can read the project")
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode in (3, 5), done.stderr
    assert "Permission denied" in done.stderr


# ----------------------------------------------------- hashed is what is used

@needs_mnist
@pytest.mark.fault("D21")
def test_every_file_is_opened_once(tmp_path):
    code = ("import sys, data\n"
            "seen = []\n"
            "sys.addaudithook(lambda event, found: event == 'open' and str(\n"
            "    found[0]).endswith('.gz') and seen.append(found[0]))\n"
            "data.load('mnist', sys.argv[1])\n"
            "raise SystemExit(len(seen) * 10 + len(set(seen)))")
    assert call("-c", code, FOLDER).returncode == 44


@pytest.mark.fault("D21")
def test_a_file_that_changes_after_its_hash_is_not_seen(copied, monkeypatch):
    before = data.load("small", copied)
    paths = [copied / "small" / name for name in NAMES]

    def sha256(content):
        found = hashlib.sha256(content)
        paths[len(hashed)].write_bytes(b"changed behind its back")
        hashed.append(found)
        return found

    hashed = []
    monkeypatch.setattr(data, "hashlib", SimpleNamespace(sha256=sha256))
    for old, new in zip(before, data.load("small", copied)):
        assert np.array_equal(old, new)
    assert len(hashed) == 4
    monkeypatch.undo()
    with pytest.raises(Fault):
        data.load("small", copied)


@pytest.mark.fault("D22")
def test_arrays_own_their_memory(small):
    code = ("import sys, numpy, data\n"
            "from bench.tools import idx\n"
            "raw = idx.to_bytes(numpy.arange(4, dtype=numpy.uint8))\n"
            "array = data.parse_idx(raw)\n"
            "bad = not (array.flags.owndata and array.flags.writeable)\n"
            "array[0] = 9\n"
            "bad |= raw[-4] != 0\n"
            "images = numpy.full((12, 28, 28), 255, numpy.uint8)\n"
            "labels = numpy.zeros(12, numpy.uint8)\n"
            "sets = data.split(images, labels, images, labels)\n"
            "for pixels, classes in sets.values():\n"
            "    bad |= pixels.dtype != numpy.float32 or pixels.max() != 1\n"
            "    bad |= pixels.min() != 1 or classes.sum() != len(pixels)\n"
            "    pixels[:] = classes[:] = 0\n"
            "bad |= images.min() != 255 or labels.max() != 0\n"
            "sys.exit(bool(bad))")
    done = call("-W", "error", "-c", code)
    assert done.returncode == 0, done.stderr
    for x, y in data.split(*data.load("small", small)).values():
        assert x.flags.writeable and y.flags.writeable and x.min() >= 0


def test_small_digits_take_the_same_path(copied):
    images, labels, *_ = data.load("small", copied)
    assert images.shape == (600, 28, 28) and labels.shape == (600,)
    for kind, sizes in (("standard", (500, 100, 100)),
                        ("pooled", (560, 70, 70))):
        sets = data.split(*data.load("small", copied), kind)
        assert tuple(len(x) for x, _ in sets.values()) == sizes
        assert data.split_sizes("small", kind) == sizes
    path = copied / "small" / NAMES[0]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(Fault) as caught:
        data.load("small", copied)
    assert caught.value.code == 3
    assert not temporaries(copied)


# ------------------------------------------------ the folder with the files

@needs_mnist
@pytest.mark.parametrize("how", ["variable", "option"])
def test_the_folder_with_the_files_themselves_will_do(tmp_path, how):
    inner = fill(tmp_path)
    before = hashes(tmp_path)
    if how == "variable":
        done = call(ROOT / "data.py", "--mirror", CLOSED,
                    env={"MLP_DATA_DIR": str(inner)})
    else:
        done = fetcher(inner, CLOSED)
    assert done.returncode == 0 and done.stderr == ""
    assert "mean 0.1307" in done.stdout
    assert hashes(tmp_path) == before


@needs_mnist
def test_files_beside_the_folder_are_only_read(server, tmp_path):
    """What is missing or bad there comes into the folder of its name."""
    inner = fill(tmp_path, *NAMES[1:])
    (inner / LABELS).write_bytes(b"bad")
    assert fetcher(inner, f"{server.url}/good").returncode == 0
    assert (inner / LABELS).read_bytes() == b"bad"
    assert sorted(os.listdir(inner / "mnist")) == sorted([NAMES[0], LABELS])
    done = fetcher(inner, CLOSED)
    assert done.returncode == 0 and done.stderr == ""


@pytest.mark.parametrize("place", [".", "data", "a/b/c"])
def test_a_fetch_that_fails_leaves_nothing_behind(tmp_path, place):
    error_of(fetcher(tmp_path / place, CLOSED), 3, "data.py")
    assert os.listdir(tmp_path) == []


# -------------------------------------------------------- which data to take

@pytest.fixture
def generating(monkeypatch):
    """The commands that would generate digits: noted and not run."""
    commands = []

    def run(command, **options):
        commands.append(command)
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(dataset, "subprocess", SimpleNamespace(
        run=run, DEVNULL=None))
    monkeypatch.setitem(data.DATASETS, "mnist",
                        data.DATASETS["mnist"]._replace(mirrors=(CLOSED,)))
    return commands


@needs_mnist
def test_mnist_is_taken_where_it_is(tmp_path, generating, capfd):
    left = fill(tmp_path) / ".tmp-4194305-1"  # of no process
    left.write_bytes(b"half")
    for name in ("mnist", "auto"):
        assert dataset.find_data(name, tmp_path) == ("mnist", tmp_path)
    assert not generating and not left.exists()
    assert capfd.readouterr() == ("", "")


@needs_mnist
def test_a_part_of_mnist_is_no_reason_for_other_data(tmp_path, generating):
    fill(tmp_path, *NAMES[:3])
    for folder in (tmp_path, tmp_path / "mnist"):
        with pytest.raises(Fault, match=LABELS) as caught:
            dataset.find_data("auto", folder)
        assert caught.value.code == 3
    assert not generating


def test_without_mnist_the_digits_are_taken(
        small, tmp_path, generating, monkeypatch, capfd):
    monkeypatch.setitem(data.DATASETS, "digits", data.DATASETS["small"])
    cache = str(dataset.CACHE)
    assert dataset.find_data("digits", tmp_path) == ("digits", cache)
    assert generating[0][2:] == [str(os.getpid()), "all", "-",
                                 f"{ROOT}/bench/tools/digits.py", cache]
    assert capfd.readouterr() == ("", "")
    assert dataset.find_data("auto", tmp_path) == ("digits", cache)
    assert "GOING ON WITH GENERATED DIGITS" in capfd.readouterr().err
    with pytest.raises(Fault, match="cannot fetch"):
        dataset.find_data("mnist", tmp_path)
    assert len(generating) == 2 and os.listdir(tmp_path) == []
    # where they lie in the data folder, none are made
    shutil.copytree(small / "small", tmp_path / "digits")
    assert dataset.find_data("auto", tmp_path) == ("digits", tmp_path)
    assert len(generating) == 2


@pytest.mark.slow
def test_digits_are_written_where_they_are_read(tmp_path):
    script = "-m", "bench.tools.digits"
    done = call(*script, tmp_path / "new")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "new" / "digits"
    assert sorted(os.listdir(folder)) == sorted([*NAMES, "SHA256SUMS"])
    assert dataset.find_data("digits", tmp_path / "new") == (
        "digits", tmp_path / "new")
    # The same bytes on every machine.
    assert data.DATASETS["digits"].sha256 == (
        "3e3d5a38a445abb52b2ec94209c54862f0b43b805e0d61015c094bcd31a7c8e8",
        "6759cbc703f1276fa8986c889d2a6f7d3e64cd48fc378bffdc34be29a40b94c5",
        "b6833569c60037818332398d63ec9b3861775730a0c2ad5cc5b9ef9950ec2df8",
        "c3994be39992bf5edad2138114cffa35bd902f388002bc87046912e88827a48f")
    before = [os.stat(folder / name).st_ino for name in NAMES]
    done = call(*script, env={"MLP_DATA_DIR": str(tmp_path / "new")})
    assert done.returncode == 0 and done.stderr == ""
    assert [os.stat(folder / name).st_ino for name in NAMES] == before
    (folder / LABELS).write_bytes(b"bad")
    assert call(*script, tmp_path / "new").returncode == 0
    assert data.load("digits", tmp_path / "new")[3].shape == (10000,)
