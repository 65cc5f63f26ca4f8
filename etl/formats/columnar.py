"""Formats whose files have types: what their readers share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
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

Batches: TypeAlias = "Iterator[tuple[pa.RecordBatch | pl.DataFrame, Unfit]]"
"""The rows of a file in order, a frame where they are as the schema wants them; what their types could not hold."""


@dataclass(frozen=True, slots=True)
class Rows:
    """An opened file: its types, and its rows when asked for some of its columns (in the file's order)."""

    types: pa.Schema
    batches: Callable[[list[str]], Batches]


class Columnar:
    """Reads files that have types: columns by name, only exact conversions, rows that do not fit set aside."""

    def __init__(
        self, open_rows: Callable[[FileOpener, Schema], AbstractContextManager[Rows]], contract: SchemaContract
    ) -> None:
        self._open = open_rows
        self._contract = contract

    def tasks(self, file: FileOpener, schema: Schema, wide: frozenset[str]) -> Iterator[Task]:
        """Return the one task of the file. ``wide`` are integers that cannot become floats: a fraction is no drift."""
        yield lambda: self._chunks(file, schema, wide)

    def _chunks(self, file: FileOpener, schema: Schema, wide: frozenset[str]) -> Iterator[Chunk]:
        with self._open(file, schema) as rows:
            found = found_schema(rows.types, file.path)
            layout = Layout(schema, found, Evolution(self._contract, wide, file.path))
            layout.check()
            offset = 0
            for batch, unfit in rows.batches(layout.columns):
                chunk = layout.chunk(batch, offset, unfit)
                yield replace(chunk, wide=self._wide_in(chunk.frame))
                offset += len(batch)

    def survey(self, file: FileOpener, known: Survey | None) -> Survey:
        """Return ``known`` evolved by the types of the file, all of which is read: damage must not pass unseen."""
        contract = self._contract
        before = known or Survey({})
        with self._open(file, before.schema) as rows:
            found = found_schema(rows.types, file.path)
            evolution = Evolution(contract if known else EVOLVE, before.wide, file.path)
            schema = _evolved(before.schema, found, evolution)
            if known is None and contract.rescues:
                schema.pop(RESCUED, None)
            layout = Layout(schema, found, Evolution(contract, before.wide, file.path))
            layout.check_failing()
            wide = before.wide
            for batch, unfit in rows.batches(layout.columns):
                wide |= self._wide_in(layout.chunk(batch, 0, unfit).frame)
        return Survey(schema, wide, before.unreadable)

    def _wide_in(self, frame: pl.DataFrame) -> frozenset[str]:
        if self._contract.type_change != "widen":
            return frozenset()
        return frozenset(path for series in frame for path in _wide_in(series, series.name))


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
