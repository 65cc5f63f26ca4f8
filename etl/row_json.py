"""Rows as JSON objects that read back as exactly the same values: how a row without text of its own is set aside."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from etl.schema import decimal_digits, is_list, is_struct, to_polars

if TYPE_CHECKING:
    import polars as pl

    from etl.model import Schema, TypeTree


def encode_rows(rows: pl.Series) -> pl.Series:
    """Return structs as UTF-8 JSON objects (Binary): moments in ISO 8601, decimals as text, bytes in base64.

    NaN and the infinities are written as Python does (``NaN``), which is no JSON but the only way to keep them.
    """
    import polars as pl

    texts = [json.dumps(row, ensure_ascii=False, default=_plain, separators=(", ", ": ")) for row in rows.to_list()]
    return pl.Series(rows.name, [text.encode("utf-8", "surrogatepass") for text in texts], dtype=pl.Binary)


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
    word = str(tree)
    if decimal_digits(word):
        return Decimal(value)
    readers = {"date": date.fromisoformat, "time": time.fromisoformat, "binary": base64.b64decode}
    if word.startswith("timestamp"):
        return datetime.fromisoformat(value)
    return readers[word](value) if word in readers else value
