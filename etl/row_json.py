"""Rows as JSON objects that read back as exactly the same values: how a row without text of its own is set aside."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from etl.schema import decimal_digits, is_list, is_struct, to_polars

if TYPE_CHECKING:
    import polars as pl

    from etl.model import Schema, TypeTree

_EXACT = 2**53
"""Up to here every integer is a float64."""


def encode_rows(rows: pl.Series) -> pl.Series:
    """Return structs as UTF-8 JSON objects (Binary): moments in ISO 8601, decimals as text, bytes in base64.

    Fields that are null are left out and whole floats written as integers, so that a row is written alike before and
    after its schema evolved. NaN and the infinities are written as Python does (``NaN``), which is no JSON but the only
    way to keep them.
    """
    import polars as pl

    texts = [json.dumps(_without_nulls(row), ensure_ascii=False, default=_plain) for row in rows.to_list()]
    return pl.Series(rows.name, [text.encode("utf-8", "surrogatepass") for text in texts], dtype=pl.Binary)


def _without_nulls(value: Any) -> Any:  # noqa: ANN401  any value of a column
    if isinstance(value, dict):
        return {name: _without_nulls(field) for name, field in value.items() if field is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT and str(value) != "-0.0":
        return int(value)
    return value


def _plain(value: object) -> str:
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value)


def decode_rows(raws: Iterable[bytes], schema: Schema) -> pl.DataFrame:
    """Return what ``encode_rows`` wrote, in the columns of ``schema``; one that a row lacks is null.

    Raises ValueError where a value is not of its column's type.
    """
    import polars as pl

    rows = [json.loads(raw) for raw in raws]
    columns = {name: [_value(row.get(name), tree) for row in rows] for name, tree in schema.items()}
    try:
        return pl.DataFrame(columns, schema=to_polars(schema), strict=True)
    except (TypeError, OverflowError, pl.exceptions.PolarsError) as exc:
        raise ValueError(str(exc).split("\n", 1)[0]) from exc


def _value(value: Any, tree: TypeTree) -> Any:  # noqa: ANN401  any JSON
    if value is None:
        return None
    if is_list(tree):
        return [_value(item, tree["list"]) for item in value]
    if is_struct(tree):
        return {name: _value(value.get(name), field) for name, field in tree["struct"].items()}
    return _scalar(value, str(tree))


def _scalar(value: Any, word: str) -> Any:  # noqa: ANN401  any JSON
    if decimal_digits(word):
        return Decimal(value)
    if word.startswith("float"):
        return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
    kind = "timestamp" if word.startswith("timestamp") else word
    readers: dict[str, Callable[[Any], Any]] = {
        "date": date.fromisoformat,
        "time": time.fromisoformat,
        "timestamp": datetime.fromisoformat,
        "binary": base64.b64decode,
    }
    return readers[kind](value) if kind in readers else value
