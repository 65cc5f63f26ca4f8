"""The one door to the outside world: clock, random ids, and every effect by name.

Production code passes each write, rename, lock and delete through :meth:`Seam.effect`; tests hand in
a seam that kills the process, fails, loses the answer or tears the write at the k-th of them.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

T = TypeVar("T")


class Seam:
    """The real world: system clock, random ids, effects carried out as they are."""

    def now(self) -> datetime:
        """Return the time as an aware UTC moment; never used for ordering."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds of a clock that never goes back."""
        return time.monotonic()

    def sleep(self, delay_s: float) -> None:
        """Wait."""
        time.sleep(delay_s)

    def new_id(self) -> str:
        """Return 32 random hexadecimal digits."""
        return uuid.uuid4().hex

    def effect(self, name: str, act: Callable[[], T], torn: Callable[[], object] | None = None) -> T:
        """Carry out ``act``, an effect with the stable ``name`` (``plan.put.link``).

        ``torn`` leaves behind what a crash in the middle of ``act`` would: tests call it instead of ``act``.
        """
        del name, torn
        return act()
