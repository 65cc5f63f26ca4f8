"""What versions of a table do to it, key by key: the rows of their files as a changing result."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from etl.errors import SourceError
from etl.model import CHANGE
from etl.sources.delta_rows import CHANGE_TYPE
from etl.sources.delta_units import CDC, REMOVE, TableFile

if TYPE_CHECKING:
    import polars as pl

_AT, _IS_AFTER, _ROW = "_etl_at", "_etl_is_after", "_etl_row"
_BEFORE = ("update_preimage", "delete")
_AFTER = ("insert", "update_postimage")


def as_events(frame: pl.DataFrame, file: TableFile) -> pl.DataFrame:
    """Return rows of a file in order of what they tell: that there was such a row before a version, or is one after it.

    Raises SourceError for a change of an unknown kind.
    """
    import polars as pl

    if file.kind == CDC:
        kind = frame[CHANGE_TYPE]
        other = kind.filter(~kind.is_in([*_BEFORE, *_AFTER]).fill_null(value=False))
        if other.len():
            raise SourceError(f"version {file.version} has a change of kind {other[0]!r}", where=file.path)
        is_after = kind.is_in(_AFTER)
    else:
        is_after = pl.Series([file.kind != REMOVE]).new_from_index(0, frame.height)
    at = is_after.cast(pl.Int64) + 2 * file.version
    return frame.drop(CHANGE_TYPE, strict=False).with_columns(at.alias(_AT), is_after.alias(_IS_AFTER))


def netted(
    events: Sequence[pl.DataFrame], keys: Sequence[str], values: Iterable[str]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return what all events together do, one row a key at most, and the rows behind which there is another.

    A key that is as it was gives nothing. Null equals null, and NaN equals NaN.
    """
    import polars as pl

    rows = pl.concat(events).sort(_AT, maintain_order=True).with_row_index(_ROW)
    ends = rows.group_by(keys, maintain_order=True).agg(pl.first(_ROW).alias("first"), pl.last(_ROW).alias("last"))
    first, last = rows[ends["first"]], rows[ends["last"]]
    was, is_there = ~first[_IS_AFTER], last[_IS_AFTER]
    is_same = was & is_there & _same(first, last, values)
    change = (
        pl.DataFrame({"was": was, "is": is_there, "same": is_same})
        .select(
            pl.when(pl.col("was") & pl.col("is") & ~pl.col("same"))
            .then(pl.lit("update"))
            .when(pl.col("was") & ~pl.col("is"))
            .then(pl.lit("delete"))
            .when(~pl.col("was") & pl.col("is"))
            .then(pl.lit("insert"))
            .otherwise(None)
        )
        .to_series()
    )
    kept = last.with_columns(change.alias(CHANGE)).filter(pl.col(CHANGE).is_not_null())
    others = rows.join(kept.select(_ROW), on=_ROW, how="anti")
    return kept.drop(_AT, _IS_AFTER, _ROW), others


def _same(one: pl.DataFrame, other: pl.DataFrame, columns: Iterable[str]) -> pl.Series:
    """Tell for each row whether it is the same in some columns of both."""
    import polars as pl

    found = pl.Series([True]).new_from_index(0, one.height)
    for name in columns:
        found &= one[name].eq_missing(other[name])
    return found
