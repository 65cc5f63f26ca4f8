"""The rows that a batch sets aside, staged beside the table: the quarantine, the late table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from etl.balance import Tally
from etl.errors import QuarantineError
from etl.flow import Flow
from etl.intake import replaced
from etl.model import BatchPlan, Revision, Schema, StagedFile
from etl.rejects import PART
from etl.sinks.late import ROLE as LATE
from etl.sinks.quarantine import ROLE, most_frequent

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True)
class Parts:
    """What an attempt staged for tables, by role: only those that it changes."""

    tables: Mapping[str, tuple[StagedFile, ...]]
    schemas: Mapping[str, Schema]
    revisions: Mapping[str, Revision]

    def beside(self, others: Parts) -> Parts:
        """Return these parts and others, of other roles."""
        return Parts(
            {**self.tables, **others.tables}, {**self.schemas, **others.schemas}, {**self.revisions, **others.revisions}
        )


def stage_sides(flow: Flow, plan: BatchPlan, attempt: str, tally: Tally) -> Parts:
    """Stage the rows that an attempt set aside: rejected ones, and what becomes of earlier ones, then late ones.

    Raises QuarantineError.
    """
    late = None if flow.late is None else flow.late.stage(plan, attempt, tally.late.take())
    rejected = _stage_rejects(flow, plan, attempt, tally)
    if late is None:
        return rejected
    files, schema = late
    return replace(rejected, tables={**rejected.tables, LATE: files}, schemas={**rejected.schemas, LATE: schema})


def _stage_rejects(flow: Flow, plan: BatchPlan, attempt: str, tally: Tally) -> Parts:
    rejected = _without_siblings(tally)
    quarantine = flow.quarantine
    if quarantine is None:
        if rejected.height:
            raise QuarantineError(f"rows were rejected; {most_frequent(rejected)}", where=flow.name)
        return Parts({}, {}, {})
    if not plan.settles_rejects:  # rows of the quarantine may go back to it, however many they are
        quarantine.check(tally.counts(), rejected)
    staged = quarantine.stage(plan, attempt, rejected, replaced(plan))
    if staged is None:
        return Parts({}, {}, {})
    files, schema, revision = staged
    return Parts({ROLE: files}, {ROLE: schema}, {} if revision is None else {ROLE: revision})


def _without_siblings(tally: Tally) -> pl.DataFrame:
    """Return the rejected rows; where no transform made several rows of one, none of them is only a part of its row."""
    import polars as pl

    rejected = tally.rejected.take()
    if tally.counts()["added"]:
        return rejected
    context = pl.col("context")
    return rejected.with_columns(context=pl.when(context.ne_missing(PART)).then(context))
