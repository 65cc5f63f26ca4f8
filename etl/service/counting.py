"""What the pipelines of this process did since it was started, counted as it happens."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from etl.model import BatchResult
    from etl.service.contract import Happening

BOUNDS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)


@dataclass(slots=True)
class Durations:
    """How often something took how long: a count for each bound, and one for what took longer."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    sum_s: float = 0.0

    def add(self, took_s: float) -> None:
        """Count one."""
        self.counts[bisect_left(BOUNDS_S, took_s)] += 1
        self.sum_s += took_s

    def upto(self) -> list[tuple[str, float]]:
        """Return each bound with how many took at most so long, ``+Inf`` last."""
        total, found = 0.0, []
        for bound, count in zip((*map(str, BOUNDS_S), "+Inf"), self.counts, strict=True):
            total += count
            found.append((bound, total))
        return found


@dataclass(slots=True)
class Count:
    """What one pipeline did. ``succeeded_at`` is when a run of it ended well, None where none did yet."""

    rows: Counter[str] = field(default_factory=Counter)
    durations: dict[str, Durations] = field(default_factory=dict)
    bytes_read: int = 0
    batches: int = 0
    failures: int = 0
    succeeded_at: datetime | None = None

    def take(self, result: BatchResult) -> None:
        """Count a batch."""
        self.batches += 1
        self.bytes_read += result.bytes_read
        self.rows.update(result.rows)
        for step, took_s in result.seconds.items():
            self.durations.setdefault(step, Durations()).add(took_s)


class Counts:
    """The counts of all pipelines, by name."""

    def __init__(self) -> None:
        self._counts: dict[str, Count] = {}
        self._lock = threading.Lock()

    def hear(self, happening: Happening) -> None:
        """Count what happened."""
        with self._lock:
            if happening.kind == "removed":
                self._counts.pop(happening.pipeline, None)
                return
            count = self._counts.setdefault(happening.pipeline, Count())
            if happening.result is not None:
                count.take(happening.result)
            elif happening.kind == "failed":
                count.failures += 1
            elif happening.kind == "ended":
                count.succeeded_at = happening.at

    def now(self) -> Mapping[str, Count]:
        """Return them as they are."""
        with self._lock:
            return deepcopy(self._counts)
