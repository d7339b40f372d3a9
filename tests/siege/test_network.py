"""N: mirrors that fail and mirrors that lie."""

import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import time
import urllib.request

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
    peak_kib,
    temporaries,
    true,
)

import data
from data import Fault

KNOWN = len(liar.RAW), hashlib.sha256(liar.RAW).hexdigest()


@pytest.fixture(autouse=True)
def no_memory(monkeypatch):
    """urllib keeps the proxies that it saw at its first request."""
    monkeypatch.setattr(urllib.request, "_opener", None)


@pytest.fixture
def get(server, tmp_path):
    """get(mode or address, ...) -> the bytes of a file that the lying server
    may have; checks that they, or else nothing, were kept."""
    def do(*modes, deadline=20):
        folder = tmp_path / "new"
        mirrors = [mode if "://" in mode else f"{server.url}/{mode}"
                   for mode in modes]
        try:
            raw = data.fetch(folder / "f.gz", *KNOWN, mirrors, deadline)
        except Fault as fault:
            assert fault.code == 3 and not folder.exists()
            raise
        assert os.listdir(folder) == ["f.gz"]
        assert (folder / "f.gz").read_bytes() == liar.BODY
        shutil.rmtree(folder)
        return raw
    return do


@pytest.mark.parametrize("mode, words", [
    fault("N1", CLOSED, "refused"),
    *(fault("N3", code, f"HTTPError {code}", slow=code not in ("403", "503"))
      for code in ("403", "404", "410", "429", "500", "503")),
    fault("N5", "html", "HTML page"), fault("N6", "flip", "is damaged"),
    fault("N7", "trunc", "exactly 1000"), fault("N8", "nolen", "exactly 1000"),
    fault("N9", "endless", "not compressed"),
    fault("N10", "absurd", "is empty"),
    fault("N13", "reset", "reset"), fault("N14", "garbage", "rubbish"),
    fault("N14", "nothing", "closed connection"),
    fault("N15", "badchunk", "IncompleteRead"),
    fault("N16", "loop", "HTTPError 302"),
    fault("N16", "file", "HTTPError 302"),
    fault("N16", "ftp", "refused")])
def test_a_bad_mirror_is_named_and_the_next_one_used(
        server, get, mode, words):
    assert get(mode, "good/") == liar.RAW
    assert server.sent < 100 * 2**20
    with pytest.raises(Fault, match=words) as caught:
        get(mode, deadline=2)
    assert (mode if "://" in mode else f"/{mode}: ") in str(caught.value)
    assert not set("\x1b\x07\r\n") & set(str(caught.value))


@pytest.mark.parametrize("mode", [
    fault("N11", "stall", slow=True), fault("N11", "halfway"),
    fault("N12", "drip", slow=True)])
def test_a_slow_mirror_meets_the_deadline_and_leaves_time_for_the_next(
        server, get, mode):
    start = time.monotonic()
    assert get(mode, "good", deadline=4) == liar.RAW
    assert time.monotonic() - start < 20
    assert server.times[1] - server.times[0] < 4  # half of it, and some
    with pytest.raises(Fault, match="TimeoutError|timed out"):
        get(mode, deadline=1)


@pytest.mark.fault("N16")
def test_a_redirect_to_a_good_address_is_followed(get):
    assert get("moved") == liar.RAW


@pytest.mark.fault("N17")
def test_every_mirror_is_asked_once_and_the_next_command_asks_again(
        server, get):
    for requests in (1, 2):
        with pytest.raises(Fault, match="HTTPError 503"):
            get("flaky")
        assert len(server.requests) == requests
    assert get("flaky") == liar.RAW
    with pytest.raises(Fault, match="HTTPError 503.*HTTPError 503"):
        get("503", "503")
    assert len(server.requests) == 5


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
    assert "Put the four .gz files into" in line and "--mirror" in line
    assert time.monotonic() - start < 60
    assert os.listdir(tmp_path) == []


def without_proxies():
    return {name: value for name, value in os.environ.items()
            if not name.lower().endswith("_proxy")}


@pytest.mark.fault("N4")
def test_when_all_mirrors_fail_each_reason_is_told_and_nothing_made(
        server, tmp_path):
    done = fetcher(tmp_path, f"{server.url}/404", f"{server.url}/html",
                   CLOSED, deadline=5)
    line = error_of(done, 3, "data.py")
    for words in ("/404: <HTTPError 404", "/html: ", "HTML page", "refused"):
        assert words in line
    assert os.listdir(tmp_path) == []


@needs_mnist
@pytest.mark.parametrize("mode, words", [
    fault("N5", "html", "HTML page", slow=True),
    fault("N5", "page", "HTML page"),
    fault("N6", "flip", "is damaged", slow=True),
    fault("N7", "trunc", "exactly 10008", slow=True),
    fault("N19", "encoded", "exactly 10008"),
    fault("N19", "unpacked", "is not compressed", slow=True)])
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
    code = ("import sys, data; from pathlib import Path\n"
            "data.fetch(Path(sys.argv[1]), 1000, *sys.argv[2:3], "
            "sys.argv[3:], 10)")

    def ask(mode, **env):
        return subprocess.run(
            [sys.executable, "-c", code, tmp_path / "new" / "f", KNOWN[1],
             f"{secure.url}/{mode}"], cwd=ROOT,
            capture_output=True, text=True, timeout=100,
            env={**without_proxies(), **env})

    with liar.serve(tls=context) as secure:
        secure.elsewhere = server.url  # plain http
        refused = ask("good")
        assert refused.returncode and "certificate" in refused.stderr.lower()
        assert secure.requests == [] and not (tmp_path / "new").exists()
        # The same server, once the certificate is known, is good ...
        assert ask("good", SSL_CERT_FILE=str(path)).returncode == 0
        assert server.requests == []
        # ... and may send us on to where nobody vouches, but the hash does.
        down = ask("elsewhere", SSL_CERT_FILE=str(path))
        assert down.returncode == 0, down.stderr
        server.files["f"] = gzip.compress(bytes(1000))
        down = ask("elsewhere", SSL_CERT_FILE=str(path))
        assert down.returncode and "SHA-256 is" in down.stderr
    assert server.requests == ["/good/f", "/good/f"]
    assert (tmp_path / "new" / "f").read_bytes() == liar.BODY


@pytest.mark.fault("N20")
def test_a_dead_proxy_is_told_without_its_password(server, tmp_path):
    proxy = {"http_proxy": "http://me:hush@127.0.0.1:9", "no_proxy": ""}
    line = error_of(fetcher(tmp_path, f"{server.url}/good", deadline=3,
                            env=proxy), 3)
    assert "Connection refused" in line and "hush" not in line
    done = fetcher(tmp_path, f"{server.url}/404", deadline=3,
                   env={**proxy, "no_proxy": "127.0.0.1"})
    assert "HTTPError 404" in error_of(done, 3)


def reason(folder, mirror):
    """What is said of a mirror that cannot be asked."""
    with pytest.raises(Fault) as caught:
        data.fetch(folder / "f.gz", *KNOWN, [mirror], 3)
    return str(caught.value).partition(". Put the")[0]


@pytest.mark.fault("N20")
@pytest.mark.parametrize("proxy", [
    "http:/me:hush@127.0.0.1:9", "me:hush@127.0.0.1:9", "http://me:hush@",
    "http://me:hush@127.0.0.1:hush@x", "http://me:hush@h:x/hush@h",
    "http://me:x@hush:hush@127.0.0.1:9", "http://me:hu#sh@127.0.0.1:9"])
def test_a_password_of_a_proxy_is_not_shown(tmp_path, proxy, monkeypatch):
    monkeypatch.setenv("http_proxy", proxy)
    monkeypatch.setenv("no_proxy", "")
    told = reason(tmp_path, "http://mirror.invalid/x")
    assert "; http://mirror.invalid/x: " in told and "hu" not in told


@pytest.mark.fault("N20")
@pytest.mark.parametrize("user", [
    "me:hush@", "me:hush:x@", "me@x:hush@", "hush@", "me:hush@hush@",
    "me:hu#sh@", "me:hu/sh@", "me:hu?sh@", "me:hu sh@", "me:hu\nsh@",
    "me:hu[sh@", "me:hu\u2100sh@", "me:hu\u3000sh@",
    "me:" + "hush" * 99 + "@"])
def test_a_password_of_a_mirror_is_not_shown(tmp_path, user):
    for place in ("127.0.0.1:9", "127.0.0.1", "[::1]", "h:x"):
        told = reason(tmp_path, f"http://{user}{place}")
        assert f"; {place}: " in told and "hu" not in told


@pytest.mark.fault("N20")
def test_nor_is_it_shown_where_the_address_is_refused(tmp_path):
    line = error_of(fetcher(tmp_path, "ftp://me:hush@127.0.0.1:9"), 2)
    assert "--mirror" in line and "hush" not in line


@needs_mnist
@pytest.mark.fault("N21")
def test_a_complete_cache_asks_nobody(server, tmp_path):
    done = fetcher(tmp_path, f"{server.url}/html", f"{server.url}/good/")
    assert done.returncode == 0, done.stderr
    assert "mean 0.1307" in done.stdout
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


@pytest.mark.fault("N9", "N10")
@pytest.mark.parametrize("mode", ["endless", "absurd"])
def test_an_answer_is_bounded_in_memory(server, mode):
    """No more is read than the file holds unpacked, and nothing set aside."""
    code = ("import sys, data\n"
            "try: found = data.download(sys.argv[1], 47040016, 30)\n"
            "except Exception: found = b''\n"
            "raise SystemExit(7 if len(found) in (0, 47040016) else 1)")
    exit_code, peak = peak_kib(code, f"{server.url}/{mode}/f")
    assert exit_code == 7 and peak < 300 * 1024
    assert server.sent < 100 * 2**20
