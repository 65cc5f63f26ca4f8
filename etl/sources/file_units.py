"""The units of a plan of files: which versions of which files a batch reads, as columns of plain JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from etl.errors import CheckpointError
from etl.model import Json
from etl.sources.file_discovery import FoundFile
from etl.sources.file_names import to_text

_COLUMNS = ("path", "size_bytes", "modified_ns")
_OPTIONAL = ("etag", "digest")


class UnitRow(NamedTuple):
    """One file of a plan. ``path`` is text; ``same_as`` is the file whose content it repeats, where it is not read."""

    path: str
    size_bytes: int
    modified_ns: int
    etag: str | None = None
    digest: str | None = None
    same_as: str | None = None


@dataclass(frozen=True, slots=True)
class FileUnits:
    """The files that a batch reads, in order, and beside them those it passes over as duplicates."""

    files: tuple[UnitRow, ...]
    duplicates: tuple[UnitRow, ...] = field(default=())

    @classmethod
    def of(cls, files: Iterable[tuple[FoundFile, str | None]], duplicates: Iterable[UnitRow] = ()) -> FileUnits:
        """Return the units of found files, each with the digest of its content (or None)."""
        return cls(tuple(unit_of(found, digest) for found, digest in files), tuple(duplicates))

    @classmethod
    def from_json(cls, units: Mapping[str, Json]) -> FileUnits:
        """Return what ``to_json`` wrote. Raises CheckpointError."""
        try:
            duplicates = units.get("duplicates")
            return cls(_rows(units), _rows(duplicates) if isinstance(duplicates, dict) else ())
        except (KeyError, TypeError, ValueError) as exc:
            raise CheckpointError(f"units of a plan that are not those of files: {exc}", hint="`etl verify`") from exc

    def to_json(self) -> dict[str, Json]:
        """Return one list a column; a column that is empty for every file is left out."""
        units = _columns(self.files)
        if self.duplicates:
            units["duplicates"] = {**_columns(self.duplicates), "same_as": [row.same_as for row in self.duplicates]}
        return units

    @property
    def paths(self) -> list[str]:
        """The text of each file that is read."""
        return [row.path for row in self.files]

    @property
    def size_bytes(self) -> int:
        """The bytes of all files together."""
        return sum(row.size_bytes for row in self.files)

    def rows(self) -> Iterator[UnitRow]:
        """Return every file that the plan settles: those read, then the duplicates."""
        yield from self.files
        yield from self.duplicates


def unit_of(found: FoundFile, digest: str | None, same_as: str | None = None) -> UnitRow:
    """Return the unit of a found file."""
    return UnitRow(to_text(found.path), found.size_bytes, found.modified_ns, found.etag, digest, same_as)


def _columns(rows: tuple[UnitRow, ...]) -> dict[str, Json]:
    columns: dict[str, Json] = {name: [getattr(row, name) for row in rows] for name in _COLUMNS}
    for name in _OPTIONAL:
        values: list[Json] = [getattr(row, name) for row in rows]
        if any(value is not None for value in values):
            columns[name] = values
    return columns


def _rows(columns: Mapping[str, Any]) -> tuple[UnitRow, ...]:
    empty = [None] * len(columns["path"])
    optional = [columns.get(name, empty) for name in (*_OPTIONAL, "same_as")]
    return tuple(map(UnitRow._make, zip(*(columns[name] for name in _COLUMNS), *optional, strict=True)))
