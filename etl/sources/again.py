"""What a batch reads again, rows of the quarantine or whole files: it is in its plan, which alone fixes the batch."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from etl.errors import CheckpointError, UnreadableFileError
from etl.formats.contract import Chunk, Format
from etl.model import Json
from etl.rejects import rejects
from etl.row_json import decode_rows
from etl.schema_changes import schema_changes
from etl.schema_contract import SchemaContract, Survey
from etl.sources.again_documents import Document, Record, Refusal, documents, reread
from etl.sources.contract import Reading
from etl.sources.file_columns import FileColumns
from etl.sources.file_names import partitions
from etl.sources.file_units import FileUnits, UnitRow

if TYPE_CHECKING:
    import polars as pl

    from etl.balance import Tally

AGAIN = "again"
_COLUMNS = ("raw", "raw_bytes", "form", "context", "file", "offset", "line")
_FILES = "files"
_CHOSEN = "chosen"
_GONE = Refusal("unreadable_file", "it is no longer there")


def again_units(rows: Iterable[Mapping[str, Any]] = (), files: FileUnits | None = None) -> dict[str, Json]:
    """Return the units of a plan that reads rows of a quarantine table (its columns) again, and takes nothing new.

    ``files`` are those that are read again as a whole, as they are now.
    """
    again: dict[str, Json] = {name: [] for name in ("row_id", *_COLUMNS)}
    for row in rows:
        found = row["raw_bytes"]
        values = {
            **row,
            "raw": None if found is not None else row["raw"],
            "raw_bytes": None if found is None else base64.b64encode(found).decode(),
            "file": row["_source_file"],
            "offset": row["_source_offset"],
        }
        for name, column in again.items():
            column.append(values[name])  # type: ignore[union-attr]
    if files is not None and len(files):
        again[_FILES] = files.to_json()
    return {**FileUnits.of(()).to_json(), AGAIN: again}


def is_again(units: Mapping[str, Any]) -> bool:
    """Tell whether units are read again: rows of a quarantine table, or chosen files."""
    return AGAIN in units


def chosen_units(files: FileUnits) -> dict[str, Json]:
    """Return the units of a plan that reads whole files again, in the versions that they have now."""
    again: dict[str, Json] = {name: [] for name in ("row_id", *_COLUMNS)}
    return {**files.to_json(), AGAIN: {**again, _FILES: _CHOSEN}}


def is_chosen(units: Mapping[str, Any]) -> bool:
    """Tell whether units are files that were chosen to be read again."""
    return is_again(units) and units[AGAIN].get(_FILES) == _CHOSEN


def chosen_files(units: Mapping[str, Any]) -> FileUnits:
    """Return the files that were chosen, none for any other units."""
    return FileUnits.from_json(units) if is_chosen(units) else FileUnits.of(())


def records_of(units: Mapping[str, Any]) -> list[Record]:
    """Return the rows of such units. Raises CheckpointError."""
    again = units[AGAIN]
    try:
        rows = zip(*(again[name] for name in _COLUMNS), strict=True)
        return [Record(_bytes(raw, encoded), *rest) for raw, encoded, *rest in rows]
    except (KeyError, TypeError, ValueError) as exc:
        hint = "restore the checkpoint folder from a backup"
        raise CheckpointError(f"units of a plan that are not those of rows read again: {exc}", hint=hint) from exc


def files_again(units: Mapping[str, Any]) -> FileUnits:
    """Return the files of such units that are read as a whole."""
    if is_chosen(units):
        return FileUnits.from_json(units)
    return FileUnits.from_json(units[AGAIN].get(_FILES) or FileUnits.of(()).to_json())


def _bytes(raw: str | None, encoded: str | None) -> bytes:
    return base64.b64decode(encoded) if encoded is not None else (raw or "").encode()


class Rereader:
    """Reads rows of the quarantine again, with the options, schema and contract that their source has now.

    ``format_of`` returns the format of a file. Whole files are read by the source itself.
    """

    def __init__(
        self, format_of: Callable[[str], Format], contract: SchemaContract, *, has_partitions: bool = False
    ) -> None:
        self._format_of = format_of
        self._contract = contract
        self._has_partitions = has_partitions

    def survey(self, units: Mapping[str, Any], known: Survey | None) -> Survey:
        """Return ``known`` evolved by the records that are text, one group after the other. Raises RowError."""
        found, origins = known, {} if known is None else dict(known.origins)
        for document in self._documents(records_of(units)):
            before = {} if found is None else found.schema
            found = self._evolved(document, found)
            if found is None:
                continue
            is_of_one_file = len({record.file for record in document.records}) == 1
            for change in schema_changes(before, found.schema):
                column = change.column.split(".", 1)[0].removesuffix("[]")
                origins.setdefault(column, document.path if is_of_one_file else "")
        return replace(found or Survey({}), origins=origins)

    def _evolved(self, document: Document, known: Survey | None) -> Survey | None:
        keys = partitions(document.path) if self._has_partitions else {}
        before = {} if known is None else known.schema
        outside = {name: tree for name, tree in before.items() if name in keys}
        inside = {name: tree for name, tree in before.items() if name not in keys}
        try:
            found = document.format.survey(document.opener()[0], known and replace(known, schema=inside))
        except UnreadableFileError:
            return known  # its records are rejected again, one by one, when they are read
        return replace(found, schema={**found.schema, **outside})

    def read(self, units: Mapping[str, Any], known: Survey, system: tuple[str, ...], tally: Tally) -> Reading:
        """Return the rows that are accepted now, each with the place that it had; the others are set aside again.

        Files that are read as a whole are not among them; what is no longer there is set aside again too.
        Raises SchemaDriftError, RowError.
        """
        import polars as pl

        records = records_of(units)
        columns = FileColumns(known, system, has_partitions=self._has_partitions)
        frames = [pl.DataFrame(schema=columns.polars_schema)]
        refused: list[tuple[Record, Refusal]] = []
        wide: set[str] = set()
        for document in self._documents(records):
            frames += self._text(document, columns, refused, wide)
        frames += _rows_of_json([record for record in records if record.form == "json"], known, columns, refused)
        present = set(files_again(units).paths)
        refused += [(each, _GONE) for each in records if each.form == "file" and each.file not in present]
        rows = pl.concat(frames)
        rejected = _rejected(refused)
        tally.count("read", _places_of([each for each in records if each.form != "file" or each.file not in present]))
        tally.quarantine(rejected)
        return Reading(rows.lazy(), {"rows": []}, sum(len(each.raw) for each in records), wide)

    def _documents(self, records: Sequence[Record]) -> list[Document]:
        """Return the records that are text, by format and what it needs to know, in the order of the first of each."""
        groups: dict[tuple[int, str | None, str], tuple[Format, list[Record]]] = {}
        is_by_file = self._has_partitions or self._contract.rescues
        for record in records:
            if record.form == "text":
                path = record.file or ""
                format_ = self._format_of(path)
                key = (id(format_), record.context, path if is_by_file else "")
                groups.setdefault(key, (format_, []))[1].append(record)
        return [
            document
            for format_, members in groups.values()
            for document in documents(format_, members[0].file or "", members)
        ]

    def _text(
        self, document: Document, columns: FileColumns, refused: list[tuple[Record, Refusal]], wide: set[str]
    ) -> list[pl.DataFrame]:
        frames = []
        schema = columns.inside(UnitRow(document.path, 0, 0))
        for part, found in reread(document, schema, columns.wide):
            refused += [(part.records[number], why) for number, why in found.refused.items()]
            wide |= found.wide
            if found.frame is not None:
                frames.append(_completed(found.frame, part.path, [part.records[at] for at in found.accepted], columns))
        return frames


def _rows_of_json(
    records: Sequence[Record], known: Survey, columns: FileColumns, refused: list[tuple[Record, Refusal]]
) -> list[pl.DataFrame]:
    """Return rows that were kept as JSON: all at once, one by one where one of them does not fit."""
    if not records:
        return []
    try:
        return [_placed(decode_rows([record.raw for record in records], known.schema), records, columns)]
    except ValueError as exc:
        if len(records) == 1:
            refused.append((records[0], Refusal("type", str(exc))))
            return []
    half = len(records) // 2
    return [
        frame for part in (records[:half], records[half:]) for frame in _rows_of_json(part, known, columns, refused)
    ]


def _completed(frame: pl.DataFrame, path: str, records: Sequence[Record], columns: FileColumns) -> pl.DataFrame:
    """Return rows that a format gave with the columns that it does not know of."""
    import polars as pl

    offsets = pl.Series("_source_offset", [record.offset for record in records], dtype=pl.Int64)
    whole = columns.complete(Chunk(frame, frame.height, lambda: offsets), UnitRow(path, 0, 0))
    return _placed(whole, records, columns)


def _placed(frame: pl.DataFrame, records: Sequence[Record], columns: FileColumns) -> pl.DataFrame:
    """Return rows with the places that they had. When their files were changed last is not known any more."""
    import polars as pl

    wanted = columns.polars_schema
    places: dict[str, Any] = {
        "_source_file": pl.Series([record.file for record in records], dtype=pl.String),
        "_source_offset": pl.Series([record.offset for record in records], dtype=pl.Int64),
        "_source_modified_at": pl.lit(None, pl.Datetime("us", "UTC")),
    }
    return frame.with_columns(**{name: place for name, place in places.items() if name in wanted}).select(
        wanted.names()
    )


def _places_of(records: Sequence[Record]) -> pl.DataFrame:
    import polars as pl

    return pl.DataFrame({"_source_file": [record.file for record in records]}, schema={"_source_file": pl.String})


def _rejected(refused: Sequence[tuple[Record, Refusal]]) -> pl.DataFrame:
    return rejects(
        [
            {
                "raw": None if record.form == "file" else record.raw,
                "form": record.form,
                "context": record.context,
                "_source_file": record.file,
                "_source_offset": record.offset,
                "line": record.line,
                "rule": why.rule,
                "reason": why.reason,
            }
            for record, why in refused
        ]
    )
