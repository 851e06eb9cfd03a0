"""A web server on 127.0.0.1 that answers with the faults a test asks for, and counts what it sends."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Fault = str | int


@dataclass
class Site:
    """What lies at which path; each request takes the path's next fault, the last one stays.

    Faults: "ok", an HTTP status, "cut" (breaks off half way), "cut-unannounced" (the same without a length),
    "no-length", "no-range", "other-range", "wrong" (other bytes, same length), "long" (more than there is),
    "stall", "encoded" (claims Content-Encoding: gzip), "away" (redirects to plain http on another machine),
    "to:ADDRESS" (redirects there), "pause:WHEN" (HTTP 503, Retry-After), "page" (HTTP 200 with HTML),
    "claims:LENGTH" (a Content-Length of that text), "not-http" (a line that is none of HTTP's), "hang-up".
    """

    base: str = ""
    bodies: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    sent_bytes: int = 0
    closing: threading.Event = field(default_factory=threading.Event)

    def put(self, path: str, body: bytes, *faults: Fault) -> str:
        """Serve `body` at `path` and return its address."""
        self.bodies[path], self.faults[path] = body, list(faults) or ["ok"]
        return self.base + path

    def ranges(self, path: str) -> list[str | None]:
        """The Range headers of all requests for `path`, in order."""
        return [asked for where, asked in self.requests if where == path]

    def sent(self, wanted_bytes: int) -> int:
        """How many bytes were sent; waits for `wanted_bytes`, which the client may have earlier.

        The server's thread counts what it has written, and the client may go on before it does.
        """
        deadline_s = time.monotonic() + 10
        while self.sent_bytes != wanted_bytes and time.monotonic() < deadline_s:
            time.sleep(0.01)
        return self.sent_bytes


def _handler(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            """Stay quiet."""

        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            site.requests.append((self.path, asked))
            faults = site.faults.get(self.path, [404])
            fault = faults.pop(0) if len(faults) > 1 else faults[0]
            if isinstance(fault, int):
                self.send_error(fault)
            elif fault == "away":
                self.empty(302, Location="http://example.invalid/file?token=secret")
            elif fault.startswith("to:"):
                self.empty(302, Location=fault.removeprefix("to:"))
            elif fault.startswith("pause:"):
                self.empty(503, **{"Retry-After": fault.removeprefix("pause:")})
            elif fault == "page":
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.end_headers()
                self.send(b"<html>please log in</html>")
            elif fault in ("not-http", "hang-up"):
                self.send(b"220 a mail server\r\n" if fault == "not-http" else b"")
                self.close_connection = True
            else:
                self.answer(fault, asked, site.bodies[self.path])

        def empty(self, status: int, **headers: str) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": "0"}.items():
                self.send_header(name, value)
            self.end_headers()

        def answer(self, fault: str, asked: str | None, body: bytes) -> None:
            start = (
                int(asked.removeprefix("bytes=").rstrip("-"))
                if asked and fault != "no-range"
                else 0
            )
            if start >= len(body):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(body)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            part = {"wrong": b"x" * len(body), "long": body + b"more"}.get(fault, body)[start:]
            self.send_response(206 if start else 200)
            if start:
                first = start + (fault == "other-range")
                self.send_header("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
            if fault.startswith("claims:"):
                self.send_header("Content-Length", fault.removeprefix("claims:"))
            elif fault not in ("no-length", "cut-unannounced", "long"):
                self.send_header("Content-Length", str(len(part)))
            if fault == "encoded":
                self.send_header("Content-Encoding", "gzip")
            self.end_headers()
            self.send(
                part[: len(part) // 2] if fault in ("cut", "cut-unannounced", "stall") else part
            )
            if fault == "stall":
                site.closing.wait(30)

        def send(self, content: bytes) -> None:
            try:
                self.wfile.write(content)
                self.wfile.flush()
            except OSError:
                return  # the client hung up, as some tests want
            site.sent_bytes += len(content)

    return Handler


@contextmanager
def running_site() -> Iterator[Site]:
    """A site that answers until the block ends."""
    site = Site()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(site))
    site.base = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield site
    finally:
        site.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()
