"""Server-sent events: what happens in the service, told to every page that is open."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING

from etl.readable import escaped
from etl.secrets import mask

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from etl.service.contract import Happening

MOST_STREAMS = 16
KEEP_ALIVE_S = 15.0
LONGEST_S = 3600.0
_MOST_WAITING = 100
_HEADERS = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]


class Streams:
    """The open streams. ``tell`` may be called from any thread and returns at once."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._open: dict[asyncio.Queue[str | None], asyncio.AbstractEventLoop] = {}
        self._is_closed = False

    @property
    def count(self) -> int:
        """How many pages listen."""
        return len(self._open)

    def hear(self, happening: Happening) -> None:
        """Tell every page what happened: of which pipeline, and what kind of thing."""
        self.tell(happening.pipeline, happening.kind)

    def tell(self, pipeline: str, kind: str) -> None:
        """Tell every page that something of a pipeline changed."""
        text = json.dumps({"pipeline": mask(escaped(pipeline)), "kind": kind})
        self._each(lambda waiting: _offer(waiting, f"event: change\ndata: {text}\n\n"))

    def close(self) -> None:
        """End all streams, and open no more."""
        self._is_closed = True
        self._each(_end)

    def _each(self, act: Callable[[asyncio.Queue[str | None]], None]) -> None:
        with self._lock:
            for waiting, loop in self._open.items():
                with suppress(RuntimeError):  # the loop is closed
                    loop.call_soon_threadsafe(act, waiting)

    def open(self) -> asyncio.Queue[str | None] | None:
        """Return where a new stream takes its parts from, None where there are too many."""
        waiting: asyncio.Queue[str | None] = asyncio.Queue(_MOST_WAITING)
        with self._lock:
            if self._is_closed or len(self._open) >= MOST_STREAMS:
                return None
            self._open[waiting] = asyncio.get_running_loop()
        return waiting

    def forget(self, waiting: asyncio.Queue[str | None]) -> None:
        """Drop a stream whose page is gone."""
        with self._lock:
            self._open.pop(waiting, None)


class EventStream:
    """The endpoint of the streams: an ASGI application, so that a page that goes away frees its place at once."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send parts until the page is gone, the service ends or an hour is over: the page then asks anew."""
        from starlette.responses import PlainTextResponse

        waiting = self._streams.open()
        if waiting is None:
            full = PlainTextResponse(f"{MOST_STREAMS} pages listen already\n", 503, {"retry-after": "10"})
            await full(scope, receive, send)
            return
        try:
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            gone = asyncio.ensure_future(_gone(receive))
            try:
                await _send_parts(waiting, gone, send)
            finally:
                gone.cancel()
        finally:
            self._streams.forget(waiting)


async def _send_parts(waiting: asyncio.Queue[str | None], gone: asyncio.Future[None], send: Send) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + LONGEST_S
    part: str | None = "event: hello\ndata: {}\n\n"
    while part is not None and loop.time() < end:
        await send({"type": "http.response.body", "body": part.encode(), "more_body": True})
        following = asyncio.ensure_future(waiting.get())
        done, _ = await asyncio.wait((following, gone), timeout=KEEP_ALIVE_S, return_when=asyncio.FIRST_COMPLETED)
        if following in done:
            part = following.result()
            continue
        following.cancel()
        if gone in done:
            return
        part = ": still here\n\n"
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _gone(receive: Receive) -> None:
    """Wait until the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _offer(waiting: asyncio.Queue[str | None], part: str) -> None:
    """Hand a part to a stream; a page that is slow misses it, and reads all anew with the next one."""
    with suppress(asyncio.QueueFull):
        waiting.put_nowait(part)


def _end(waiting: asyncio.Queue[str | None]) -> None:
    while not waiting.empty():
        waiting.get_nowait()
    waiting.put_nowait(None)
