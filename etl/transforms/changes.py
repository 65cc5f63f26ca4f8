"""A changing result: what became of it with a batch, as rows that say ``insert``, ``update`` or ``delete``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from etl.model import CHANGE

if TYPE_CHECKING:
    import polars as pl


def changes_between(before: pl.DataFrame, after: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """Return the changes that turn ``before`` into ``after``: a row per key that is new, other or gone.

    ``before`` may lack any key that did not change; both have each key at most once. A result that stayed as it was
    gives nothing. NaN equals NaN.
    """
    import polars as pl

    if not keys:
        return _of_one(before, after)
    values = [name for name in after.columns if name not in keys]
    gone = before.join(after, on=keys, how="anti", nulls_equal=True)
    fresh = after.join(before, on=keys, how="anti", nulls_equal=True)
    suffix = "\0before"
    both = after.join(before, on=keys, how="inner", nulls_equal=True, suffix=suffix)
    is_other = [pl.col(name).ne_missing(pl.col(f"{name}{suffix}")) for name in values]
    other = both.filter(pl.any_horizontal(is_other)) if values else both.clear()
    kinds = (("insert", fresh), ("update", other.select(after.columns)), ("delete", gone.select(after.columns)))
    return pl.concat([frame.with_columns(pl.lit(kind).alias(CHANGE)) for kind, frame in kinds])


def _of_one(before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
    """Return the changes of a result of one row, which has no key."""
    import polars as pl

    if before.equals(after):
        return after.clear().with_columns(pl.lit(None, pl.String).alias(CHANGE))
    kind = "delete" if not after.height else "update" if before.height else "insert"
    return (after if after.height else before).with_columns(pl.lit(kind).alias(CHANGE))
