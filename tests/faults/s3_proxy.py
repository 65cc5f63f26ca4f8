"""A proxy before an S3 store that refuses requests, loses or cuts answers and drops headers, by rule."""

from __future__ import annotations

import re
import socket
import sys
import threading
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal, cast
from urllib.parse import urlsplit

Fault = Literal["503", "403", "409", "412", "lost", "503 after", "cut", "short", "garbled", "unconditional"]
_CODES = {
    "503": "ServiceUnavailable",
    "403": "AccessDenied",
    "409": "ConditionalRequestConflict",
    "412": "PreconditionFailed",
}
_HOP_BY_HOP = {"connection", "content-length", "keep-alive", "transfer-encoding", "date", "server"}


@dataclass(slots=True)
class Rule:
    """What befalls the ``nth`` request that matches, and the ``times - 1`` after it.

    ``503``, ``403``, ``409``, ``412``: answered without asking the store. ``lost``: carried out, the connection closed
    instead of an answer; ``503 after``: carried out, denied. ``cut``: half of the body, then the connection is closed;
    ``short``: half of the body under a length that says so, and no checksum. ``garbled``: the body turned round.
    ``unconditional``: ``If-None-Match`` is dropped.
    With ``after``, counting starts when that rule has struck.
    """

    fault: Fault
    method: str = "[A-Z]+"
    path: str = ""
    nth: int = 1
    times: float = 1
    after: Rule | None = None
    seen: int = 0

    def applies(self, method: str, path: str) -> bool:
        """Count a matching request and tell whether it is one of this rule's."""
        if self.after is not None and not self.after.has_struck:
            return False
        if not (re.fullmatch(self.method, method) and re.search(self.path, path)):
            return False
        self.seen += 1
        return self.nth <= self.seen < self.nth + self.times

    @property
    def has_struck(self) -> bool:
        return self.seen >= self.nth


class FaultyS3:
    """A store's endpoint with faults: ``rules`` may change at any time, ``requests`` lists what was asked."""

    def __init__(self, target: str) -> None:
        self.target = str(urlsplit(target).netloc)
        self.rules: list[Rule] = []
        self.requests: list[tuple[str, str]] = []
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), type("Bound", (_Exchange,), {"proxy": self}))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"

    def fault_of(self, method: str, path: str) -> Rule | None:
        """Return the first rule that applies to a request; every rule counts it."""
        with self._lock:
            self.requests.append((method, path))
            hits = [rule for rule in self.rules if rule.applies(method, path)]
        return hits[0] if hits else None

    def puts(self) -> list[str]:
        """Return the paths of all uploads so far."""
        return [path for method, path in self.requests if method == "PUT"]

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Tell errors of the proxy; a client that hung up is no news."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(cast("socket.socket", request), client_address)


class _Exchange(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    proxy: FaultyS3

    def _carry(self) -> None:
        body = self._body()
        rule = self.proxy.fault_of(self.command, self.path)
        fault = rule.fault if rule else None
        if fault in _CODES:
            return self._deny(fault)
        answer, content = self._forward(body, is_conditional=fault != "unconditional")
        if fault == "503 after":
            return self._deny("503")
        if fault == "lost":
            return self._hang_up()
        return self._answer(answer, content, fault)

    do_DELETE = do_GET = do_HEAD = do_POST = do_PUT = _carry  # noqa: N815  the names http.server asks for

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _forward(self, body: bytes, *, is_conditional: bool) -> tuple[HTTPResponse, bytes]:
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
        if not is_conditional:
            headers = {name: value for name, value in headers.items() if name.lower() != "if-none-match"}
        headers["Content-Length"] = str(len(body))
        connection = HTTPConnection(self.proxy.target, timeout=30)
        try:
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()

    def _answer(self, answer: HTTPResponse, content: bytes, fault: str | None) -> None:
        content = content[::-1] if fault == "garbled" else content
        half = content[: len(content) // 2]
        length = str(len(half) if fault == "short" else len(content))
        if self.command == "HEAD":
            length = answer.headers.get("Content-Length", "0")
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            is_checksum = name.lower().startswith("x-amz-checksum")
            if name.lower() not in _HOP_BY_HOP and not (is_checksum and fault == "short"):
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(half if fault in ("cut", "short") else content)
        if fault == "cut":
            self._hang_up()

    def _deny(self, status: str) -> None:
        content = f"<Error><Code>{_CODES[status]}</Code><Message>by rule</Message></Error>".encode()
        self.send_response(int(status))
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _hang_up(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        cast("socket.socket", self.connection).shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
