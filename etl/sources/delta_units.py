"""The units of a plan of a Delta table: which files of which versions a batch reads, as columns of plain JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, cast

from etl.errors import CheckpointError
from etl.model import Json, Offset, Schema

ADD, REMOVE, CDC = "add", "remove", "cdc"
_COLUMNS = ("path", "size_bytes", "modified_ns", "version", "kind", "partition")


class TableFile(NamedTuple):
    """A data file of a version. ``path`` is relative to the table, as on disk.

    ``kind``: its rows came (``add``), went (``remove``), or it holds changes (``cdc``). ``partition`` are Delta's text
    forms by column, None where the log does not tell them. ``rows`` are those that the log tells of, which no plan
    keeps.
    """

    path: str
    size_bytes: int
    modified_ns: int
    version: int
    kind: str = ADD
    partition: Mapping[str, str | None] | None = None
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class DeltaUnits:
    """The files that a batch reads, in order, of which table, and the columns that it has behind them."""

    files: tuple[TableFile, ...]
    table_id: str
    schema: Schema

    def to_json(self) -> dict[str, Json]:
        """Return the units as a plan record keeps them."""
        columns: dict[str, Json] = {name: [getattr(file, name) for file in self.files] for name in _COLUMNS}
        return {**columns, "table_id": self.table_id, "schema": cast("dict[str, Json]", self.schema)}

    @classmethod
    def from_json(cls, units: Mapping[str, Any]) -> DeltaUnits:
        """Return what ``to_json`` wrote. Raises CheckpointError."""
        try:
            files = (TableFile(*row) for row in zip(*(units[name] for name in _COLUMNS), strict=True))
            return cls(tuple(files), units["table_id"], units["schema"])
        except (KeyError, TypeError, ValueError) as exc:
            raise CheckpointError(
                f"units of a plan that are not those of a Delta table: {exc}",
                hint="restore the checkpoint folder from a backup",
            ) from exc

    @property
    def size_bytes(self) -> int:
        """The size of all files."""
        return sum(file.size_bytes for file in self.files)


def of_files(files: Iterable[TableFile], table_id: str, schema: Schema) -> DeltaUnits:
    """Return the units of some files."""
    return DeltaUnits(tuple(file._replace(rows=None) for file in files), table_id, schema)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a reader stands: all versions before ``version`` are read, and the first ``taken`` files of that one.

    ``is_snapshot``: the files are all that the table holds at the version, not those that it brought. An empty
    ``table_id`` is that of whichever table is found.
    """

    table_id: str
    version: int
    taken: int = 0
    is_snapshot: bool = False

    @property
    def newest(self) -> int:
        """The newest version of which something is read, -1 for none."""
        return self.version if self.taken or self.is_snapshot else self.version - 1

    def next_version(self) -> Place:
        """Return the place behind the whole version."""
        return Place(self.table_id, self.version + 1)

    def past(self, taken: int) -> Place:
        """Return the place behind the first files of the version."""
        return replace(self, taken=taken)

    def to_offset(self) -> Offset:
        """Return the offset as records keep it."""
        return {
            "table_id": self.table_id,
            "version": self.version,
            "files": self.taken,
            "is_snapshot": self.is_snapshot,
        }

    @classmethod
    def of_offset(cls, offset: Offset) -> Place:
        """Return what ``to_offset`` wrote. Raises CheckpointError."""
        try:
            return cls(
                str(offset["table_id"]),
                int(str(offset["version"])),
                int(str(offset["files"])),
                bool(offset["is_snapshot"]),
            )
        except (KeyError, ValueError) as exc:
            raise CheckpointError(
                "the offset is not that of a Delta table",
                hint="give a source that reads something else another name, or build anew: --full-refresh",
            ) from exc
