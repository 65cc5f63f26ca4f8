"""Parquet: columns by name, types from the footer, only exact conversions."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

from etl.errors import ConfigError, RowError, SchemaDriftError, SourceError
from etl.formats.contract import Chunk, FileOpener, Task, numbers
from etl.options import Options
from etl.schema import arrow_type, from_arrow, is_list, is_struct
from etl.schema_contract import EVOLVE, SchemaContract, Survey
from etl.widening import is_lossless, merge

if TYPE_CHECKING:
    import pyarrow as pa

    from etl.model import Schema, TypeTree

_BATCH_ROWS = 65_536


class ParquetOptions(Options):
    """Parquet has nothing to choose."""


class Parquet:
    """Reads Parquet. A type that differs from the schema's is converted only where every value fits it."""

    options_model = ParquetOptions

    def __init__(self, options: ParquetOptions | None = None, contract: SchemaContract = EVOLVE) -> None:
        self.contract = contract
        self.options = options or ParquetOptions()

    def tasks(self, file: FileOpener, schema: Schema, wide: frozenset[str] = frozenset()) -> Iterator[Task]:
        """Return the one task of the file, row group by row group."""
        yield lambda: _chunks(file, schema)

    def survey(self, file: FileOpener, known: Survey | None) -> Survey:
        """Return ``known`` evolved by the file."""
        return Survey(self.infer(file, None if known is None else known.schema))

    def infer(self, file: FileOpener, known: Schema | None) -> Schema:
        """Return ``known`` widened by the columns and fields of the footer."""
        with file.open() as opened:
            found = _footer(_open(opened, file).schema_arrow, file)
        return _widened(known or {}, found, file.path)


def _chunks(file: FileOpener, schema: Schema) -> Iterator[Chunk]:
    import polars as pl

    with file.open() as opened:
        parquet = _open(opened, file)
        found = _footer(parquet.schema_arrow, file)
        if _widened(schema, found, file.path) != schema:
            raise SchemaDriftError("columns or fields that are not in the schema", where=file.path)
        offset = 0
        for batch in _batches(parquet, [name for name in schema if name in found], file):
            frame = pl.DataFrame(_fitted(batch, schema, file, offset))
            yield Chunk(frame, batch.num_rows, partial(numbers, offset, batch.num_rows))
            offset += batch.num_rows


def _open(opened: BinaryIO, file: FileOpener) -> Any:  # noqa: ANN401  pyarrow has no types here
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(opened, pre_buffer=False, arrow_extensions_enabled=False)
    except (pa.ArrowException, OSError) as exc:
        hint = "copy the file again; where it is still being written, set stable_for"
        raise SourceError(f"not a whole Parquet file: {exc}", where=file.path, hint=hint) from exc


def _batches(parquet: Any, columns: list[str], file: FileOpener) -> Iterator[pa.RecordBatch]:  # noqa: ANN401
    import pyarrow as pa

    try:
        yield from parquet.iter_batches(batch_size=_BATCH_ROWS, columns=columns, use_threads=False)
    except (pa.ArrowException, OSError) as exc:
        raise SourceError(f"data is damaged: {exc}", where=file.path, hint="copy the file again") from exc


def _footer(types: pa.Schema, file: FileOpener) -> Schema:
    if len(set(types.names)) != len(types.names):
        raise SourceError("two columns have the same name", where=file.path)
    try:
        return from_arrow(types)
    except ConfigError as exc:
        raise SourceError(f"column {exc.where}: {exc.message}", where=file.path, hint=exc.hint) from exc


def _widened(known: Schema, found: Schema, path: str) -> Schema:
    """Return ``known`` with what it lacks; a type that fits in the known one does not widen it."""
    fitted = {name: _aligned(known[name], tree) if name in known else tree for name, tree in found.items()}
    return merge(known, fitted, where=path)


def _aligned(known: TypeTree, found: TypeTree) -> TypeTree:
    if is_list(known) and is_list(found):
        return {"list": _aligned(known["list"], found["list"])}
    if is_struct(known) and is_struct(found):
        fields = known["struct"]
        inner = found["struct"].items()
        return {"struct": {name: _aligned(fields[name], tree) if name in fields else tree for name, tree in inner}}
    return known if isinstance(known, str) and isinstance(found, str) and is_lossless(found, known) else found


def _fitted(batch: pa.RecordBatch, schema: Schema, file: FileOpener, offset: int) -> pa.Table:
    """Return the batch as ``schema``. Raises RowError, naming the row, for a moment finer than microseconds."""
    import pyarrow as pa

    columns = []
    for name, tree in schema.items():
        place = batch.schema.get_field_index(name)
        try:
            columns.append(pa.nulls(batch.num_rows, arrow_type(tree)) if place < 0 else fit(batch.column(place), tree))
        except pa.ArrowInvalid as exc:
            row = offset + _first_unfit(batch.column(place), tree)
            raise RowError(f"column {name}: {exc}", where=f"{file.path}:{row}", hint="rows count from 0") from exc
    return pa.table(columns, names=list(schema))


def _first_unfit(array: pa.Array, tree: TypeTree) -> int:
    import pyarrow as pa

    for row in range(len(array)):
        try:
            fit(array.take(pa.array([row])), tree)
        except pa.ArrowInvalid:
            return row
    return 0


def fit(array: pa.Array, tree: TypeTree) -> pa.Array:
    """Return ``array`` as ``tree``, struct fields by name. Raises ArrowInvalid for a value that would change."""
    import pyarrow as pa

    if pa.types.is_null(array.type):
        return pa.nulls(len(array), arrow_type(tree))
    if is_struct(tree):
        given = dict(zip([field.name for field in array.type], array.flatten(), strict=True))
        inner = [
            fit(given[name], field) if name in given else pa.nulls(len(array), arrow_type(field))
            for name, field in tree["struct"].items()
        ]
        return pa.StructArray.from_arrays(inner, list(tree["struct"]), mask=array.is_null())
    if is_list(tree):
        plain = array.cast(pa.list_(array.type.value_type))
        if plain.offset:
            plain = plain.take(pa.array(range(len(plain))))
        return pa.ListArray.from_arrays(plain.offsets, fit(plain.values, tree["list"]), mask=plain.is_null())
    return array.cast(arrow_type(tree))
