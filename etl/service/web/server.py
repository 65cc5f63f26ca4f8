"""The server of the page, in a thread of its own: bound before it starts, impatient with slow clients."""

from __future__ import annotations

import asyncio
import socket
from threading import Thread
from typing import TYPE_CHECKING, Any

from etl.errors import ConfigError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

HEADER_WAIT_S = 10.0
SEND_WAIT_S = 20.0
MOST_CONNECTIONS = 100
MOST_HEADER_BYTES = 32_768
_GRACE_S = 3


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that listens there. Raises ConfigError where that is not possible."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host.strip("[]"), port))
    except OSError as exc:
        bound.close()
        raise ConfigError(
            f"cannot listen on {host}:{port}: {exc.strerror or exc}",
            where="serve.port",
            hint="stop what listens there, or set another: serve: {port: 0} takes one that is free",
        ) from exc
    return bound


class PageServer:
    """Serves an application until it is closed."""

    def __init__(self, app: ASGIApp, bound: socket.socket) -> None:
        import uvicorn

        self._bound = bound
        config = uvicorn.Config(
            app,
            http=_impatient(),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=MOST_CONNECTIONS,
            h11_max_incomplete_event_size=MOST_HEADER_BYTES,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=_GRACE_S,
        )
        self._server = uvicorn.Server(config)
        self._thread = Thread(target=self._server.run, kwargs={"sockets": [bound]}, name="etl-page", daemon=True)

    def start(self) -> None:
        """Begin to answer. Whoever connects from now on is served, at the latest in a moment."""
        self._bound.listen(MOST_CONNECTIONS)
        self._thread.start()

    def close(self) -> None:
        """End: answers that are under way get three seconds."""
        self._server.should_exit = True
        self._thread.join(_GRACE_S + 2)
        self._bound.close()


def _impatient() -> type[asyncio.Protocol]:
    """Return the HTTP protocol that drops clients which do not send their headers, or do not read the answer."""
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Impatient(H11Protocol):
        """A connection that is given up when its client is slow."""

        _sending: asyncio.TimerHandle | None = None
        _reading: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:  # noqa: ANN401  uvicorn's own signature
            """Give the client its time for the first request."""
            super().connection_made(transport)
            self._sending = self.loop.call_later(HEADER_WAIT_S, transport.abort)

        def data_received(self, data: bytes) -> None:
            """Go on; the time runs until the headers are whole."""
            super().data_received(data)
            cycle: Any = self.cycle  # None until the first request is whole
            is_asked = cycle is not None and not cycle.response_complete
            if is_asked:
                _cancel(self._sending)
                self._sending = None
            elif self._sending is None:
                self._sending = self.loop.call_later(HEADER_WAIT_S, self.transport.abort)

        def pause_writing(self) -> None:
            """Give the client its time to read."""
            super().pause_writing()
            self._reading = self.loop.call_later(SEND_WAIT_S, self.transport.abort)

        def resume_writing(self) -> None:
            """Go on."""
            super().resume_writing()
            _cancel(self._reading)

        def connection_lost(self, exc: Exception | None) -> None:
            """Forget the clocks."""
            _cancel(self._sending)
            _cancel(self._reading)
            super().connection_lost(exc)

    return Impatient


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
