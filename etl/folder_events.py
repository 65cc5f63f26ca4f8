"""Events of local folders, for everybody in this process who wants to hear of them: one watch for all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_DEBOUNCE_MS, _STEP_MS, _RUST_TIMEOUT_MS = 10, 4, 500
_LONGEST_END_S = 2.0
"""How long the end of the watch is waited for."""


@dataclass(eq=False, slots=True)
class Subscription:
    """Who is woken by what happens below ``folders``. ``is_watched``: all of them give events now."""

    folders: tuple[str, ...]
    wake: Callable[[], None]
    is_watched: bool = field(default=False)

    def concerns(self, path: str) -> bool:
        """Tell whether a path lies in one of the folders."""
        return any(path == folder or path.startswith(f"{folder}/") for folder in self.folders)


class FolderEvents:
    """One thread that watches the folders of all subscriptions, for as long as there is one.

    Events are a hint: whoever is woken looks. Whoever is new is woken once when the watch has begun, because of what
    may have happened before. For that the watch begins anew, and an event of that moment may be lost to the others.
    Folders that are not there are not watched; where the system gives no events (out of watches), nothing is.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._subscriptions: list[Subscription] = []
        self._changed = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        """Who is to be woken."""
        with self._lock:
            return tuple(self._subscriptions)

    def subscribe(self, folders: Sequence[str], wake: Callable[[], None]) -> Subscription:
        """Have ``wake`` called, from another thread, after something happened below the folders."""
        found = Subscription(tuple(folder.rstrip("/") for folder in folders), wake)
        with self._lock:
            self._subscriptions.append(found)
            self._changed.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="etl-watch", daemon=True)
                self._thread.start()
        return found

    def unsubscribe(self, subscription: Subscription) -> None:
        """Call no more. After the last one the watch is over when this returns."""
        with self._lock:
            self._subscriptions.remove(subscription)
            self._changed.set()
            thread = None if self._subscriptions else self._thread
        if thread is not None:
            thread.join(_LONGEST_END_S)  # somebody may subscribe meanwhile: then it goes on

    def _watch(self) -> None:
        while (present := self._present()) is not None:
            folders = sorted({folder for each in present for folder in each.folders if Path(folder).is_dir()})
            try:
                is_over = not folders
                for paths in _changes(folders, self._changed) if folders else ():
                    _tell(present, folders, paths)
            except (OSError, RuntimeError):
                is_over = True
            if is_over:
                for each in present:
                    each.is_watched = False
                self._changed.wait()

    def _present(self) -> list[Subscription] | None:
        """Return the subscriptions, None at the end of the watch."""
        with self._lock:
            self._changed.clear()
            if not self._subscriptions:
                self._thread = None
                return None
            return list(self._subscriptions)


def _changes(folders: Sequence[str], stop: threading.Event) -> Iterator[set[str]]:
    """Give the paths of each handful of events, and now and then none, the first time soon after the watch began."""
    from watchfiles import watch

    for changes in watch(
        *folders,
        watch_filter=None,
        debounce=_DEBOUNCE_MS,
        step=_STEP_MS,
        rust_timeout=_RUST_TIMEOUT_MS,
        yield_on_timeout=True,
        stop_event=stop,
        raise_interrupt=False,
    ):
        yield {path for _, path in changes}


def _tell(present: Iterable[Subscription], folders: Sequence[str], paths: set[str]) -> None:
    """Wake whom the paths concern, and at the first time everybody."""
    for each in present:
        is_first = not each.is_watched and all(folder in folders for folder in each.folders)
        if is_first:
            each.is_watched = True
        if is_first or any(each.concerns(path) for path in paths):
            each.wake()


EVENTS = FolderEvents()
"""Those of this process."""
