"""Iterators that run ahead in threads while their items are taken in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Condition
from typing import Generic, TypeVar

T = TypeVar("T")
AHEAD = 1
"""Jobs begun beyond those that the workers have."""
_MAX_WAITING = 2
_WAIT_S = 0.1


def in_order(jobs: Iterator[Callable[[], Iterator[T]]], workers: int) -> Generator[T, None, None]:
    """Return the items of all jobs in the order of the jobs, each job run in one of ``workers`` threads.

    At most ``workers + 1`` jobs are begun and not taken, each with two items: memory stays bounded. An exception of a
    job is raised here as itself, after the items before it. Closing the iterator ends the threads.
    """
    lanes: deque[_Lane[T]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for job in jobs:
                lanes.append(_Lane())
                pool.submit(lanes[-1].run, job)
                if len(lanes) >= workers + AHEAD:
                    yield from lanes[0].items()
                    lanes.popleft()
            while lanes:
                yield from lanes[0].items()
                lanes.popleft()
        finally:
            for lane in lanes:
                lane.close()


class _Lane(Generic[T]):
    """The items of one job on their way from its thread."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._waiting: deque[T] = deque()
        self._error: BaseException | None = None
        self._is_done = False
        self._is_closed = False

    def run(self, job: Callable[[], Iterator[T]]) -> None:
        """Work through the job, waiting while too much waits to be taken."""
        try:
            if not self._is_closed:
                for item in job():
                    if not self._put(item):
                        return
        except BaseException as exc:  # noqa: BLE001  it is raised where the items are taken, panics of Rust as well
            self._error = exc
        finally:
            with self._changed:
                self._is_done = True
                self._changed.notify_all()

    def _put(self, item: T) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: len(self._waiting) < _MAX_WAITING or self._is_closed)
            self._waiting.append(item)
            self._changed.notify_all()
            return not self._is_closed

    def items(self) -> Iterator[T]:
        """Return the items as they come. Raises what the job raised."""
        while True:
            with self._changed:
                # Waiting for ever would not hear Ctrl-C where the main thread waits.
                while not (self._waiting or self._is_done):
                    self._changed.wait(_WAIT_S)
                if not self._waiting:
                    break
                item = self._waiting.popleft()
                self._changed.notify_all()
            yield item
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Let the thread end at its next item."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
