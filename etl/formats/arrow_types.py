"""The types of a file that has types, as column types, and what a schema contract makes of their differences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.errors import ConfigError, UnreadableFileError
from etl.schema import MAX_DEPTH, decimal_digits, from_arrow, is_list, is_struct, leaves
from etl.schema_contract import RESCUED
from etl.widening import is_lossless

if TYPE_CHECKING:
    import pyarrow as pa

    from etl.model import Schema, TypeTree
    from etl.schema_contract import SchemaContract

_FOREIGN = "?"
_DIGITS = {"int8": 3, "int16": 5, "int32": 10, "int64": 19, "uint8": 3, "uint16": 5, "uint32": 10, "uint64": 20}
_SIGNED = ("int8", "int16", "int32", "int64")
_UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
_IN_FLOAT32 = ("int8", "int16", "uint8", "uint16")
_MAX_PRECISION = 38


def found_schema(types: pa.Schema, path: str) -> Schema:
    """Return the columns of a file as column types; a type that no table keeps is a word of its own.

    A map is ``list<struct{key: K, value: V}>``, a dictionary its values. Raises UnreadableFileError for two columns of
    one name, and for names that are no text.
    """
    try:
        names = types.names
        if _has_twice(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise UnreadableFileError(path, f"two columns have the same name: {', '.join(twice)}")
        return {field.name: found_type(field.type) for field in types}
    except UnicodeDecodeError as exc:
        raise UnreadableFileError(path, f"the name of a column or field is not UTF-8: {exc}") from exc


def _has_twice(names: list[str]) -> bool:
    return len(set(names)) < len(names)


def found_type(dtype: pa.DataType, depth: int = 0) -> TypeTree:
    """Return the column type of an Arrow type."""
    from pyarrow import types as pat

    if depth > MAX_DEPTH:
        return f"{_FOREIGN}nested deeper than {MAX_DEPTH} levels"
    if pat.is_dictionary(dtype):
        return found_type(dtype.value_type, depth + 1)
    if pat.is_nested(dtype):
        return _nested_type(dtype, depth)
    if pat.is_date(dtype):
        return "date"
    try:
        return next(iter(from_arrow(_one_column(dtype)).values()))
    except ConfigError:
        return f"{_FOREIGN}{dtype}"


def _nested_type(dtype: pa.DataType, depth: int) -> TypeTree:
    from pyarrow import types as pat

    if pat.is_map(dtype):
        pair: dict[str, TypeTree | dict[str, TypeTree]] = {
            "struct": {"key": found_type(dtype.key_type, depth + 2), "value": found_type(dtype.item_type, depth + 2)}
        }
        return {"list": pair}
    if is_list_type(dtype):
        return {"list": found_type(dtype.value_type, depth + 1)}
    if pat.is_struct(dtype):
        names = [field.name for field in dtype]
        if _has_twice(names):
            return f"{_FOREIGN}{dtype} with two fields of one name"
        return {"struct": {field.name: found_type(field.type, depth + 1) for field in dtype}}
    return f"{_FOREIGN}{dtype}"


def _one_column(dtype: pa.DataType) -> pa.Schema:
    import pyarrow as pa

    return pa.schema([("x", dtype)])


def is_list_type(dtype: pa.DataType) -> bool:
    """Tell whether a type is a list of any layout."""
    from pyarrow import types as pat

    return bool(
        pat.is_list(dtype)
        or pat.is_large_list(dtype)
        or pat.is_fixed_size_list(dtype)
        or pat.is_list_view(dtype)
        or pat.is_large_list_view(dtype)
    )


@dataclass(frozen=True, slots=True)
class Difference:
    """The columns and fields that only a file has, and those that only a schema has: dotted paths, ``[]`` for items."""

    new: tuple[str, ...]
    missing: tuple[str, ...]


def difference(known: Schema, found: Schema) -> Difference:
    """Return how the names of a file differ from a schema's, at any depth; what is not known yet has no fields."""
    below = {name: tree for name, tree in known.items() if name != RESCUED or name in found}
    return Difference(tuple(_only_in(found, below)), tuple(_only_in(below, found)))


def _only_in(these: Schema, those: Schema, path: str = "") -> Iterator[str]:
    for name, tree in these.items():
        if name not in those:
            yield f"{path}{name}"
        else:
            yield from _below(tree, those[name], f"{path}{name}")


def _below(tree: TypeTree, other: TypeTree, path: str) -> Iterator[str]:
    if is_list(tree) and is_list(other):
        yield from _below(tree["list"], other["list"], f"{path}[]")
    if is_struct(tree) and is_struct(other):
        yield from _only_in(tree["struct"], other["struct"], f"{path}.")


@dataclass(frozen=True, slots=True)
class Evolution:
    """How a schema takes in the columns of files, as far as a contract allows; ``wide`` as in a Survey."""

    contract: SchemaContract
    wide: frozenset[str]
    path: str

    def schema(self, known: Schema, found: Schema) -> Schema:
        """Return ``known`` evolved by a file. Raises UnreadableFileError for a new type that no table keeps."""
        return self._fields(known, found, "")

    def _fields(self, known: Schema, found: Schema, path: str) -> Schema:
        merged = dict(known)
        for name, tree in found.items():
            if name in known:
                merged[name] = self._type(known[name], tree, f"{path}{name}")
            elif self.contract.new_columns == "evolve":
                merged[name] = self.adopted(tree, f"{path}{name}")
        return merged

    def _type(self, known: TypeTree, found: TypeTree, path: str) -> TypeTree:
        if known == "null" and self.contract.evolves:
            return self.adopted(found, path)
        if is_list(known) and is_list(found):
            return {"list": self._type(known["list"], found["list"], f"{path}[]")}
        if is_struct(known) and is_struct(found):
            return {"struct": self._fields(known["struct"], found["struct"], f"{path}.")}
        if self.contract.type_change == "widen" and isinstance(known, str) and isinstance(found, str):
            return wider(known, found, is_wide=path in self.wide) or known
        return known

    def adopted(self, tree: TypeTree, path: str) -> TypeTree:
        """Return the type of a new column. Raises UnreadableFileError for one that no table keeps."""
        for leaf in leaves(tree):
            if leaf.startswith(_FOREIGN):
                fault = f"column {path}: type {leaf[1:]} cannot be kept in a table"
                raise UnreadableFileError(self.path, fault, hint="convert the column, or leave it out")
        return tree


def wider(known: str, found: str, *, is_wide: bool) -> str | None:
    """Return the type that holds every value of both, None where there is none.

    An integer column becomes float64 only where none of its numbers is beyond 2**53 (``is_wide`` tells); a float column
    stays one, whatever integers come: those that it cannot hold do not fit.
    """
    if found.startswith(_FOREIGN):
        return None
    if is_lossless(found, known):
        return known
    if is_lossless(known, found):
        return found
    if {known, found} == {"date", "timestamp"}:
        return "timestamp"
    return _wider_number(known, found, is_wide=is_wide)


def _wider_number(known: str, found: str, *, is_wide: bool) -> str | None:
    floats = [word for word in (known, found) if word in ("float32", "float64")]
    integers = [word for word in (known, found) if word in _DIGITS]
    if floats and integers:
        if integers[0] in _IN_FLOAT32:
            return floats[0]
        return None if known in _DIGITS and is_wide else "float64"
    if len(integers) == len((known, found)):
        return _signed(known, found)
    digits = [decimal_digits(word) or ((_DIGITS[word], 0) if word in _DIGITS else None) for word in (known, found)]
    if digits[0] is None or digits[1] is None:
        return None
    scale = max(each[1] for each in digits if each)
    precision = max(each[0] - each[1] for each in digits if each) + scale
    return f"decimal({precision},{scale})" if precision <= _MAX_PRECISION else None


def _signed(known: str, found: str) -> str | None:
    """Return the smallest signed integer that holds a signed and an unsigned one."""
    ranks = [_UNSIGNED.index(word) + 1 if word in _UNSIGNED else _SIGNED.index(word) for word in (known, found)]
    return _SIGNED[max(ranks)] if max(ranks) < len(_SIGNED) else None
