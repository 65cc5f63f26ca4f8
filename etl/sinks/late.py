"""The late table of a pipeline: rows that came behind the watermark, kept beside the pipeline's own table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.balance import Tally

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from etl.model import BatchPlan, Schema, StagedFile
    from etl.sinks.contract import Sink

ROLE = "late"


@dataclass(frozen=True, slots=True)
class Late:
    """Where late rows go: their columns, and ``_watermark``, which each came behind (null: it has no event time)."""

    sink: Sink

    def stage(
        self, plan: BatchPlan, attempt: str, frames: Sequence[pl.DataFrame]
    ) -> tuple[tuple[StagedFile, ...], Schema] | None:
        """Write late rows beside the table, durably and unreferenced. None where there are none to commit.

        Frames may differ in their columns, where several transforms judge lateness. Raises SinkError where a column of
        one name has types that no table can hold together.
        """
        import polars as pl

        if not frames and not self.sink.is_to_be_replaced:
            return None
        rows = pl.concat(frames, how="diagonal_relaxed") if frames else pl.DataFrame()
        if not rows.width:
            return None
        schema = self.sink.prepare(rows.schema)
        return self.sink.stage(plan.batch_id, attempt, rows.lazy(), Tally()), schema
