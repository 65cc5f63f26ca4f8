"""The threads that carry out runs: a bounded number for runs that end, one each for those that do not."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Protocol, TypeAlias

Job: TypeAlias = Callable[[], None]


class Crew(Protocol):
    """Whoever carries out jobs. Both methods return at once; jobs raise nothing."""

    def take(self, job: Job) -> None:
        """Carry it out as soon as somebody is free, in the order given."""

    def take_alone(self, name: str, job: Job) -> None:
        """Carry it out at once, beside everything else; it may last for ever."""


class Threads:
    """Daemon threads: the service waits for the end of runs itself, and for a limited time."""

    def __init__(self, workers: int) -> None:
        self._free = workers
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()

    def take(self, job: Job) -> None:
        """Carry it out as soon as somebody is free, in the order given."""
        self._jobs.put(job)
        if self._free > 0:  # only the scheduler's own calls come here, under its lock
            self._free -= 1
            threading.Thread(target=self._work, name=f"etl-worker-{self._free}", daemon=True).start()

    def take_alone(self, name: str, job: Job) -> None:
        """Carry it out at once, beside everything else; it may last for ever."""
        threading.Thread(target=job, name=f"etl-{name}"[:15], daemon=True).start()

    def _work(self) -> None:
        while True:
            self._jobs.get()()
