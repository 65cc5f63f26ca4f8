"""Whether a column can hold a JSON scalar exactly, one value at a time: for the rows that need a closer look."""

from __future__ import annotations

import math
import re
import struct
from decimal import Decimal, InvalidOperation
from typing import Any

from etl.formats.json_pattern import MOMENTS
from etl.formats.json_tokens import Constant, Fault, Number, shown
from etl.formats.json_values import convert_text
from etl.schema import decimal_digits

_MOST_DIGITS = 400
_DECIMAL_TEXT = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_BITS = re.compile(r"(u?)int(\d+)")


class Misfit(Fault):
    """A value that its column cannot hold."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__("type", f"column {path}: {reason}")


def first_type(value: Any, path: str) -> str:  # noqa: ANN401  any JSON scalar
    """Return the type that a column takes from its first value. Raises Misfit for a number that none can hold."""
    if isinstance(value, bool):
        return "boolean"
    if not isinstance(value, Number):
        return "string"
    word = "int64" if value.is_integer else "float64"
    check(value, word, path)
    return word


def check(value: Any, word: str, path: str) -> None:  # noqa: ANN401  any JSON scalar
    """Refuse a scalar that is no ``word``, or that ``word`` would change. Raises Misfit."""
    if isinstance(value, Constant):
        raise Fault("syntax", f"{value} is no JSON")
    if isinstance(value, Number):
        _check_number(value, word, path)
    elif isinstance(value, str):
        _check_text(value, word, path)
    elif not (isinstance(value, bool) and word == "boolean"):
        raise Misfit(path, f"{shown(value)} is no {word}")


def _check_number(number: Number, word: str, path: str) -> None:
    if word in ("float32", "float64"):
        _check_float(number, word, path)
    elif bits := _BITS.fullmatch(word):
        if not number.is_integer or (bits[1] and number.startswith("-")):
            raise Misfit(path, f"{shown(number)} is no {word}")
        most = 2 ** (int(bits[2]) - (0 if bits[1] else 1))
        if len(number) > _MOST_DIGITS or not (-most <= int(number) < most):
            raise Misfit(path, f"{shown(number)} is beyond {word}")
    elif digits := decimal_digits(word):
        _check_decimal(str(number), digits, path)
    else:
        raise Misfit(path, f"{shown(number)} is no {word}")


def _check_float(number: Number, word: str, path: str) -> None:
    if number.is_integer:  # refused by every column, as a column's type may not depend on which row came first
        _check_number(number, "int64", path)
    value = float(number)
    if word == "float32":
        try:
            value = struct.unpack("f", struct.pack("f", value))[0]
        except OverflowError:
            value = math.inf
    if math.isinf(value):
        raise Misfit(path, f"{shown(number)} is beyond {word}")
    if number.is_integer and int(value) != int(number):
        raise Misfit(path, f"the integer {shown(number)} has more digits than {word} keeps")


def _check_text(value: str, word: str, path: str) -> None:
    import pyarrow as pa

    if word in ("string", "binary"):
        return
    if digits := decimal_digits(word):
        if not _DECIMAL_TEXT.fullmatch(value):
            raise Misfit(path, f"{shown(value)} is no {word}")
        _check_decimal(value, digits, path)
    elif word in MOMENTS:
        if MOMENTS[word].fullmatch(value):
            return
        try:
            convert_text(pa.array([value], pa.string()), word, path)
        except pa.ArrowInvalid as exc:
            zone = {"timestamp": " without a zone", "timestamp(UTC)": " with a zone"}.get(word, "")
            raise Misfit(path, f"{shown(value)} is no {word.removesuffix('(UTC)')}{zone}") from exc
    else:
        raise Misfit(path, f"{shown(value)} is no {word}")


def _check_decimal(written: str, digits: tuple[int, int], path: str) -> None:
    precision, scale = digits
    word = f"decimal({precision},{scale})"
    try:
        _, figures, exponent = Decimal(written).as_tuple()
    except InvalidOperation as exc:
        raise Misfit(path, f"{shown(Number(written))} is beyond {word}") from exc
    if not isinstance(exponent, int):
        raise Misfit(path, f"{shown(Number(written))} is no {word}")
    kept = "".join(map(str, figures)).lstrip("0")
    trimmed = kept.rstrip("0")
    exponent += len(kept) - len(trimmed)
    if trimmed and (-exponent > scale or len(trimmed) + exponent > precision - scale):
        raise Misfit(path, f"{shown(Number(written))} has more digits than {word} keeps")
