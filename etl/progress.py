"""What a run says while it works, and who listens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from etl.model import BatchPlan, BatchResult


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
