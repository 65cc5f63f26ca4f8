"""Our column types and Delta's: what a table can store without loss, and how its schema grows."""

from __future__ import annotations

from typing import Any

from etl.errors import SinkError
from etl.model import Schema, TypeTree
from etl.schema import is_list, is_struct, map_leaves

Field = dict[str, Any]

_TO_DELTA = {
    "string": "string",
    "int8": "byte",
    "int16": "short",
    "int32": "integer",
    "int64": "long",
    "uint8": "short",
    "uint16": "integer",
    "uint32": "long",
    "uint64": "decimal(20,0)",
    "float32": "float",
    "float64": "double",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamp_ntz",
    "timestamp(UTC)": "timestamp",
    "binary": "binary",
}
_FROM_DELTA = {
    "string": "string",
    "byte": "int8",
    "short": "int16",
    "integer": "int32",
    "long": "int64",
    "float": "float32",
    "double": "float64",
    "boolean": "boolean",
    "date": "date",
    "timestamp_ntz": "timestamp",
    "timestamp": "timestamp(UTC)",
    "binary": "binary",
}
_WIDENED = {("long", "double"), ("date", "timestamp_ntz")}
"""Table and row types of which the second can take the place of the first, where every value allows it."""

_HOLDS = {
    "short": {"byte"},
    "integer": {"byte", "short"},
    "long": {"byte", "short", "integer"},
    "double": {"float", "byte", "short", "integer"},
}


UNKNOWN_ITEMS = "etl.unknownItems"
"""The key, in a field's metadata, that says: only empty lists so far; its items count as text until one has a type."""


def to_delta_fields(schema: Schema) -> list[Field]:
    """Return Delta's fields for columns; those of unknown type (``null``) are left out until a value gives them one.

    A list of unknown items is one of text, and marked. Raises SinkError where Delta has no type for a column.
    """
    fields = []
    for name, tree in schema.items():
        delta_type = _to_delta(tree, name)
        if delta_type is not None:
            metadata = {UNKNOWN_ITEMS: True} if _has_unknown_items(tree) else {}
            fields.append({"name": name, "type": delta_type, "nullable": True, "metadata": metadata})
    return fields


def _has_unknown_items(tree: TypeTree) -> bool:
    """Tell whether a list, or one in its items, has items of unknown type; a struct marks its own fields."""
    return isinstance(tree, dict) and "list" in tree and (tree["list"] == "null" or _has_unknown_items(tree["list"]))


def _to_delta(tree: TypeTree, where: str) -> str | Field | None:
    if isinstance(tree, dict):
        if "list" in tree:
            element = "string" if tree["list"] == "null" else _to_delta(tree["list"], where)
            return None if element is None else {"type": "array", "elementType": element, "containsNull": True}
        inner = to_delta_fields({f"{name}": part for name, part in _members(tree).items()})
        return {"type": "struct", "fields": inner} if inner else None
    if tree == "null":
        return None
    if tree.startswith("decimal"):
        return tree
    if tree not in _TO_DELTA:
        raise SinkError(f"Delta has no type for {tree}", where=where, hint="cast the column to one that it has")
    return _TO_DELTA[tree]


def _members(tree: TypeTree) -> dict[str, TypeTree]:
    members = tree["struct"] if isinstance(tree, dict) else {}
    return members if isinstance(members, dict) else {}


def from_delta_fields(fields: list[Field]) -> Schema:
    """Return the columns of Delta fields. Raises SinkError for a type that this library cannot write (map, variant)."""
    found = {field["name"]: _from_delta(field["type"], field["name"]) for field in fields}
    unknown = [field["name"] for field in fields if UNKNOWN_ITEMS in field.get("metadata", {})]
    return {**found, **{name: map_leaves(found[name], lambda _: "null") for name in unknown}}


def stored(schema: Schema) -> Schema:
    """Return columns as files hold them: a list of unknown items, which are all empty, as one of text."""
    return {name: _stored(tree) for name, tree in schema.items()}


def _stored(tree: TypeTree) -> TypeTree:
    if is_list(tree):
        return {"list": "string" if tree["list"] == "null" else _stored(tree["list"])}
    return {"struct": stored(tree["struct"])} if is_struct(tree) else tree


def _from_delta(delta_type: str | Field, where: str) -> TypeTree:
    if isinstance(delta_type, str):
        if delta_type.startswith("decimal"):
            return delta_type.replace(" ", "")
        if delta_type in _FROM_DELTA:
            return _FROM_DELTA[delta_type]
    elif delta_type["type"] == "array":
        return {"list": _from_delta(delta_type["elementType"], where)}
    elif delta_type["type"] == "struct":
        return {"struct": from_delta_fields(delta_type["fields"])}
    raise SinkError(f"the table's type {delta_type} cannot be written", where=where)


def merge_fields(table: list[Field], rows: list[Field], where: str = "", *, may_widen: bool = False) -> list[Field]:
    """Return the table's fields with the new columns and struct fields of ``rows`` added at the end.

    With ``may_widen`` a column takes the type of its rows where that holds all of its own, too: every file of the table
    is to be written anew then. Raises SinkError where rows would lose something in a column, or differ from one in
    upper and lower case only.
    """
    merged = {field["name"]: field for field in table}
    lowered = {name.lower(): name for name in merged}
    for field in rows:
        name, path = field["name"], f"{where}{field['name']}"
        twin = lowered.setdefault(name.lower(), name)
        if twin != name:
            raise SinkError(
                f"differs from column {where}{twin!r} in upper and lower case only, which Delta forbids",
                where=path,
                hint="rename one of them",
            )
        known = merged.get(name)
        if known is not None and UNKNOWN_ITEMS in known.get("metadata", {}):
            merged[name] = known if UNKNOWN_ITEMS in field["metadata"] else field
            continue
        if known is not None and UNKNOWN_ITEMS in field["metadata"]:
            continue
        merged[name] = (
            field
            if known is None
            else known | {"type": _merge_types(known["type"], field["type"], path, may_widen=may_widen)}
        )
    return list(merged.values())


def _merge_types(table: str | Field, rows: str | Field, where: str, *, may_widen: bool) -> str | Field:
    if table == rows:
        return table
    if isinstance(rows, str) and isinstance(table, str):
        if _holds(table, rows):
            return table
        if may_widen and (_holds(rows, table) or (table, rows) in _WIDENED):
            return rows
    if isinstance(table, dict) and isinstance(rows, dict) and table["type"] == rows["type"]:
        if table["type"] == "struct":
            return table | {"fields": merge_fields(table["fields"], rows["fields"], f"{where}.", may_widen=may_widen)}
        if table["type"] == "array":
            inner = _merge_types(table["elementType"], rows["elementType"], f"{where}[]", may_widen=may_widen)
            return table | {"elementType": inner}
    raise SinkError(
        f"rows are {_word(rows)}, the table's column is {_word(table)}: storing them would lose or change values",
        where=where,
        hint="cast the column in the pipeline, or write to another table",
    )


def _holds(table: str, rows: str) -> bool:
    """Tell whether every value of one Delta type is exactly one of the other."""
    if table.startswith("decimal") and rows.startswith("decimal"):
        (p1, s1), (p2, s2) = (_precision(text) for text in (table, rows))
        return s1 >= s2 and p1 - s1 >= p2 - s2
    return rows in _HOLDS.get(table, ())


def _precision(decimal: str) -> tuple[int, int]:
    precision, scale = decimal.removeprefix("decimal(").removesuffix(")").split(",")
    return int(precision), int(scale)


def _word(delta_type: str | Field) -> str:
    return delta_type if isinstance(delta_type, str) else str(delta_type["type"])
