"""Column types: the canonical tree and its forms in Polars and Arrow. Their text is read in ``etl.type_text``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeGuard

from etl.errors import ConfigError

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa
    from polars.datatypes import DataTypeClass

    from etl.model import Schema, TypeTree

MAX_DEPTH = 64
"""How deep lists and structs may nest."""

MAX_DIGITS = 38
"""How many digits a decimal has at most."""

_INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
PLAIN = ("string", *_INTEGERS, "float32", "float64", "boolean", "date", "timestamp", "time", "binary", "null")
_WORDS = (*PLAIN, "timestamp(UTC)", "decimal(18,2)", "list<T>", "struct{name: T}")
TYPES_HINT = "types are " + " ".join(word for word in _WORDS if word != "null")


def format_type(tree: TypeTree) -> str:
    """Return the text that ``parse_type`` reads back as ``tree``."""
    if isinstance(tree, str):
        return tree
    if "list" in tree:
        return f"list<{format_type(list_item(tree))}>"
    fields = (f"{_format_name(name)}: {format_type(field)}" for name, field in struct_fields(tree).items())
    return f"struct{{{', '.join(fields)}}}"


def is_list(tree: TypeTree) -> TypeGuard[dict[str, TypeTree]]:
    """Tell whether ``tree`` is ``{"list": T}``."""
    return isinstance(tree, dict) and "list" in tree


def is_struct(tree: TypeTree) -> TypeGuard[dict[str, dict[str, TypeTree]]]:
    """Tell whether ``tree`` is ``{"struct": {name: T}}``."""
    return isinstance(tree, dict) and "struct" in tree


def list_item(tree: TypeTree) -> TypeTree:
    """Return the ``T`` of ``{"list": T}``."""
    if not is_list(tree):
        raise TypeError(tree)
    return tree["list"]


def struct_fields(tree: TypeTree) -> dict[str, TypeTree]:
    """Return the fields of ``{"struct": {name: T}}``, in order."""
    if not is_struct(tree):
        raise TypeError(tree)
    return tree["struct"]


def _format_name(name: str) -> str:
    return name if re.fullmatch(r"[^\W\d]\w*", name) else json.dumps(name, ensure_ascii=False)


def map_leaves(tree: TypeTree, change: Callable[[str], str]) -> TypeTree:
    """Return ``tree`` with every scalar type replaced by ``change`` of it."""
    if isinstance(tree, str):
        return change(tree)
    if is_list(tree):
        return {"list": map_leaves(tree["list"], change)}
    return {"struct": {name: map_leaves(field, change) for name, field in struct_fields(tree).items()}}


def leaves(tree: TypeTree) -> list[str]:
    """Return every scalar type in ``tree``."""
    if isinstance(tree, str):
        return [tree]
    inner = [tree["list"]] if is_list(tree) else list(struct_fields(tree).values())
    return [leaf for below in inner for leaf in leaves(below)]


def decimal_digits(word: str) -> tuple[int, int] | None:
    """Return precision and scale of ``decimal(18,2)``, None for any other type."""
    found = re.fullmatch(r"decimal\((\d+),(\d+)\)", word)
    return (int(found[1]), int(found[2])) if found else None


def to_arrow(schema: Schema) -> pa.Schema:
    """Return the Arrow form; timestamps count microseconds."""
    import pyarrow as pa

    return pa.schema([pa.field(name, arrow_type(tree)) for name, tree in schema.items()])


def arrow_type(tree: TypeTree) -> pa.DataType:
    """Return the Arrow form of one type."""
    import pyarrow as pa

    if is_list(tree):
        return pa.list_(arrow_type(tree["list"]))
    if is_struct(tree):
        return pa.struct([pa.field(name, arrow_type(field)) for name, field in tree["struct"].items()])
    word = str(tree)
    if digits := decimal_digits(word):
        return pa.decimal128(*digits)
    special = {"timestamp": pa.timestamp("us"), "timestamp(UTC)": pa.timestamp("us", "UTC"), "time": pa.time64("us")}
    return (
        special[word] if word in special else pa.type_for_alias({"boolean": "bool", "date": "date32"}.get(word, word))
    )


def to_polars(schema: Schema) -> pl.Schema:
    """Return the Polars form; timestamps count microseconds."""
    import polars as pl

    return pl.Schema({name: _polars_type(tree) for name, tree in schema.items()})


def _polars_type(tree: TypeTree) -> pl.DataType:
    import polars as pl

    if is_list(tree):
        return pl.List(_polars_type(tree["list"]))
    if is_struct(tree):
        return pl.Struct({name: _polars_type(field) for name, field in tree["struct"].items()})
    word = str(tree)
    if digits := decimal_digits(word):
        return pl.Decimal(*digits)
    if word.startswith("timestamp"):
        return pl.Datetime("us", "UTC" if word.endswith("(UTC)") else None)
    names = {"uint8": "UInt8", "uint16": "UInt16", "uint32": "UInt32", "uint64": "UInt64"}
    found: pl.DataType = getattr(pl, names.get(word, word.capitalize()))()
    return found


def from_polars(schema: pl.Schema) -> Schema:
    """Return the canonical form of a Polars schema.

    Raises ConfigError, naming the column, for what a table cannot keep: nanoseconds, zones other than UTC,
    durations, categories.
    """
    return {name: _from_polars_type(dtype, name) for name, dtype in schema.items()}


def _from_polars_type(dtype: pl.DataType, where: str) -> TypeTree:
    import polars as pl

    if isinstance(dtype, pl.List):
        return {"list": _from_polars_type(_instance(dtype.inner), where)}
    if isinstance(dtype, pl.Struct):
        fields = {field.name: _instance(field.dtype) for field in dtype.fields}
        return {"struct": {name: _from_polars_type(field, f"{where}.{name}") for name, field in fields.items()}}
    if isinstance(dtype, pl.Decimal):
        return f"decimal({dtype.precision},{dtype.scale})"
    if isinstance(dtype, pl.Datetime) and dtype.time_unit != "ns" and dtype.time_zone in (None, "UTC"):
        return "timestamp(UTC)" if dtype.time_zone else "timestamp"
    word = str(dtype).lower()
    if word in PLAIN and word != "timestamp":
        return word
    raise ConfigError(f"type {dtype} cannot be kept in a table", where=where, hint=f"cast it; {TYPES_HINT}")


def _instance(dtype: DataTypeClass | pl.DataType) -> pl.DataType:
    return dtype() if isinstance(dtype, type) else dtype


def from_arrow(schema: pa.Schema, *, where: str = "") -> Schema:
    """Return the canonical form of an Arrow schema. Raises ConfigError for a type that no table can keep."""
    return {field.name: _from_arrow_type(field.type, f"{where}: {field.name}".lstrip(": "), 0) for field in schema}


def _from_arrow_type(dtype: pa.DataType, where: str, depth: int) -> TypeTree:
    from pyarrow import types as pat

    if depth > MAX_DEPTH:
        raise ConfigError(f"lists and structs nest deeper than {MAX_DEPTH} levels", where=where)
    if pat.is_dictionary(dtype):
        return _from_arrow_type(dtype.value_type, where, depth + 1)
    if pat.is_list(dtype) or pat.is_large_list(dtype) or pat.is_fixed_size_list(dtype):
        return {"list": _from_arrow_type(dtype.value_type, where, depth + 1)}
    if pat.is_struct(dtype):
        return {
            "struct": {field.name: _from_arrow_type(field.type, f"{where}.{field.name}", depth + 1) for field in dtype}
        }
    if pat.is_decimal(dtype) and dtype.precision <= MAX_DIGITS and dtype.scale >= 0:
        return f"decimal({dtype.precision},{dtype.scale})"
    if pat.is_timestamp(dtype):
        return "timestamp(UTC)" if dtype.tz else "timestamp"
    return _plain_arrow_type(dtype, where)


def _plain_arrow_type(dtype: pa.DataType, where: str) -> str:
    from pyarrow import types as pat

    if pat.is_time(dtype):
        return "time"
    renamed = {
        "bool": "boolean",
        "double": "float64",
        "float": "float32",
        "halffloat": "float32",
        "date32[day]": "date",
    }
    word = renamed.get(str(dtype), re.sub(r"^large_|_view$|^fixed_size_|\[\d+\]$", "", str(dtype)))
    if word not in PLAIN:
        raise ConfigError(f"type {dtype} is not supported", where=where, hint=TYPES_HINT)
    return word
