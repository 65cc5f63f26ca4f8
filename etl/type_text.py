"""Column types as pipeline files write them: ``list<struct{a: int64, b: decimal(18,2)}>``."""

from __future__ import annotations

import difflib
import json
import re
from typing import TYPE_CHECKING, NoReturn

from etl.errors import ConfigError
from etl.schema import MAX_DEPTH, MAX_DIGITS, PLAIN, TYPES_HINT

if TYPE_CHECKING:
    from etl.model import TypeTree

_TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|\w+|[<>{}(),:])')


def parse_type(text: str, *, where: str = "") -> TypeTree:
    """Return the tree of ``list<struct{a: int64}>``. Raises ConfigError that names the nearest word."""
    return _Parser(text, where).whole()


class _Parser:
    """A type text being read from left to right."""

    def __init__(self, text: str, where: str) -> None:
        self._text = text
        self._where = where
        self._tokens = self._split(text)

    def _split(self, text: str) -> list[str]:
        tokens, position, end = [], 0, len(text.rstrip())
        while position < end:
            found = _TOKEN.match(text, position)
            if found is None:
                self._refuse(f"unexpected {text[position:].strip()[0]!r}")
            tokens.append(found[1])
            position = found.end()
        return tokens[::-1]

    def whole(self) -> TypeTree:
        tree = self._type(0)
        if self._tokens:
            self._refuse(f"unexpected {self._tokens[-1]!r}")
        return tree

    def _type(self, depth: int) -> TypeTree:
        if depth > MAX_DEPTH:
            self._refuse(f"lists and structs nest deeper than {MAX_DEPTH} levels")
        word = self._take()
        if word == "list":
            self._expect("<")
            item = self._type(depth + 1)
            self._expect(">")
            return {"list": item}
        if word == "struct":
            return {"struct": self._fields(depth)}
        return self._scalar(word)

    def _scalar(self, word: str) -> str:
        if word == "decimal":
            return self._decimal()
        if word == "timestamp" and self._tokens[-1:] == ["("]:
            self._expect("(")
            self._expect("UTC")
            self._expect(")")
            return "timestamp(UTC)"
        if word not in PLAIN or word == "null":
            near = difflib.get_close_matches(word.lower(), [*PLAIN[:-1], "list", "struct", "decimal"], n=1, cutoff=0.4)
            self._refuse(f"unknown type {word!r}", f"did you mean {near[0]}?" if near else TYPES_HINT)
        return word

    def _decimal(self) -> str:
        self._expect("(")
        precision = self._take()
        self._expect(",")
        scale = self._take()
        self._expect(")")
        if not (
            precision.isdecimal()
            and scale.isdecimal()
            and 1 <= int(precision) <= MAX_DIGITS
            and int(scale) <= int(precision)
        ):
            self._refuse(
                f"decimal({precision},{scale}) has no such digits",
                f"decimal(digits, digits behind the point), {MAX_DIGITS} digits at most",
            )
        return f"decimal({int(precision)},{int(scale)})"

    def _fields(self, depth: int) -> dict[str, TypeTree]:
        fields: dict[str, TypeTree] = {}
        self._expect("{")
        while True:
            name = self._take()
            if name in "<>{}(),:":
                self._refuse(f"expected the name of a field, found {name!r}")
            if name.startswith('"'):
                name = str(json.loads(name, strict=False))
            if name in fields:
                self._refuse(f"field {name!r} stands twice")
            self._expect(":")
            fields[name] = self._type(depth + 1)
            if self._tokens[-1:] == ["}"]:
                self._take()
                return fields
            self._expect(",")

    def _take(self) -> str:
        if not self._tokens:
            self._refuse("it ends too early")
        return self._tokens.pop()

    def _expect(self, sign: str) -> None:
        found = self._take()
        if found != sign:
            self._refuse(f"expected {sign!r}, found {found!r}")

    def _refuse(self, reason: str, hint: str = TYPES_HINT) -> NoReturn:
        raise ConfigError(f"type {self._text!r}: {reason}", where=self._where, hint=hint)
