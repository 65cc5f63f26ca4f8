"""Rows of the quarantine that came from files, and files that were set aside whole, read again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from etl.errors import SourceError
from etl.model import Json
from etl.schema_contract import Survey
from etl.sources.again import AGAIN, Rereader, again_units, files_again
from etl.sources.contract import Reading, SourceSite
from etl.sources.file_formats import FileFormats
from etl.sources.file_ledger import FileLedger
from etl.sources.file_names import from_text
from etl.sources.file_options import FileOptions
from etl.sources.file_places import Places
from etl.sources.file_reader import FileReader
from etl.sources.file_units import FileUnits

if TYPE_CHECKING:
    from etl.balance import Tally

_READ_HINT = "what it holds now is in the table already; give the rejected row up: etl quarantine discard"
_GONE_HINT = "put it back, or give it up: etl quarantine discard"


class FilesAgain:
    """What a source of files reads again. A file counts as it is now: it is never too young, and never left out."""

    def __init__(self, options: FileOptions, places: Places, site: SourceSite) -> None:
        formats = FileFormats(options.format, options.format_options, site.contract)
        self._places = places
        self._records = Rereader(formats.of, site.contract, has_partitions=options.hive_partitions)
        self._files = FileReader(options.model_copy(update={"ignore_missing": False, "unready_for": 0.0}), places, site)

    def plan(self, rows: Sequence[Mapping[str, Any]], ledger: FileLedger) -> dict[str, Json]:
        """Return the units that read rows of a quarantine table again.

        Raises SourceError for a whole file that is gone, or that a later batch than the one which rejected it has read.
        """
        whole = [row for row in rows if row["form"] == "file"]
        for row in whole:
            read = ledger.origin(from_text(row["_source_file"]))
            if read is not None and read[0] > row["_batch_id"]:
                raise SourceError(
                    f"was read again since, by batch {read[0]}", where=row["_source_file"], hint=_READ_HINT
                )
        paths = list(dict.fromkeys(row["_source_file"] for row in whole))
        files = self._current(paths)
        if gone := [path for path in paths if path not in files.paths]:
            raise SourceError("is gone, and nothing of it was kept", where=gone[0], hint=_GONE_HINT)
        return again_units(rows, files)

    def refreshed(self, units: Mapping[str, Any]) -> dict[str, Json]:
        """Return the same units with their files as they are now; one that is gone will be set aside again."""
        files = self._current(files_again(units).paths)
        return {**units, AGAIN: {**units[AGAIN], "files": files.to_json()}}

    def _current(self, paths: Sequence[str]) -> FileUnits:
        found = [self._places.at(path).access.current(path) for path in paths]
        return FileUnits.of(unit for unit in found if unit is not None)

    def survey(self, units: Mapping[str, Any], known: Survey | None, now: datetime) -> Survey:
        """Return ``known`` evolved by the rows, then by the files. Raises RowError and SourceChangedError."""
        found = self._records.survey(units, known)
        files = files_again(units)
        if not len(files):
            return found
        whole = self._files.survey(files, found, now)
        return replace(whole, origins={**whole.origins, **found.origins})

    def read(self, units: Mapping[str, Any], known: Survey, system: tuple[str, ...], tally: Tally) -> Reading:
        """Return the rows that are accepted now. Raises as a source does."""
        import polars as pl

        records = self._records.read(units, known, system, tally)
        files = files_again(units)
        if not len(files):
            return records
        whole = self._files.read(files, known, system, tally)
        whole.rows = pl.concat([records.rows, whole.rows])
        whole.wide |= records.wide
        return whole

    def close(self) -> None:
        """Let go of threads. *Repeat*: safe."""
        self._files.close()
