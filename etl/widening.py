"""How a schema takes in what later input holds: new columns, new fields, types that become known. Nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.errors import RowError
from etl.schema import decimal_digits, format_type, is_list, is_struct
from etl.schema_contract import EVOLVE, RESCUED, SchemaContract, Survey

if TYPE_CHECKING:
    from etl.model import Schema, TypeTree

_NUMBERS = frozenset({"int64", "float64"})
_SIGNED = ("int8", "int16", "int32", "int64")
_UNSIGNED = ("uint8", "uint16", "uint32", "uint64")


def merge(old: Schema, found: Schema, *, where: str = "", widen_numbers: bool = False) -> Schema:
    """Return ``old`` with the columns and fields of ``found`` that it lacks, appended in their order, at any depth.

    ``null`` (not known yet) becomes the other type. ``widen_numbers`` lets numbers meet in a type that holds both, and
    int64 and float64 as float64: right only while a schema is being inferred, before any row was read with it.
    Raises RowError for any other difference.
    """
    merged = dict(old)
    for name, tree in found.items():
        merged[name] = _merge_type(old[name], tree, (name, where, widen_numbers)) if name in old else tree
    return merged


def _merge_type(old: TypeTree, found: TypeTree, at: tuple[str, str, bool]) -> TypeTree:
    path, where, widen_numbers = at
    if found in (old, "null"):
        return old
    if old == "null":
        return found
    if is_list(old) and is_list(found):
        return {"list": _merge_type(old["list"], found["list"], (f"{path}[]", where, widen_numbers))}
    if is_struct(old) and is_struct(found):
        inner = dict(old["struct"])
        for name, tree in found["struct"].items():
            below = (f"{path}.{name}", where, widen_numbers)
            inner[name] = _merge_type(inner[name], tree, below) if name in inner else tree
        return {"struct": inner}
    if widen_numbers and isinstance(old, str) and isinstance(found, str) and (number := _common(old, found)):
        return number
    raise RowError(
        f"column {path} is {format_type(found)} here and {format_type(old)} elsewhere",
        where=where,
        hint=f"declare its type under `schema:` ({path}: string), or correct the file",
    )


def _common(old: str, found: str) -> str | None:
    if is_lossless(found, old):
        return old
    if is_lossless(old, found):
        return found
    return "float64" if {old, found} == _NUMBERS else None


def common_type(one: TypeTree, other: TypeTree) -> TypeTree | None:
    """Return the type that holds every value of both exactly, None where there is none.

    >>> common_type("int32", "int64"), common_type({"list": "null"}, {"list": "date"}), common_type("int64", "float64")
    ('int64', {'list': 'date'}, None)
    """
    if is_list(one) and is_list(other):
        item = common_type(one["list"], other["list"])
        return None if item is None else {"list": item}
    if is_struct(one) and is_struct(other):
        theirs = other["struct"]
        fields = {name: common_type(tree, theirs.get(name, "null")) for name, tree in one["struct"].items()}
        known = {name: tree for name, tree in ({**theirs, **fields}).items() if tree is not None}
        return {"struct": known} if None not in fields.values() else None
    if "null" in (one, other):
        return other if one == "null" else one
    if not (isinstance(one, str) and isinstance(other, str)):
        return None
    return other if is_lossless(one, other) else one if is_lossless(other, one) else None


def is_lossless(found: str, known: str) -> bool:
    """Tell whether every value of the scalar type ``found`` is one of ``known``: as itself or a wider number."""
    if found in (known, "null"):
        return True
    for family in (_SIGNED, _UNSIGNED):
        if found in family and known in family:
            return family.index(found) < family.index(known)
    if found in _UNSIGNED and known in _SIGNED:
        return _UNSIGNED.index(found) < _SIGNED.index(known)
    small, large = decimal_digits(found), decimal_digits(known)
    if small and large:
        return small[1] <= large[1] and small[0] - small[1] <= large[0] - large[1]
    return (found, known) == ("float32", "float64")


def fold(known: Survey, found: Survey, contract: SchemaContract = EVOLVE) -> Survey | None:
    """Return what a survey of some input that started from ``known`` would find, given one from an older state.

    ``found`` started from a state that ``known`` grew from; where that was None, the contract is ``EVOLVE``. None
    where the answer depends on single rows: the kinds of a column differ, or a float meets integers beyond 2**53.
    """
    folding = _Folding(known.wide, found.wide, contract)
    try:
        schema = folding.fields(known.schema, found.schema, "")
    except _ConflictError:
        return None
    if contract.rescues and RESCUED in schema:
        schema[RESCUED] = schema.pop(RESCUED)  # the last one, behind those that are new
    return Survey(schema, known.wide | found.wide, {**known.unreadable, **found.unreadable})


class _ConflictError(Exception):
    pass


@dataclass(frozen=True, slots=True)
class _Folding:
    """Two surveys on their way to one."""

    wide: frozenset[str]
    found_wide: frozenset[str]
    contract: SchemaContract

    def fields(self, old: Mapping[str, TypeTree], found: Mapping[str, TypeTree], path: str) -> Schema:
        merged = dict(old)
        for name, tree in found.items():
            if name in old:
                merged[name] = self.tree(old[name], tree, f"{path}.{name}" if path else name)
            elif self.contract.new_columns == "evolve":
                merged[name] = tree
            else:
                raise _ConflictError
        return merged

    def tree(self, old: TypeTree, found: TypeTree, path: str) -> TypeTree:
        if found in (old, "null"):
            return old
        if old == "null":
            return found
        if is_list(old) and is_list(found):
            return {"list": self.tree(old["list"], found["list"], f"{path}[]")}
        if is_struct(old) and is_struct(found):
            return {"struct": self.fields(old["struct"], found["struct"], path)}
        if {str(old), str(found)} == _NUMBERS and self.contract.type_change == "widen":
            integers = self.wide if old == "int64" else self.found_wide
            if path not in integers:
                return "float64"
        raise _ConflictError


def carried_on(declared: Schema | None, before: Survey | None, contract: SchemaContract) -> Survey | None:
    """Return what a batch knows of its source when it begins: the declared schema, or what it has become, or both.

    ``before`` is what the newest batch ended with. A declared column keeps the wider type that it has evolved to, as
    long as that follows from the declaration; columns that evolution added stay. None where all is to be inferred.
    """
    if declared is None:
        return before if before is not None and has_columns(before.schema) else None
    known = dict(declared)
    if contract.rescues:
        known.setdefault(RESCUED, "string")
    if before is None or not contract.evolves:
        return Survey(known)
    for name, tree in before.schema.items():
        if name not in known or _follows(known[name], tree):
            known[name] = tree
    return Survey(known, before.wide)


def has_columns(schema: Schema) -> bool:
    """Tell whether the type of any column is known yet."""
    return any(tree != "null" for name, tree in schema.items() if name != RESCUED)


def _follows(declared: TypeTree, evolved: TypeTree) -> bool:
    """Tell whether a type is one that evolution may have made of the declared one."""
    try:
        return merge({"x": declared}, {"x": evolved}, widen_numbers=True) == {"x": evolved}
    except RowError:
        return False
