"""What differs between two schemas, column by column and field by field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from etl.model import SchemaChange
from etl.schema import is_list, is_struct

if TYPE_CHECKING:
    from etl.model import Schema, TypeTree


def schema_changes(before: Schema, after: Schema, files: Mapping[str, str] | None = None) -> tuple[SchemaChange, ...]:
    """Return how ``after`` differs; ``files`` says, by top-level column, where the reason was first seen.

    A column whose type becomes known (``null`` before) is new.
    """
    found: list[SchemaChange] = []
    for name in (*after, *(name for name in before if name not in after)):
        origin = (files or {}).get(name, "")
        found += _differences(name, _known(before.get(name)), _known(after.get(name)), origin)
    return tuple(found)


def _known(tree: TypeTree | None) -> TypeTree | None:
    return None if tree == "null" else tree


def _differences(path: str, before: TypeTree | None, after: TypeTree | None, file: str) -> list[SchemaChange]:
    if before == after:
        return []
    if before is not None and after is not None:
        if is_struct(before) and is_struct(after):
            below = schema_changes(before["struct"], after["struct"])
            return [SchemaChange(f"{path}.{each.column}", each.before, each.after, file) for each in below]
        if is_list(before) and is_list(after):
            return _differences(f"{path}[]", _known(before["list"]), _known(after["list"]), file)
    return [SchemaChange(path, before, after, file)]
