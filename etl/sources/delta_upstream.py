"""The Delta table that a source follows: its identity, its columns and the files of a version, by deltalake."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from etl.delta_types import from_delta_fields
from etl.errors import SinkError, SourceError
from etl.model import CHANGE, SOURCE_ROW, SYSTEM_COLUMNS, Schema
from etl.project import PLAIN_RECORDS
from etl.sources.delta_commits import DeltaCommits
from etl.sources.delta_units import ADD, TableFile
from etl.storage import Storage

if TYPE_CHECKING:
    from deltalake import DeltaTable

_READ_FEATURES = frozenset(("deletionVectors", "timestampNtz", "v2Checkpoint", "vacuumProtocolCheck"))
"""Features of the protocol that change nothing for who reads; files with a deletion vector are refused one by one."""
_OURS = (*SYSTEM_COLUMNS, SOURCE_ROW)


@dataclass(frozen=True, slots=True)
class Look:
    """A version of the table. ``schema`` leaves out the columns that this library keeps in tables."""

    table_id: str
    version: int
    schema: Schema
    partition_by: tuple[str, ...]
    table: DeltaTable = field(repr=False, compare=False)


class Upstream:
    """The table, called ``name`` in errors; ``options`` are those of its object store."""

    def __init__(self, name: str, storage: Storage, options: Mapping[str, str]) -> None:
        self.name = name
        self.storage = storage
        self.commits = DeltaCommits(name, storage)
        self._options = dict(options)

    def newest(self) -> Look | None:
        """Return the newest version, None where there is no table. Raises SourceError."""
        return self._look(None)

    def at(self, version: int) -> Look:
        """Return a version; the newest one where the log does not suffice for it any more. Raises SourceError."""
        found = self._look(version) or self._look(None)
        if found is None:
            raise SourceError("there is no table any more", where=self.name, hint=f"looked for at {self.storage.url}")
        return found

    def exactly(self, version: int) -> Look | None:
        """Return a version, None where the log does not suffice for it any more. Raises SourceError."""
        return self._look(version)

    def _look(self, version: int | None) -> Look | None:
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError, TableNotFoundError

        try:
            table = DeltaTable(self.storage.url, version=version, storage_options=self._options or None)
        except TableNotFoundError:
            self._refuse_plain()
            return None
        except (DeltaError, OSError, ValueError) as exc:
            if version is not None:
                return None
            raise SourceError(f"cannot be read: {exc}", where=self.name, hint="look at the table's log") from exc
        metadata = table.metadata()
        self._refuse_features(table)
        fields = json.loads(table.schema().to_json())["fields"]
        return Look(str(metadata.id), table.version(), self._schema(fields), tuple(metadata.partition_columns), table)

    def _refuse_plain(self) -> None:
        """Refuse to wait for a log where there is a plain Parquet table of ours. Raises SourceError."""
        if self.storage.list(PLAIN_RECORDS) and not self.storage.list("_delta_log"):
            raise SourceError(
                "is a plain Parquet table, which has no log to follow",
                where=self.name,
                hint="let its pipeline write `type: delta`, or read its files: {type: files, "
                f"path: '{self.storage.url}/**/*.parquet', hive_partitions: true}}",
            )

    def _schema(self, fields: list[dict[str, Any]]) -> Schema:
        try:
            schema = from_delta_fields([each for each in fields if each["name"] not in _OURS])
        except SinkError as exc:
            raise SourceError(
                f"column {exc.where!r} has a type that this release does not read", where=self.name, hint=exc.message
            ) from exc
        if CHANGE in schema:
            raise SourceError(
                f"has a column {CHANGE!r}, which is the name of a system column",
                where=self.name,
                hint="rename it in the table",
            )
        return schema

    def _refuse_features(self, table: DeltaTable) -> None:
        """Refuse a table whose files do not say by themselves what its rows are. Raises SourceError."""
        unread = sorted(set(table.protocol().reader_features or ()) - _READ_FEATURES)
        mode = table.metadata().configuration.get("delta.columnMapping.mode") or "none"
        if mode != "none":
            unread = [f"column mapping by {mode}", *(each for each in unread if each != "columnMapping")]
        if unread:
            raise SourceError(
                f"uses {', '.join(unread)}, which this release does not read",
                where=self.name,
                hint="read a table without it; a copy of this one will do",
            )

    def files_of(self, look: Look) -> list[TableFile]:
        """Return all files that the table holds, those that were written first before others.

        Raises SourceError where rows of them are deleted by deletion vectors.
        """
        import polars as pl

        if "deletionVectors" in (look.table.protocol().reader_features or ()) and any(
            batch.num_rows for batch in look.table.deletion_vectors()
        ):
            raise self.refusal("deletion vectors", look.version)
        found = pl.DataFrame(look.table.get_add_actions()).sort("modification_time", "path")
        return [_file_of(row, look.version) for row in found.iter_rows(named=True)]

    def rows_of(self, file: TableFile) -> int:
        """Return how many rows a file has: as the log says, else from its footer, 0 where it is gone."""
        import pyarrow.parquet as pq

        if file.rows is not None:
            return file.rows
        try:
            with self.storage.open(file.path) as opened:
                return int(pq.ParquetFile(opened).metadata.num_rows)
        except (OSError, ValueError):
            return 0  # who reads it finds out

    def refusal(self, flaw: str, version: int) -> SourceError:
        """Return why a version cannot be read."""
        return SourceError(
            f"version {version} of {self.name} has {flaw}, which this release does not read",
            where=self.name,
            hint="rewrite the table without them (REORG TABLE … APPLY (PURGE)), then: etl run --full-refresh",
        )


def _file_of(row: Mapping[str, Any], version: int) -> TableFile:
    return TableFile(
        path=unquote(row["path"]),
        size_bytes=row["size_bytes"],
        modified_ns=row["modification_time"] * 1_000_000,
        version=version,
        kind=ADD,
        partition={name: _text(value) for name, value in (row.get("partition") or {}).items()},
        rows=row.get("num_records"),
    )


def _text(value: object) -> str | None:
    """Return a partition's value as the log writes it."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)
