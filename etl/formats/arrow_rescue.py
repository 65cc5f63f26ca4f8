"""What of a value its column can hold, and the rest of it, for ``_rescued_data``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.formats.arrow_types import is_list_type
from etl.formats.arrow_values import as_json, fit, parts
from etl.schema import arrow_type, is_list, is_struct

if TYPE_CHECKING:
    import pyarrow as pa

    from etl.model import Json, TypeTree
    from etl.schema_contract import SchemaContract


@dataclass(frozen=True, slots=True)
class Halves:
    """A value (an array of one) as its column holds it, and what was left over; nothing where ``is_whole``."""

    kept: pa.Array
    rest: Json = None
    is_whole: bool = True


def halve(value: pa.Array, tree: TypeTree, contract: SchemaContract) -> Halves:
    """Return what a column of the type ``tree`` holds of an array of one value.

    A field that does not fit is null and rescued under its name, inside the struct's; an item of a list is null and
    rescued in a list of as many, where null stands for those that fit. Raises ArrowInvalid for a value that does not
    fit where the contract does not rescue those.
    """
    import pyarrow as pa

    if value.null_count:
        return Halves(pa.nulls(1, arrow_type(tree)))
    if is_struct(tree) and pa.types.is_struct(value.type):
        return _struct(value, tree["struct"], contract)
    if is_list(tree) and (is_list_type(value.type) or pa.types.is_map(value.type)):
        return _list(value, tree, contract)
    try:
        return Halves(fit(value, tree))
    except pa.ArrowException:
        if contract.type_change != "rescue":
            raise
        return Halves(pa.nulls(1, arrow_type(tree)), as_json(value[0]), is_whole=False)


def _struct(value: pa.Array, fields: dict[str, TypeTree], contract: SchemaContract) -> Halves:
    import pyarrow as pa

    given = dict(zip([field.name for field in value.type], value.flatten(), strict=True))
    rest: dict[str, Json] = {}
    kept = []
    for name, tree in fields.items():
        half = halve(given.pop(name), tree, contract) if name in given else Halves(pa.nulls(1, arrow_type(tree)))
        kept.append(half.kept)
        if not half.is_whole:
            rest[name] = half.rest
    if contract.new_columns == "rescue":
        rest |= {name: as_json(array[0]) for name, array in given.items() if not array.null_count}
    whole = pa.StructArray.from_arrays(kept, fields=list(arrow_type({"struct": fields})))
    return Halves(whole, rest or None, is_whole=not rest)


def _list(value: pa.Array, tree: dict[str, TypeTree], contract: SchemaContract) -> Halves:
    import pyarrow as pa

    offsets, items = parts(value)
    halves = [halve(items.slice(place, 1), tree["list"], contract) for place in range(len(items))]
    inner = pa.concat_arrays([half.kept for half in halves]) if halves else pa.nulls(0, arrow_type(tree["list"]))
    is_whole = all(half.is_whole for half in halves)
    rest: list[Json] = [half.rest for half in halves]
    return Halves(pa.ListArray.from_arrays(offsets, inner), None if is_whole else rest, is_whole=is_whole)


def to_json(value: Json) -> str:
    """Return the text of a row or of what was rescued of one."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
