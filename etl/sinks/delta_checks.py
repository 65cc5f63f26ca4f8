"""What a Delta table must be for a batch of ours: partitioned alike, of our checkpoint, keeping our types."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.errors import FencedError, SinkError, TableStateError
from etl.sinks.delta_actions import SUPERSEDED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etl.sinks.delta_log import Action, Head

_PARTITION_TYPES = ("string", "byte", "short", "integer", "long", "boolean", "date")


def refuse_superseded(head: Head | None, table: str, refresh_command: str) -> None:
    """Refuse a checkpoint whose batches a full refresh has replaced. Raises TableStateError."""
    if head is not None and head.batch_id == SUPERSEDED:
        raise TableStateError(
            "table_ahead",
            "a full refresh took the place of every batch that this checkpoint knows",
            where=table,
            hint=f"restore the newer checkpoint folder, or build the table anew: {refresh_command}",
        )


def refuse_other_checkpoint(head: Head, table: str, *, is_refresh: bool) -> None:
    """Refuse to commit beside, or after, the batches of another checkpoint of the pipeline.

    Asked once more next to the compare-and-swap, because a runner may have slept since it looked. Raises
    FencedError, TableStateError.
    """
    if head.batch_id == SUPERSEDED:
        raise FencedError(
            "a full refresh took the place of this checkpoint's batches",
            where=table,
            hint="this runner stopped and deleted nothing; the refresh goes on",
        )
    if not is_refresh and head.batch_id is None and head.claimed is not None:
        raise TableStateError(
            "table_ahead",
            "another checkpoint of this pipeline has written to the table meanwhile",
            where=table,
            hint="put that checkpoint back; nothing was committed",
        )


def refuse_other_partitions(head: Head, wanted: list[str], table: str, refresh_command: str) -> None:
    """Refuse a table that is partitioned in another way. Raises SinkError."""
    if head.partition_columns != wanted:
        raise SinkError(
            f"the table is partitioned by {head.partition_columns}, the pipeline says {wanted}",
            where=table,
            hint=f"a table's partitioning cannot change; set sink.partition_by to it, or build the table anew: "
            f"{refresh_command}",
        )


def refuse_partition_types(fields: Sequence[Action], partition_by: Sequence[str], table: str) -> None:
    """Refuse partition columns whose text would not tell their value. Raises SinkError."""
    types = {field["name"]: field["type"] for field in fields}
    for column in partition_by:
        if types.get(column) not in _PARTITION_TYPES:
            raise SinkError(
                f"cannot be partitioned by a column of type {types.get(column, 'unknown')}",
                where=f"{table}.{column}",
                hint="use text, an integer, a boolean or a date: with_columns: {day: CAST(at AS DATE)}",
            )
