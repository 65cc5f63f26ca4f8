"""The schema that lines of NDJSON show by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.errors import ConfigError, RowError
from etl.formats.json_values import as_text, json_type
from etl.schema import from_arrow, is_list, is_struct
from etl.widening import merge

if TYPE_CHECKING:
    import pyarrow as pa

    from etl.model import Schema, TypeTree

_GUESSED = {"timestamp": "string", "timestamp(UTC)": "string", "date": "string", "time": "string"}


def told(known: Schema) -> pa.Schema:
    """Return what the reader is told before it infers: all of ``known`` but what is null, not known yet."""
    import pyarrow as pa

    pruned = {name: _pruned(tree) for name, tree in known.items()}
    return pa.schema([pa.field(name, json_type(tree)) for name, tree in pruned.items() if tree != "null"])


def _pruned(tree: TypeTree) -> TypeTree:
    if is_list(tree):
        item = _pruned(tree["list"])
        return "null" if item == "null" else {"list": item}
    if is_struct(tree):
        fields = {name: _pruned(field) for name, field in tree["struct"].items()}
        return {"struct": {name: field for name, field in fields.items() if field != "null"}}
    return tree


def found_schema(types: pa.Schema, *, where: str) -> Schema:
    """Return what the reader inferred. A string stays ``string`` whatever it looks like, an empty object is ``null``.

    Raises RowError for objects that nest too deep.
    """
    try:
        schema = from_arrow(types)
    except ConfigError as exc:
        raise RowError(f"{exc.where}: {exc.message}", where=where) from exc
    return {name: _without_guesses(tree) for name, tree in schema.items()}


def _without_guesses(tree: TypeTree) -> TypeTree:
    if is_list(tree):
        return {"list": _without_guesses(tree["list"])}
    if is_struct(tree):
        fields = {name: _without_guesses(field) for name, field in tree["struct"].items()}
        return {"struct": fields} if fields else "null"
    return _GUESSED.get(str(tree), tree)


def widened(known: Schema, found: Schema, *, where: str) -> Schema:
    """Return ``known`` with what was found added; types that JSON writes as text keep their declared form."""
    merged = merge(as_text(known), found, where=where)
    return {name: _declared(known[name], tree) if name in known else tree for name, tree in merged.items()}


def _declared(known: TypeTree, merged: TypeTree) -> TypeTree:
    if is_list(known) and is_list(merged):
        return {"list": _declared(known["list"], merged["list"])}
    if is_struct(known) and is_struct(merged):
        fields = known["struct"]
        inner = merged["struct"].items()
        return {"struct": {name: _declared(fields[name], tree) if name in fields else tree for name, tree in inner}}
    return merged if known == "null" else known
