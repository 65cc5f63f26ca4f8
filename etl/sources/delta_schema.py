"""How the reading schema follows the columns of a Delta table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.errors import ConfigError, SourceError
from etl.schema import format_type, is_list, is_struct
from etl.widening import common_type

if TYPE_CHECKING:
    from etl.model import Schema, TypeTree
    from etl.schema_contract import SchemaContract

_WIDENED = {("int64", "float64"), ("date", "timestamp")}
"""What else a table may widen once it has looked at all of its values."""
_HINT = "build the pipeline's table anew: etl run --full-refresh"


def check_contract(contract: SchemaContract) -> None:
    """Refuse policies for single rows: the columns of a table are those of all of its rows. Raises ConfigError."""
    for name in ("new_columns", "type_change", "missing_columns"):
        policy = getattr(contract, name)
        if policy in ("rescue", "quarantine"):
            raise ConfigError(
                f"{name}: {policy} is for single rows; the columns of a table are those of all of its rows",
                where="schema_contract",
                hint="say evolve, or for new_columns ignore or fail, for type_change widen or fail, for "
                "missing_columns null or fail",
            )


def evolved(known: Schema, found: Schema, contract: SchemaContract, table: str) -> Schema:
    """Return ``known`` with what a table's columns ``found`` add to it. Raises SourceError where they do not fit."""
    merged = dict(known)
    missing = [name for name in known if name not in found]
    if missing and contract.missing_columns == "fail":
        raise SourceError(f"has no column {missing[0]!r} any more", where=table, hint=_HINT)
    for name, tree in found.items():
        if name in known:
            merged[name] = _met(known[name], tree, contract, f"{table}, column {name}")
        elif contract.new_columns == "evolve":
            merged[name] = tree
        elif contract.new_columns == "fail":
            raise SourceError(
                f"has a new column {name!r}", where=table, hint="say `new_columns: evolve` to take it in, or ignore"
            )
    return merged


def _met(known: TypeTree, found: TypeTree, contract: SchemaContract, where: str) -> TypeTree:
    wider = _wider(known, found)
    if wider == known:
        return known
    if wider is None or contract.type_change == "fail":
        raise SourceError(f"is {format_type(found)} now, and was {format_type(known)}", where=where, hint=_HINT)
    return wider


def _wider(known: TypeTree, found: TypeTree) -> TypeTree | None:
    """Return the type that holds what both hold, None where there is none."""
    if is_list(known) and is_list(found):
        item = _wider(known["list"], found["list"])
        return None if item is None else {"list": item}
    if is_struct(known) and is_struct(found):
        fields = {name: _wider(known["struct"].get(name, tree), tree) for name, tree in found["struct"].items()}
        whole = {**known["struct"], **{name: tree for name, tree in fields.items() if tree is not None}}
        return {"struct": whole} if None not in fields.values() else None
    return found if (known, found) in _WIDENED else common_type(known, found)
