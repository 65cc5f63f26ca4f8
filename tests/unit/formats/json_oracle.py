"""Python's json module as the judge of what a line means, and mutations of lines; both know nothing of our parser."""

from __future__ import annotations

import json
import math
import random
import re
from typing import Any

SCHEMA: dict[str, Any] = {
    "id": "string",
    "n": "int64",
    "f": "float64",
    "ok": "boolean",
    "tags": {"list": "string"},
    "at": {"struct": {"x": "int64", "y": "float64"}},
    "path": {"list": {"struct": {"k": "string"}}},
}
BASES = [
    {"id": "r1", "n": 12, "f": 1.5, "ok": True, "tags": ["a", "b"], "at": {"x": 1, "y": -0.25}, "path": [{"k": "q"}]},
    {"id": 'ü "\\/ \u2028', "n": -7, "f": 1e22, "ok": None, "tags": [], "at": None, "path": [None, {"k": None}]},
    {"n": 9007199254740993, "id": "", "f": 3, "tags": None, "at": {"y": 2}, "path": []},
    {"id": "😀\b", "ok": False, "at": {}, "f": -0.0},
]
TOKENS = [
    *("1.0", "1e2", "-0", "01", "+1", ".5", "1.", "1e400", "-1e400", "1e-400", "NaN", "Infinity", "-Infinity", "-NaN"),
    *("9223372036854775807", "9223372036854775808", "-9223372036854775808", "9007199254740992", "9007199254740993"),
    *("123456789012345678901234567890", "0.1e1", "1E+2", "1.7976931348623157e308", "1.7976931348623159e308", "0x1"),
    *('"\\ud800"', '"\\ud83d\\ude00"', '"\\u0000"', '"\\u00e9"', '"\\x"', '"\\u12"', '"\t"', '"\x7f"', '"', "'a'"),
    *("null", "true", "True", "nul", "{}", "[]", "[null]", '{"x":1}', '{"x":1,"x":2}', '[{"k":"z"}]', '{"k":5}', '"5"'),
    *("", ",", ":", "}", "{", "]", "[", "\\", " ", "\r", "\x00", "\x1f", "\ufeff", "\u00a0", "/*x*/", "//", "-", "e5"),
]
QUIET = [token for token in TOKENS if not set(token) & set("\"{}[]\\'")]
"""Tokens that leave quotes and brackets in balance."""


def lines(seed: int, count: int, tokens: list[str], *, loud: bool) -> list[bytes]:
    """Return mutated lines, some of them as they were; ``loud`` mutations may break quotes and brackets as well."""
    chance = random.Random(seed)
    written = [
        json.dumps(row, ensure_ascii=chance.random() < 0.5, separators=separators).encode()
        for row in BASES
        for separators in ((",", ":"), (", ", ": "))
    ]
    return [_mutated(chance.choice(written), chance, tokens, loud=loud) for _ in range(count)]


def _mutated(line: bytes, chance: random.Random, tokens: list[str], *, loud: bool) -> bytes:
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3))):
        kind = chance.random()
        place = chance.randrange(len(line) + 1)
        token = chance.choice(tokens).encode()
        if kind < 0.45:
            line = _with_value(line, chance, token)
        elif kind < 0.6:
            line = line[:place] + token + line[place:]
        elif kind < 0.7:
            start = line.find(b",")
            line = line[: start + 1] + line[start + 1 :].replace(b'"n"', b'"f"' if chance.random() < 0.5 else b'"m"', 1)
        elif loud and kind < 0.85:
            line = line[:place] + line[place + chance.choice((1, 1, 2, 9)) :]
        elif loud:
            line = line[:place] + bytes([chance.randrange(256)]) + line[place + 1 :]
    return line.replace(b"\n", b"")


def is_balanced(line: bytes) -> bool:
    """Tell whether quotes and brackets pair up, and no comma stands outside of all."""
    depth = 0
    for sign in re.sub(rb'"(?:[^"\\]|\\.)*"', b"", line, flags=re.DOTALL).decode("latin-1"):
        depth += (sign in "{[") - (sign in "}]")
        if depth < 0 or sign in '"\\' or (sign == "," and not depth):
            return False
    return depth == 0


def same(value: Any) -> str:
    """Return what is compared: ``-0`` is an integer to Python, and a float to a column of floats."""
    return re.sub(r"-0\.0(?!\d)", "0.0", repr(value))


def _with_value(line: bytes, chance: random.Random, token: bytes) -> bytes:
    """Put a token in the place of a scalar."""
    colons = [place for place, code in enumerate(line) if code == ord(":")]
    if not colons:
        return token
    start = chance.choice(colons) + 1
    end = next((place for place in range(start, len(line)) if line[place] in b",}]["), len(line))
    return line[:start] + token + line[end:] if line.count(b'"', start, end) % 2 == 0 else line


def row(line: bytes) -> tuple[Any, ...] | None:
    """Return the row that a line is under the schema, by Python's parser; None where it must be rejected."""
    try:
        found = json.loads(line.decode(), object_pairs_hook=_object, parse_constant=_no_constant)
        json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    try:
        return tuple(_fields(found, SCHEMA).values())
    except ValueError:
        return None


def _fields(given: dict[str, Any], types: dict[str, Any]) -> dict[str, Any]:
    if not given.keys() <= types.keys():
        raise ValueError(given)
    return {name: _value(given.get(name), tree) for name, tree in types.items()}


def _value(value: Any, tree: Any) -> Any:
    if value is None:
        return None
    if isinstance(tree, dict) and "struct" in tree and isinstance(value, dict):
        return _fields(value, tree["struct"])
    if isinstance(tree, dict) and "list" in tree and isinstance(value, list):
        return [_value(item, tree["list"]) for item in value]
    if tree == "float64" and type(value) is int and -(2**63) <= value < 2**63 and int(float(value)) == value:
        return float(value)
    fits = {
        "string": type(value) is str,
        "boolean": type(value) is bool,
        "int64": type(value) is int and -(2**63) <= value < 2**63,
        "float64": type(value) is float and math.isfinite(value),
    }
    if isinstance(tree, dict) or not fits[tree]:
        raise ValueError(value)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError(pairs)
    return dict(pairs)


def _no_constant(text: str) -> Any:
    raise ValueError(text)
