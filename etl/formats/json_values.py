"""JSON values that pyarrow reads in another form first, and numbers that it would round without a word."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.schema import arrow_type, decimal_digits, is_list, is_struct, leaves, map_leaves

if TYPE_CHECKING:
    import pyarrow as pa

    from etl.model import Schema, TypeTree

EXACT = 2**53
"""Up to here every integer is a float64."""

_EXACT_32 = 2**24
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
    if tree != "null":
        return convert_text(array, str(tree), name)
    if array.null_count < len(array):
        raise pa.ArrowInvalid(f"column {name}: its type is not known yet")
    return pa.nulls(len(array))


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


def is_doubtful(array: pa.Array, bound: float) -> bool:
    """Tell whether a float in ``array``, at any depth, is ``bound`` or more, or no number.

    Then a number may have been rounded to it, or ``NaN`` been taken for one.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    dtype = array.type
    if pa.types.is_list(dtype):
        return is_doubtful(array.values, bound)
    if pa.types.is_struct(dtype):
        return any(is_doubtful(below, bound) for below in array.flatten())
    if not pa.types.is_floating(dtype):
        return False
    bounds, total = pc.min_max(array), pc.sum(array).as_py()
    low, high = bounds["min"].as_py(), bounds["max"].as_py()
    limit = min(bound, _EXACT_32) if pa.types.is_float32(dtype) and bound <= EXACT else bound
    return low is not None and (total != total or high >= limit or low <= -limit)  # noqa: PLR0124  a sum that is NaN


def has_null(array: pa.Array) -> bool:
    """Tell whether there is a null in ``array``, at any depth."""
    import pyarrow as pa

    if array.null_count:
        return True
    if pa.types.is_list(array.type):
        return has_null(array.values)
    return pa.types.is_struct(array.type) and any(has_null(below) for below in array.flatten())


def wide_paths(array: pa.Array, path: str) -> set[str]:
    """Return where in ``array`` there is an int64 beyond 2**53, as in a Survey."""
    import pyarrow as pa
    import pyarrow.compute as pc

    dtype = array.type
    if pa.types.is_list(dtype):
        return wide_paths(array.values, f"{path}[]")
    if pa.types.is_struct(dtype):
        below = zip(array.flatten(), (dtype.field(place).name for place in range(dtype.num_fields)), strict=True)
        return {found for inner, name in below for found in wide_paths(inner, f"{path}.{name}")}
    if not pa.types.is_int64(dtype):
        return set()
    bounds = pc.min_max(array)
    low, high = bounds["min"].as_py(), bounds["max"].as_py()
    return {path} if low is not None and (high > EXACT or low < -EXACT) else set()
