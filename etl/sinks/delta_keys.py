"""Which files of a Delta table may hold rows with some keys, by partition and statistics; which rows have them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    import polars as pl

_TEXT_LENGTH = 32


def may_hold(live: pl.DataFrame, keys: pl.DataFrame, partition_by: Collection[str]) -> pl.DataFrame:
    """Return the files of ``live`` (``DeltaLog.live_files``) that may hold a key, by what the log says of them.

    Each column of the key is asked by itself; what the log does not say excludes nothing.
    """
    import polars as pl

    if not live.height or not keys.height:
        return live.clear()
    may = pl.repeat(value=True, n=live.height, dtype=pl.Boolean, eager=True)
    for name in keys.columns:
        values = keys[name].unique()
        if name in partition_by:
            known = live["partition"].struct.field(name).cast(values.dtype, strict=False)
            may &= known.is_in(values.implode(), nulls_equal=True)
        else:
            may &= _may_hold_values(live, values.drop_nulls().sort(), has_null=values.null_count() > 0)
    return live.filter(may)


def _may_hold_values(live: pl.DataFrame, values: pl.Series, *, has_null: bool) -> pl.Series:
    """Tell which files may hold one of the values (sorted, without null), or a null where ``has_null``."""
    low, high, nulls = (_said(live, part, values.name) for part in ("min", "max", "null_count"))
    may_be_null = (nulls != 0).fill_null(value=True) & has_null
    if not len(values):
        return may_be_null
    is_all_null = (nulls == live["num_records"]).fill_null(value=False)
    if low.dtype != values.dtype or high.dtype != values.dtype or not has_bounds(values.dtype):
        return may_be_null | ~is_all_null
    places = values.search_sorted(low.fill_null(values[0]), "left")
    nearest = values.extend_constant(None, 1).gather(places)  # the smallest value that is not below the file's
    is_within = (_shortened(nearest) <= _raised(high)).fill_null(value=False)
    is_unknown = low.is_null() | high.is_null()
    return may_be_null | (is_unknown & ~is_all_null) | is_within


def _said(live: pl.DataFrame, part: str, name: str) -> pl.Series:
    """Return what the log says of a column, file by file; null where it says nothing."""
    import polars as pl

    fields = getattr(live.schema.get(part), "fields", ())
    if name in {field.name for field in fields}:
        return live[part].struct.field(name)
    return pl.Series(name, [None] * live.height, pl.Int64 if part == "null_count" else pl.Null)


def has_bounds(dtype: pl.DataType) -> bool:
    """Tell whether bounds of a type in the log are exact, or off in a known way."""
    import polars as pl

    return dtype.is_integer() or isinstance(dtype, pl.String | pl.Date | pl.Datetime)


def _shortened(values: pl.Series) -> pl.Series:
    """Return texts as far as bounds go: some writers cut a maximum off without raising it."""
    import polars as pl

    return values.str.head(_TEXT_LENGTH) if isinstance(values.dtype, pl.String) else values


def _raised(high: pl.Series) -> pl.Series:
    """Return moments a millisecond later: some writers cut what is below one off a maximum, too."""
    import polars as pl

    return high.dt.offset_by("1ms") if isinstance(high.dtype, pl.Datetime) else high


def with_keys(rows: pl.LazyFrame, keys: pl.DataFrame) -> pl.LazyFrame:
    """Return the rows that have one of the keys, whose columns have the same types.

    The column that tells most of them apart is asked first, alone: readers then decode the others for what is left.
    """
    import polars as pl

    plain = [name for name in keys.columns if has_bounds(keys.schema[name])]
    counts = {name: keys[name].n_unique() for name in plain} if len(keys.columns) > 1 else dict.fromkeys(plain, 1)
    best = max(counts, key=counts.__getitem__, default=None)
    if best is not None:
        values = keys[best].unique() if len(keys.columns) > 1 else keys[best]
        rows = rows.filter(pl.col(best).is_in(values.implode(), nulls_equal=True))
    if best is not None and len(keys.columns) == 1:
        return rows
    return rows.join(keys.lazy(), on=keys.columns, how="semi", nulls_equal=True)
