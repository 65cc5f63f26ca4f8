"""What a sink is."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from etl.seam import Seam
from etl.storage import Storage

if TYPE_CHECKING:
    import polars as pl

    from etl.balance import Tally
    from etl.model import Json, Manifest, Revision, Schema, StagedFile
    from etl.project import Project
    from etl.state.contract import Fingerprint, State, StateChange, TableLayout


@dataclass(frozen=True, slots=True)
class SinkSite:
    """Where a sink lives: handed to it when a pipeline is wired.

    ``table`` is the name for people, ``url`` the table's root, ``storage`` the same as a folder of records.
    ``storage_options`` are as Polars and deltalake take them, ``provenance`` the system columns that the table keeps.
    ``role`` is what the table is to its pipeline: ``main``, or a side table's word; manifests name tables by it.
    A sink that is no table has as ``storage`` a folder of the checkpoint, of the generation that counts; ``project``
    and ``pipeline`` say what it is part of.
    """

    table: str
    url: str
    storage: Storage
    seam: Seam
    storage_options: Mapping[str, str] = field(default_factory=dict)
    provenance: tuple[str, ...] = ()
    role: str = "main"
    project: Project | None = None
    pipeline: str = ""


@dataclass(frozen=True, slots=True)
class Edit:
    """What is to become of rows that a table holds already.

    ``schema`` is the table's afterwards: where types of columns differ, every file is written anew. ``files`` are input
    files whose rows go. ``marks`` are other values for the rows with an ``id`` (of a side table): id to columns.
    ``partitions``: the rows with these values of the partition columns, in Delta's text, go.
    """

    schema: Schema
    files: frozenset[str] = frozenset()
    marks: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    partitions: frozenset[tuple[str | None, ...]] = frozenset()


class SinkMemory(Protocol):
    """What a sink remembers beside its table; the engine keeps it with the state of transforms.

    A batch that is staged again begins again, with what was remembered before it.
    """

    def fingerprint(self) -> Fingerprint:
        """Return what it was made by."""

    def layouts(self, schema: Schema) -> Mapping[str, TableLayout]:
        """Return its tables, where the sink's table has ``schema`` (what ``prepare`` returned)."""

    def begin(self, state: State, at: datetime) -> None:
        """Take what was remembered before a batch that was planned ``at``. Called before ``stage``."""

    def learned(self) -> Mapping[str, StateChange]:
        """Return what the batch changes. Called after ``stage``."""


class Sink(Protocol):
    """A table that takes a batch atomically and knows which batch it holds. One instance per pipeline run.

    A sink that remembers something beside its table has it as ``memory`` (a ``SinkMemory``, None for nothing).
    """

    @property
    def table(self) -> str:
        """The table's name for people (``silver.orders``, or its URL)."""

    def bind(self, app_id: str, pipeline: str = "", replaces: Sequence[str] | None = None) -> None:
        """Take the names under which the table remembers batches. Called once, before anything else.

        ``app_id`` is that of this checkpoint's batches; under the name of the ``pipeline`` the table remembers the
        newest batch of any checkpoint of its. With ``replaces``, the first batch takes the place of all that the table
        holds, and no batch of the app ids in it can be committed any more: a full refresh.
        """

    def last_batch_id(self, expected: tuple[int, int] | None = None) -> int | None:
        """Return the newest batch that the table durably holds from this pipeline, None for none (or no table).

        ``expected`` is the batch and table version of the newest commit entry: where the table stands exactly
        there, nothing more is read.

        Raises TableStateError where the table is torn or was replaced by another.
        """

    def claimed_batch_id(self) -> int | None:
        """Return the newest batch that the table holds from any checkpoint of this pipeline, None for none."""

    @property
    def is_to_be_replaced(self) -> bool:
        """Whether the next commit takes the place of all that the table holds."""

    def table_id(self) -> str | None:
        """Return the identity of the table, None where there is none yet."""

    def prepare(self, rows: pl.Schema, *, may_widen: bool = False) -> Schema:
        """Return the schema that the table will have after a batch of ``rows``; changes nothing.

        With ``may_widen`` a column may take a wider type, for which ``revise`` writes the table's rows anew. Raises
        SinkError where a column cannot be stored without loss.
        """

    def stage(self, batch_id: int, attempt: str, rows: pl.LazyFrame, tally: Tally) -> tuple[StagedFile, ...]:
        """Write ``rows`` beside the table, durably, under names of this batch and attempt; count ``written``."""

    def revise(self, batch_id: int, attempt: str, edit: Edit) -> tuple[tuple[StagedFile, ...], Revision | None]:
        """Write rows that the table holds anew, changed, beside the table; None where nothing in it is to change.

        Durable and unreferenced as ``stage``. Raises SinkError where a value does not survive the change.
        """

    def is_left_alone(self, files: Sequence[StagedFile], schema: Schema, revision: Revision | None) -> bool:
        """Tell whether a batch of these files would leave the table as it is, so that it gets no version.

        Never before it holds a batch of this checkpoint. ``files`` are those staged and those written anew, ``schema``
        is what ``prepare`` gave.
        """

    def missing(self, manifest: Manifest) -> list[str]:
        """Return the staged files of the manifest that are not there with their size."""

    def commit(self, manifest: Manifest, info: dict[str, Json]) -> int:
        """Make the manifest's files part of the table in one transaction; return the table version that holds them.

        *Repeat*: returns the version of the first time. ``info`` is the ``etl.*`` commit metadata. Raises FencedError
        where a full refresh took the place of this checkpoint's batches, TableStateError where the table holds batches
        of another checkpoint of this pipeline, TableMovedError where files that the manifest takes out are not all that
        it would have to take out any more.
        """

    def discard(self, batch_id: int, keep: Collection[str]) -> None:
        """Remove staged files of ``batch_id`` but those that the manifest which decided names (``keep``)."""

    def tend(self) -> None:
        """Do upkeep that is off the hot path (log checkpoints). Losing it loses nothing."""
