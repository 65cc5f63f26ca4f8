"""The row as it came from its source, carried beside the columns of a row that may have to be set aside.

Of a pipeline with one source it is a struct of the source's columns. With several it is a struct of such structs, one
field a source; the field that is not null tells which source the row is of.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from etl.model import SOURCE_ROW
from etl.row_json import encode_rows

if TYPE_CHECKING:
    import polars as pl

_PREFIX = f"{SOURCE_ROW}:"


def with_source_row(rows: pl.LazyFrame, columns: Sequence[str], source: str = "") -> pl.LazyFrame:
    """Return ``rows`` with the source's ``columns`` beside them; its name is given where there are several."""
    import polars as pl

    row = pl.struct(columns)
    return rows.with_columns((pl.struct(row.alias(f"{_PREFIX}{source}")) if source else row).alias(SOURCE_ROW))


def source_row_type(columns: pl.Schema, source: str = "") -> pl.DataType:
    """Return the type of what ``with_source_row`` adds."""
    import polars as pl

    row = pl.Struct(dict(columns))
    return pl.Struct({f"{_PREFIX}{source}": row}) if source else row


def merged_type(kinds: Sequence[pl.DataType]) -> pl.DataType:
    """Return the type that holds the rows of all of several sources."""
    import polars as pl

    return pl.Struct([field for kind in kinds if isinstance(kind, pl.Struct) for field in kind.fields])


def as_merged(kind: pl.DataType, merged: pl.DataType) -> pl.Expr:
    """Return the carried row, of the type ``kind``, as one of ``merged``: null for the sources that it is not of."""
    import polars as pl

    own = {field.name for field in kind.fields} if isinstance(kind, pl.Struct) else set()
    fields = merged.fields if isinstance(merged, pl.Struct) else []
    return pl.struct(
        pl.col(SOURCE_ROW).struct.field(field.name)
        if field.name in own
        else pl.lit(None, dtype=field.dtype).alias(field.name)
        for field in fields
    ).alias(SOURCE_ROW)


def encoded_rows(rows: pl.Series) -> tuple[pl.Series, pl.Series | None]:
    """Return carried rows as JSON, and the source of each, None where there is only one."""
    import polars as pl

    names = [field.name for field in rows.dtype.fields] if isinstance(rows.dtype, pl.Struct) else []
    if not names or not all(name.startswith(_PREFIX) for name in names):
        return encode_rows(rows), None
    raw = pl.Series("raw", [None] * len(rows), dtype=pl.Binary)
    source = pl.Series("source", [None] * len(rows), dtype=pl.String)
    for name in names:
        own = rows.struct.field(name)
        places = own.is_not_null().arg_true()
        if len(places):
            raw = raw.scatter(places, encode_rows(own.gather(places)))
            source = source.scatter(places, name.removeprefix(_PREFIX))
    return raw, source
