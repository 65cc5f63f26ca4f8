"""What a run says while it works, and who listens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from etl.model import BatchPlan, BatchResult
    from etl.seam import Seam


class Reporter(Protocol):
    """A listener. Called from the thread of the run, between steps; must not raise."""

    def planned(self, pipeline: str, plan: BatchPlan) -> None:
        """Take note that a batch begins."""

    def committed(self, result: BatchResult) -> None:
        """Take note that a batch is durable."""

    def noted(self, pipeline: str, message: str) -> None:
        """Take note of something that a person should know: a recovery, a schema change."""


class Silent:
    """A listener that says nothing."""

    def planned(self, pipeline: str, plan: BatchPlan) -> None:
        """Ignore."""

    def committed(self, result: BatchResult) -> None:
        """Ignore."""

    def noted(self, pipeline: str, message: str) -> None:
        """Ignore."""


class Stopwatch:
    """Seconds per step of a batch."""

    def __init__(self, seam: Seam) -> None:
        self._seam = seam
        self._started_s = self._lap_s = seam.monotonic()
        self._seconds: dict[str, float] = {"plan": 0.0, "stage": 0.0, "commit": 0.0}

    def lap(self, step: str) -> None:
        """End a step."""
        now_s = self._seam.monotonic()
        self._seconds[step] = now_s - self._lap_s
        self._lap_s = now_s

    def seconds(self) -> dict[str, float]:
        """Return the steps and the total, rounded to a tenth of a millisecond."""
        total = {"total": self._seam.monotonic() - self._started_s}
        return {step: round(took_s, 4) for step, took_s in (self._seconds | total).items()}
