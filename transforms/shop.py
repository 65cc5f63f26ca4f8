"""What the tea shop's pipelines compute in Python; named in a pipeline file as ``shop:<function>``."""

import polars as pl


def with_device(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return ``rows`` with the column ``device``, guessed from ``user_agent``."""
    agent = pl.col("user_agent")
    return rows.with_columns(
        pl.when(agent.str.contains("iPhone|Android"))
        .then(pl.lit("phone"))
        .when(agent.str.contains("Mozilla"))
        .then(pl.lit("computer"))
        .otherwise(pl.lit("other"))
        .alias("device")
    )
