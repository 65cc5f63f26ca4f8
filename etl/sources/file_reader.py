"""Reading planned files into rows: files are parsed side by side, rows come in the order of the plan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial, reduce
from typing import TYPE_CHECKING, BinaryIO

from etl.errors import SourceChangedError, SourceError
from etl.formats.contract import CHUNK_BYTES, Chunk, FileOpener, Task
from etl.model import Json, Schema
from etl.sources.contract import Reading, SourceSite
from etl.sources.file_columns import FileColumns
from etl.sources.file_formats import FileFormats
from etl.sources.file_names import partitions
from etl.sources.file_options import FileOptions
from etl.sources.file_places import Places
from etl.sources.file_units import FileUnits, UnitRow
from etl.sources.parallel import in_order
from etl.widening import merge

if TYPE_CHECKING:
    import polars as pl

    from etl.balance import Tally

WORKERS = 2
_GROUPED_TASKS = 64
_MEMORY_SHARE = 64


class VanishedError(SourceChangedError):
    """A planned file that is no longer there."""


@dataclass(slots=True)
class Piece:
    """What a worker hands over: rows of one or more files, how many of which, and which files were gone."""

    frame: pl.DataFrame | None
    rows: list[tuple[int, int]] = field(default_factory=list)
    missing: list[tuple[int, VanishedError]] = field(default_factory=list)


class FileReader:
    """Reads the units of plans. One per source; every reading has its own threads."""

    def __init__(self, options: FileOptions, places: Places, site: SourceSite) -> None:
        self._options = options
        self._places = places
        self._chunk_bytes = max(1 << 16, min(CHUNK_BYTES, site.memory_bytes // _MEMORY_SHARE))
        self._formats = FileFormats(options.format, options.format_options)

    def read(self, units: FileUnits, schema: Schema, system: tuple[str, ...], tally: Tally) -> Reading:
        """Return the rows of the units in their order. *Repeat*: the same rows, or an error.

        Streaming raises SourceChangedError, SchemaDriftError, RowError and SourceError, each as itself.
        """
        from polars.io.plugins import register_io_source

        columns = FileColumns(schema, system, has_partitions=self._options.hive_partitions)
        counts: list[Json] = [0] * len(units)
        reading: Reading

        def stream(
            wanted: list[str] | None, predicate: pl.Expr | None, most: int | None, _: int | None
        ) -> Iterator[pl.DataFrame]:
            finish = partial(_finished, wanted=wanted, predicate=predicate)
            with closing(in_order(self._jobs(units, columns, finish), WORKERS)) as pieces:
                for piece in pieces:
                    self._count(piece, counts, tally)
                    if piece.missing:
                        self._note_missing(piece, counts, reading)
                    if piece.frame is not None:
                        frame = piece.frame if most is None else piece.frame.head(most)
                        yield frame
                        most = None if most is None else most - frame.height
                    if most == 0:
                        return
            reading.bytes_read = units.size_bytes

        reading = Reading(register_io_source(stream, schema=columns.polars_schema), {"rows": counts})
        return reading

    def infer(self, units: FileUnits, schema: Schema | None) -> Schema:
        """Return ``schema`` widened by the columns of every unit.

        Raises as the format does, SourceError and SourceChangedError.
        """
        with ThreadPoolExecutor(WORKERS) as pool:
            found = pool.map(partial(self._inferred, schema=schema), units.files)
            return reduce(
                partial(merge, widen_numbers=True), (each for each in found if each is not None), dict(schema or {})
            )

    def footer_rows(self, unit: UnitRow) -> int:
        """Return how many rows a Parquet file has, from its footer."""
        import pyarrow.parquet as pq

        if not unit.size_bytes:
            return 0
        with self._open(unit) as handle:
            return int(pq.ParquetFile(handle).metadata.num_rows)

    def _inferred(self, unit: UnitRow, schema: Schema | None) -> Schema | None:
        keys = partitions(unit.path) if self._options.hive_partitions else {}
        inside = None if schema is None else {name: tree for name, tree in schema.items() if name not in keys}
        try:
            if unit.size_bytes:
                inside = self._formats.of(unit.path).infer(self._opener(unit), inside)
            else:
                self._open(unit).close()
        except VanishedError:
            if self._options.ignore_missing:
                return None
            raise
        for key in keys:
            if key in (inside or {}):
                raise SourceError(
                    f"column {key!r} is both in the file and in its folder's name",
                    where=unit.path,
                    hint="rename one of the two, or set `hive_partitions: false`",
                )
        return {**(inside or {}), **{key: (schema or {}).get(key, "string") for key in keys}}

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
        if not unit.size_bytes:
            return [partial(_no_rows, partial(self._open, unit))]
        try:
            return list(self._formats.of(unit.path).tasks(self._opener(unit), columns.inside(unit)))
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
                    frames.append(finish(columns.complete(chunk, unit)))
                    piece.rows.append((index, chunk.rows))
                    gathered_bytes += int(frames[-1].estimated_size())
                    if gathered_bytes >= self._chunk_bytes:
                        yield _joined(frames, piece)
                        frames, piece, gathered_bytes = [], Piece(None), 0
            except VanishedError as exc:
                piece.missing.append((index, exc))
        yield _joined(frames, piece)

    def _count(self, piece: Piece, counts: list[Json], tally: Tally) -> None:
        for index, rows in piece.rows:
            tally.add("read", rows)
            before = counts[index]
            counts[index] = rows + (before if isinstance(before, int) else 0)

    def _note_missing(self, piece: Piece, counts: list[Json], reading: Reading) -> None:
        """Record files that were gone before anything of them was read. Raises where they may not go missing."""
        for index, gone in piece.missing:
            if not self._options.ignore_missing or counts[index]:
                raise gone
            missing = reading.units.setdefault("missing", [])
            if isinstance(missing, list) and gone.path not in missing:
                missing.append(gone.path)

    def _opener(self, unit: UnitRow) -> FileOpener:
        modified_at = datetime.fromtimestamp(unit.modified_ns // 1_000_000_000, UTC)
        open_it = partial(self._open, unit)
        return FileOpener(unit.path, unit.size_bytes, open_it, self._chunk_bytes, modified_at=modified_at)

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


def _gone(exc: VanishedError) -> Iterator[Chunk]:
    raise exc
