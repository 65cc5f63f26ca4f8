"""The units of a plan of files: which versions of which files a batch reads, as columns of plain JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from etl.errors import CheckpointError
from etl.model import Json, Offset
from etl.sources.file_discovery import FoundFile
from etl.sources.file_names import to_text

_COLUMNS = ("path", "size_bytes", "modified_ns")
_OPTIONAL = ("etag", "digest", "from_byte")


class UnitRow(NamedTuple):
    """One file of a plan. ``path`` is text; ``same_as`` is the file whose content it repeats, where it is not read.

    ``digest`` is that of the content, or what proves the file's first part once it has grown. Where it has, the batch
    reads it from ``from_byte`` on.
    """

    path: str
    size_bytes: int
    modified_ns: int
    etag: str | None = None
    digest: str | None = None
    same_as: str | None = None
    from_byte: int | None = None


@dataclass(frozen=True, slots=True)
class FileUnits:
    """The files that a batch reads, in order, and beside them those it passes over as duplicates.

    ``columns`` holds one list a column, as the plan record does: a batch may have half a million files.
    """

    columns: Mapping[str, list[Any]]
    duplicates: tuple[UnitRow, ...] = ()

    @classmethod
    def of(cls, rows: Iterable[UnitRow], duplicates: Iterable[UnitRow] = ()) -> FileUnits:
        """Return the units of some rows."""
        return cls(_columns(tuple(rows)), tuple(duplicates))

    @classmethod
    def found(
        cls,
        files: Sequence[FoundFile],
        digests: Sequence[str | None] = (),
        duplicates: Iterable[UnitRow] = (),
        starts: Sequence[int | None] = (),
    ) -> FileUnits:
        """Return the units of found files; ``digests`` and ``starts`` are given for all of them or for none."""
        columns: dict[str, list[Any]] = {
            "path": [to_text(file.path) for file in files],
            "size_bytes": [file.size_bytes for file in files],
            "modified_ns": [file.modified_ns for file in files],
            "etag": [file.etag for file in files],
            "digest": list(digests),
            "from_byte": list(starts),
        }
        return cls(_filled(columns), tuple(duplicates))

    @classmethod
    def from_json(cls, units: Mapping[str, Any]) -> FileUnits:
        """Return what ``to_json`` wrote; the lists are shared. Raises CheckpointError."""
        try:
            columns = {name: units[name] for name in (*_COLUMNS, *_OPTIONAL) if name in _COLUMNS or name in units}
            sizes = {len(values) for values in columns.values()}
            duplicates = units.get("duplicates")
            found = cls(columns, tuple(_rows(duplicates)) if isinstance(duplicates, dict) else ())
        except (KeyError, TypeError, ValueError) as exc:
            raise _foreign(str(exc)) from exc
        if len(sizes) != 1:
            raise _foreign("columns of different lengths")
        return found

    def to_json(self) -> dict[str, Json]:
        """Return one list a column; a column that is empty for every file is left out."""
        units: dict[str, Json] = dict(self.columns)
        if self.duplicates:
            units["duplicates"] = self.duplicate_columns
        return units

    @property
    def duplicate_columns(self) -> dict[str, Any]:
        """The duplicates, one list a column, with the file that each repeats."""
        return {**_columns(self.duplicates), "same_as": [row.same_as for row in self.duplicates]}

    def __len__(self) -> int:
        """Return how many files are read."""
        return len(self.columns["path"])

    @property
    def files(self) -> tuple[UnitRow, ...]:
        """Each file that is read, as an object of its own."""
        return tuple(_rows(self.columns))

    @property
    def paths(self) -> list[str]:
        """The text of each file that is read."""
        return self.columns["path"]

    @property
    def size_bytes(self) -> int:
        """The bytes that are read of all files together."""
        sizes: list[int] = self.columns["size_bytes"]
        return sum(sizes) - sum(start or 0 for start in self.columns.get("from_byte", ()))

    def end_after(self, after: Offset | None) -> Offset:
        """Return the offset after these units: running totals, for people and for order."""
        before = {"files": 0, "batches": 0} | (after or {})
        return {"files": _count(before, "files") + len(self), "batches": _count(before, "batches") + 1}

    def rows(self) -> Iterator[UnitRow]:
        """Return every file that the plan settles: those read, then the duplicates."""
        yield from _rows(self.columns)
        yield from self.duplicates


def unit_of(found: FoundFile, digest: str | None, same_as: str | None = None) -> UnitRow:
    """Return the unit of a found file."""
    return UnitRow(to_text(found.path), found.size_bytes, found.modified_ns, found.etag, digest, same_as)


def _columns(rows: tuple[UnitRow, ...]) -> dict[str, Any]:
    return _filled({name: [getattr(row, name) for row in rows] for name in (*_COLUMNS, *_OPTIONAL)})


def _filled(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Return ``columns`` without the optional ones that say nothing."""
    return {
        name: values
        for name, values in columns.items()
        if name in _COLUMNS or any(value is not None for value in values)
    }


def _rows(columns: Mapping[str, Any]) -> Iterator[UnitRow]:
    empty = [None] * len(columns["path"])
    optional = [columns.get(name, empty) for name in ("etag", "digest", "same_as", "from_byte")]
    return map(UnitRow._make, zip(*(columns[name] for name in _COLUMNS), *optional, strict=True))


def _foreign(reason: str) -> CheckpointError:
    return CheckpointError(
        f"units of a plan that are not those of files: {reason}", hint="restore the checkpoint folder from a backup"
    )


def _count(offset: Offset, key: str) -> int:
    value = offset[key]
    return value if isinstance(value, int) else 0
