"""Rows that a transform sets aside, as JSON."""

from __future__ import annotations

import json
import math
from datetime import date, datetime, time
from typing import TYPE_CHECKING

from etl.model import SYSTEM_COLUMNS
from etl.rejects import reject_schema

if TYPE_CHECKING:
    import polars as pl


def rejected_rows(rows: pl.DataFrame, rule: str, reasons: pl.Series) -> pl.DataFrame:
    """Return rows as ``etl.rejects.reject_schema`` has them: their JSON without system columns, and where they were."""
    import polars as pl

    own = [name for name in rows.columns if name not in SYSTEM_COLUMNS]
    raw = [row_json(row) for row in rows.select(own).iter_rows(named=True)]
    places = [
        rows[name].cast(kind)
        if name in rows.columns
        else pl.repeat(None, rows.height, dtype=kind, eager=True).alias(name)
        for name, kind in (("_source_file", pl.String()), ("_source_offset", pl.Int64()))
    ]
    told = pl.DataFrame([pl.Series("raw", raw, dtype=pl.Binary), *places, reasons.alias("reason")])
    constants = {"form": "json", "context": None, "line": None, "rule": rule}
    kinds = reject_schema()
    return told.with_columns(pl.lit(value, dtype=kinds[name]).alias(name) for name, value in constants.items()).select(
        list(kinds)
    )


def row_json(row: dict[str, object]) -> bytes:
    """Return a row as JSON in UTF-8: moments and days as ISO 8601, decimals as text, bytes as hexadecimal digits.

    >>> row_json({"a": 1, "b": None, "c": float("nan")})
    b'{"a": 1, "b": null, "c": "nan"}'
    """
    return json.dumps(_plain(row), ensure_ascii=False).encode()


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if value is None or isinstance(value, (bool, int, str)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return str(value)
