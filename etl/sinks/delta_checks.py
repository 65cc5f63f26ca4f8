"""What a Delta table must be for a batch of ours: partitioned alike, of our checkpoint, keeping our types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.errors import FencedError, SinkError, TableMovedError, TableStateError
from etl.sinks.delta_actions import SUPERSEDED

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from etl.model import Revision, Schema
    from etl.sinks.delta_log import Action, DeltaLog, Head

_PARTITION_TYPES = ("string", "byte", "short", "integer", "long", "boolean", "date")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A version of a table that was found fit for ``rows``, and the schema that it will have with them."""

    head: Head | None
    rows: pl.Schema
    may_widen: bool
    schema: Schema

    def answers(self, head: Head | None, rows: pl.Schema, *, may_widen: bool) -> bool:
        """Tell whether this is the answer to a question, so that it need not be found again."""
        versions = [None if each is None else each.version for each in (self.head, head)]
        return versions[0] == versions[1] and self.rows == rows and self.may_widen == may_widen


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


def refuse_grown(head: Head, schema: Schema, table: str) -> None:
    """Refuse to write rows anew in columns that are no longer all that the table has. Raises TableMovedError."""
    for field in head.fields:
        if field["name"] not in schema:
            raise TableMovedError(
                f"another writer added column {field['name']!r} while the batch was staged",
                where=table,
                hint="nothing was committed; run again",
            )


def refuse_moved(log: DeltaLog, head: Head | None, revision: Revision | None, table: str) -> None:
    """Refuse to take out files that another writer has taken out, or to leave out some that it added.

    Raises TableMovedError.
    """
    if revision is None or head is None:
        return
    for version in range(revision.read_version + 1, head.version + 1):
        if log.has_file_changes(version):
            raise TableMovedError(
                f"version {version} of another writer changed files that the batch rewrites",
                where=table,
                hint="the batch is staged again on the new version",
            )


def refuse_untyped_keys(fields: Sequence[Action], keys: Sequence[str], sequence_by: str | None, table: str) -> None:
    """Refuse a key, or an order of rows, of which neither table nor batch has a value yet. Raises SinkError."""
    typed = {field["name"] for field in fields}
    for name in [*keys, *([] if sequence_by is None else [sequence_by])]:
        if name not in typed:
            role = "is part of the primary_key" if name in keys else "is the sequence_by column"
            raise SinkError(
                f"{role} and has no type yet: there are only nulls",
                where=f"{table}.{name}",
                hint="declare its type under `schema:` of the source",
            )
