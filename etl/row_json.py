"""Rows as JSON objects that read back as exactly the same values: how a row without text of its own is set aside."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterable
from datetime import date, datetime, time
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Any

from etl.schema import decimal_digits, is_list, is_struct, to_polars

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

    from etl.model import Schema, TypeTree

_SHOWN = 60
_DIGITS = 100
"""More digits than any decimal has that is asked for."""
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

    Raises ValueError where a value is not one of its column's type, or the row has one that no column is for.
    """
    import polars as pl

    rows = [json.loads(raw) for raw in raws]
    for row in rows:
        _refuse_unknown(row, schema, "")
    columns = {name: [_value(row.get(name), tree, name) for row in rows] for name, tree in schema.items()}
    try:
        return pl.DataFrame(columns, schema=to_polars(schema), strict=True)
    except (TypeError, OverflowError, pl.exceptions.PolarsError) as exc:
        raise ValueError(str(exc).split("\n", 1)[0]) from exc


def _refuse_unknown(row: Mapping[str, Any], fields: Mapping[str, TypeTree], lead: str) -> None:
    for name, value in row.items():
        if value is not None and name not in fields:
            raise ValueError(f"no column {lead}{name} is known any more")


def _value(value: Any, tree: TypeTree, path: str) -> Any:  # noqa: ANN401  any JSON
    if value is None:
        return None
    if is_list(tree):
        _refuse_unless(isinstance(value, list), value, path, "a list")
        return [_value(item, tree["list"], f"{path}[]") for item in value]
    if is_struct(tree):
        _refuse_unless(isinstance(value, dict), value, path, "a struct")
        _refuse_unknown(value, tree["struct"], f"{path}.")
        return {name: _value(value.get(name), field, f"{path}.{name}") for name, field in tree["struct"].items()}
    word = str(tree)
    try:
        found, is_exact = _scalar(value, word)
    except (ValueError, TypeError, ArithmeticError):
        is_exact = False
    _refuse_unless(is_exact, value, path, word)
    return found


def _scalar(value: Any, word: str) -> tuple[Any, bool]:  # noqa: ANN401  any JSON
    """Return a value of a type, and whether it is exactly what was written."""
    if (digits := decimal_digits(word)) is not None:
        amount = Decimal(value)
        with localcontext(prec=_DIGITS):
            scaled = amount.scaleb(digits[1])
            return amount, not isinstance(value, float) and scaled == scaled.to_integral_value()
    if word in ("float32", "float64"):
        number = float(value)
        held = struct.unpack("f", struct.pack("f", number))[0] if word == "float32" else number
        return number, _is_number(value) and (held == value or held != held)  # noqa: PLR0124  NaN is not itself
    if word.startswith("timestamp"):
        moment = datetime.fromisoformat(value)
        return moment, (moment.tzinfo is not None) == (word != "timestamp")
    readers: dict[str, Any] = {"date": date.fromisoformat, "time": time.fromisoformat, "binary": base64.b64decode}
    if word in readers:
        return readers[word](value), True
    kinds: dict[str, type] = {"string": str, "boolean": bool}
    if word in kinds:
        return value, isinstance(value, kinds[word])
    return value, word != "null" and isinstance(value, int) and _is_number(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _refuse_unless(fits: bool, value: object, path: str, kind: str) -> None:  # noqa: FBT001  the condition
    if not fits:
        shown = json.dumps(value, ensure_ascii=False)
        raise ValueError(f"column {path}: {shown[:_SHOWN]}{'…' if len(shown) > _SHOWN else ''} is not {kind}")
