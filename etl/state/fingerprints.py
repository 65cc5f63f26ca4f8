"""May a transform go on with state that was made by an earlier definition of it: same, compatible or refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from etl.errors import StateError
from etl.state.contract import Fingerprint

if TYPE_CHECKING:
    from etl.model import Json

Verdict = Literal["same", "compatible", "refused"]
START_ANEW = (
    "undo the change, or run `etl run NAME --full-refresh`, which builds state and table anew from the first file on"
)


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
        *(_difference(name, stored.fixed, wanted.fixed) for name in _differing(stored.fixed, wanted.fixed)),
        *(
            _difference(name, stored.parts, wanted.parts)
            for name in _differing(stored.parts, wanted.parts)
            if name in stored.parts and name in wanted.parts
        ),
    ]
    if refused:
        return Comparison("refused", tuple(refused))
    added = [f"{name} is new and starts empty" for name in wanted.parts if name not in stored.parts]
    dropped = [f"{name} is left out and forgotten" for name in stored.parts if name not in wanted.parts]
    return Comparison("compatible", (*added, *dropped)) if added or dropped else Comparison("same")


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
    return [name for name in names if _said(name, stored) != _said(name, wanted)]


def _difference(name: str, stored: Mapping[str, Json], wanted: Mapping[str, Json]) -> str:
    return f"{name} was {_said(name, stored)} and is {_said(name, wanted)} now"


def _said(name: str, values: Mapping[str, Json]) -> str:
    """Return a value as JSON, so that what was read from a record equals what was given (a tuple a list)."""
    if name not in values:
        return "not there"
    return json.dumps(values[name], ensure_ascii=False, sort_keys=True, separators=(",", ":"))
