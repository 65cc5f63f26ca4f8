"""The beginning of the next input, parsed while the present batch is written and committed.

What is read ahead counts for nothing: it is used where the next plan turns out to be exactly what was guessed, and
dropped otherwise. As many pieces wait as while a batch is read, so memory stays bounded.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class ReadAhead(Generic[T]):
    """At most one guess at a time. Used by one thread at a time."""

    def __init__(self) -> None:
        self._key: Any = None
        self._pieces: Generator[T, None, None] | None = None
        self._first: Future[list[T]] | None = None

    def begin(self, key: object, pieces: Generator[T, None, None]) -> None:
        """Start to read what ``key`` names; its threads begin with the first item that is asked for."""
        self.close()
        self._key, self._pieces = key, pieces
        with_one = ThreadPoolExecutor(1, thread_name_prefix="etl-ahead")
        self._first = with_one.submit(lambda: [piece for piece in (next(pieces, None),) if piece is not None])
        with_one.shutdown(wait=False)

    def take(self, key: object) -> Generator[T, None, None] | None:
        """Return the pieces that were begun under ``key``, None where the guess was another. Ends the guess."""
        if self._pieces is None or self._key != key:
            self.close()
            return None
        pieces, first = self._pieces, self._first
        self._key = self._pieces = self._first = None
        return _resumed(first, pieces)

    def close(self) -> None:
        """Drop the guess and end its threads. *Repeat*: safe."""
        pieces, first = self._pieces, self._first
        self._key = self._pieces = self._first = None
        if pieces is not None and first is not None:
            first.exception()  # until then the thread is inside the generator, which cannot be closed from outside
            pieces.close()


def _resumed(first: Future[list[T]] | None, pieces: Generator[T, None, None]) -> Generator[T, None, None]:
    try:
        yield from _items(first, pieces)
    finally:
        pieces.close()


def _items(first: Future[list[T]] | None, pieces: Iterator[T]) -> Iterator[T]:
    yield from [] if first is None else first.result()
    yield from pieces
