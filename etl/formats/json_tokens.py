"""One line of JSON, exactly as it is written: numbers keep their text, a name that stands twice is seen."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

from etl.errors import EtlError
from etl.rejects import Rule
from etl.schema import MAX_DEPTH

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_TOO_DEEP = f"nests deeper than {MAX_DEPTH} levels"
_SHOWN = 60
_WORDS = {None: "null", True: "true", False: "false"}
_quoted = json.JSONEncoder(ensure_ascii=False).encode


class Fault(EtlError):  # noqa: N818  a verdict on a row, never reaches a user
    """What is wrong with a row, and the rule that it breaks; ``fails`` where the contract stops at it."""

    def __init__(self, rule: Rule, reason: str, *, fails: bool = False) -> None:
        super().__init__(reason)
        self.rule = rule
        self.fails = fails


class DepthError(Fault):
    """A line that nests deeper than the parser goes."""

    def __init__(self) -> None:
        super().__init__("syntax", _TOO_DEEP)


class Number(str):
    """A number as it is written."""

    __slots__ = ()

    @property
    def is_integer(self) -> bool:
        """Tell whether it is written without a fraction and an exponent."""
        return self.lstrip("-").isdigit()


class Constant(str):
    """``NaN`` or ``Infinity``, which are no JSON."""

    __slots__ = ()


class Doubled(dict[str, Any]):
    """An object in which some names stand twice, with the last value of each."""

    names: tuple[str, ...] = ()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    doubled = Doubled(found)
    counts = Counter(name for name, _ in pairs)
    doubled.names = tuple(name for name, count in counts.items() if count > 1)
    return doubled


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=Number, parse_float=Number, parse_constant=Constant, strict=True
)


def parse(line: str) -> dict[str, Any]:
    """Return the object that a line holds. Raises Fault for a line that holds no such thing."""
    try:
        row = _DECODER.decode(line)
    except json.JSONDecodeError as exc:
        raise Fault("syntax", _in_words(exc)) from exc
    except RecursionError as exc:
        raise DepthError from exc
    if not isinstance(row, dict):
        raise Fault("syntax", f"{shown(row)}, where an object should be")
    if _SURROGATE.search(line) and (name := _lone_surrogate(row)):
        raise Fault("encoding", f"half a surrogate pair: {name}")
    return row


def _in_words(exc: json.JSONDecodeError) -> str:
    if exc.msg == "Extra data":
        return "more than one JSON value on a line"
    message = exc.msg[0].lower() + exc.msg[1:].removesuffix(" at").removesuffix(" starting")
    return f"no JSON object: {message} at character {exc.pos + 1}"


def _lone_surrogate(value: Any) -> str | None:  # noqa: ANN401  any JSON
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += [*value, *value.values()]
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, str) and (found := re.search("[\ud800-\udfff]", value)):
            return f"\\u{ord(found[0]):04x}"
    return None


def checked(value: Any, depth: int = 0) -> Any:  # noqa: ANN401  any JSON
    """Return a value, ``depth`` levels below its row, as it is. Raises Fault where it is no JSON, or too deep."""
    if isinstance(value, Constant):
        raise Fault("syntax", f"{value} is no JSON")
    if isinstance(value, dict | list):
        if depth > MAX_DEPTH and value != {}:
            raise Fault("syntax", _TOO_DEEP)
        if isinstance(value, Doubled):
            raise doubled(value)
        for below in value.values() if isinstance(value, dict) else value:
            checked(below, depth + 1)
    return value


def doubled(value: Doubled) -> Fault:
    """Return the fault of an object in which a name stands twice."""
    return Fault("syntax", f"the name {text(value.names[0])[:_SHOWN]} stands twice in one object")


def text(value: Any) -> str:  # noqa: ANN401  any JSON
    """Return a value as JSON text, numbers as they were written."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{text(name)}: {text(below)}" for name, below in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(text, value)) + "]"
    return _quoted(value) if isinstance(value, str) else _WORDS[value]


def shown(value: Any) -> str:  # noqa: ANN401  any JSON
    """Return a value as messages show it."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        written = value if isinstance(value, Number | Constant) else text(value[: _SHOWN + 1])
        return str(written) if len(written) <= _SHOWN else f"{written[:_SHOWN]}…"
    return text(value)
