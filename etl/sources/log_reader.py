"""Reading planned ranges of logs into rows: pieces are parsed side by side, rows come in the order of the plan."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from etl.formats.contract import Chunk
from etl.model import Json
from etl.schema_contract import Survey
from etl.sources.contract import Reading, SourceSite
from etl.sources.file_columns import FileColumns
from etl.sources.file_units import UnitRow
from etl.sources.log_borders import CHUNK_BYTES
from etl.sources.log_opening import LogOpening
from etl.sources.log_pieces import Piece
from etl.sources.log_rows import LogRows
from etl.sources.log_units import LogUnit, LogUnits
from etl.sources.parallel import in_order

if TYPE_CHECKING:
    import polars as pl

    from etl.balance import Tally

WORKERS = 2
_GROUPED_PIECES = 64
_MEMORY_SHARE = 64

Work = tuple[int, LogUnit, "Piece"]


class LogReader:
    """Reads the ranges of plans. One per source; every reading has its own threads."""

    def __init__(self, opening: LogOpening, rows: LogRows, site: SourceSite) -> None:
        self._opening = opening
        self._rows = rows
        self._chunk_bytes = max(1 << 16, min(CHUNK_BYTES, site.memory_bytes // _MEMORY_SHARE))

    def read(self, units: LogUnits, known: Survey, system: tuple[str, ...], tally: Tally) -> Reading:
        """Return the rows of the units in their order. *Repeat*: the same rows, or an error.

        Streaming raises SourceChangedError, SchemaDriftError, RowError and SourceError, each as itself.
        """
        from polars.io.plugins import register_io_source

        columns = FileColumns(known, system, has_partitions=False)
        counts: list[Json] = [0] * len(units.ranges)
        wide: set[str] = set()

        def stream(
            wanted: list[str] | None, predicate: pl.Expr | None, most: int | None, _: int | None
        ) -> Iterator[pl.DataFrame]:
            finish = partial(_finished, wanted=wanted, predicate=predicate)
            jobs = self._jobs(units, known, columns, finish)
            with closing(in_order(jobs, WORKERS)) as results:
                for index, found in results:
                    self._count(index, found, counts, tally)
                    tally.add_of_files("read", {units.ranges[index].path: found.rows})
                    wide.update(found.wide)
                    frame = found.frame if most is None else found.frame.head(most)
                    if frame.height:
                        yield frame
                    most = None if most is None else most - frame.height
                    if most == 0:
                        return

        # No reference from here to the reading: Polars would keep both for ever, and the files open.
        rows = register_io_source(stream, schema=columns.polars_schema)
        return Reading(rows, {"rows": counts}, units.size_bytes, wide)

    def survey(self, units: LogUnits, known: Survey | None) -> Survey:
        """Return ``known`` evolved by all lines of the units; they are read only where they can add columns."""
        if (fixed := self._rows.survey_of_none(known)) is not None:
            return fixed
        for unit in units.ranges:
            with closing(self._opening.open(unit)) as content:
                for piece in self._rows.pieces(content, unit, self._chunk_bytes):
                    known = self._rows.survey(unit, piece, known)
                    if self._rows.csv is not None and not piece.long_bytes:
                        break  # its header says it all
        return known or Survey({})

    def _jobs(
        self, units: LogUnits, known: Survey, columns: FileColumns, finish: Callable[[pl.DataFrame], pl.DataFrame]
    ) -> Iterator[Callable[[], Iterator[tuple[int, Chunk]]]]:
        """Return work for one thread at a time: a piece of a large range, or those of several small ones.

        The pieces are read here, one after the other; a thread parses them.
        """
        group: list[Work] = []
        group_bytes = 0
        for index, unit in enumerate(units.ranges):
            with closing(self._opening.open(unit)) as content:
                for piece in self._rows.pieces(content, unit, self._chunk_bytes):
                    group.append((index, unit, piece))
                    group_bytes += len(piece.text)
                    if group_bytes >= self._chunk_bytes or len(group) == _GROUPED_PIECES:
                        yield partial(self._work, group, known, columns, finish)
                        group, group_bytes = [], 0
        if group:
            yield partial(self._work, group, known, columns, finish)

    def _work(
        self, group: list[Work], known: Survey, columns: FileColumns, finish: Callable[[pl.DataFrame], pl.DataFrame]
    ) -> Iterator[tuple[int, Chunk]]:
        for index, unit, piece in group:
            as_file = UnitRow(unit.path, unit.end, unit.modified_ns)
            for chunk in self._rows.chunks(unit, piece, known):
                yield index, replace(chunk, frame=finish(columns.complete(chunk, as_file)))

    def _count(self, index: int, found: Chunk, counts: list[Json], tally: Tally) -> None:
        rows = found.rows
        if found.rejects is not None:
            rows += found.rejects.height
            tally.quarantine(found.rejects)
        tally.add("read", rows)
        before = counts[index]
        counts[index] = rows + (before if isinstance(before, int) else 0)


def _finished(frame: pl.DataFrame, wanted: list[str] | None, predicate: pl.Expr | None) -> pl.DataFrame:
    """Return what the query asks for; the filter may need columns that are not wanted."""
    kept = frame if predicate is None else frame.filter(predicate)
    return kept if wanted is None else kept.select(wanted)
