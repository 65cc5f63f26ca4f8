"""Formats whose files have types: what their readers share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from etl.errors import UnreadableFileError
from etl.formats.arrow_rows import Layout, Unfit
from etl.formats.arrow_types import Evolution, found_schema
from etl.formats.contract import Chunk, FileOpener, Task
from etl.schema_contract import EVOLVE, RESCUED, SchemaContract, Survey

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from etl.formats.watched import Watched
    from etl.model import Schema

BATCH_ROWS = 65_536
"""How many rows are decoded at a time, at most."""

_EXACT = 2**53
_HINT = "copy the file again; where it is still being written, set stable_for"

Batches: TypeAlias = "Iterator[tuple[pa.RecordBatch, Unfit]]"
"""The rows of a file in order; with each batch, what its types could not hold."""


@dataclass(frozen=True, slots=True)
class Rows:
    """An opened file: its types, and its rows when asked for some of its columns (in the file's order)."""

    types: pa.Schema
    batches: Callable[[list[str]], Batches]


class Columnar:
    """Reads files that have types: columns by name, only exact conversions, rows that do not fit set aside."""

    def __init__(self, open_rows: Callable[[FileOpener, Schema], AbstractContextManager[Rows]]) -> None:
        self._open = open_rows
        self._wide: frozenset[str] = frozenset()

    def chunks(self, file: FileOpener, schema: Schema, contract: SchemaContract) -> Iterator[Chunk]:
        """Yield the file's rows. Raises as ``Format.tasks``."""
        with self._open(file, schema) as rows:
            found = found_schema(rows.types, file.path)
            layout = Layout(schema, found, Evolution(contract, self._wide, file.path))
            layout.check()
            offset = 0
            for batch, unfit in rows.batches(layout.columns):
                yield layout.chunk(batch, offset, unfit)
                offset += batch.num_rows

    def survey(self, file: FileOpener, known: Survey | None, contract: SchemaContract) -> Survey:
        """Return ``known`` evolved by the types of the file, all of which is read: damage must not pass unseen.

        ``chunks`` remembers which integers are too large for floats: it is asked for files of the same input next.
        """
        before = known or Survey({})
        with self._open(file, before.schema) as rows:
            found = found_schema(rows.types, file.path)
            evolution = Evolution(contract if known else EVOLVE, before.wide, file.path)
            schema = _evolved(before.schema, found, evolution)
            if known is None and contract.rescues:
                schema.pop(RESCUED, None)
            layout = Layout(schema, found, Evolution(contract, before.wide, file.path))
            layout.check_failing()
            wide = set(before.wide)
            for batch, unfit in rows.batches(layout.columns):
                frame = layout.chunk(batch, 0, unfit).frame
                wide |= {path for series in frame for path in _wide_in(series, series.name)}
        self._wide = frozenset(wide)
        return Survey(schema, self._wide, before.unreadable)


def _evolved(known: Schema, found: Schema, evolution: Evolution) -> Schema:
    is_set_aside = Layout(known, found, evolution).fault is not None
    return dict(known) if is_set_aside else evolution.schema(known, found)


def _wide_in(series: pl.Series, path: str) -> Iterator[str]:
    import polars as pl

    if isinstance(series.dtype, pl.List):
        yield from _wide_in(series.explode(), f"{path}[]")
    elif isinstance(series.dtype, pl.Struct):
        for field in series.dtype.fields:
            yield from _wide_in(series.struct.field(field.name), f"{path}.{field.name}")
    elif series.dtype in (pl.Int64, pl.UInt64):
        low, high = series.min(), series.max()
        if (isinstance(low, int) and low < -_EXACT) or (isinstance(high, int) and high > _EXACT):
            yield path


@contextmanager
def damage(file: FileOpener, watched: Watched, fault: str) -> Iterator[None]:
    """Turn what a library raises on damaged bytes into UnreadableFileError.

    An error that the file itself raised when it was read is raised as it was: the file may be whole.
    """
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, EOFError, ValueError, LookupError, ArithmeticError, MemoryError) as exc:
        if watched.fault is not None:
            raise watched.fault from None
        reason = str(exc).strip() or type(exc).__name__
        raise UnreadableFileError(file.path, f"{fault}: {reason}", hint=_HINT) from exc


def single_task(chunks: Callable[[], Iterator[Chunk]]) -> Iterator[Task]:
    """Return the tasks of a file that is read as a whole."""
    yield chunks
