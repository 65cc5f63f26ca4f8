"""Grok: patterns that name patterns, ``%{IP:client} %{NUMBER:took:float}``, spelt out as one expression."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from etl.errors import ConfigError
from etl.formats.grok_patterns import PATTERNS
from etl.formats.patterned import MAX_PATTERN, Group, Patterned, check_pattern
from etl.vocabulary import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

_REFERENCE = re.compile(r"%\{(?P<pattern>\w+)(?::(?P<column>[^:{}]+)(?::(?P<type>[^:{}]*))?)?\}")
_INLINE = re.compile(r"\(\?P?<(?P<column>[^>=!]+)>")
_TYPES = {"int": "int64", "float": "float64", "string": "string"}


def grok(pattern: str, patterns: Mapping[str, str] | None = None) -> Patterned:
    """Return the parser of ``{grok: …}``; ``patterns`` are the user's own and go before those of the library.

    Raises ConfigError for an unknown name, one that leads back to itself, a column named twice, an unsound pattern.
    """
    spelling = _Spelling(PATTERNS | dict(patterns or {}))
    text = spelling.out(pattern, ())
    check_pattern(text, "the pattern, spelt out,")
    if not spelling.columns:
        raise ConfigError("the pattern names no column", hint="write %{IP:client}: the name behind the pattern")
    return Patterned(text, spelling.columns)


class _Spelling:
    """A pattern being spelt out; ``columns`` are those found on the way."""

    def __init__(self, patterns: Mapping[str, str]) -> None:
        self._patterns = patterns
        self.columns: list[Group] = []

    def out(self, text: str, within: tuple[str, ...]) -> str:
        """Return ``text`` with every reference replaced, and every named group renamed to one of ours."""
        parts, position = [], 0
        for found in re.finditer(rf"{_REFERENCE.pattern}|{_INLINE.pattern.replace('column', 'inline')}", text):
            parts.append(text[position : found.start()])
            position = found.end()
            parts.append(self._reference(found, within) if found["pattern"] else self._opened(found["inline"], ""))
            if sum(map(len, parts)) > MAX_PATTERN:
                raise ConfigError(
                    f"the pattern, spelt out, has more than {MAX_PATTERN} signs", hint="name fewer patterns"
                )
        return "".join([*parts, text[position:]])

    def _reference(self, found: re.Match[str], within: tuple[str, ...]) -> str:
        name = found["pattern"]
        if name in within:
            raise ConfigError(
                f"the pattern {name} leads back to itself: {' → '.join([*within, name])}", hint="patterns cannot recur"
            )
        if name not in self._patterns:
            hint = "add it under `patterns`, or see docs/formats.md for those that there are"
            raise ConfigError(f"unknown pattern {name}{nearest(name, self._patterns)}", hint=hint)
        opening = self._opened(found["column"], found["type"] or "") if found["column"] else "(?:"
        return f"{opening}{self.out(self._patterns[name], (*within, name))})"

    def _opened(self, column: str, kind: str) -> str:
        """Return the opening of a group for a column."""
        word = _TYPES.get(kind or "string")
        if word is None:
            raise ConfigError(f"{column}: unknown type {kind!r}{nearest(kind, _TYPES)}", hint="types are int and float")
        name = ".".join(re.findall(r"[^\[\]]+", column))
        if any(name == group.column for group in self.columns):
            raise ConfigError(f"the column {name} is named twice", hint="give one of them another name, or none")
        self.columns.append(Group(f"g{len(self.columns)}", name, word))
        return f"(?P<{self.columns[-1].name}>"
