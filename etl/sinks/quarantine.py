"""The quarantine of a pipeline: rejected rows in a Delta table beside the pipeline's own, committed by one manifest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.balance import Tally
from etl.errors import QuarantineError
from etl.rejects import SOURCE
from etl.sinks.contract import Edit

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

    from etl.model import BatchPlan, Json, Revision, Schema, StagedFile
    from etl.sinks.contract import Sink

ROLE = "quarantine"
OPEN, REPLAYED, DISCARDED = "open", "replayed", "discarded"
"""What a rejected row can be: waiting, sent through again, given up."""


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Where rejected rows go. ``keeps_raw``: with what they were; ``max_fraction``: of the rows read, None for any."""

    sink: Sink
    keeps_raw: bool = True
    max_fraction: float | None = None

    def check(self, counts: Mapping[str, int], rejected: pl.DataFrame) -> None:
        """Refuse a batch with too many rejected rows, before anything of it is published. Raises QuarantineError."""
        quarantined = counts.get("quarantined", 0)
        arrived = counts.get("read", 0) + counts.get("added", 0)
        if self.max_fraction is None or quarantined <= self.max_fraction * arrived:
            return
        raise QuarantineError(
            f"{quarantined:,} of {arrived:,} rows were rejected, more than {self.max_fraction:g} of them; "
            f"{most_frequent(rejected)}",
            where=self.sink.table,
            hint="nothing was committed; mend the input or the pipeline, or raise quarantine.max_fraction",
        )

    def stage(
        self, plan: BatchPlan, attempt: str, rejected: pl.DataFrame, replaced: frozenset[str]
    ) -> tuple[tuple[StagedFile, ...], Schema, Revision | None] | None:
        """Write rejected rows (``etl.rejects.reject_schema``) beside the table, durably and unreferenced.

        Rows that the plan resolves are marked, those of ``replaced`` files go. None where there is nothing to commit.
        """
        rows = quarantine_rows(plan, rejected, keeps_raw=self.keeps_raw)
        is_needed = rejected.height or self.sink.is_to_be_replaced
        if not (is_needed or plan.settles_rejects or replaced):
            return None
        schema = self.sink.prepare(rows.schema)
        old, revision = self.sink.revise(plan.batch_id, attempt, Edit(schema, replaced, _marks(plan)))
        if not is_needed and revision is None:
            return None
        new = self.sink.stage(plan.batch_id, attempt, rows.lazy(), Tally()) if rejected.height else ()
        return (*new, *old), schema, revision


def _marks(plan: BatchPlan) -> dict[str, dict[str, Json]]:
    """Return what rows that the plan resolves are marked with, by their id."""
    if plan.resolution is None or not plan.settles_rejects:
        return {}
    status = REPLAYED if plan.resolution["action"] == "replay" else DISCARDED
    marks: dict[str, Json] = {"status": status, "resolved_in": plan.batch_id, "resolved_at": plan.batch_at}  # type: ignore[dict-item]
    return dict.fromkeys(plan.resolution["rows"], marks)


def most_frequent(rejected: pl.DataFrame) -> str:
    """Return the most frequent reason, for people."""
    if not rejected.height:
        return "none was kept"
    rule, reason, rows = rejected.group_by("rule", "reason").len().sort("len", "rule", "reason").row(-1)
    return f"most often ({rows:,}): {rule}, {reason}"


def quarantine_schema() -> dict[str, pl.DataType]:
    """Return the columns of a quarantine table, as Polars types."""
    import polars as pl

    moment = pl.Datetime("us", "UTC")
    return {
        "row_id": pl.String(),
        "_batch_id": pl.Int64(),
        "rejected_at": moment,
        "rule": pl.String(),
        "reason": pl.String(),
        "raw": pl.String(),
        "raw_bytes": pl.Binary(),
        "form": pl.String(),
        "context": pl.String(),
        "_source_file": pl.String(),
        "_source_offset": pl.Int64(),
        "line": pl.Int64(),
        "status": pl.String(),
        "resolved_in": pl.Int64(),
        "resolved_at": moment,
    }


def quarantine_rows(plan: BatchPlan, rejected: pl.DataFrame, *, keeps_raw: bool) -> pl.DataFrame:
    """Return rejected rows as the table keeps them, in the order of their files, with ids that no other batch uses.

    ``raw`` is text; where the bytes are none, it shows them escaped and ``raw_bytes`` has them as they were.
    """
    import polars as pl

    types = quarantine_schema() | ({SOURCE: pl.String()} if SOURCE in rejected.columns else {})
    ordered = rejected.sort("_source_file", "_source_offset", "rule", "raw", maintain_order=True)
    if not keeps_raw:
        ordered = ordered.with_columns(raw=pl.lit(None, pl.Binary))
    text, is_text = _texts(ordered["raw"])
    ids = pl.format("{}-{}", pl.lit(plan.batch_id), pl.int_range(1, pl.len() + 1))
    return ordered.with_columns(
        row_id=ids,
        _batch_id=pl.lit(plan.batch_id, pl.Int64),
        rejected_at=pl.lit(plan.batch_at, types["rejected_at"]),
        raw_bytes=pl.when(~is_text).then(pl.col("raw")),
        raw=text,
        status=pl.lit(OPEN),
        resolved_in=pl.lit(None, pl.Int64),
        resolved_at=pl.lit(None, types["resolved_at"]),
    ).select(list(types))


def _texts(raw: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Return bytes as text, escaped where they are none, and a mask of those that are."""
    import polars as pl

    try:
        return raw.cast(pl.String), pl.repeat(value=True, n=len(raw), dtype=pl.Boolean, eager=True)
    except pl.exceptions.ComputeError:
        shown = [None if each is None else each.decode("utf-8", "backslashreplace") for each in raw]
        is_text = [each is None or _is_text(each) for each in raw]
        return pl.Series(shown, dtype=pl.String), pl.Series(is_text, dtype=pl.Boolean)


def _is_text(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True
