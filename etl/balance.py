"""The rows of a batch by their fate, and the equation that they must satisfy."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from etl.errors import BalanceError
from etl.rejects import RejectedRows

if TYPE_CHECKING:
    import polars as pl

ARRIVED = ("read", "added")
LEFT = ("written", "filtered", "deduplicated", "late", "quarantined", "folded")


class Tally:
    """Row counts of one attempt, each measured at its own place while rows stream by, and the rows that it set aside.

    Appends are atomic, so that the engine's worker threads may count without a lock.
    """

    def __init__(self) -> None:
        self._seen: dict[str, deque[int]] = {fate: deque() for fate in (*ARRIVED, *LEFT)}
        self.rejected = RejectedRows()

    def add(self, fate: str, rows: int) -> None:
        """Count ``rows`` more of ``fate``, a word of ``ARRIVED`` or ``LEFT``."""
        self._seen[fate].append(rows)

    def quarantine(self, frame: pl.DataFrame) -> None:
        """Set rows aside (``etl.rejects.reject_schema``) and count them; those of a source it counts as ``read`` too."""
        self.rejected.add(frame)
        self.add("quarantined", frame.height)

    def counts(self) -> dict[str, int]:
        """Return the sum of each fate."""
        return {fate: sum(seen) for fate, seen in self._seen.items()}


def check_balance(rows: Mapping[str, int], *, where: str) -> None:
    """Refuse a batch whose rows do not add up.

    Raises BalanceError with both sides of
    ``read + added = written + filtered + deduplicated + late + quarantined + folded``.
    """
    arrived = sum(rows.get(fate, 0) for fate in ARRIVED)
    left = sum(rows.get(fate, 0) for fate in LEFT)
    if arrived != left:
        sides = [" + ".join(f"{fate} {rows.get(fate, 0)}" for fate in side) for side in (ARRIVED, LEFT)]
        raise BalanceError(
            f"{arrived} rows arrived, {left} left: {sides[0]} is not {sides[1]}",
            where=where,
            hint="nothing was committed; a transform lost or doubled rows without counting them",
        )


def observed(rows: pl.LazyFrame, see: Callable[[pl.DataFrame], None]) -> pl.LazyFrame:
    """Return ``rows`` unchanged, with ``see`` called once on every morsel that passes, in any order and thread."""

    def look(frame: pl.DataFrame) -> pl.DataFrame:
        see(frame)
        return frame

    return rows.map_batches(look, streamable=True)
