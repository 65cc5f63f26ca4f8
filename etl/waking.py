"""What wakes a runner that waits for input: events of local folders as a hint, and the end of its patience."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from etl.folder_events import EVENTS

if TYPE_CHECKING:
    from etl.folder_events import Subscription

_SLICE_S = 0.2
"""How long a wait goes on before it is asked whether it should end."""


class Waker(Protocol):
    """Something to wait with."""

    @property
    def is_stopped(self) -> bool:
        """Whether somebody wants the run to end."""

    @property
    def has_events(self) -> bool:
        """Whether all that it watches gives events now; False without folders."""

    def watch(self, folders: Sequence[str]) -> None:
        """Be woken by what happens in these folders, and in no others. *Repeat*: safe."""

    def wait(self, timeout_s: float) -> bool:
        """Wait until something may have changed, or for so long; tell whether it was woken. Ends early to stop."""


class FolderWaker:
    """Wakes when something changes in the local folders that it watches, until it is left as a ``with`` block.

    Events are a hint alone: one that is lost costs the rest of the wait, one too many costs a look. Without folders,
    or where the system gives no events (out of watches, a network disk), only time wakes.
    """

    def __init__(self, should_stop: Callable[[], bool] = bool, slice_s: float = _SLICE_S) -> None:
        self._folders: tuple[str, ...] = ()
        self._should_stop = should_stop
        self._slice_s = slice_s
        self._changed = threading.Event()
        self._subscription: Subscription | None = None

    def __enter__(self) -> Self:
        """Begin without folders."""
        return self

    def watch(self, folders: Sequence[str]) -> None:
        """Be woken by what happens in these folders, and in no others. *Repeat*: safe."""
        if tuple(folders) == self._folders:
            return
        before, self._folders = self._subscription, tuple(folders)
        self._subscription = EVENTS.subscribe(folders, self._changed.set) if folders else None
        if before is not None:
            EVENTS.unsubscribe(before)

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Watch no more."""
        self.watch(())

    @property
    def is_stopped(self) -> bool:
        """Whether somebody wants the run to end."""
        return self._should_stop()

    @property
    def has_events(self) -> bool:
        """Whether all that it watches gives events now; False without folders."""
        return self._subscription is not None and self._subscription.is_watched

    def wait(self, timeout_s: float) -> bool:
        """Wait until something may have changed, or for so long; tell whether it was woken. Ends early to stop."""
        left_s = timeout_s
        while left_s > 0 and not self._should_stop():
            if self._changed.wait(min(left_s, self._slice_s)):
                self._changed.clear()
                return True
            left_s -= self._slice_s
        return False
