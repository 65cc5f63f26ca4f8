"""A web server on loopback that keeps what it is sent, for tests of whatever sends."""

from __future__ import annotations

import queue
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

PATIENCE_S = 20.0
"""How long a test waits for what other threads do, before it fails."""


@dataclass(frozen=True)
class Sent:
    """A request that came in."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Inbox:
    """What came in, in order. ``answers`` are given one after the other, then 200."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    requests: queue.Queue[Sent] = field(default_factory=queue.Queue)

    def next(self) -> Sent:
        """Wait for the next request."""
        return self.requests.get(timeout=PATIENCE_S)

    def is_empty(self) -> bool:
        return self.requests.empty()


@contextmanager
def receiving(*answers: int) -> Iterator[Inbox]:
    """Listen on a free port of loopback."""
    inbox = Inbox(answers=list(answers))

    class Desk(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the library's own name
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = inbox.answers.pop(0) if inbox.answers else 200
            inbox.requests.put(Sent(self.path, dict(self.headers.items()), body))  # who has the answer finds it there
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", f"{inbox.url}/elsewhere")
            self.end_headers()

        do_GET = do_POST  # noqa: N815  the library's own name

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Desk)
    inbox.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield inbox
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def closed_port() -> int:
    """Return a port of loopback at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def rude(answer: bytes | None) -> Iterator[str]:
    """Listen and answer every request with these bytes and no more, or, for None, not at all; the URL."""
    with socket.create_server(("127.0.0.1", 0)) as desk:
        held: list[socket.socket] = []

        def work() -> None:
            while True:
                try:
                    client, _ = desk.accept()
                except OSError:
                    return
                held.append(client)
                if answer is not None:
                    client.recv(65536)
                    client.sendall(answer)
                    client.close()

        thread = Thread(target=work)
        thread.start()
        yield f"http://127.0.0.1:{desk.getsockname()[1]}"
        desk.shutdown(socket.SHUT_RDWR)
    thread.join()
    for client in held:
        client.close()
