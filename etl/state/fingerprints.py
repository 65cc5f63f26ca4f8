"""May a transform go on with state that was made by an earlier definition of it: same, compatible or refused."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from etl.errors import StateError
from etl.options import duration_text
from etl.state.contract import Fingerprint

if TYPE_CHECKING:
    from etl.model import Json

Verdict = Literal["same", "compatible", "refused"]
START_ANEW = (
    "undo the change, or run `etl run NAME --full-refresh`, which builds state and table anew from the first file on"
)
_MICROSECONDS = "_us"
_PLAIN_NAME = re.compile(r'\A"(\w+)"\Z')
_WORDS = {"_due_at": "timeout_by"}
"""What the pipeline file calls a part that has another name in state."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What becomes of the state of a definition under another one. ``details`` name what differs, for people."""

    verdict: Verdict
    details: tuple[str, ...] = ()


def compare(stored: Fingerprint, wanted: Fingerprint) -> Comparison:
    """Tell whether state that was made by ``stored`` can serve ``wanted``.

    >>> compare(Fingerprint("group_by", {}, {"n": "count"}), Fingerprint("group_by", {}, {"n": "count", "s": "sum"}))
    Comparison(verdict='compatible', details=('s is new and starts empty',))
    """
    if stored.kind != wanted.kind:
        return Comparison("refused", (f"it was a {stored.kind} and is a {wanted.kind} now",))
    refused = [
        *(
            text
            for name in _differing(stored.fixed, wanted.fixed)
            for text in _difference(name, stored.fixed, wanted.fixed)
        ),
        *(
            text
            for name in _differing(stored.parts, wanted.parts)
            if name in stored.parts and name in wanted.parts
            for text in _difference(name, stored.parts, wanted.parts)
        ),
    ]
    if refused:
        return Comparison("refused", tuple(refused))
    added = [new_text(name) for name in wanted.parts if name not in stored.parts]
    dropped = [dropped_text(name) for name in stored.parts if name not in wanted.parts]
    return Comparison("compatible", (*added, *dropped)) if added or dropped else Comparison("same")


def new_text(name: str) -> str:
    """Return what becomes of a part that the state lacks."""
    return f"{_WORDS.get(name, name)} is new and starts empty"


def dropped_text(name: str) -> str:
    """Return what becomes of a part that the definition lacks."""
    return f"{_WORDS.get(name, name)} is left out and forgotten"


def refuse_other(stored: Fingerprint, wanted: Fingerprint, *, where: str) -> None:
    """Refuse state that cannot serve a definition. Raises StateError."""
    found = compare(stored, wanted)
    if found.verdict == "refused":
        raise StateError(f"its definition changed: {'; '.join(found.details)}", where=where, hint=START_ANEW)


def fingerprint_to_json(fingerprint: Fingerprint) -> dict[str, Any]:
    """Return what a version record keeps."""
    return {"kind": fingerprint.kind, "fixed": dict(fingerprint.fixed), "parts": dict(fingerprint.parts)}


def fingerprint_from_json(body: Mapping[str, Any]) -> Fingerprint:
    """Return the fingerprint of a version record."""
    return Fingerprint(body["kind"], body["fixed"], body["parts"])


def _differing(stored: Mapping[str, Json], wanted: Mapping[str, Json]) -> list[str]:
    names = list(dict.fromkeys([*stored, *wanted]))
    return [name for name in names if _canonical(name, stored) != _canonical(name, wanted)]


def _canonical(name: str, values: Mapping[str, Json]) -> str:
    """Return a value as JSON, so that what was read from a record equals what was given (a tuple a list)."""
    return json.dumps(values[name], sort_keys=True) if name in values else ""


def _difference(name: str, stored: Mapping[str, Json], wanted: Mapping[str, Json]) -> list[str]:
    """Return what a value was and is now; of two mappings with the same keys those that differ."""
    before, after = stored.get(name), wanted.get(name)
    if isinstance(before, dict) and isinstance(after, dict) and before.keys() == after.keys():
        inner = (text for key in _differing(before, after) for text in _difference(key, before, after))
        return [f"{name}.{text}" for text in inner]
    called = _WORDS.get(name, name).removesuffix(_MICROSECONDS)
    return [f"{called} was {_said(name, stored)} and is {_said(name, wanted)} now"]


def _said(name: str, values: Mapping[str, Json]) -> str:
    if name not in values:
        return "not there"
    return _text(values[name], is_span=name.endswith(_MICROSECONDS))


def _text(value: Json, *, is_span: bool = False) -> str:
    """Return a value for people.

    >>> _text(300_000_000, is_span=True), _text({"country": '"country"', "day": "CAST(at AS DATE)"}), _text(None)
    ('5m', '(country, day: CAST(at AS DATE))', 'none')
    """
    if isinstance(value, (list, tuple)):
        return f"({', '.join(_text(each, is_span=is_span) for each in value)})" if value else "none"
    if isinstance(value, dict):
        inner = {key: _said(key, value) for key in value}
        named = (key if text == key else f"{key.removesuffix(_MICROSECONDS)}: {text}" for key, text in inner.items())
        return f"({', '.join(named)})" if value else "none"
    if isinstance(value, bool):
        return str(value).lower()
    if is_span and isinstance(value, int):
        return duration_text(value)
    return "none" if value in (None, "") else _PLAIN_NAME.sub(r"\1", str(value))
