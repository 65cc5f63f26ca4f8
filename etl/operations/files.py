"""The files of a plan, with what the manifest knows of each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etl.sources.again import files_again, is_again, is_chosen, records_of
from etl.sources.file_units import FileUnits
from etl.sources.log_units import LogUnits

if TYPE_CHECKING:
    from etl.model import Json, PlannedInput


@dataclass(frozen=True, slots=True)
class InputFile:
    """One unit of a batch. ``rows`` is None where it was not read yet; ``same_as`` names the file that it repeats.

    ``is_again``: rows of it that had been rejected, and not the file.
    """

    path: str
    size_bytes: int | None = None
    rows: int | None = None
    same_as: str | None = None
    is_again: bool = False


def files_of(planned: PlannedInput, read: Json = None) -> list[InputFile]:
    """Return the files of a plan, duplicates last; units of other sources by their number.

    ``read`` is what the source said of its units in the manifest.
    """
    units: dict[str, Any] = planned.units
    if is_again(units) and not is_chosen(units):
        return _files_again(units)
    if "path" not in units:
        names = next((column for column in units.values() if isinstance(column, list)), [])
        return [InputFile(str(name)) for name in names]
    if "generation" in units:
        return _logs_of(units, read)
    rows = read.get("rows") if isinstance(read, dict) else None
    counts: list[Any] = rows if isinstance(rows, list) else []
    files = FileUnits.from_json(units)
    listed = [
        InputFile(unit.path, unit.size_bytes, counts[index] if index < len(counts) else None)
        for index, unit in enumerate(files.files)
    ]
    return listed + [InputFile(unit.path, unit.size_bytes, 0, unit.same_as) for unit in files.duplicates]


def _logs_of(units: dict[str, Any], read: Json) -> list[InputFile]:
    """Return the logs of a plan, each as large as what is read of it."""
    logs = LogUnits.from_json(units).ranges
    rows = read.get("rows") if isinstance(read, dict) else None
    counts: list[Any] = rows if isinstance(rows, list) and len(rows) == len(logs) else [None] * len(logs)
    return [InputFile(unit.path, unit.end - unit.start, count) for unit, count in zip(logs, counts, strict=True)]


def _files_again(units: dict[str, Any]) -> list[InputFile]:
    """Return the files that rows of the quarantine came from; one that is read again as a whole with its size."""
    rows = Counter(record.file for record in records_of(units) if record.file is not None and record.form != "file")
    whole = [InputFile(unit.path, unit.size_bytes, is_again=True) for unit in files_again(units).files]
    return [InputFile(path, None, count, is_again=True) for path, count in rows.items()] + whole
