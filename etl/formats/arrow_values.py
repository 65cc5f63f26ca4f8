"""Values of an Arrow array as another type: exactly, or not at all."""

from __future__ import annotations

import base64
import math
from typing import TYPE_CHECKING

from etl.formats.arrow_types import is_list_type
from etl.schema import arrow_type, decimal_digits, format_type, is_list, is_struct

if TYPE_CHECKING:
    import pyarrow as pa

    from etl.model import Json, TypeTree

NOT_TEXT = "text is not UTF-8"
_YEARS_US = (-62_135_596_800_000_000, 253_402_300_799_999_999, "the years 1 to 9999")
BOUNDS = {
    "date": (-719_162, 2_932_896, "the years 1 to 9999"),
    "timestamp": _YEARS_US,
    "timestamp(UTC)": _YEARS_US,
    "time": (0, 86_399_999_999, "its day"),
}
"""The least and the greatest number of a type: days or microseconds, both included."""


def fit(array: pa.Array, tree: TypeTree) -> pa.Array:
    """Return ``array`` as ``tree``, struct fields by name. Raises ArrowInvalid for a value that would change.

    Numbers fit by value: 2.0 is an integer, 2**60 no float64 (pyarrow counts to 2**53). A decimal is no float, text is
    nothing but text, a moment with a zone none without.
    """
    import pyarrow as pa

    dtype = array.type
    if isinstance(array, pa.DictionaryArray):
        return fit(array.dictionary_decode(), tree)
    if array.null_count == len(array):
        return pa.nulls(len(array), arrow_type(tree))
    if is_struct(tree) and pa.types.is_struct(dtype):
        given = dict(zip([field.name for field in dtype], array.flatten(), strict=True))
        inner = [
            fit(given[name], field) if name in given else pa.nulls(len(array), arrow_type(field))
            for name, field in tree["struct"].items()
        ]
        fields = [pa.field(name, each.type) for name, each in zip(tree["struct"], inner, strict=True)]
        return pa.StructArray.from_arrays(inner, fields=fields, mask=array.is_null())
    if is_list(tree) and (is_list_type(dtype) or pa.types.is_map(dtype)):
        offsets, values = parts(array)
        return pa.ListArray.from_arrays(offsets, fit(values, tree["list"]), mask=array.is_null())
    if not isinstance(tree, str):
        raise _unlike(dtype, tree)
    return _leaf(array, tree)


def parts(array: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Return the offsets and the items of lists of any layout; a map has structs of key and value."""
    import pyarrow as pa
    import pyarrow.compute as pc

    dtype = array.type
    if pa.types.is_map(dtype):
        pair = pa.struct([pa.field("key", dtype.key_type), pa.field("value", dtype.item_type)])
        array = array.cast(pa.list_(pair))
    sizes = pc.fill_null(pc.list_value_length(array), 0).cast(pa.int64())
    ends = pc.cumulative_sum(sizes).cast(pa.int32())
    return pa.concat_arrays([pa.array([0], pa.int32()), ends]), array.flatten()


def _unlike(dtype: pa.DataType, tree: TypeTree) -> Exception:
    import pyarrow as pa

    error: Exception = pa.ArrowInvalid(f"{dtype} is not {format_type(tree)}")
    return error


def may_hold(dtype: pa.DataType, word: str) -> bool:
    """Tell whether a column of the scalar type ``word`` can hold any value of the Arrow type at all."""
    from pyarrow import types as pat

    is_int, is_decimal = pat.is_integer(dtype), pat.is_decimal(dtype)
    is_number = is_int or pat.is_floating(dtype)
    if decimal_digits(word):
        return bool(is_int or is_decimal)
    if "int" in word:
        return bool(is_number or is_decimal)
    if word == "timestamp":
        return bool(pat.is_date(dtype) or (pat.is_timestamp(dtype) and dtype.tz is None))
    answers = {
        "string": pat.is_string(dtype) or pat.is_large_string(dtype) or pat.is_string_view(dtype),
        "binary": pat.is_binary(dtype)
        or pat.is_large_binary(dtype)
        or pat.is_binary_view(dtype)
        or pat.is_fixed_size_binary(dtype),
        "boolean": pat.is_boolean(dtype),
        "float32": is_number,
        "float64": is_number,
        "date": pat.is_date(dtype),
        "timestamp(UTC)": pat.is_timestamp(dtype) and dtype.tz is not None,
        "time": pat.is_time(dtype),
    }
    return bool(answers.get(word, False))


def _leaf(array: pa.Array, word: str) -> pa.Array:
    import pyarrow as pa

    dtype, target = array.type, arrow_type(word)
    if not may_hold(dtype, word):
        raise _unlike(dtype, word)
    if decimal_digits(word) and pa.types.is_integer(dtype):
        # straight to a narrow decimal pyarrow refuses every integer: tests/facts/test_pyarrow_casts.py
        array = array.cast(pa.decimal128(20, 0))
    found = array.cast(target)
    if word == "float32" and pa.types.is_floating(dtype):
        _check_same(array.cast(pa.float64()), found.cast(pa.float64()))
    if word in BOUNDS:
        _check_bounds(found.view(pa.int32() if word == "date" else pa.int64()), word)
    if word == "string":
        _check_text(found)
    return found


def _check_text(found: pa.Array) -> None:
    import pyarrow as pa

    try:
        found.validate(full=True)
    except pa.ArrowInvalid as exc:
        raise pa.ArrowInvalid(NOT_TEXT) from exc


def _check_bounds(numbers: pa.Array, word: str) -> None:
    """Refuse what no calendar or clock shows: polars panics on such a moment, and makes such a time null."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found, (low, high, name) = pc.min_max(numbers), BOUNDS[word]
    for number in (found["min"].as_py(), found["max"].as_py()):
        if not low <= number <= high:
            raise pa.ArrowInvalid(f"{number} is outside of {name}")


def _check_same(before: pa.Array, after: pa.Array) -> None:
    """Refuse floats that rounding has changed: pyarrow's cast to float32 does not."""
    import pyarrow as pa
    import pyarrow.compute as pc

    is_nan = pc.and_(pc.is_nan(before), pc.is_nan(after))
    is_same = pc.or_(pc.equal(before, after), is_nan)
    if not pc.all(is_same).as_py():
        place = pc.index(is_same.fill_null(True), pa.scalar(False)).as_py()  # noqa: FBT003  values of an array
        raise pa.ArrowInvalid(f"Float value {before[place]} has more digits than float32 keeps")


def as_json(value: pa.Scalar) -> Json:
    """Return a value as JSON tells it: moments, decimals and NaN as text, bytes as Base64."""
    import pyarrow as pa

    dtype = value.type
    if not value.is_valid:
        return None
    if isinstance(value, pa.DictionaryScalar):
        return as_json(value.value)
    if pa.types.is_struct(dtype):
        return {dtype.field(place).name: as_json(value[place]) for place in range(dtype.num_fields)}
    if pa.types.is_map(dtype):
        return [{"key": as_json(pair["key"]), "value": as_json(pair["value"])} for pair in value.values]
    if is_list_type(dtype):
        return [as_json(item) for item in value.values]
    return _leaf_json(value)


def _leaf_json(value: pa.Scalar) -> Json:
    import pyarrow as pa

    dtype = value.type
    if pa.types.is_boolean(dtype) or pa.types.is_integer(dtype):
        plain: Json = value.as_py()
        return plain
    if pa.types.is_floating(dtype):
        number = float(value.as_py())
        return number if math.isfinite(number) else str(number)
    if may_hold(dtype, "string") or may_hold(dtype, "binary"):
        content = value.as_buffer().to_pybytes()
        return text_or_base64(content) if may_hold(dtype, "string") else base64.b64encode(content).decode()
    return _as_text(value)


def text_or_base64(content: bytes) -> str:
    """Return bytes that ought to be text as text, those that are not UTF-8 as Base64."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return base64.b64encode(content).decode()


def _as_text(value: pa.Scalar) -> str:
    import pyarrow as pa

    try:
        text = str(value.cast(pa.string()).as_py())
    except (pa.ArrowException, ValueError):
        text = str(value)
    return text.replace(" ", "T", 1) if pa.types.is_timestamp(value.type) else text
