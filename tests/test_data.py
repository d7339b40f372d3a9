"""Fetching and verifying, against servers and caches that lie."""

import contextlib
import gzip
import os
import socket
import socketserver
import struct
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from common import FOLDER, HAS_MNIST, ROOT, call

import data
from bench import digits, fetch
from bench.cli import Fault

NAMES = [f"{name}.gz" for name in data.MNIST]
needs_mnist = pytest.mark.skipif(
    not HAS_MNIST, reason="needs the true files: set MLP_DATA_DIR")


class Handler(socketserver.StreamRequestHandler):
    """Answers by the first part of the path: /MODE/…/FILE."""

    def handle(self):
        with contextlib.suppress(OSError):
            self.answer()

    def answer(self):
        path = self.rfile.readline().split()[1].decode()
        while self.rfile.readline().strip():
            pass
        _, mode, *rest = path.split("/")
        self.server.requests.append(path)
        body = self.server.files.get(rest[-1], b"x" * 1000)
        send, n = self.wfile.write, len(body)
        if mode.isdigit():
            send(f"HTTP/1.1 {mode} no\r\nContent-Length: 0\r\n\r\n".encode())
        elif mode == "flaky" and len(self.server.requests) < 3:
            send(b"HTTP/1.1 503 busy\r\nContent-Length: 0\r\n\r\n")
        elif mode in ("good", "flaky"):
            send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % n + body)
        elif mode == "html":
            send(b"HTTP/1.1 200 OK\r\n\r\n<!DOCTYPE html><p>Log in\x1b[2J")
        elif mode == "flip":
            body = body[:n // 2] + bytes([body[n // 2] ^ 1]) + body[n // 2 + 1:]
            send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % n + body)
        elif mode == "trunc":
            send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % n
                 + body[:n // 3])
        elif mode == "nolen":
            send(b"HTTP/1.1 200 OK\r\n\r\n" + body[:n // 3])
        elif mode == "absurd":
            send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
        elif mode == "endless":
            send(b"HTTP/1.1 200 OK\r\n\r\n")
            for _ in range(10_000):  # 640 MB at most
                send(bytes(65536))
                self.server.sent += 65536
        elif mode == "stall":
            time.sleep(20)
        elif mode == "drip":
            send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % n)
            for byte in body[:20]:
                send(bytes([byte]))
                time.sleep(1)
        elif mode == "reset":
            send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n12" % n)
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                    struct.pack("ii", 1, 0))
        elif mode == "garbage":
            send(b"rubbish\r\n\r\n")
        elif mode == "badchunk":
            send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
        elif mode == "loop":
            send(f"HTTP/1.1 302 no\r\nLocation: {path}\r\n"
                 "Content-Length: 0\r\n\r\n".encode())
        elif mode in ("file", "ftp"):
            send(f"HTTP/1.1 302 no\r\nLocation: {mode}://127.0.0.1/etc/x\r\n"
                 "Content-Length: 0\r\n\r\n".encode())
        elif mode == "moved":
            send(f"HTTP/1.1 302 no\r\nLocation: /good/{rest[-1]}\r\n"
                 "Content-Length: 0\r\n\r\n".encode())


@pytest.fixture
def server():
    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = allow_reuse_address = True
        block_on_close = False

    with Server(("127.0.0.1", 0), Handler) as found:
        found.requests, found.sent, found.files = [], 0, {}
        if HAS_MNIST:
            found.files = {name: Path(FOLDER, "mnist", name).read_bytes()
                           for name in NAMES}
        found.url = f"http://127.0.0.1:{found.server_address[1]}"
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield found
        found.shutdown()


def verify(content):
    if content != b"x" * 1000:
        raise ValueError("wrong bytes")


def get(server, *modes, deadline=20):
    return fetch.fetch("f.gz", 1000, verify,
                       [f"{server.url}/{mode}" for mode in modes], deadline)


@pytest.mark.parametrize("mode, words", [
    ("403", "HTTP 403"), ("404", "HTTP 404"), ("html", "wrong bytes"),
    ("flip", "wrong bytes"), ("trunc", "wrong bytes"),
    ("nolen", "wrong bytes"), ("absurd", "1000000000000 bytes"),
    ("endless", "wrong bytes"), ("garbage", "rubbish"),
    ("reset", "reset"), ("badchunk", "IncompleteRead"), ("loop", "HTTP 302"),
    ("file", "HTTP 302"), ("ftp", "refused"),
])
def test_a_bad_mirror_is_named_and_the_next_one_used(server, mode, words):
    assert get(server, mode, "good/") == b"x" * 1000
    assert server.sent < 100 * 2**20
    with pytest.raises(Fault, match=words) as caught:
        get(server, mode, deadline=2)
    assert caught.value.code == 3 and "\x1b" not in str(caught.value)


@pytest.mark.parametrize("mode", ["stall", "drip"])
def test_a_slow_mirror_meets_the_deadline(server, mode):
    start = time.monotonic()
    assert get(server, mode, "good", deadline=4) == b"x" * 1000
    assert time.monotonic() - start < 20


def test_what_may_pass_is_tried_again_and_a_redirect_followed(server):
    assert get(server, "flaky") == b"x" * 1000
    assert len(server.requests) == 3
    assert get(server, "moved") == b"x" * 1000
    with pytest.raises(Fault, match="refused"):
        fetch.fetch("f.gz", 1000, verify, ["http://127.0.0.1:9"], 20)


def test_a_password_is_not_shown():
    with pytest.raises(Fault) as caught:
        fetch.fetch("f.gz", 1, verify, ["http://me:secret@127.0.0.1:9"], 5)
    assert "secret" not in str(caught.value)


def program(folder, *mirrors, **options):
    flags = [flag for mirror in mirrors for flag in ("--mirror", mirror)]
    return call(ROOT / "data.py", "--data-dir", folder, "--deadline", 20,
                *flags, **options)


@needs_mnist
def test_the_program_fetches_once_and_then_needs_no_network(server, tmp_path):
    done = program(tmp_path, f"{server.url}/html", f"{server.url}/good/")
    assert done.returncode == 0, done.stderr
    assert "mean 0.1307" in done.stdout and "0.3081" in done.stdout
    assert sorted(os.listdir(tmp_path / "mnist")) == sorted(NAMES)
    assert len(server.requests) == 8
    assert program(tmp_path, f"{server.url}/good").returncode == 0
    assert len(server.requests) == 8


@needs_mnist
@pytest.mark.parametrize("damage", [
    "flip", "mtime", "cut", "empty", "html", "raw", "swapped", "twice",
    "bomb", "missing"])
def test_a_damaged_cache_heals_or_is_refused(server, tmp_path, damage):
    folder = tmp_path / "mnist"
    folder.mkdir()
    for name, content in server.files.items():
        (folder / name).write_bytes(content)
    path = folder / NAMES[3]
    good = path.read_bytes()
    bad = {
        "flip": good[:99] + bytes([good[99] ^ 4]) + good[100:],
        # still a valid gzip of the same size and content: only its hash tells
        "mtime": good[:4] + bytes([good[4] ^ 1]) + good[5:],
        "cut": good[:-7], "empty": b"", "html": b"<!DOCTYPE html>",
        "raw": gzip.decompress(good), "swapped": server.files[NAMES[1]],
        "twice": good + gzip.compress(b"x"),
        "bomb": gzip.compress(bytes(200 * 2**20)), "missing": None}[damage]
    path.unlink()
    if bad is not None:
        path.write_bytes(bad)
    refused = program(tmp_path, f"{server.url}/404")
    assert refused.returncode == 3 and "Traceback" not in refused.stderr
    assert refused.stderr.strip().splitlines()[-1].startswith(
        "data.py: error: cannot fetch " + NAMES[3])
    # the bad file stays until a good one replaces it
    assert path.exists() == (bad is not None)
    if bad is not None:
        assert path.read_bytes() == bad
    healed = program(tmp_path, f"{server.url}/good")
    assert healed.returncode == 0, healed.stderr
    assert path.read_bytes() == good
    assert sorted(os.listdir(folder)) == sorted(NAMES)


def test_a_well_formed_forgery_is_refused():
    """A valid gzip of a valid IDX of the right size, with other labels."""
    right = digits.idx(np.zeros(100, np.uint8))
    file = data.File(None, None, len(right),
                     data.hashlib.sha256(right).hexdigest())
    assert data.unpack(gzip.compress(right), file) == right
    forged = digits.idx(np.ones(100, np.uint8))
    with pytest.raises(ValueError, match="SHA-256"):
        data.unpack(gzip.compress(forged), file)


@needs_mnist
@pytest.mark.parametrize("kind", ["fifo", "folder", "zero"])
def test_what_is_no_file_is_refused_without_hanging(server, tmp_path, kind):
    folder = tmp_path / "mnist"
    folder.mkdir()
    path = folder / NAMES[0]
    {"fifo": lambda: os.mkfifo(path), "folder": path.mkdir,
     "zero": lambda: path.symlink_to("/dev/zero")}[kind]()
    done = program(tmp_path, f"{server.url}/good", timeout=30)
    assert done.returncode == 3
    assert "not a regular file" in done.stderr or "directory" in done.stderr


def test_bad_options_and_folders(tmp_path):
    for mirror in ("file:///etc", "ftp://x", ""):
        done = program(tmp_path / "new", mirror)
        assert done.returncode == 2 and "--mirror" in done.stderr
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").write_text("")
    done = program(tmp_path / "file", "http://127.0.0.1:9")
    assert done.returncode in (3, 5) and "Traceback" not in done.stderr


def test_small_digits_take_the_same_path(tmp_path):
    files = digits.write(tmp_path, 600, 100)
    arrays = data.load(tmp_path, files, mirrors=())
    assert arrays["train_images"].shape == (600, 28, 28)
    sets = data.split(arrays)
    assert [len(x) for x, _ in sets.values()] == [500, 100, 100]
    path = tmp_path / NAMES[0]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(Fault) as caught:
        data.load(tmp_path, files, mirrors=())
    assert caught.value.code == 3
