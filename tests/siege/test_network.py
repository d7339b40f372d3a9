"""N: mirrors that fail and mirrors that lie."""

import os
import shutil
import subprocess
import sys
import time
import urllib.parse

import liar
import pytest
from common import FOLDER, ROOT
from siege.tools import (
    CLOSED,
    NAMES,
    error_of,
    fault,
    fetcher,
    fill,
    needs_mnist,
    temporaries,
    true,
)

from bench import fetch
from bench.cli import Fault


def verify(content):
    if content != liar.BODY:
        raise ValueError("wrong bytes")


def get(server, *modes, deadline=20):
    return fetch.fetch("f.gz", 1000, verify, [
        mode if "://" in mode else f"{server.url}/{mode}" for mode in modes],
        deadline)


@pytest.mark.parametrize("mode, words", [
    fault("N1", CLOSED, "refused"),
    *(fault("N3", code, f"HTTP {code}", slow=code not in ("403", "503"))
      for code in ("403", "404", "410", "429", "500", "503")),
    fault("N5", "html", "wrong bytes"), fault("N6", "flip", "wrong bytes"),
    fault("N7", "trunc", "wrong bytes"), fault("N8", "nolen", "wrong bytes"),
    fault("N9", "endless", "wrong bytes"),
    fault("N10", "absurd", "1000000000000 bytes"),
    fault("N13", "reset", "reset"), fault("N14", "garbage", "rubbish"),
    fault("N14", "nothing", "closed connection"),
    fault("N15", "badchunk", "IncompleteRead"),
    fault("N16", "loop", "HTTP 302"), fault("N16", "file", "HTTP 302"),
    fault("N16", "ftp", "redirect to ftp: refused")])
def test_a_bad_mirror_is_named_and_the_next_one_used(server, mode, words):
    assert get(server, mode, "good/") == liar.BODY
    assert server.sent < 100 * 2**20
    with pytest.raises(Fault, match=words) as caught:
        get(server, mode, deadline=2)
    assert caught.value.code == 3
    assert not set("\x1b\x07\r\n") & set(str(caught.value))


@pytest.mark.parametrize("mode", [
    fault("N11", "stall", slow=True), fault("N11", "halfway"),
    fault("N12", "drip", slow=True)])
def test_a_slow_mirror_meets_the_deadline_and_leaves_time_for_the_next(
        server, mode):
    start = time.monotonic()
    assert get(server, mode, "good", deadline=4) == liar.BODY
    assert time.monotonic() - start < 20
    with pytest.raises(Fault, match="no complete answer|timed out"):
        get(server, mode, deadline=1)


@pytest.mark.fault("N16")
def test_a_redirect_to_a_good_address_is_followed(server):
    assert get(server, "moved") == liar.BODY


@pytest.mark.fault("N17")
def test_what_may_pass_is_tried_again_with_growing_waits(server, monkeypatch):
    waits = []
    monkeypatch.setattr(fetch.time, "sleep", waits.append)
    assert get(server, "flaky") == liar.BODY
    assert len(server.requests) == 3 and waits == sorted(set(waits))
    server.requests.clear()
    with pytest.raises(Fault, match="HTTP 503"):
        get(server, "503")
    assert len(server.requests) == 3
    server.requests.clear()
    with pytest.raises(Fault, match="HTTP 404"):
        get(server, "404")
    assert len(server.requests) == 1  # that will not pass


@pytest.mark.fault("N2")
def test_without_a_network_every_mirror_is_named_with_its_reason(tmp_path):
    if shutil.which("unshare") is None or subprocess.run(
            ["unshare", "-n", "true"], capture_output=True).returncode:
        pytest.skip("needs the right to unshare the network")
    start = time.monotonic()
    done = subprocess.run(
        ["unshare", "-n", sys.executable, ROOT / "data.py", "--data-dir",
         tmp_path / "data", "--deadline", "10"], capture_output=True,
        text=True, timeout=100, env=without_proxies())
    line = error_of(done, 3, "data.py")
    assert "amazonaws.com" in line and "googleapis.com" in line
    assert "by hand" in line and "--mirror" in line
    assert time.monotonic() - start < 60
    assert not list((tmp_path / "data").rglob("*.gz"))


def without_proxies():
    return {name: value for name, value in os.environ.items()
            if not name.lower().endswith("_proxy")}


@pytest.mark.fault("N4")
def test_when_all_mirrors_fail_each_reason_is_told_and_nothing_made(
        server, tmp_path):
    done = fetcher(tmp_path, f"{server.url}/404", f"{server.url}/html",
                   CLOSED, deadline=5)
    line = error_of(done, 3, "data.py")
    for words in ("/404: HTTP 404", "/html: ", "HTML page", "refused"):
        assert words in line
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@needs_mnist
@pytest.mark.parametrize("mode, words", [
    fault("N5", "html", "HTML page", slow=True), fault("N5", "page", "HTML page"),
    fault("N6", "flip", "SHA-256", slow=True),
    fault("N7", "trunc", "bytes, expected", slow=True),
    fault("N19", "encoded", "offers"),
    fault("N19", "unpacked", "offers", slow=True)])
def test_a_file_that_is_not_the_true_one_is_not_kept(
        server, tmp_path, mode, words):
    fill(tmp_path, *NAMES[:3])
    line = error_of(fetcher(tmp_path, f"{server.url}/{mode}"), 3, "data.py")
    assert words in line and "\x1b" not in line
    assert sorted(os.listdir(tmp_path / "mnist")) == sorted(NAMES[:3])
    done = fetcher(tmp_path, f"{server.url}/{mode}", f"{server.url}/good")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "mnist" / NAMES[3]).read_bytes() == true(NAMES[3])
    assert not temporaries(tmp_path)


@needs_mnist
@pytest.mark.parametrize("mode", [
    fault("N19", "labelled"), fault("N22", "named"), fault("N23", "good/")])
def test_the_right_bytes_are_taken_whatever_the_headers_say(
        server, tmp_path, mode):
    done = fetcher(tmp_path / "d", f"{server.url}/{mode}")
    assert done.returncode == 0, done.stderr
    assert sorted(os.listdir(tmp_path / "d" / "mnist")) == sorted(NAMES)
    assert os.listdir(tmp_path) == ["d"]


@pytest.mark.fault("N18", "N16")
def test_a_certificate_that_nobody_vouches_for_is_refused(server, tmp_path):
    made = liar.certificate(tmp_path)
    if made is None:
        pytest.skip("needs openssl to make a certificate")
    path, context = made
    code = ("import sys; from bench import fetch\n"
            "def verify(content): assert content == b'x' * 1000\n"
            "fetch.fetch('f', 1000, verify, sys.argv[1:], 10)")

    def ask(mode, **env):
        return subprocess.run(
            [sys.executable, "-c", code, f"{secure.url}/{mode}"], cwd=ROOT,
            capture_output=True, text=True, timeout=100,
            env={**without_proxies(), **env})

    with liar.serve(tls=context) as secure:
        secure.elsewhere = server.url  # plain http
        refused = ask("good")
        assert refused.returncode and "certificate" in refused.stderr.lower()
        assert secure.requests == []
        # The same server, once the certificate is known, is good ...
        assert ask("good", SSL_CERT_FILE=str(path)).returncode == 0
        # ... and may not send us on to where nobody vouches.
        down = ask("elsewhere", SSL_CERT_FILE=str(path))
        assert down.returncode and "redirect to http: refused" in down.stderr
    assert server.requests == []


@pytest.mark.fault("N20")
def test_a_dead_proxy_is_named_without_its_password(server, tmp_path):
    proxy = {"http_proxy": "http://me:hush@127.0.0.1:9", "no_proxy": ""}
    line = error_of(fetcher(tmp_path, f"{server.url}/good", deadline=3,
                            env=proxy), 3)
    assert "proxy http://***@127.0.0.1:9" in line and "hush" not in line
    done = fetcher(tmp_path, f"{server.url}/404", deadline=3,
                   env={**proxy, "no_proxy": "127.0.0.1"})
    assert "HTTP 404" in error_of(done, 3)


@pytest.mark.fault("N20")
@pytest.mark.parametrize("user", ["me:hush@", "me:hush:x@", "me@x:hush@"])
def test_a_password_of_a_mirror_is_not_shown(user):
    with pytest.raises(Fault) as caught:
        fetch.fetch("f.gz", 1, verify, [f"http://{user}127.0.0.1:9"], 5)
    assert "hush" not in str(caught.value)


@needs_mnist
@pytest.mark.fault("N21")
def test_a_complete_cache_asks_nobody(server, tmp_path):
    done = fetcher(tmp_path, f"{server.url}/html", f"{server.url}/good/")
    assert done.returncode == 0, done.stderr
    assert "mean 0.1307" in done.stdout and "0.3081" in done.stdout
    assert len(server.requests) == 8
    assert fetcher(tmp_path, f"{server.url}/good").returncode == 0
    assert len(server.requests) == 8
    if shutil.which("unshare") and not subprocess.run(
            ["unshare", "-n", "true"], capture_output=True).returncode:
        alone = subprocess.run(
            ["unshare", "-n", sys.executable, ROOT / "data.py", "--data-dir",
             FOLDER], capture_output=True, text=True)
        assert alone.returncode == 0 and alone.stderr == ""


@pytest.mark.fault("N23")
@pytest.mark.parametrize("mirror", [
    "file:///etc", "ftp://x", "http://", *(
        pytest.param(text, marks=pytest.mark.slow) for text in (
            "", "x", "http:", "https:/x", "HTTP:x", "gopher://x", "//x",
            " http://x", "javascript:http://x"))])
def test_an_address_that_is_not_http_is_refused(tmp_path, mirror):
    line = error_of(fetcher(tmp_path / "new", mirror), 2, "data.py")
    assert "--mirror" in line
    assert not (tmp_path / "new").exists()


@pytest.mark.fault("N9", "N12")
def test_an_answer_is_bounded_in_memory(server):
    """Bytes that come at once are read no further than the file is long."""
    url = f"{server.url}/endless/f"
    with pytest.raises(Fault, match="wrong bytes"):
        get(server, "endless", deadline=5)
    assert len(fetch._download(url, 1000, 5)) == 1001
    assert urllib.parse.urlsplit(url).hostname == "127.0.0.1"
