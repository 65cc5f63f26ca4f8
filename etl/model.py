"""The values that travel through a batch. Frozen, JSON-able, no input or output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
Offset: TypeAlias = "dict[str, Json]"
"""A source's own position; nobody but that source looks inside."""

TypeTree: TypeAlias = "str | dict[str, TypeTree | dict[str, TypeTree]]"
"""A column type: ``"int64"``, ``{"list": T}`` or ``{"struct": {name: T}}``."""

Schema: TypeAlias = "dict[str, TypeTree]"
"""Column name to type, in column order; see ``etl.schema`` for the words and the conversions."""

SYSTEM_COLUMNS = ("_source_file", "_source_offset", "_source_modified_at", "_batch_id", "_ingested_at")
SOURCE_ROW = "_source_row"
"""The row as it came from the source, carried beside its columns where a failed expectation may have to keep it."""

PROVENANCE_COLUMNS = ("_source_file", "_source_offset", "_batch_id")
BACKFILL = "backfill"
"""The action of a batch that reads files again."""

CHANGE = "_change"
"""What a row of a changing result is: ``insert`` or ``update`` (with all its columns), ``delete`` (its keys count)."""


@dataclass(frozen=True, slots=True)
class Span:
    """What lies between two offsets of one source: ``start`` excluded, ``end`` included.

    ``start`` is None for the first batch.
    """

    start: Offset | None
    end: Offset


@dataclass(frozen=True, slots=True)
class ReadLimit:
    """How much one batch may take; the first bound reached counts, None is no bound. At least one unit is taken."""

    max_files: int | None = None
    max_bytes: int | None = None
    max_rows: int | None = None


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long a run goes on. None is no bound; without any it ends when nothing is left to take."""

    max_batches: int | None = None
    max_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class PlannedInput:
    """The part of a plan that belongs to one source.

    ``units`` is made and read by the source alone; written into the plan record as it is,
    so that a restart reads exactly the same. Without units the source has nothing in this batch, and is not asked.
    ``files`` and ``size_bytes`` are for people. ``replaces`` are files whose rows of earlier batches go with this one.
    ``previous`` is the newest batch before this one in which the source has units (-1: none), None for the one right
    before. ``is_retired``: the pipeline no longer has the source, whose place is kept.
    """

    span: Span
    units: dict[str, Json]
    files: int = 0
    size_bytes: int = 0
    replaces: tuple[str, ...] = ()
    previous: int | None = None
    is_retired: bool = False


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """What batch ``batch_id`` is, fixed before a row is read.

    ``batch_at`` (aware UTC) is the only "now" that a transform may see. ``schemas`` is the
    reading schema of each source at plan time (None: to be inferred by the batch), ``wide`` the columns of it that can
    never become ``float64``. ``resolution`` is what a batch does instead of taking new input: with rows of the
    quarantine, ``{"action": "replay" | "discard", "rows": their ids}``; with files that it reads again ``{"action":
    "backfill", "rows": [], "files": how many, "backfill": its number, "upto": how many are done with it, "of": all,
    "by": what finds their rows, "file" or "key"}``. ``watermark`` is the pipeline's before the batch,
    ``clocks`` where each of its clocks stood. ``pins`` are the versions of static tables, by the transform that joins
    them. ``ends_refresh``: what a full refresh has built beside the table takes its place with this batch.
    """

    batch_id: int
    batch_at: datetime
    inputs: Mapping[str, PlannedInput]
    schemas: Mapping[str, Schema | None]
    definition: str
    watermark: str | None = None
    wide: Mapping[str, list[str]] = field(default_factory=dict)
    resolution: Mapping[str, Any] | None = None
    clocks: Mapping[str, Json] = field(default_factory=dict)
    pins: Mapping[str, Json] = field(default_factory=dict)
    ends_refresh: bool = False

    @property
    def is_backfill(self) -> bool:
        """Whether the batch reads files again."""
        return self.resolution is not None and self.resolution["action"] == BACKFILL

    @property
    def settles_rejects(self) -> bool:
        """Whether the batch deals with rows of the quarantine."""
        return self.resolution is not None and not self.is_backfill


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """A column, or a field in it (dotted path), that a batch added to a reading schema or whose type it changed.

    ``before`` and ``after`` are None where there is none. ``file`` is where the reason was first seen, empty where no
    file is (an edited declaration). ``source`` is the source of the schema, empty where the pipeline has only one.
    """

    column: str
    before: TypeTree | None
    after: TypeTree | None
    file: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A data file that lies in the table's folder and that nothing refers to yet.

    ``path`` is relative to the table root, exactly as on disk. ``partition_values`` are the
    Delta text forms (None is null). ``statistics`` is Delta's: numRecords, minValues, maxValues, nullCount.
    ``is_rewrite``: its rows were in the table before.
    """

    path: str
    size_bytes: int
    rows: int
    partition_values: Mapping[str, str | None] = field(default_factory=dict)
    statistics: Mapping[str, Json] = field(default_factory=dict)
    is_rewrite: bool = False


@dataclass(frozen=True, slots=True)
class Revision:
    """What a batch takes out of a table, to put back its rows changed: ``removes``, as the table's log writes them.

    ``read_version`` is the version whose files these are. ``is_data_change`` tells whether rows go or change their
    values; where only their layout or types do, readers that follow the table need not look at them again.
    """

    removes: tuple[str, ...]
    read_version: int
    is_data_change: bool


@dataclass(frozen=True, slots=True)
class StateRef:
    """The state of one transform after a batch: the file that says which files it is, its checksum, and its size."""

    file: str
    checksum: str
    rows: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """The staged result of a batch: whose it is, which files, which counts.

    ``tables`` maps the role of each table that the batch changes (``main``, ``quarantine``) to its new files;
    ``table_schemas`` to the schema that the commit must leave the table with; ``revisions`` to the files that it takes
    out. ``source_schemas`` is the reading schema that the batch ended with,
    ``wide`` as in a plan, ``schema_changes`` how it came to that. ``files`` are the counts of each input file,
    ``checks`` how many rows failed each expectation. ``watermark`` and ``clocks`` are those after the batch; ``state``
    names the file that says what each stateful transform knows after it. With ``ends_refresh`` the files of the main
    table are all that it is to have.
    """

    batch_id: int
    attempt: str
    tables: Mapping[str, tuple[StagedFile, ...]]
    table_schemas: Mapping[str, Schema]
    source_schemas: Mapping[str, Schema]
    rows: Mapping[str, int]
    units: Mapping[str, Json] = field(default_factory=dict)
    watermark: str | None = None
    bytes_read: int = 0
    revisions: Mapping[str, Revision] = field(default_factory=dict)
    wide: Mapping[str, list[str]] = field(default_factory=dict)
    schema_changes: tuple[SchemaChange, ...] = ()
    files: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    checks: Mapping[str, int] = field(default_factory=dict)
    clocks: Mapping[str, Json] = field(default_factory=dict)
    state: Mapping[str, StateRef] = field(default_factory=dict)
    ends_refresh: bool = False


@dataclass(frozen=True, slots=True)
class BatchResult:
    """The outcome of a batch, as the commit log keeps it and ``etl run --json`` prints it.

    ``tables`` maps the name of each table that it changed to the version, the pipeline's own first; ``state`` each
    stateful transform to the ``rows`` and ``bytes`` that it remembers.
    """

    pipeline: str
    batch_id: int
    offsets: Mapping[str, Json]
    tables: Mapping[str, int]
    rows: Mapping[str, int]
    watermark: str | None
    bytes_read: int
    seconds: Mapping[str, float]
    schema_changes: tuple[Mapping[str, Json], ...] = ()
    checks: Mapping[str, int] = field(default_factory=dict)
    resolution: Mapping[str, Any] | None = None
    state: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def as_fields(value: DataclassInstance) -> dict[str, Any]:
    """Return the fields of a value by name, as they are: nothing is copied."""
    return {each.name: getattr(value, each.name) for each in fields(value)}


def change_to_json(change: SchemaChange) -> dict[str, Any]:
    """Return a change of a schema as records keep it."""
    fields_ = as_fields(change)
    return fields_ if change.source else {name: value for name, value in fields_.items() if name != "source"}
