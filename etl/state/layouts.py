"""The columns of a table of state: as a version record keeps them, and which of another definition they can serve."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from etl.errors import ConfigError, StateError
from etl.schema import format_type, from_polars, is_list, is_struct, list_item, to_polars
from etl.state.contract import TableLayout
from etl.state.fingerprints import START_ANEW, Comparison, dropped_text, new_text
from etl.widening import is_lossless

if TYPE_CHECKING:
    import polars as pl

    from etl.model import Schema, TypeTree


def layout_to_json(layout: TableLayout, *, where: str) -> dict[str, Any]:
    """Return what a version record keeps of a layout. Raises StateError for a type that state cannot keep."""
    return {
        "keys": _flat(_kept(layout.keys, where), where),
        "part": _flat(_kept(layout.part, where), where),
        "values": _kept(layout.values, where),
        "expires": layout.expires,
        "bucket_us": layout.bucket_us,
    }


def layout_from_json(body: Mapping[str, Any]) -> TableLayout:
    """Return the layout of a version record."""
    keys, part, values = (dict(to_polars(body[role])) for role in ("keys", "part", "values"))
    return TableLayout(keys, values, part, body["expires"], body["bucket_us"])


def kept_layout(layout: TableLayout, *, where: str) -> TableLayout:
    """Return a layout with the types that its values have in files. Raises StateError for one that cannot be kept."""
    return layout_from_json(layout_to_json(layout, where=where))


def _kept(columns: Mapping[str, pl.DataType], where: str) -> Schema:
    import polars as pl

    try:
        return from_polars(pl.Schema(columns))
    except ConfigError as exc:
        raise StateError(f"{exc.where}: {exc.message}", where=where, hint="cast it before this transform") from exc


def _flat(columns: Schema, where: str) -> Schema:
    """Return columns that rows are found by. Raises StateError where one is nested."""
    for name, tree in columns.items():
        if not isinstance(tree, str):
            raise StateError(
                f"rows cannot be found by {name}: it is {format_type(tree)}",
                where=where,
                hint="use a field of it, or its text, as the key; `etl validate` shows the columns",
            )
    return columns


def refuse_other_layout(stored: TableLayout, wanted: TableLayout, *, where: str) -> None:
    """Refuse state whose columns cannot serve a definition. Raises StateError that names them."""
    found = compare_layouts(stored, wanted, where=where)
    if found.verdict == "refused":
        raise StateError(f"its definition changed: {'; '.join(found.details)}", where=where, hint=START_ANEW)


def compare_layouts(stored: TableLayout, wanted: TableLayout, *, where: str) -> Comparison:
    """Tell whether rows of one layout can serve another. Raises StateError for a type that state cannot keep."""
    before, after = layout_to_json(stored, where=where), layout_to_json(wanted, where=where)
    known = {**before["keys"], **before["part"], **before["values"]}
    refused = [
        *_other_identity(before["keys"], after["keys"], "its keys"),
        *_other_identity(before["part"], after["part"], "what tells the rows of a key apart"),
        *_unfit(known, after["values"]),
    ]
    if before["expires"] != after["expires"]:
        refused.append(f"rows left by {before['expires'] or 'nothing'}, and by {after['expires'] or 'nothing'} now")
    if refused:
        return Comparison("refused", tuple(refused))
    details = _gentle(known, {**after["keys"], **after["part"], **after["values"]})
    return Comparison("compatible", tuple(details)) if details else Comparison("same")


def _gentle(before: Schema, after: Schema) -> list[str]:
    """Return what differs between columns that serve all the same; columns of ours are not spoken of."""
    grown = [
        f"{_called(name)} grows from {format_type(before[name])} to {format_type(tree)}"
        for name, tree in after.items()
        if name in before and before[name] != tree
    ]
    added = [new_text(_called(name)) for name in after if name not in before and not name.startswith("_")]
    dropped = [dropped_text(_called(name)) for name in before if name not in after and not name.startswith("_")]
    return list(dict.fromkeys([*grown, *added, *dropped]))


def _called(column: str) -> str:
    """Return the name of what a column belongs to: that of an aggregate for what it is computed from."""
    return column.partition(":")[0]


def _other_identity(before: Schema, after: Schema, role: str) -> list[str]:
    if list(before) != list(after):
        return [f"{role} were ({', '.join(before)}) and are ({', '.join(after)}) now"]
    return _unfit(before, after)


def _unfit(before: Schema, after: Schema) -> list[str]:
    return [
        f"{_called(name)} was {format_type(before[name])} and is {format_type(tree)} now"
        for name, tree in after.items()
        if name in before and not holds(tree, before[name])
    ]


def holds(known: TypeTree, found: TypeTree) -> bool:
    """Tell whether every value of the type ``found`` is one of ``known``, at any depth.

    >>> holds({"list": "int64"}, {"list": "int32"})
    True
    """
    if found in (known, "null"):
        return True
    if is_list(known) and is_list(found):
        return holds(list_item(known), list_item(found))
    if is_struct(known) and is_struct(found):
        wide, narrow = known["struct"], found["struct"]
        return list(wide) == list(narrow) and all(holds(wide[name], narrow[name]) for name in wide)
    return isinstance(known, str) and isinstance(found, str) and is_lossless(found, known)
