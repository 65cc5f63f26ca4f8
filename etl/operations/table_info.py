"""What a table is and was: its figures, settings, the newest batch of each pipeline, its versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from etl.errors import EtlError
from etl.holds import checkpoints_of, holds_on
from etl.operations.table_upkeep import known_table

if TYPE_CHECKING:
    from etl.operations.workspace import Workspace
    from etl.project import Project
    from etl.seam import Seam
    from etl.sinks.delta_health import TableHealth
    from etl.sinks.delta_log import Head
    from etl.sinks.parquet_upkeep import PlainHead
    from etl.sinks.past import LoggedVersion

_OPTIMIZE = "OPTIMIZE"


@dataclass(frozen=True, slots=True)
class TableInfo:
    """A table in full.

    ``batches`` is the newest batch of each pipeline that writes it, ``readers`` the pipelines that read it, with the
    version that each has read; None where that is not known.
    """

    table: str
    table_id: str
    writer: str | None
    health: TableHealth
    partition_by: tuple[str, ...]
    columns: int
    properties: dict[str, str]
    features: tuple[str, ...]
    protocol: tuple[int, int]
    batches: dict[str, int]
    readers: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class TableVersion:
    """A version as the log tells it: who made it, and what came and went. ``rows`` are those in new files."""

    version: int
    at: str | None
    operation: str
    pipeline: str | None
    batch_id: int | None
    rows: int | None
    files_added: int
    files_removed: int
    is_data_change: bool
    engine: str
    details: dict[str, Any] = field(default_factory=dict)


def info(workspace: Workspace, name: str, seam: Seam) -> TableInfo:
    """Return what a table is; changes nothing. Raises ConfigError for an unknown one, TableStateError."""
    known = known_table(workspace, name, seam)
    head, health = known.upkeep.head(), known.upkeep.health()
    assert head is not None  # noqa: S101  known_table has seen its log
    assert health is not None  # noqa: S101  the same
    protocol = head.protocol
    features = {*(protocol.get("readerFeatures") or ()), *(protocol.get("writerFeatures") or ())}
    return TableInfo(
        known.upkeep.table,
        head.table_id,
        known.writer,
        health,
        tuple(head.partition_columns),
        len(head.fields),
        dict(head.metadata.get("configuration") or {}),
        tuple(sorted(features)),
        (protocol.get("minReaderVersion", 1), protocol.get("minWriterVersion", 1)),
        _batches(workspace, known.upkeep.transactions, seam),
        _readers(workspace.project, head, seam),
    )


def _readers(project: Project, head: Head | PlainHead, seam: Seam) -> Mapping[str, int] | None:
    try:
        return holds_on(project, head, seam).readers
    except EtlError:
        return None


def _batches(workspace: Workspace, transactions: Any, seam: Seam) -> dict[str, int]:  # noqa: ANN401  a method
    """Return the newest batch of each pipeline of the lake that the table holds."""
    further = {sink.role for spec in workspace.specs() for sink in spec.further}
    named: dict[str, str] = {}
    for name, checkpoint in checkpoints_of(workspace.project, seam):
        named[f"{checkpoint.identity}/main"] = name
        named |= {f"{checkpoint.identity}/{role}": f"{name} ({role})" for role in ("quarantine", "late", *further)}
    return {named[app_id]: batch for app_id, batch in transactions(list(named)).items()}


def history(workspace: Workspace, name: str, seam: Seam, limit: int | None = None) -> list[TableVersion]:
    """Return the newest versions that the log still tells of, the newest first. Raises ConfigError, TableStateError."""
    past = known_table(workspace, name, seam).upkeep.past
    numbers = past.logged()[::-1]
    return [_version(past.version(number)) for number in numbers[:limit]]


def _version(version: LoggedVersion) -> TableVersion:
    told = version.info
    batch = told.get("etl.batch_id")
    return TableVersion(
        version.version,
        None if version.at_ms is None else datetime.fromtimestamp(version.at_ms / 1000, UTC).isoformat(),
        str(told.get("operation", "")),
        told.get("etl.pipeline"),
        None if batch is None else int(batch),
        _rows(version),
        len(version.added),
        len(version.removed),
        version.has_data_change,
        str(told.get("engineInfo", "")),
        dict(told.get("operationParameters") or {}),
    )


def _rows(version: LoggedVersion) -> int | None:
    rows = list(_counts(version))
    return None if None in rows else sum(row for row in rows if row is not None)


def _counts(version: LoggedVersion) -> Iterator[int | None]:
    import json

    for add in version.added.values():
        stats = json.loads(add["stats"]) if add.get("stats") else {}
        yield stats.get("numRecords")


def info_to_json(found: TableInfo) -> dict[str, Any]:
    """Return a table as plain values."""
    return asdict(found)
