"""What is read of a pipeline to prove its invariants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from etl.config.specification import PipelineSpec
    from etl.operations.verifying_records import Records
    from etl.operations.verifying_tables import Looked
    from etl.pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class Evidence:
    """A pipeline, and what was read of it: its records and its tables."""

    spec: PipelineSpec
    pipeline: Pipeline
    records: Records
    tables: Sequence[Looked]

    @property
    def repair(self) -> str:
        """The command that builds everything anew, where nothing less mends it."""
        return f"etl run {self.spec.name} --full-refresh"
