"""Reading planned files into rows: files are parsed side by side, rows come in the order of the plan."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from etl.errors import SourceChangedError, UnreadableFileError
from etl.formats.contract import CHUNK_BYTES, Chunk, FileOpener, Task
from etl.model import Json
from etl.rejects import TAIL, rejects
from etl.schema_contract import Survey
from etl.sources.contract import Reading, SourceSite
from etl.sources.file_columns import FileColumns
from etl.sources.file_formats import FileFormats
from etl.sources.file_names import partitions
from etl.sources.file_options import FileOptions
from etl.sources.file_places import Places
from etl.sources.file_survey import FileSurvey
from etl.sources.file_tails import FileTails, Tail
from etl.sources.file_units import FileUnits, UnitRow
from etl.sources.parallel import in_order
from etl.sources.read_ahead import ReadAhead

if TYPE_CHECKING:
    import polars as pl

    from etl.balance import Tally

WORKERS = min((os.cpu_count() or 1) + 1, 16)
"""One more than cores: while one waits for the interpreter, another parses (8 % of a batch on two cores, 2026-11)."""
_GROUPED_TASKS = 64
_MEMORY_SHARE = 64


class VanishedError(SourceChangedError):
    """A planned file that is no longer there."""


@dataclass(slots=True)
class Piece:
    """What a worker hands over: rows of one or more files, how many of which, those set aside, files that were gone."""

    frame: pl.DataFrame | None
    rows: list[tuple[int, int]] = field(default_factory=list)
    missing: list[tuple[int, VanishedError]] = field(default_factory=list)
    rejects: list[pl.DataFrame] = field(default_factory=list)
    wide: set[str] = field(default_factory=set)


class FileReader:
    """Reads the units of plans. One per source; every reading has its own threads."""

    def __init__(self, options: FileOptions, places: Places, site: SourceSite) -> None:
        self._options = options
        self._places = places
        self._chunk_bytes = max(1 << 16, min(CHUNK_BYTES, site.memory_bytes // _MEMORY_SHARE))
        self._contract = site.contract
        self._tails = FileTails(options)
        self._may_go_missing = options.ignore_missing and options.on_change != "replace_rows"
        self._formats = FileFormats(options.format, options.format_options, site.contract)
        self._ahead: ReadAhead[Piece] = ReadAhead()

    def read(
        self,
        units: FileUnits,
        known: Survey,
        system: tuple[str, ...],
        tally: Tally,
        following: Callable[[], FileUnits | None] = lambda: None,
    ) -> Reading:
        """Return the rows of the units in their order. *Repeat*: the same rows, or an error.

        Once they are taken, those of the ``following`` units are begun. Streaming raises SourceChangedError,
        SchemaDriftError, UnreadableFileError, RowError and SourceError, each as itself.
        """
        from polars.io.plugins import register_io_source

        columns = FileColumns(known, system, has_partitions=self._options.hive_partitions)
        counts: list[Json] = [0] * len(units)
        found: dict[str, Json] = {"rows": counts}
        wide: set[str] = set()

        def stream(
            wanted: list[str] | None, predicate: pl.Expr | None, most: int | None, _: int | None
        ) -> Iterator[pl.DataFrame]:
            finish = partial(_finished, wanted=wanted, predicate=predicate)

            def begun(some: FileUnits) -> Generator[Piece, None, None]:
                return in_order(self._jobs(some, columns, finish), WORKERS)

            def key(some: FileUnits) -> object:
                return some.columns, known, known.unreadable, system, wanted

            ahead = self._ahead.take(key(units)) if predicate is None else None
            with closing(ahead or begun(units)) as pieces:
                for piece in pieces:
                    self._count(piece, counts, tally, units)
                    wide.update(piece.wide)
                    if piece.missing:
                        self._note_missing(piece, counts, found)
                    if piece.frame is not None:
                        frame = piece.frame if most is None else piece.frame.head(most)
                        yield frame
                        most = None if most is None else most - frame.height
                    if most == 0:
                        return
            if predicate is None and most is None and (next_units := following()) is not None:
                self._ahead.begin(key(next_units), begun(next_units))

        # No reference from here to the reading: Polars would keep both for ever, and this source with them.
        rows = register_io_source(stream, schema=columns.polars_schema)
        return Reading(rows, found, units.size_bytes, wide)

    def close(self) -> None:
        """End what was begun ahead. *Repeat*: safe."""
        self._ahead.close()

    def survey(self, units: FileUnits, known: Survey | None, now: datetime) -> Survey:
        """Return ``known`` evolved by every unit. Raises as the format does, NotReadyError and SourceChangedError."""
        survey = FileSurvey(self._look_at, self._contract, self._options.unready_for)
        return survey.of(units.files, known, now, WORKERS)

    def footer_rows(self, unit: UnitRow) -> int:
        """Return how many rows a Parquet file has, from its footer."""
        import pyarrow.parquet as pq

        if not unit.size_bytes:
            return 0
        with self._open(unit) as handle:
            return int(pq.ParquetFile(handle).metadata.num_rows)

    def _look_at(self, unit: UnitRow, known: Survey | None) -> Survey | None:
        """Return ``known`` evolved by one file, None where it is gone and may be. Raises as the format does."""
        keys = partitions(unit.path) if self._options.hive_partitions else {}
        before = {} if known is None else dict(known.schema)
        inside = {name: tree for name, tree in before.items() if name not in keys}
        found = None if known is None else replace(known, schema=inside)
        try:
            if unit.size_bytes:
                found = self._formats.of(unit.path).survey(self._opener(unit, self._tail(unit)), found)
            else:
                self._open(unit).close()
        except VanishedError:
            if self._may_go_missing:
                return None
            raise
        found = found or Survey({})
        for key in keys:
            if key in found.schema:
                raise UnreadableFileError(
                    unit.path,
                    f"column {key!r} is both in the file and in its folder's name",
                    hint="rename one of the two, or set `hive_partitions: false`",
                )
        return replace(found, schema={**found.schema, **{key: before.get(key, "string") for key in keys}})

    def _jobs(
        self, units: FileUnits, columns: FileColumns, finish: Callable[[pl.DataFrame], pl.DataFrame]
    ) -> Iterator[Callable[[], Iterator[Piece]]]:
        """Return work for one thread at a time: a part of a large file, or several small files."""
        group: list[tuple[int, UnitRow, Task]] = []
        group_bytes = 0
        for index, unit in enumerate(units.files):
            for task in self._tasks(unit, columns):
                task_bytes = min(unit.size_bytes, self._chunk_bytes)
                if group and (group_bytes + task_bytes > self._chunk_bytes or len(group) == _GROUPED_TASKS):
                    yield partial(self._work, group, columns, finish)
                    group, group_bytes = [], 0
                group.append((index, unit, task))
                group_bytes += task_bytes
        if group:
            yield partial(self._work, group, columns, finish)

    def _tasks(self, unit: UnitRow, columns: FileColumns) -> Iterable[Task]:
        """Return the parts of a file. An empty one has no rows in any format; it is opened to see that it is so."""
        if (fault := columns.unreadable.get(unit.path)) is not None:
            return [partial(_set_aside, fault, is_tail=unit.from_byte is not None)]
        if not unit.size_bytes:
            return [partial(_no_rows, partial(self._open, unit))]
        try:
            tail = self._tail(unit)
            opener = self._opener(unit, tail)
            tasks = self._formats.of(unit.path).tasks(opener, columns.inside(unit), columns.wide)
            return list(tasks) if tail is None else [tail.task(task) for task in tasks]
        except VanishedError as exc:
            return [partial(_gone, exc)]

    def _work(
        self,
        group: list[tuple[int, UnitRow, Task]],
        columns: FileColumns,
        finish: Callable[[pl.DataFrame], pl.DataFrame],
    ) -> Iterator[Piece]:
        """Read some tasks, one after the other, handing over what has grown to a chunk."""
        frames: list[pl.DataFrame] = []
        piece, gathered_bytes = Piece(None), 0
        for index, unit, task in group:
            try:
                for chunk in task():
                    if chunk.rejects is not None:
                        piece.rejects.append(columns.located(chunk.rejects, unit))
                        piece.rows.append((index, chunk.rejects.height))
                    piece.wide |= chunk.wide
                    if not chunk.rows:
                        continue
                    frames.append(finish(columns.complete(chunk, unit)))
                    piece.rows.append((index, chunk.rows))
                    gathered_bytes += int(frames[-1].estimated_size())
                    if gathered_bytes >= self._chunk_bytes:
                        yield _joined(frames, piece)
                        frames, piece, gathered_bytes = [], Piece(None), 0
            except VanishedError as exc:
                piece.missing.append((index, exc))
        yield _joined(frames, piece)

    def _count(self, piece: Piece, counts: list[Json], tally: Tally, units: FileUnits) -> None:
        for frame in piece.rejects:
            tally.quarantine(frame)
        for index, rows in piece.rows:
            tally.add("read", rows)
            tally.add_of_files("read", {units.paths[index]: rows})
            before = counts[index]
            counts[index] = rows + (before if isinstance(before, int) else 0)

    def _note_missing(self, piece: Piece, counts: list[Json], found: dict[str, Json]) -> None:
        """Record files that were gone before anything of them was read. Raises where they may not go missing.

        One whose earlier rows would go is planned anew, so that they stay.
        """
        for index, gone in piece.missing:
            if not self._may_go_missing or counts[index]:
                raise gone
            missing = found.setdefault("missing", [])
            if isinstance(missing, list) and gone.path not in missing:
                missing.append(gone.path)

    def _tail(self, unit: UnitRow) -> Tail | None:
        """Return the part of a file that has grown which is to be read, None for a whole file."""
        return None if unit.from_byte is None else self._tails.tail_of(unit, partial(self._open, unit))

    def _opener(self, unit: UnitRow, tail: Tail | None) -> FileOpener:
        modified_at = datetime.fromtimestamp(unit.modified_ns // 1_000_000_000, UTC)
        open_it, size_bytes = partial(self._open, unit), unit.size_bytes
        if tail is not None:
            open_it, size_bytes = partial(self._open_tail, unit, tail), len(tail.header) + tail.size_bytes
        return FileOpener(unit.path, size_bytes, open_it, self._chunk_bytes, modified_at=modified_at)

    def _open_tail(self, unit: UnitRow, tail: Tail) -> BinaryIO:
        return tail.opened(self._open(unit))

    def _open(self, unit: UnitRow) -> BinaryIO:
        try:
            return self._places.at(unit.path).access.open(unit)
        except FileNotFoundError as exc:
            hint = "put it back, or set `ignore_missing: true` to go on without it"
            raise VanishedError(unit.path, "is gone since it was planned", hint=hint) from exc


def _finished(frame: pl.DataFrame, wanted: list[str] | None, predicate: pl.Expr | None) -> pl.DataFrame:
    """Return what the query asks for; the filter may need columns that are not wanted."""
    kept = frame if predicate is None else frame.filter(predicate)
    return kept if wanted is None else kept.select(wanted)


def _joined(frames: list[pl.DataFrame], piece: Piece) -> Piece:
    import polars as pl

    if frames:
        piece.frame = frames[0] if len(frames) == 1 else pl.concat(frames)
    return piece


def _no_rows(open_file: Callable[[], BinaryIO]) -> Iterator[Chunk]:
    open_file().close()
    return iter(())


def _set_aside(fault: str, *, is_tail: bool) -> Iterator[Chunk]:
    """Give one reject that stands for a file which cannot be read as a whole."""
    import polars as pl

    nothing = pl.Series("_source_offset", [], dtype=pl.Int64)
    refused = rejects(
        [{"form": "file", "rule": "unreadable_file", "reason": fault, "context": TAIL if is_tail else None}]
    )
    yield Chunk(pl.DataFrame(), 0, lambda: nothing, refused)


def _gone(exc: VanishedError) -> Iterator[Chunk]:
    raise exc
