"""SIGTERM and Ctrl-C: the first ends the run after the batch, the second, or the end of the grace time, at once."""

from __future__ import annotations

import _thread
import os
import signal
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from etl.service.child import TIED

GRACE_S = 20.0
"""How long the batch under way may take after the first signal."""
INTERRUPTED = 130
_LAST_MOMENTS_S = 3.0
_SIGNALS = {signal.SIGINT, signal.SIGTERM}


def end_with_parent() -> None:
    """For a child of a service: end when its standard input does, because nobody is left who would end it.

    Whatever is under way then is brought to its end by the next run.
    """
    if os.environ.pop(TIED, None) is not None:
        threading.Thread(target=_end_with_input, name="etl-parent", daemon=True).start()


def _end_with_input() -> None:
    while os.read(0, 1024):
        pass
    os._exit(INTERRUPTED)


class Interruption:
    """A wish to stop, from a signal, for the length of a ``with`` block.

    The signals are blocked and a thread waits for them, because a handler would only run once the main thread comes
    back from native code, and Polars has one of its own for Ctrl-C that would abort the batch. To be entered before
    other threads are started: they inherit the block, and a signal would reach one that does not have it.
    """

    def __init__(self, tell: Callable[[str], None], grace_s: float = GRACE_S) -> None:
        self.signal: signal.Signals | None = None
        self.wanted = threading.Event()
        self._tell = tell
        self._grace_s = grace_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._wait, name="etl-signals", daemon=True)

    def __enter__(self) -> Self:
        """Begin to listen."""
        self._before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Listen no more; signals mean again what they meant before."""
        self._over.set()
        if self._thread.is_alive() and self._thread.ident is not None:
            signal.pthread_kill(self._thread.ident, signal.SIGTERM)
        self._thread.join()
        signal.pthread_sigmask(signal.SIG_SETMASK, self._before)

    @property
    def is_wanted(self) -> bool:
        """Whether somebody wants the run to end."""
        return self.signal is not None

    def _wait(self) -> None:
        first = signal.sigwait(_SIGNALS)
        if self._over.is_set():
            return
        self.signal = signal.Signals(first)
        self.wanted.set()
        self._tell(f"{self.signal.name}: finishing the batch (at most {self._grace_s:g} s; again to abandon it)")
        signal.sigtimedwait(_SIGNALS, self._grace_s)
        if self._over.is_set():
            return
        _thread.interrupt_main()
        # Where the main thread does not come back from native code, the process ends: its lock is then free.
        if signal.sigtimedwait(_SIGNALS, _LAST_MOMENTS_S) is None and not self._over.is_set():
            os._exit(INTERRUPTED)
