"""Regular expressions of lines that certainly fit a schema: they let most lines of a dirty piece pass in bulk.

A pattern is made from the schema and from the order of names in a line that was looked at and fits. A line that
matches none is not wrong, but needs a look of its own. Whatever matches is taken by pyarrow exactly, changes no schema
and leaves no rest. Where lines have many orders, patterns let each name be absent, and overlook a comma too much or too
few: that pyarrow refuses.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from etl.schema import decimal_digits, is_list, is_struct, leaves

if TYPE_CHECKING:
    import polars as pl

    from etl.model import Schema, TypeTree

_MOST_EXACT = 6
_MOST_PATTERNS = 16
_MOST_LEAVES = 3_000

_GAP = r"[ \t\r]*"
_STRING = (
    r'"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u(?:[0-9A-CE-Fa-ce-f][0-9A-Fa-f]{3}|[dD][0-7][0-9A-Fa-f]{2})'
    r'|\\u[dD][89ABab][0-9A-Fa-f]{2}\\u[dD][C-Fc-f][0-9A-Fa-f]{2})*"'
)
_EXPONENT = r"(?:[eE][+-]?[0-9]{1,2})?"
_DAY = r"[12][0-9]{3}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)"
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?"
MOMENTS = {
    "date": re.compile(_DAY),
    "time": re.compile(_CLOCK),
    "timestamp": re.compile(f"{_DAY}[T ]{_CLOCK}"),
    "timestamp(UTC)": re.compile(f"{_DAY}[T ]{_CLOCK}(?:Z|[+-](?:0[0-9]|1[0-3]):[0-5][0-9])"),
}
"""Text that certainly is such a moment; there is more that is."""
_SCALARS = {
    "null": "null",
    "string": _STRING,
    "binary": _STRING,
    "boolean": "true|false",
    "float64": rf"-?(?:0|[1-9][0-9]{{0,14}}){_EXPONENT}|-?(?:0|[1-9][0-9]*)\.[0-9]+{_EXPONENT}",
    "float32": r"-?(?:0|[1-9][0-9]{0,6})(?:\.[0-9]+)?(?:[eE][+-]?[12]?[0-9])?",
    **{word: f'"{moment.pattern}"' for word, moment in MOMENTS.items()},
}
_PLAIN = rf"null|true|false|{_STRING}|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?{_EXPONENT}"
_ANY = (
    rf"{_PLAIN}|\[{_GAP}(?:(?:{_PLAIN})(?:{_GAP},{_GAP}(?:{_PLAIN}))*)?{_GAP}\]"
    rf"|\{{{_GAP}(?:{_STRING}{_GAP}:{_GAP}(?:{_PLAIN})(?:{_GAP},{_GAP}{_STRING}{_GAP}:{_GAP}(?:{_PLAIN}))*)?{_GAP}\}}"
)
"""What is ignored: a scalar, or a list or an object of scalars."""

_INTEGER_DIGITS = {"int8": 2, "int16": 4, "int32": 9, "int64": 18, "uint8": 2, "uint16": 4, "uint32": 9, "uint64": 18}
_SMALL_DIGITS = 15
"""Integers of so many digits are no ``wide`` ones."""


class Patterns:
    """The patterns of one schema, learned from lines that fit. Shared by threads: adding one replaces the tuple.

    ``keeps_small`` leaves integers near 2**53 and beyond for a closer look, ``forbids_absence`` lines without a name.
    """

    def __init__(self, schema: Schema, *, keeps_small: bool, forbids_absence: bool = False) -> None:
        self._schema = schema
        self._keeps_small = keeps_small
        self._forbids_absence = forbids_absence
        self._orders: dict[str, tuple[str, ...]] = {}
        leaf_count = sum(len(leaves(tree)) for tree in schema.values())
        self._most = _MOST_PATTERNS if leaf_count <= _MOST_LEAVES else 0
        self._found: tuple[str, ...] = ()

    @property
    def are_known(self) -> bool:
        """Tell whether there is a pattern yet: without one, every line needs a look."""
        return bool(self._found)

    def unmatched(self, texts: pl.Series) -> pl.Series:
        """Return which of the lines (Boolean) no pattern matches."""
        import polars as pl

        is_open = pl.repeat(value=True, n=len(texts), dtype=pl.Boolean, eager=True)
        for pattern in self._found:
            if not is_open.any():
                break
            if is_open.all():
                is_open = ~texts.str.contains(pattern)
            else:
                places = is_open.arg_true()
                is_matched = texts.gather(places).str.contains(pattern)
                is_open = is_open.scatter(places.filter(is_matched), False)  # noqa: FBT003  the value
        return is_open

    def unmatched_by_last(self, texts: pl.Series) -> pl.Series:
        """Return which of the lines (Boolean) the pattern that was learned last does not match."""
        return ~texts.str.contains(self._found[-1])

    def learn(self, row: Mapping[str, Any]) -> bool:
        """Learn the pattern of a row that fits; tell whether it is a new one, and wanted."""
        import polars as pl

        if len(self._found) >= self._most:
            return False
        pattern = f"^{_GAP}{self._object(row, self._schema, '')}{_GAP}\n?$"
        if pattern in self._found:
            return False
        try:
            pl.Series([""]).str.contains(pattern)
        except pl.exceptions.ComputeError:  # larger than a regular expression may be
            self._most = 0
            return False
        self._found = (*self._found, pattern)
        return True

    def _object(self, row: Mapping[str, Any] | None, fields: Mapping[str, TypeTree], path: str) -> str:
        is_loose = len(self._found) >= _MOST_EXACT and not self._forbids_absence
        if row is not None:
            names = merged(self._orders.get(path, ()), tuple(row)) if is_loose else tuple(row)
            self._orders[path] = names
        names = self._orders.get(path, ())
        given = row or {}
        members = (
            f"{re.escape(json.dumps(name, ensure_ascii=False))}{_GAP}:{_GAP}"
            + (self._value(given.get(name), fields[name], f"{path}.{name}") if name in fields else f"(?:{_ANY})")
            for name in names
        )
        if is_loose:
            inside = "".join(f"(?:{member}{_GAP},?{_GAP})?" for member in members)
        else:
            inside = f"{_GAP},{_GAP}".join(members) + _GAP
        return rf"\{{{_GAP}{inside}\}}"

    def _value(self, value: Any, tree: TypeTree, path: str) -> str:  # noqa: ANN401  any JSON
        if is_struct(tree):
            inner = self._object(value, tree["struct"], path)
            return f"(?:null|{inner})" if value is not None or path in self._orders else "null"
        if is_list(tree):
            first = next((item for item in value or () if item is not None), None)
            item = self._value(first, tree["list"], f"{path}[]")
            return rf"(?:null|\[{_GAP}(?:{item}(?:{_GAP},{_GAP}{item})*)?{_GAP}\])"
        word = str(tree)
        return "null" if word == "null" else f"(?:null|{self._scalar(word)})"

    def _scalar(self, word: str) -> str:
        if word in _INTEGER_DIGITS:
            digits = min(_INTEGER_DIGITS[word], _SMALL_DIGITS if self._keeps_small else 18)
            return f"{'' if word.startswith('u') else '-?'}(?:0|[1-9][0-9]{{0,{digits - 1}}})"
        if digits_of := decimal_digits(word):
            whole, scale = digits_of[0] - digits_of[1], digits_of[1]
            before = f"(?:0|[1-9][0-9]{{0,{whole - 1}}})" if whole else "0"
            number = f"-?{before}" + (rf"(?:\.[0-9]{{1,{scale}}})?" if scale else "")
            return f'{number}|"{number}"'
        return _SCALARS[word]


def merged(order: tuple[str, ...], names: tuple[str, ...]) -> tuple[str, ...]:
    """Return ``order`` with the names that it lacks, each behind the one that it follows."""
    found = list(order)
    place = 0
    for name in names:
        if name in found:
            place = found.index(name) + 1
        else:
            found.insert(place, name)
            place += 1
    return tuple(found)
