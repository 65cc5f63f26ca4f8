"""Who hears what happens in a service."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from etl.service.contract import Happening

if TYPE_CHECKING:
    from etl.model import BatchPlan, BatchResult
    from etl.seam import Seam

Hear = Callable[[Happening], None]


class Hearers:
    """Everybody who listens. It is a reporter, too: what runs report becomes happenings. From any thread."""

    def __init__(self, seam: Seam) -> None:
        self._seam = seam
        self._hearers: tuple[Hear, ...] = ()
        self._lock = threading.Lock()

    def listen(self, hear: Hear) -> Callable[[], None]:
        """Have everything told that happens from now on; return what ends it. *Repeat*: safe to end twice."""

        def only_this(happening: Happening) -> None:
            hear(happening)

        def leave() -> None:
            with self._lock:
                self._hearers = tuple(each for each in self._hearers if each is not only_this)

        with self._lock:
            self._hearers = (*self._hearers, only_this)
        return leave

    def tell(self, pipeline: str, kind: str, message: str = "", result: BatchResult | None = None) -> None:
        """Tell everybody; what they raise is dropped."""
        happening = Happening(self._seam.now(), pipeline, kind, message, result)
        for hear in self._hearers:
            with contextlib.suppress(Exception):
                hear(happening)

    def planned(self, pipeline: str, plan: BatchPlan) -> None:
        """Tell of a batch that begins."""
        self.tell(pipeline, "planned", f"batch {plan.batch_id}")

    def committed(self, result: BatchResult) -> None:
        """Tell of a batch that is durable."""
        self.tell(result.pipeline, "committed", f"batch {result.batch_id}", result)

    def noted(self, pipeline: str, message: str) -> None:
        """Tell what a person should know."""
        self.tell(pipeline, "noted", message)
