"""Judging one row of JSON: does it fit the schema, does the contract let the schema evolve, or is it set aside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from etl.formats.json_scalars import Misfit, check, first_type
from etl.formats.json_tokens import Constant, Doubled, Fault, Number, checked, doubled, parse, shown, text
from etl.formats.json_values import EXACT
from etl.model import Schema, TypeTree
from etl.schema import MAX_DEPTH, format_type, is_list, is_struct
from etl.schema_contract import RESCUED, SchemaContract

_NOTHING: Any = object()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a row that is not rejected.

    ``row`` is None where something of it is rescued. ``schema`` is the schema that holds the row: the very object that
    was given where nothing is new. ``wide`` are the integer fields in which the row has a number beyond 2**53. ``line``
    is what to parse instead of the row's own line, None for that one.
    """

    row: Mapping[str, Any] | None
    schema: Schema
    wide: frozenset[str] = frozenset()
    line: bytes | None = None


def judge(line: str, known: Schema, wide: frozenset[str], contract: SchemaContract) -> Verdict:
    """Judge a line by the schema as it is, ``_rescued_data`` left out, and its integers that cannot become floats.

    Raises Fault.
    """
    row = parse(line)
    if contract.new_columns != "ignore":
        checked(row)  # first of all, so that the rule does not depend on what else is wrong by now
    walk = _Walk(contract, set(wide))
    trees, kept, rescued = walk.fields(row, known, _Place("", 0, is_new=False))
    if rescued is not _NOTHING:
        kept = {**kept, RESCUED: text(rescued)}
    rewritten = None if rescued is _NOTHING and not walk.has_dropped else text(kept).encode()
    return Verdict(row if rescued is _NOTHING else None, trees, frozenset(walk.wide) - wide, rewritten)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a value stands; ``is_new`` inside a column whose type was not known before."""

    path: str
    depth: int
    is_new: bool

    def below(self, name: str, *, is_new: bool) -> _Place:
        path = f"{self.path}[]" if name == "[]" else f"{self.path}.{name}".lstrip(".") if self.path else name
        return _Place(path, self.depth + 1, self.is_new or is_new)


@dataclass(slots=True)
class _Walk:
    """One row on its way through the schema. Each step returns its type, what is kept of it and what is rescued."""

    contract: SchemaContract
    wide: set[str]
    has_dropped: bool = field(default=False, init=False)

    def fields(self, row: dict[str, Any], known: Mapping[str, TypeTree], place: _Place) -> tuple[Any, Any, Any]:
        if isinstance(row, Doubled) and self._counts_twice(row, known, place):
            raise doubled(row)
        trees: Any = known
        kept: dict[str, Any] = {}
        rescued: dict[str, Any] = {}
        for name, value in row.items():
            if name not in known and not self._may_evolve(place, name):
                self._leave_out(name, value, rescued, place)
                continue
            is_new = name not in known or known[name] == "null"
            old = known.get(name, "null")
            tree, kept[name], rest = self.value(value, old, place.below(name, is_new=is_new))
            if rest is not _NOTHING:
                rescued[name] = rest
            if tree is not old or name not in known:
                trees = dict(known) if trees is known else trees
                trees[name] = tree
        self._check_missing(row, known, place)
        return trees, kept, rescued or _NOTHING

    def _counts_twice(self, row: Doubled, known: Mapping[str, TypeTree], place: _Place) -> bool:
        """Tell whether a name that stands twice is one that counts: pyarrow does not look at those that are ignored."""
        return place.is_new or self.contract.new_columns != "ignore" or not known.keys().isdisjoint(row.names)

    def _may_evolve(self, place: _Place, name: str) -> bool:
        is_taken = name == RESCUED and not place.path and self.contract.rescues
        return not is_taken and (place.is_new or self.contract.new_columns == "evolve")

    def _leave_out(self, name: str, value: Any, rescued: dict[str, Any], place: _Place) -> None:  # noqa: ANN401
        if self.contract.new_columns == "ignore":
            self.has_dropped = True
        elif self.contract.rescues and self.contract.new_columns in ("rescue", "evolve"):
            rescued[name] = checked(value, place.depth + 1)
        else:
            path = place.below(name, is_new=True).path
            fails = self.contract.new_columns == "fail"
            raise Fault("new_column", f"column {path} is not in the schema", fails=fails)

    def _check_missing(self, row: dict[str, Any], known: Mapping[str, TypeTree], place: _Place) -> None:
        if self.contract.missing_columns == "null":
            return
        for name in known:
            if name not in row:
                path = place.below(name, is_new=False).path
                fails = self.contract.missing_columns == "fail"
                raise Fault("missing_column", f"column {path} is missing", fails=fails)

    def value(self, value: Any, tree: TypeTree, place: _Place) -> tuple[TypeTree, Any, Any]:  # noqa: ANN401
        if value is None:
            return tree, None, _NOTHING
        try:
            return self._typed(value, tree, place)
        except Misfit as exc:
            checked(value, place.depth)  # what is no JSON is told as that, whether the type was known by then or not
            if self.contract.type_change == "rescue":
                return tree, None, value
            exc.fails = self.contract.type_change == "fail"
            raise

    def _typed(self, value: Any, tree: TypeTree, place: _Place) -> tuple[TypeTree, Any, Any]:  # noqa: ANN401
        if isinstance(value, dict | list) and value != {} and place.depth > MAX_DEPTH:
            raise Fault("syntax", f"nests deeper than {MAX_DEPTH} levels")
        known = tree["struct"] if is_struct(tree) else {} if tree == "null" else None
        if isinstance(value, dict) and known is not None:
            trees, kept, rest = self.fields(value, known, place)
            return (tree if trees is known and tree != "null" else {"struct": trees}), kept, rest
        if isinstance(value, list) and (tree == "null" or is_list(tree)):
            return self._items(value, tree, place)
        if isinstance(value, dict | list) or not isinstance(tree, str):
            raise Misfit(place.path, f"{shown(value)} is no {format_type(tree)}")
        return self._scalar(value, tree, place), value, _NOTHING

    def _items(self, values: list[Any], tree: TypeTree, place: _Place) -> tuple[TypeTree, Any, Any]:
        item = old = tree["list"] if is_list(tree) else "null"
        kept, rescued = [], []
        for value in values:
            item, keep, rest = self.value(value, item, place.below("[]", is_new=old == "null"))
            kept.append(keep)
            rescued.append(None if rest is _NOTHING else rest)
        has_rescued = any(rest is not None for rest in rescued)
        return (tree if item is old and is_list(tree) else {"list": item}), kept, rescued if has_rescued else _NOTHING

    def _scalar(self, value: Any, word: str, place: _Place) -> str:  # noqa: ANN401
        if isinstance(value, Constant):
            raise Fault("syntax", f"{value} is no JSON")
        if word == "null":
            word = first_type(value, place.path)
        elif word == "int64" and self._widens(value, place):
            word = "float64"
        check(value, word, place.path)
        if word == "int64" and self.contract.type_change == "widen" and abs(int(value)) > EXACT:
            self.wide.add(place.path)
        return word

    def _widens(self, value: Any, place: _Place) -> bool:  # noqa: ANN401
        is_fraction = isinstance(value, Number) and not value.is_integer
        return is_fraction and self.contract.type_change == "widen" and place.path not in self.wide
