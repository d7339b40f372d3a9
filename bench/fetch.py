"""One file from a list of mirrors: bounded, with a deadline, verified.

The network lies in more ways than it fails: a captive portal answers 200 with
a page, a proxy cuts the body without an error, a server sends for ever. So
every answer is bounded in bytes and in seconds, and counts only if it passes
the caller's verification.
"""

import argparse
import http.client
import re
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

from bench.cli import DATA, Fault, clean

DEADLINE = 120  # seconds of wall clock for a file, mirrors and retries counted


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows http(s) only and never from https down to http: urllib by
    itself would follow a redirect to ftp:."""

    def redirect_request(self, request, fp, code, msg, headers, url):
        old, new = request.type, url.partition(":")[0].lower()
        if new not in ("http", "https") or (old, new) == ("https", "http"):
            raise urllib.error.URLError(f"redirect to {new}: refused")
        return super().redirect_request(request, fp, code, msg, headers, url)


_OPENER = urllib.request.build_opener(_Redirects)
_TRANSIENT = (ConnectionError, TimeoutError, http.client.HTTPException)


def _download(url, size, seconds):
    """The bytes at `url`, unverified, at most one more than expected."""
    with _OPENER.open(url, timeout=min(30, seconds)) as response:
        length = response.headers.get("Content-Length", "")
        if length.isdecimal() and int(length) != size:
            kind = response.headers.get_content_type()
            raise ValueError(f"the server offers {length} bytes of {kind}, "
                             f"expected {size}")
        parts, left = [], size + 1
        # read1 returns what has come; a plain read of a cut body can end
        # early without any error, which is why size and hash decide.
        while left and (part := response.read1(min(left, 1 << 16))):
            parts.append(part)
            left -= len(part)
    return b"".join(parts)


def _within(seconds, function, *arguments):
    """function(*arguments), or TimeoutError after `seconds` of wall clock.

    A socket timeout is per operation: a server that drips one byte a second
    never trips it, and a name lookup has none. So the call runs in a thread
    that is left behind (a daemon: it cannot keep the process alive).
    """
    box = {}

    def call():
        try:
            box["value"] = function(*arguments)
        except Exception as error:
            box["error"] = error

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(seconds)
    if "error" in box:
        raise box["error"]
    if "value" not in box:
        raise TimeoutError(f"no complete answer in {seconds:.0f} s")
    return box["value"]


def fetch(name, size, verify, mirrors, deadline=DEADLINE):
    """Download the file `name` of `size` bytes from the first mirror whose
    answer `verify` accepts (it raises ValueError if not) -> its bytes.

    Every mirror in turn; those that failed in a way that may pass (busy,
    reset, timed out) twice more with growing waits. Raises Fault 3 with one
    reason per mirror.
    """
    end, reasons = time.monotonic() + deadline, {}
    hopeful = list(dict.fromkeys(mirrors))
    share = deadline / max(1, len(hopeful))  # one slow mirror leaves some
    for wait in (0, 1, 3):
        if not hopeful or time.monotonic() + wait > end:
            break
        time.sleep(wait)
        for mirror in list(hopeful):
            left = min(share, end - time.monotonic())
            if left <= 0:
                break
            url = mirror.rstrip("/") + f"/{name}"
            try:
                content = _within(left, _download, url, size, left)
                verify(content)
                return content
            except (OSError, ValueError, http.client.HTTPException) as error:
                reasons[mirror] = _reason(error, url)
                passing = isinstance(
                    getattr(error, "reason", error), _TRANSIENT) or getattr(
                    error, "code", None) in (429, 500, 502, 503, 504)
                if not passing or "refused" in reasons[mirror]:
                    hopeful.remove(mirror)
    told = "; ".join(f"{_masked(m)}: {r}" for m, r in reasons.items())
    raise Fault(DATA, f"cannot fetch {name}: {told or 'no mirror given'}. "
                      "Put the file into the data folder by hand, or name a "
                      "mirror with python data.py --mirror URL")


def _reason(error, url):
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code}"
    text = clean(getattr(error, "reason", None) or error, 200)
    text = text or type(error).__name__
    proxy = urllib.request.getproxies().get(url.partition(":")[0])
    if proxy and not isinstance(error, ValueError) and (
            not urllib.request.proxy_bypass(urllib.parse.urlsplit(url).netloc)):
        text += f" (through the proxy {_masked(proxy)})"
    return text


def _masked(url):
    """`url` without user name and password."""
    before, at, after = url.rpartition("@")
    return f"{before.partition('//')[0]}//***@{after}" if at else clean(url)


def mirror_url(text):
    """Argument type: an http or https address."""
    if not re.match("https?://[^/]", text.lower()):
        raise argparse.ArgumentTypeError(
            f"{clean(text)!r} is not an http:// or https:// address")
    return text
