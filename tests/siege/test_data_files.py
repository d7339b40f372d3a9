"""D: caches that are damaged, and files that are not what they say."""

import gzip
import os
import struct
import subprocess
import sys

import numpy as np
import pytest
from common import FOLDER, ROOT, call
from siege.tools import (
    NAMES,
    bomb,
    compare,
    error_of,
    fault,
    fetcher,
    fill,
    needs_mnist,
    peak_kib,
    temporaries,
    true,
)

import data
from bench import digits
from bench.cli import Fault

LABELS = NAMES[3]  # the smallest file


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A small data set of generated digits: (folder, its sizes and hashes)."""
    folder = tmp_path_factory.mktemp("small")
    return folder, digits.write(folder, 600, 100)


@pytest.fixture
def copied(small, tmp_path):
    """The same in a folder of its own, to be damaged."""
    for path in small[0].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path, small[1]


def damaged(kind, good):
    """The bytes of the smallest file after a damage of that kind."""
    rng = np.random.default_rng(7)
    at = int(rng.integers(20, len(good) - 20))
    return {
        "flip": good[:at] + bytes([good[at] ^ 4]) + good[at + 1:],
        # still a valid gzip of the same size and content: only its hash tells
        "time": good[:4] + bytes([good[4] ^ 1]) + good[5:],
        "cut": good[:-7], "half": good[:at], "byte": good[:1], "empty": b"",
        "html": b"<!DOCTYPE html><p>Log in", "raw": gzip.decompress(good),
        "other": true(NAMES[1]), "images": true(NAMES[2]),
        "forged": gzip.compress(digits.idx(np.zeros(10000, np.uint8))),
        "member": good + gzip.compress(b"x"), "zeros": good + bytes(512),
        "rubbish": good + b"rubbish", "bomb": bomb()}[kind]


@needs_mnist
@pytest.mark.parametrize("kind, words", [
    fault("D1", "flip", "SHA-256 is"),
    fault("D1", "time", "SHA-256 is", slow=True),
    fault("D2", "cut", "expected 4542", slow=True),
    fault("D2", "half", "expected 4542"),
    fault("D2", "byte", "is not compressed", slow=True),
    fault("D3", "empty", "is empty"),
    fault("D4", "html", "looks like an HTML page"),
    fault("D5", "raw", "is not compressed", slow=True),
    fault("D6", "other", "expected 4542"),
    fault("D6", "images", "expected 4542", slow=True),
    fault("D6", "forged", "expected 4542", slow=True),
    fault("D7", "member", "expected 4542"),
    fault("D7", "zeros", "expected 4542", slow=True),
    fault("D7", "rubbish", "expected 4542", slow=True),
    fault("D8", "bomb", "expected 4542")])
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
def test_where_only_the_unpacked_hash_is_known_it_decides():
    right = digits.idx(np.zeros(100, np.uint8))
    file = data.File(None, None, len(right),
                     data.hashlib.sha256(right).hexdigest())
    packed = gzip.compress(right)
    assert data.unpack(packed, file) == right
    for bad, words in (
            (gzip.compress(digits.idx(np.ones(100, np.uint8))), "SHA-256"),
            (packed + gzip.compress(b"x"), "exactly"),
            (packed + bytes(9), "exactly"), (packed[:-9], "exactly"),
            (packed[:-1], "exactly"), (packed[:12], "exactly"),
            (gzip.compress(right + b"x"), "exactly"), (bomb(), "exactly"),
            (packed[:-6] + b"zzzzzz", "damaged|exactly"),
            (packed[:15] + b"\xff" * 9 + packed[24:], "damaged|exactly")):
        with pytest.raises(ValueError, match=words):
            data.unpack(bad, file)


@pytest.mark.fault("D8")
def test_a_bomb_takes_no_memory(tmp_path):
    """512 MiB of zeros in half a MB, under the name of generated digits."""
    path = tmp_path / "bomb.gz"
    with gzip.open(path, "wb") as file:
        for _ in range(8):
            file.write(bytes(64 * 2**20))
    code = ("import sys, data\n"
            "file = data.File(None, None, 47040016, '0' * 64)\n"
            "try: data.read_cached(sys.argv[1], file)\n"
            "except ValueError: sys.exit(7)")
    exit_code, peak = peak_kib("-c", code, path)
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


def raws(train=60, labels=None, side=(28, 28), value=3):
    """The raw bytes of a small data set with something wrong in it."""
    found = {}
    for prefix, n in (("train", train), ("t10k", 10)):
        found[f"{prefix}-images-idx3-ubyte"] = digits.idx(
            np.zeros((n, *side), np.uint8))
        found[f"{prefix}-labels-idx1-ubyte"] = digits.idx(
            np.full(n, 3, np.uint8))
    wrong = np.full(labels or train, 3, np.uint8)
    wrong[-2] = value
    found["train-labels-idx1-ubyte"] = digits.idx(wrong)
    return found


@pytest.mark.parametrize("words, wrong", [
    fault("D16", "label 10 at index 58", {"value": 10}),
    fault("D16", "label 255 at index 58", {"value": 255}),
    fault("D17", "60 train images, but labels of shape .59", {"labels": 59}),
    fault("D17", "60 train images, but labels of shape .61", {"labels": 61}),
    fault("D18", "shape .60, 28, 27.", {"side": (28, 27)}),
    fault("D18", "shape .60, 32, 32.", {"side": (32, 32)})])
def test_arrays_that_do_not_fit_are_refused(words, wrong):
    assert data.parse_all(raws())["train_labels"].shape == (60,)
    with pytest.raises(ValueError, match=words):
        data.parse_all(raws(**wrong))


@pytest.mark.fault("D16")
def test_no_label_becomes_an_empty_row_or_class_nine():
    for labels in ([0, 10], [0, 255], [0, -1]):
        with pytest.raises(ValueError, match="at index 1"):
            data.one_hot(np.array(labels))


# ----------------------------------------------------- what is no plain file

@needs_mnist
@pytest.mark.parametrize("kind, words", [
    fault("D20", "pipe", "not a regular file"),
    fault("D20", "folder", "not a regular file"),
    fault("D20", "zero", "not a regular file"),
    fault("D20", "dangling", "link to nothing"),
    fault("D20", "loop", "cannot be opened")])
def test_what_is_no_file_is_refused_without_hanging(
        server, tmp_path, kind, words):
    path = fill(tmp_path, *NAMES[:3]) / LABELS
    {"pipe": lambda: os.mkfifo(path), "folder": path.mkdir,
     "zero": lambda: path.symlink_to("/dev/zero"),
     "dangling": lambda: path.symlink_to(tmp_path / "nowhere"),
     "loop": lambda: path.symlink_to(path)}[kind]()
    done = fetcher(tmp_path, f"{server.url}/good", timeout=25)
    assert words in error_of(done, 3, "data.py")
    assert server.requests == [] and os.path.lexists(path)


@needs_mnist
@pytest.mark.fault("D20")
def test_a_file_that_may_not_be_read_is_refused(tmp_path):
    (fill(tmp_path) / LABELS).chmod(0)
    command = [sys.executable, ROOT / "data.py", "--data-dir", tmp_path,
               "--mirror", "http://127.0.0.1:9", "--deadline", "2"]
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
            "data.load(sys.argv[1], mirrors=())\n"
            "raise SystemExit(len(seen) * 10 + len(set(seen)))")
    assert call("-c", code, f"{FOLDER}/mnist").returncode == 44


@pytest.mark.fault("D21")
def test_a_file_that_changes_after_its_hash_is_not_seen(copied, monkeypatch):
    tmp_path, files = copied
    before = data.load(tmp_path, files, mirrors=())
    real = data._check_sha256

    def check(content, expected):
        real(content, expected)
        for path in tmp_path.glob("*.gz"):
            path.write_bytes(b"changed behind its back")

    path = next(iter(files))
    monkeypatch.setattr(data, "_check_sha256", check)
    raw = data.read_cached(tmp_path / f"{path}.gz", files[path])
    assert np.array_equal(data.parse_idx(raw), before["train_images"])
    monkeypatch.undo()
    with pytest.raises(Fault):
        data.load(tmp_path, files, mirrors=())


@pytest.mark.fault("D22")
def test_arrays_own_their_memory(small):
    code = ("import sys, numpy, data\n"
            "from bench import digits\n"
            "raw = digits.idx(numpy.arange(4, dtype=numpy.uint8))\n"
            "array = data.parse_idx(raw)\n"
            "bad = not (array.flags.owndata and array.flags.writeable)\n"
            "array[0] = 9\n"
            "bad |= raw[-4] != 0\n"
            "images = numpy.full((2, 28, 28), 255, numpy.uint8)\n"
            "pixels = data.normalise(images)\n"
            "bad |= pixels.dtype != numpy.float32 or pixels.max() != 1\n"
            "pixels[:] = 0\n"
            "bad |= images.max() != 255\n"
            "sys.exit(bool(bad))")
    done = call("-W", "error", "-c", code)
    assert done.returncode == 0, done.stderr
    arrays = data.load(*small, mirrors=())
    for x, y in data.split(arrays).values():
        assert x.flags.writeable and y.flags.writeable and x.min() >= 0


def test_small_digits_take_the_same_path(copied):
    tmp_path, files = copied
    arrays = data.load(tmp_path, files, mirrors=())
    assert arrays["train_images"].shape == (600, 28, 28)
    sets = data.split(arrays)
    assert [len(x) for x, _ in sets.values()] == [500, 100, 100]
    path = tmp_path / NAMES[0]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(Fault) as caught:
        data.load(tmp_path, files, mirrors=())
    assert caught.value.code == 3
    assert not temporaries(tmp_path)
