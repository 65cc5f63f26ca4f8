"""What wakes a runner that waits for input: events of local folders as a hint, and the end of its patience."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol, Self

_SLICE_S = 0.2
"""How long a wait goes on before it is asked whether it should end."""
_DEBOUNCE_MS, _STEP_MS, _RUST_TIMEOUT_MS = 10, 2, 500


class Waker(Protocol):
    """Something to wait with."""

    @property
    def is_stopped(self) -> bool:
        """Whether somebody wants the run to end."""

    def watch(self, folders: Sequence[str]) -> None:
        """Be woken by what happens in these folders, and in no others. *Repeat*: safe."""

    def wait(self, timeout_s: float) -> bool:
        """Wait until something may have changed, or for so long; tell whether it was woken. Ends early to stop."""


class FolderWaker:
    """Wakes when something changes in the local folders that it watches, until it is left as a ``with`` block.

    Events are a hint alone: one that is lost costs the rest of the wait, one too many costs a look. Without folders,
    or where the system gives no events (out of watches, a network disk), only time wakes.
    """

    def __init__(self, should_stop: Callable[[], bool] = bool) -> None:
        self._folders: tuple[str, ...] = ()
        self._should_stop = should_stop
        self._changed = threading.Event()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Begin without folders."""
        return self

    def watch(self, folders: Sequence[str]) -> None:
        """Be woken by what happens in these folders, and in no others. *Repeat*: safe."""
        if tuple(folders) == self._folders:
            return
        self._end()
        self._folders = tuple(folders)
        if self._folders:
            self._ended = threading.Event()
            self._thread = threading.Thread(
                target=self._watch, args=(self._folders, self._ended), name="etl-watch", daemon=True
            )
            self._thread.start()

    def _end(self) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Watch no more."""
        self._end()

    @property
    def is_stopped(self) -> bool:
        """Whether somebody wants the run to end."""
        return self._should_stop()

    def wait(self, timeout_s: float) -> bool:
        """Wait until something may have changed, or for so long; tell whether it was woken. Ends early to stop."""
        left_s = timeout_s
        while left_s > 0 and not self._should_stop():
            if self._changed.wait(min(left_s, _SLICE_S)):
                self._changed.clear()
                return True
            left_s -= _SLICE_S
        return False

    def _watch(self, folders: Sequence[str], ended: threading.Event) -> None:
        from watchfiles import watch

        try:
            for _ in watch(
                *folders,
                watch_filter=None,
                debounce=_DEBOUNCE_MS,
                step=_STEP_MS,
                rust_timeout=_RUST_TIMEOUT_MS,
                stop_event=ended,
                raise_interrupt=False,
            ):
                self._changed.set()
        except (OSError, RuntimeError):
            return  # no events to be had: the scan goes on by time
