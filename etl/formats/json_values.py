"""JSON values that pyarrow reads in another form first, and numbers that it would round without a word."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from etl.schema import arrow_type, decimal_digits, is_list, is_struct, leaves, map_leaves

if TYPE_CHECKING:
    import pyarrow as pa

    from etl.model import Json, Schema, TypeTree

EXACT = 2**53
"""Up to here every integer is a float64."""

_FLOAT32_END = 3.4028235677973366e38
_TEXT_LEAVES = ("date", "timestamp", "timestamp(UTC)", "time")


def as_text(schema: Schema) -> Schema:
    """Return ``schema`` with the types that JSON writes as text being strings."""
    return {name: map_leaves(tree, _read_as) for name, tree in schema.items()}


def _read_as(word: str) -> str:
    return "string" if word in _TEXT_LEAVES else word


def json_type(tree: TypeTree) -> pa.DataType:
    """Return the Arrow type to read ``tree`` with; what is not known yet is an object without fields."""
    import pyarrow as pa

    if tree == "null":
        return pa.struct([])
    if is_list(tree):
        return pa.list_(json_type(tree["list"]))
    if is_struct(tree):
        return pa.struct([pa.field(name, json_type(field)) for name, field in tree["struct"].items()])
    return arrow_type(_read_as(str(tree)))


def unknown_paths(tree: TypeTree, path: str) -> set[str]:
    """Return where ``tree`` is not known yet, spelt as in pyarrow's messages (``/tags/[]``)."""
    if tree == "null":
        return {path}
    if is_list(tree):
        return unknown_paths(tree["list"], f"{path}/[]")
    if is_struct(tree):
        return {found for name, field in tree["struct"].items() for found in unknown_paths(field, f"{path}/{name}")}
    return set()


def needs_conversion(tree: TypeTree) -> bool:
    """Tell whether ``tree`` is read in another form than its own."""
    return not {*_TEXT_LEAVES, "null"}.isdisjoint(leaves(tree))


def convert(array: pa.Array, tree: TypeTree, name: str) -> pa.Array:
    """Return an array that was read with ``json_type(tree)`` as ``tree``; ``name`` is for messages.

    Raises ArrowInvalid for text that does not fit.
    """
    import pyarrow as pa

    if not needs_conversion(tree):
        return array
    if is_list(tree):
        return pa.ListArray.from_arrays(
            array.offsets, convert(array.values, tree["list"], f"{name}[]"), mask=array.is_null()
        )
    if is_struct(tree):
        below = zip(array.flatten(), tree["struct"].items(), strict=True)
        inner = [convert(values, field, f"{name}.{inner_name}") for values, (inner_name, field) in below]
        return pa.StructArray.from_arrays(inner, list(tree["struct"]), mask=array.is_null())
    return pa.nulls(len(array)) if tree == "null" else convert_text(array, str(tree), name)


def convert_text(array: pa.Array, word: str, name: str) -> pa.Array:
    """Return ISO 8601 text as ``date``, ``timestamp``, ``timestamp(UTC)`` (an offset is needed) or ``time``.

    Raises ArrowInvalid for anything else, more than six digits of a second included.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        if word != "time":
            return pc.cast(array, arrow_type(word))
        moments = pc.cast(pc.binary_join_element_wise("1970-01-01T", array, ""), pa.timestamp("us"))
        return pc.cast(moments, pa.time64("us"))
    except pa.ArrowInvalid as exc:
        reason = str(exc).split(". If these timestamps")[0].removesuffix(".")
        raise pa.ArrowInvalid(f"column {name}: {reason}") from exc


def check_digits(table: pa.Table, schema: Schema) -> None:
    """Refuse decimals with more digits than their type: pyarrow's readers count them before the point is moved.

    Raises ArrowInvalid.
    """
    import pyarrow as pa

    for name, tree in schema.items():
        if not any(decimal_digits(leaf) for leaf in leaves(tree)):
            continue
        try:
            table.column(name).validate(full=True)
        except pa.ArrowInvalid as exc:
            reason = str(exc).rsplit("Invalid: ", 1)[-1]
            raise pa.ArrowInvalid(f"column {name}: {reason}") from exc


def has_rounded(array: pa.Array) -> bool:
    """Tell whether a float in ``array``, at any depth, is so large that a number may have been rounded to it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    dtype = array.type
    if pa.types.is_list(dtype):
        return has_rounded(array.values)
    if pa.types.is_struct(dtype):
        return any(has_rounded(below) for below in array.flatten())
    if not pa.types.is_floating(dtype):
        return False
    bounds = pc.min_max(array)
    low, high = bounds["min"].as_py(), bounds["max"].as_py()
    return low is not None and (high >= EXACT or low <= -EXACT)


def find_rounded(line: bytes, schema: Schema, largest: int | None = None) -> str | None:
    """Return why a float column of ``schema`` cannot hold a number of ``line`` exactly, None where it can.

    An integer beyond ``largest`` is none that it holds either.
    """
    row: dict[str, Json] = json.loads(line)
    for name, tree in schema.items():
        if reason := _rounded(row.get(name), tree, largest):
            return f"column {name}: {reason}"
    return None


def _rounded(value: Any, tree: TypeTree, largest: int | None) -> str | None:  # noqa: ANN401  any JSON
    if value is None:
        return None
    if is_list(tree):
        return next((found for item in value if (found := _rounded(item, tree["list"], largest))), None)
    if is_struct(tree):
        fields = tree["struct"].items()
        return next((found for name, field in fields if (found := _rounded(value.get(name), field, largest))), None)
    if tree not in ("float32", "float64"):
        return None
    if isinstance(value, int) and (int(float(value)) != value or (largest is not None and abs(value) > largest)):
        return f"the integer {value} has more digits than {tree} keeps"
    is_overflow = tree == "float32" and math.isfinite(value) and abs(value) > _FLOAT32_END
    return f"{value} is beyond float32" if is_overflow else None
