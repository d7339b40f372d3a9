"""A web server on 127.0.0.1 that lies, by the first part of the path:
http://127.0.0.1:PORT/MODE/FILE. It writes raw bytes, because http.server
would not lie."""

import contextlib
import gzip
import random
import shutil
import socket
import socketserver
import ssl
import struct
import subprocess
import threading
import time

# What the answer to a file that is not given unpacks to, and the answer.
RAW = bytes(random.Random(0).choices(range(10), k=1000))
BODY = gzip.compress(RAW, mtime=0)


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        with contextlib.suppress(OSError, IndexError):
            self.answer()

    def head(self, status, *headers):
        self.wfile.write("\r\n".join(
            [f"HTTP/1.1 {status}", *headers, "", ""]).encode())

    def whole(self, body, *headers):
        self.head("200 OK", f"Content-Length: {len(body)}", *headers)
        self.wfile.write(body)

    def moved(self, place):
        self.head("302 no", f"Location: {place}", "Content-Length: 0")

    def answer(self):
        path = self.rfile.readline().split()[1].decode()
        while self.rfile.readline().strip():
            pass
        _, mode, *rest = path.split("/")
        server, send = self.server, self.wfile.write
        server.requests.append(path)
        server.times.append(time.monotonic())
        body = server.files.get(rest[-1], BODY)
        n, half = len(body), len(body) // 2
        page = b"<!DOCTYPE html><title>\x1b]0;pwned\x07</title>Log in\x1b[2J"
        if mode == "flaky":
            mode = "good" if len(server.requests) > 2 else "503"
        if mode.isdigit():
            self.head(f"{mode} no", "Content-Length: 0")
        elif mode == "good":
            self.whole(body)
        elif mode == "html":
            self.head("200 OK")
            send(page)
        elif mode == "page":  # of the very length of the file
            self.whole(page.ljust(n))
        elif mode == "flip":
            self.whole(body[:half] + bytes([body[half] ^ 1]) + body[half + 1:])
        elif mode == "trunc":
            self.head("200 OK", f"Content-Length: {n}")
            send(body[:n // 3])
        elif mode == "nolen":
            self.head("200 OK")
            send(body[:n // 3])
        elif mode == "absurd":
            self.head("200 OK", f"Content-Length: {10**12}")
        elif mode == "endless":
            self.head("200 OK")
            for _ in range(10_000):  # 640 MB at most
                send(bytes(65536))
                server.sent += 65536
        elif mode == "stall":
            time.sleep(20)
        elif mode == "halfway":
            self.head("200 OK", f"Content-Length: {n}")
            send(body[:half])
            time.sleep(20)
        elif mode == "drip":
            self.head("200 OK", f"Content-Length: {n}")
            for byte in body[:40]:
                send(bytes([byte]))
                time.sleep(1)
        elif mode == "reset":
            self.head("200 OK", f"Content-Length: {n}")
            send(body[:half])
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                    struct.pack("ii", 1, 0))
        elif mode == "garbage":
            send(b"rubbish\x1b]0;pwned\x07\r\n\r\n")
        elif mode == "badchunk":
            self.head("200 OK", "Transfer-Encoding: chunked")
            send(b"zz\r\n")
        elif mode == "encoded":  # once more packed on the way
            self.whole(gzip.compress(body, 0), "Content-Encoding: gzip")
        elif mode == "labelled":  # the right bytes, said to be encoded
            self.whole(body, "Content-Encoding: gzip")
        elif mode == "unpacked":  # by a proxy that means well
            self.whole(gzip.decompress(body))
        elif mode == "named":
            self.whole(body, "Content-Disposition: attachment; "
                             "filename=../../evil")
        elif mode == "loop":
            self.moved(path)
        elif mode in ("file", "ftp"):
            self.moved(f"{mode}://127.0.0.1:9/etc/x")
        elif mode == "moved":
            self.moved(f"/good/{rest[-1]}")
        elif mode == "elsewhere":
            self.moved(f"{server.elsewhere}/good/{rest[-1]}")
        # any other mode, as "nothing": closed without an answer


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = allow_reuse_address = True
    block_on_close = False


@contextlib.contextmanager
def serve(files=None, tls=None):
    """-> server with .url, .requests (paths), .times, .sent (bytes, endless
    only). tls: ssl.SSLContext of a server."""
    with Server(("127.0.0.1", 0), Handler) as server:
        server.requests, server.times, server.sent = [], [], 0
        server.files, server.elsewhere = files or {}, ""
        if tls:
            server.socket = tls.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False)
        server.url = (f"http{'s' if tls else ''}://127.0.0.1:"
                      f"{server.server_address[1]}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def certificate(folder):
    """-> (path of a self-signed certificate for 127.0.0.1, context), or None
    without openssl."""
    if not shutil.which("openssl"):
        return None
    key, path = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days",
         "2", "-subj", "/CN=127.0.0.1", "-addext",
         "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", path],
        check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, key)
    return path, context
