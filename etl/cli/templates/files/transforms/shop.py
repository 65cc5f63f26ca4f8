"""Functions that pipelines name as ``shop:<function>``: they take a lazy frame and return one."""

import polars as pl

LARGE_ORDER = 100


def with_size_class(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return ``rows`` with the column ``size_class``, by the value of ``total``."""
    total = pl.col("total")
    return rows.with_columns(
        pl.when(total >= LARGE_ORDER).then(pl.lit("large")).otherwise(pl.lit("small")).alias("size_class")
    )
