"""Rows that a transform sets aside, as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.model import SOURCE_ROW, SYSTEM_COLUMNS
from etl.rejects import SOURCE, reject_schema
from etl.transforms.source_rows import encoded_rows

if TYPE_CHECKING:
    import polars as pl


def rejected_rows(rows: pl.DataFrame, rule: str, reasons: pl.Series) -> pl.DataFrame:
    """Return rows as ``etl.rejects.reject_schema`` has them: as they came from the source, and where they were.

    Where rows do not carry what came from the source, their own columns are kept.
    """
    import polars as pl

    own = [name for name in rows.columns if name not in SYSTEM_COLUMNS]
    found = rows[SOURCE_ROW] if SOURCE_ROW in rows.columns else rows.select(own).to_struct()
    raw, source = encoded_rows(found)
    places = [
        rows[name].cast(kind)
        if name in rows.columns
        else pl.repeat(None, rows.height, dtype=kind, eager=True).alias(name)
        for name, kind in (("_source_file", pl.String()), ("_source_offset", pl.Int64()))
    ]
    told = pl.DataFrame([raw.alias("raw"), *places, reasons.alias("reason")])
    constants = {"form": "json", "context": None, "line": None, "rule": rule}
    kinds = reject_schema()
    told = told.with_columns(pl.lit(value, dtype=kinds[name]).alias(name) for name, value in constants.items())
    return told.select(list(kinds)) if source is None else told.select(*kinds, source.alias(SOURCE))
