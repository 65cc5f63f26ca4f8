"""The schema that lines of JSON show, as if they were taken one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from etl.errors import ConfigError
from etl.formats.json_judge import judge
from etl.formats.json_layout import Layout, read_json
from etl.formats.json_pattern import Patterns
from etl.formats.json_sieve import Places, sift, stop
from etl.formats.json_tokens import DepthError, Fault
from etl.formats.json_values import EXACT, is_doubtful, json_type, wide_paths
from etl.schema import from_arrow, is_list, is_struct, leaves
from etl.schema_contract import EVOLVE, RESCUED, SchemaContract, Survey
from etl.widening import fold

if TYPE_CHECKING:
    from etl.formats.json_lines import Lines
    from etl.model import Schema, TypeTree

_GUESSED = {"timestamp": "string", "timestamp(UTC)": "string", "date": "string", "time": "string"}
_SELF_EVIDENT = frozenset({"string", "int64", "float64", "boolean", "null"})
"""The types that inference finds by itself."""
_MOST_OPENINGS = 2_000
"""With more opening brackets a line may nest so deep that inference kills the process."""


class JsonSurvey:
    """A survey under way: ``found`` is what the lines so far make of what was known.

    The first look of all evolves, whatever the contract says of later ones.
    """

    def __init__(self, known: Survey | None, contract: SchemaContract) -> None:
        self.found = known or Survey({})
        self._contract = EVOLVE if known is None else contract
        self._layout: Layout | None = None
        self._patterns: Patterns | None = None
        self._places: Places

    @property
    def patterns(self) -> Patterns:
        """The patterns of what is known now."""
        if self._patterns is None:
            forbids_absence = self._contract.missing_columns != "null"
            self._patterns = Patterns(self._inside, keeps_small=True, forbids_absence=forbids_absence)
        return self._patterns

    @property
    def _inside(self) -> Schema:
        """What is known, without ``_rescued_data``."""
        schema = self.found.schema
        return {name: tree for name, tree in schema.items() if not (self._contract.rescues and name == RESCUED)}

    def take(self, lines: Lines, places: Places) -> None:
        """Take in the lines of a piece. Raises RowError where the contract stops at one."""
        if not lines.rows:
            return
        if lines.are_sound and (self._is_known(lines) or self._is_plain(lines)):
            return
        self._places = places
        sift(lines, self)

    def look(self, number: int, line: str) -> Mapping[str, Any] | None:
        """Judge a line by what is known, and let it evolve that."""
        known = self._inside
        try:
            verdict = judge(line.rstrip("\r\n"), known, self.found.wide, self._contract)
        except DepthError:
            return None
        except Fault as exc:
            if exc.fails:
                stop(self._places, number, exc.message)
            return None
        if verdict.schema is not known:
            self._evolve(verdict.schema, verdict.wide)
        elif verdict.wide:
            self.found = replace(self.found, wide=self.found.wide | verdict.wide)
        return verdict.row

    def _evolve(self, inside: Schema, wide: frozenset[str]) -> None:
        schema = self.found.schema
        rest = {RESCUED: schema[RESCUED]} if RESCUED in schema and RESCUED not in inside else {}
        self.found = replace(self.found, schema={**inside, **rest}, wide=self.found.wide | wide)
        self._layout = self._patterns = None

    def _is_known(self, lines: Lines) -> bool:
        """Tell whether every line fits what is known; take in which integers are wide."""
        import pyarrow as pa

        if not self.found.schema:
            return False
        if self._layout is None:
            self._layout = Layout(self.found.schema, self._contract, self.found.wide)
        try:
            table = self._layout.table(lines.content, lines.rows)
        except pa.ArrowInvalid:
            return False
        self.found = replace(self.found, wide=self.found.wide | self._layout.wide_in(table))
        return True

    def _is_plain(self, lines: Lines) -> bool:
        """Tell whether inference alone finds what the lines add, and take it in; False where order may matter."""
        if self._contract != EVOLVE or _may_be_deep(lines):
            return False
        found = inferred(lines, self.found.schema)
        folded = None if found is None else fold(self.found, found)
        if folded is None:
            return False
        before, self.found = self.found, folded
        self._layout = self._patterns = None
        if all(_is_evident(tree) for tree in folded.schema.values()) or self._is_known(lines):
            return True
        self.found, self._layout = before, None
        return False


def _may_be_deep(lines: Lines) -> bool:
    if lines.longest < _MOST_OPENINGS:
        return False
    long = [line for line in pairwise(lines.bounds.to_list()) if line[1] - line[0] > _MOST_OPENINGS]
    return any(lines.content.count(b"[", *line) + lines.content.count(b"{", *line) > _MOST_OPENINGS for line in long)


def inferred(lines: Lines, known: Schema) -> Survey | None:
    """Return what pyarrow infers from lines that are sound, told what JSON does not show.

    None where that is not what taking the lines one by one finds. Items of lists have no part in ``wide``.
    """
    import pyarrow as pa
    import pyarrow.json as pj

    told = {name: part for name, tree in known.items() if (part := _told(tree)) is not None}
    types = [pa.field(name, json_type(tree)) for name, tree in told.items()]
    try:
        options = pj.ParseOptions(explicit_schema=pa.schema(types), unexpected_field_behavior="infer")
        table = read_json(lines.content, options)
        schema = {name: _found(tree) for name, tree in from_arrow(table.schema).items()}
    except (pa.ArrowInvalid, ConfigError):
        return None
    if table.num_rows != lines.rows:
        return None
    arrays = [(name, array) for name in schema for array in table.column(name).chunks]
    if any(is_doubtful(array, EXACT) for _, array in arrays):
        return None
    wide = {path for name, array in arrays for path in wide_paths(array, name) if "[]" not in path}
    return Survey({name: _declared(known.get(name, "null"), tree) for name, tree in schema.items()}, frozenset(wide))


def _told(tree: TypeTree) -> TypeTree | None:
    """Return the part of ``tree`` that inference would not find by itself, None for nothing."""
    if is_list(tree):
        item = _told(tree["list"])
        return None if item is None else {"list": item}
    if is_struct(tree):
        fields = {name: part for name, field in tree["struct"].items() if (part := _told(field)) is not None}
        return {"struct": fields} if fields else None
    return tree if tree == "string" or tree not in _SELF_EVIDENT else None


def _declared(known: TypeTree, found: TypeTree) -> TypeTree:
    """Return what was found, with the types that were told as they were told."""
    if is_list(known) and is_list(found):
        return {"list": _declared(known["list"], found["list"])}
    if is_struct(known) and is_struct(found):
        fields = known["struct"]
        return {"struct": {name: _declared(fields.get(name, "null"), field) for name, field in found["struct"].items()}}
    return known if isinstance(known, str) and _told(known) is not None else found


def _is_evident(tree: TypeTree) -> bool:
    """Tell whether inference is right about the values of a column as well: not so inside lists."""
    if is_list(tree):
        return set(leaves(tree)) <= {"string", "boolean", "null"}
    if is_struct(tree):
        return all(_is_evident(field) for field in tree["struct"].values())
    return tree in _SELF_EVIDENT


def _found(tree: TypeTree) -> TypeTree:
    """Return what was inferred. A string stays ``string`` whatever it looks like."""
    if is_list(tree):
        return {"list": _found(tree["list"])}
    if is_struct(tree):
        return {"struct": {name: _found(field) for name, field in tree["struct"].items()}}
    return _GUESSED.get(str(tree), tree)
