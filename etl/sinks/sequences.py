"""Which rows of a batch come too late: a newer row, or delete, of their key is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import polars as pl

    from etl.sinks.changes import Changes

NEWEST = "_etl_newest"


def newest_of_each(rows: pl.LazyFrame, keys: Sequence[str], sequence_by: str) -> pl.LazyFrame:
    """Return the greatest sequence of each key as ``NEWEST``: null is the smallest, NaN the greatest."""
    import polars as pl

    column = pl.col(sequence_by)
    greatest = column.nan_max() if rows.collect_schema()[sequence_by].is_float() else column.max()
    return rows.group_by(keys).agg(greatest.alias(NEWEST))


def is_overtaken(rows: pl.DataFrame, newest: pl.DataFrame, sequence_by: str) -> pl.Series:
    """Tell which rows have a smaller sequence than the ``newest`` of their key, whose types count; equal is not."""
    import polars as pl

    keys = [name for name in newest.columns if name != NEWEST]
    types = newest.schema
    own = pl.col(sequence_by).cast(types[NEWEST]).alias("_etl_own")
    given = rows.select(*(pl.col(name).cast(types[name]) for name in keys), own)
    both = given.join(newest, on=keys, how="left", nulls_equal=True, maintain_order="left")
    is_smaller = pl.col("_etl_own").is_null() | (pl.col("_etl_own") < pl.col(NEWEST))
    return both.select((pl.col(NEWEST).is_not_null() & is_smaller).alias("is_overtaken")).to_series()


def without_overtaken(changes: Changes, newest: pl.DataFrame, sequence_by: str) -> Changes:
    """Return the changes that count; those that come too late are superseded."""
    import polars as pl

    late = [is_overtaken(frame, newest, sequence_by) for frame in (changes.upserts, changes.deletes)]
    return type(changes)(
        changes.upserts.filter(~late[0]),
        changes.deletes.filter(~late[1]),
        pl.concat([changes.superseded, changes.upserts.filter(late[0]), changes.deletes.filter(late[1])]),
    )


def refuse_sequence(rows: pl.Schema, kept: Collection[str], keys: Sequence[str], name: str, where: str) -> None:
    """Refuse a column that rows of one key cannot be put in order by. Raises ConfigError."""
    import polars as pl

    if name not in kept:
        raise ConfigError(
            f"sequence_by names {name!r}, which is not among the columns: {', '.join(kept)}",
            where=where,
            hint="name a column that reaches the sink and is kept in the table: a version number, a moment of change",
        )
    if name in keys:
        raise ConfigError(
            f"sequence_by names {name!r}, a column of the primary_key: all rows of a key have the same",
            where=where,
            hint="name the column that grows from one change of a key to the next",
        )
    if rows[name].is_nested() or isinstance(rows[name], pl.Boolean | pl.Binary):
        raise ConfigError(
            f"the sequence_by column {name!r} is a {rows[name]}, which says no order",
            where=where,
            hint="use a number, a moment, a date or text; take fields out with unnest or with_columns",
        )
