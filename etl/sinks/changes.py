"""What a batch does to the rows of a table, key by key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from etl.errors import ConfigError, SinkError
from etl.expressions import compile_columns
from etl.model import CHANGE

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import polars as pl

_WORDS = ("insert", "update", "delete")
_ORIGIN = ("_source_file", "_source_offset")
_ROW = "_etl_row"
_CONDITION = "delete_when"
_IS_DELETE = "_etl_is_delete"


@dataclass(frozen=True, slots=True)
class Changes:
    """The rows of a batch: those that are to be in the table, those whose keys leave it, and those that do nothing.

    A key is in ``upserts`` or in ``deletes``, once. ``superseded`` rows have a later one of their key in the batch.
    """

    upserts: pl.DataFrame
    deletes: pl.DataFrame
    superseded: pl.DataFrame


def with_deletes(rows: pl.LazyFrame, condition: str) -> pl.LazyFrame:
    """Return the rows as changes: those for which ``condition`` is true are deletes, whatever they said before.

    Raises ConfigError for a condition that is none.
    """
    import polars as pl

    given = rows.collect_schema()
    kind = compile_columns({_CONDITION: condition}, given).schema[_CONDITION]
    if kind != pl.Boolean:
        raise ConfigError(f"{_CONDITION}: gives {kind}, not true or false", hint="compare it to something")
    columns = compile_columns({**dict.fromkeys(given), _IS_DELETE: condition}, given)
    otherwise = pl.col(CHANGE) if CHANGE in given else pl.lit("update")
    change = pl.when(pl.col(_IS_DELETE)).then(pl.lit("delete")).otherwise(otherwise).alias(CHANGE)
    return columns.apply(rows).with_columns(change).drop(_IS_DELETE)


def changes_of(frame: pl.DataFrame, keys: Sequence[str], *, where: str, sequence_by: str | None = None) -> Changes:
    """Return what the rows of a batch do. Without ``_change`` each is to be in the table.

    Of several rows of one key the last counts, by the column ``sequence_by`` (null is the first), by source file and
    offset, then by value: however they are ordered here.
    Null equals null, and NaN equals NaN. Raises SinkError for a ``_change`` of another word.
    """
    import polars as pl

    kept, superseded = last_of_each(frame, keys, sequence_by)
    if CHANGE not in frame.columns:
        return Changes(kept, kept.clear(), superseded)
    _refuse_other_words(frame, where)
    is_delete = pl.col(CHANGE) == "delete"
    return Changes(kept.filter(~is_delete), kept.filter(is_delete), superseded)


def last_of_each(
    frame: pl.DataFrame, keys: Sequence[str], sequence_by: str | None = None, keep: Literal["first", "last"] = "last"
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the last (or first) row of each key, and the others."""
    import polars as pl

    is_repeated = frame.select(keys).is_duplicated()
    if not is_repeated.any():
        return frame, frame.clear()
    repeated = frame.filter(is_repeated)
    origin = [name for name in (sequence_by, *_ORIGIN) if name is not None and name in frame.columns]
    values = [name for name in frame.columns if name not in (*origin, *keys)]
    numbered = repeated.sort([*origin, *values], nulls_last=False).with_row_index(_ROW)
    last = numbered.unique(keys, keep=keep, maintain_order=True)
    others = numbered.join(last, on=_ROW, how="anti")
    return pl.concat([frame.filter(~is_repeated), last.drop(_ROW)]), others.drop(_ROW)


def _refuse_other_words(frame: pl.DataFrame, where: str) -> None:
    import polars as pl

    other = frame.filter(~pl.col(CHANGE).is_in(_WORDS).fill_null(value=False))
    if other.height:
        raise SinkError(
            f"{CHANGE} is {other[CHANGE][0]!r} in {other.height:,} rows; it says insert, update or delete",
            where=where,
            hint=f"mend {CHANGE} in a with_columns step, or rename it where it means something else",
        )


def refuse_changes(columns: Collection[str], where: str) -> None:
    """Refuse a changing result where rows are only added or the table is replaced. Raises ConfigError."""
    if CHANGE in columns:
        raise ConfigError(
            f"the rows are a changing result (column {CHANGE}), whose updates and deletes need keys",
            where=where,
            hint="`emit: updates` needs `write_mode: merge` with a primary_key; or say `emit: final`, or rename the "
            "column where it means something else",
        )


def refuse_keys(rows: pl.Schema, kept: Collection[str], keys: Sequence[str], where: str) -> None:
    """Refuse rows without a ``kept`` column of the key, or with one that has no equality. Raises ConfigError."""
    import polars as pl

    for name in keys:
        if name not in kept:
            raise ConfigError(
                f"the primary_key names {name!r}, which is not among the columns: {', '.join(kept)}",
                where=where,
                hint="name columns that reach the sink and are kept in the table",
            )
        if rows[name].is_nested():
            raise ConfigError(
                f"the primary_key column {name!r} is a {rows[name]}",
                where=where,
                hint="a key is made of plain columns; take fields out with unnest or with_columns",
            )
    if not isinstance(rows.get(CHANGE, pl.String()), pl.String):
        raise ConfigError(
            f"the column {CHANGE} is a {rows[CHANGE]}, not text: it says insert, update or delete",
            where=where,
            hint="rename it where it means something else",
        )
