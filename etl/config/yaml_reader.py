"""YAML text -> plain values that know their line and column.

YAML 1.2 core rules, with less: `true`, `false`, `null`, decimal numbers; everything else is text. No tags, no merge
keys. Limits: a file of 1 MB, 50,000 nodes after aliases are expanded, 64 levels.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from etl.config.faults import ConfigFaults, Fault, Location, key_path, shown

MAX_BYTES = 1_000_000
MAX_NODES = 50_000
MAX_DEPTH = 64
_LONGEST_NUMBER = 40

_WORDS: dict[str, bool | None] = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
_WORDS |= {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")

_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")

Position: TypeAlias = "tuple[int, int]"


@dataclass(slots=True)
class Document:
    """One YAML file: its values, where each stands, and the faults found so far.

    ``values`` and ``keys`` give the position of a location's value and of its key. ``secrets`` are the secret values
    that interpolation put into this file.
    """

    file: str
    data: dict[str, Any] = field(default_factory=dict)
    values: dict[Location, Position] = field(default_factory=dict)
    keys: dict[Location, Position] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    secrets: set[str] = field(default_factory=set, repr=False)

    def where(self, location: Location, *, key: bool = False) -> Position:
        """Return line and column of a value, or of its key; of the nearest parent where there is no such location."""
        known = location
        while known and known not in self.values:
            known = known[:-1]
        if (key or known != location) and known in self.keys:
            return self.keys[known]
        return self.values.get(known, (1, 1))

    def fault(self, location: Location, message: str, *, key: bool = False) -> None:
        """Note a fault at a value, or at its key."""
        self.faults.append(Fault(self.file, *self.where(location, key=key), key_path(location), message))


@dataclass(slots=True)
class _Node:
    """A scalar, a list of nodes or a list of (key, key position, node), before aliases are expanded."""

    position: Position
    content: Any
    kind: str


class _Fatal(Exception):  # noqa: N818  never leaves this module
    def __init__(self, position: Position, message: str) -> None:
        super().__init__(message)
        self.position = position


def read_yaml(path: Path, file: str) -> Document:
    """Return the mapping in ``path``, called ``file`` in faults.

    Duplicate keys, tags and the like are noted in ``faults`` of the document. Raises ConfigFaults where nothing can
    be made of the file.
    """
    try:
        content = path.read_bytes() if path.stat().st_size <= MAX_BYTES else None
    except OSError as exc:
        raise ConfigFaults([Fault(file, 1, 1, "", f"cannot be read: {exc.strerror}")]) from exc
    if content is None:
        raise ConfigFaults([Fault(file, 1, 1, "", f"larger than {MAX_BYTES:,} bytes")])
    return parse_yaml(content, file)


def parse_yaml(content: bytes, file: str) -> Document:
    """Return the mapping that ``content`` holds; see :func:`read_yaml`."""
    document = Document(file)
    try:
        root = _Composer(_decoded(content), document).compose()
        _Expansion(document).expand(root)
    except _Fatal as exc:
        raise ConfigFaults([*document.faults, Fault(file, *exc.position, "", str(exc))]) from exc
    return document


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        before = content[: exc.start].decode("utf-8", errors="replace")
        raise _Fatal(_position_of(before), f"not UTF-8: byte 0x{content[exc.start]:02x}") from exc


def _position_of(before: str) -> Position:
    lines = _LINE_BREAK.split(before)
    return len(lines), len(lines[-1]) + 1


class _Composer:
    """Builds nodes from parser events, so that nothing is ever constructed but plain values.

    The C parser refuses deep nesting of brackets by itself; nesting by indentation is refused here.
    """

    def __init__(self, text: str, document: Document) -> None:
        self._text = text
        self._document = document
        self._parser = yaml.CSafeLoader(text)
        self._anchors: dict[str, _Node] = {}

    def compose(self) -> _Node:
        try:
            while not isinstance(event := self._next(), yaml.DocumentStartEvent):
                if isinstance(event, yaml.StreamEndEvent):
                    raise _Fatal((1, 1), "empty; a mapping is expected")
            root = self._node(self._next(), 1)
            while not isinstance(event := self._next(), yaml.StreamEndEvent):
                if isinstance(event, yaml.DocumentStartEvent):
                    raise _Fatal(_position(event), "a second document; one file holds one")
        except yaml.YAMLError as exc:
            raise self._syntax_fault(exc) from exc
        if root.kind != "mapping":
            raise _Fatal(root.position, "a mapping is expected at the top")
        return root

    def _next(self) -> Any:  # noqa: ANN401  yaml has no types
        return self._parser.get_event()

    def _syntax_fault(self, exc: yaml.YAMLError) -> _Fatal:
        if not isinstance(exc, yaml.MarkedYAMLError) or exc.problem_mark is None:
            before = self._text.encode()[: getattr(exc, "position", 0)].decode(errors="replace")
            return _Fatal(_position_of(before), "a control character")
        line, column = exc.problem_mark.line, exc.problem_mark.column
        lines = _LINE_BREAK.split(self._text)
        if line >= len(lines):  # the parser counts the end of the text as a line of its own
            line, column = len(lines) - 1, len(lines[-1])
        if lines[line][column : column + 1] == "\t":
            return _Fatal((line + 1, column + 1), "a tab; indent with spaces")
        context = f" {exc.context}" if exc.context else ""
        return _Fatal((line + 1, column + 1), f"not YAML: {exc.problem}{context}")

    def _node(self, event: Any, depth: int) -> _Node:  # noqa: ANN401  yaml has no types
        if isinstance(event, yaml.AliasEvent):
            return self._aliased(event)
        if depth > MAX_DEPTH:
            raise _Fatal(_position(event), f"nested deeper than {MAX_DEPTH} levels")
        if event.tag is not None:
            self._note(event, f"tag {shown(event.tag)}; tags are not allowed")
        if isinstance(event, yaml.MappingStartEvent):
            node = _Node(_position(event), self._pairs(depth), "mapping")
        elif isinstance(event, yaml.SequenceStartEvent):
            node = _Node(_position(event), self._items(depth), "list")
        else:
            node = _Node(_position(event), self._scalar(event), "scalar")
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _aliased(self, event: Any) -> _Node:  # noqa: ANN401  yaml has no types
        try:
            return self._anchors[event.anchor]
        except KeyError:
            raise _Fatal(_position(event), f"alias *{event.anchor} refers to nothing before it, or to itself") from None

    def _items(self, depth: int) -> list[_Node]:
        items = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            items.append(self._node(event, depth + 1))
        return items

    def _pairs(self, depth: int) -> list[tuple[str, Position, _Node]]:
        pairs: list[tuple[str, Position, _Node]] = []
        first: dict[str, Position] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise _Fatal(_position(event), "a key must be plain text")
            key, position = event.value, _position(event)
            if event.tag is not None:
                self._note(event, f"tag {shown(event.tag)}; tags are not allowed")
            node = self._node(self._next(), depth + 1)
            if key in first:
                line, column = first[key]
                self._note(event, f"duplicate key {shown(key)}; the first is at {line}:{column}")
            else:
                first[key] = position
                pairs.append((key, position, node))
        return pairs

    def _scalar(self, event: Any) -> object:  # noqa: ANN401  yaml has no types
        text: str = event.value
        if "\0" in text:
            self._note(event, "a NUL character")
        if not event.implicit[0]:
            return text
        if text in _WORDS:
            return _WORDS[text]
        number = _number(text)
        if number is not None and not math.isfinite(number):
            self._note(event, f"number {shown(text)} is out of range")
        return text if number is None else number

    def _note(self, event: Any, message: str) -> None:  # noqa: ANN401  yaml has no types
        self._document.faults.append(Fault(self._document.file, *_position(event), "", message))


def _number(text: str) -> int | float | None:
    if _INTEGER.fullmatch(text):
        return int(text) if len(text) <= _LONGEST_NUMBER else math.inf
    return float(text) if _FLOAT.fullmatch(text) else None


def _position(event: Any) -> Position:  # noqa: ANN401  yaml has no types
    return event.start_mark.line + 1, event.start_mark.column + 1


class _Expansion:
    """Nodes to values and positions; an alias is written out at each place, and counted."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._nodes = 0

    def expand(self, root: _Node) -> None:
        self._document.data = self._value(root, ())

    def _value(self, node: _Node, location: Location) -> Any:  # noqa: ANN401  any plain value
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise _Fatal(node.position, f"more than {MAX_NODES:,} nodes after aliases are expanded")
        if len(location) >= MAX_DEPTH:
            raise _Fatal(node.position, f"nested deeper than {MAX_DEPTH} levels")
        self._document.values[location] = node.position
        if node.kind == "list":
            return [self._value(item, (*location, index)) for index, item in enumerate(node.content)]
        if node.kind == "scalar":
            return node.content
        for key, position, _ in node.content:
            self._document.keys[(*location, key)] = position
        return {key: self._value(value, (*location, key)) for key, _, value in node.content}
