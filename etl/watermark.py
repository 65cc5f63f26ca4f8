"""Event-time watermark as a pure function of what was seen: how far event time has come, and what is late."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from etl.model import Json

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Rule:
    """What a pipeline says of one clock. ``idle_timeout_us`` None: a silent input holds the others back for ever."""

    delay_us: int = 0
    idle_timeout_us: int | None = None
    max_ahead_us: int = 3_600_000_000


@dataclass(frozen=True, slots=True)
class Reading:
    """Where one clock stands: its own watermark, None before its first row, and when (batch time) it last had rows."""

    at_us: int | None = None
    seen_at_us: int | None = None


@dataclass(frozen=True, slots=True)
class Watermarks:
    """Where event time stands after a batch: the watermark of the pipeline, and the clocks that it comes from.

    Moments are microseconds since 1970 in UTC; ``at_us`` is None until every clock that counts has had rows.
    """

    at_us: int | None = None
    clocks: Mapping[str, Reading] = field(default_factory=dict)


def advance(before: Watermarks, seen: Mapping[str, int], rules: Mapping[str, Rule], batch_at: datetime) -> Watermarks:
    """Return the watermarks after a batch.

    ``seen`` has the newest event time of each clock that had rows (moments beyond ``max_ahead`` left out by whoever
    looked). The pipeline's watermark is the minimum over the clocks, without those that are idle: without rows for
    ``idle_timeout``, counted from the first batch for a clock that never had any.
    It never goes back. *Source*: Spark ``WatermarkTracker`` (the minimum policy), with idle inputs left out.
    """
    now_us = micros(batch_at)
    clocks: dict[str, Reading] = {}
    for name, rule in rules.items():
        known = before.clocks.get(name, Reading(None, now_us))
        clocks[name] = _moved(known, seen[name] - rule.delay_us, now_us) if name in seen else known
    counted = [reading for name, reading in clocks.items() if not _is_idle(reading, rules[name], now_us)]
    return Watermarks(_minimum(before.at_us, counted), clocks)


def _moved(known: Reading, at_us: int, now_us: int) -> Reading:
    return Reading(at_us if known.at_us is None else max(known.at_us, at_us), now_us)


def _is_idle(reading: Reading, rule: Rule, now_us: int) -> bool:
    if rule.idle_timeout_us is None or reading.seen_at_us is None:
        return False
    return now_us - reading.seen_at_us > rule.idle_timeout_us


def _minimum(before_us: int | None, counted: list[Reading]) -> int | None:
    moments = [reading.at_us for reading in counted]
    known = [at_us for at_us in moments if at_us is not None]
    if not known or len(known) < len(moments):  # a clock that never had rows holds the others back
        return before_us
    found = min(known)
    return found if before_us is None else max(before_us, found)


def earlier(at_us: int | None, behind_us: int) -> int | None:
    """Return a watermark as it is for rows that are held back before they come."""
    return None if at_us is None else at_us - behind_us


def micros(moment: datetime) -> int:
    """Return a moment (aware; naive is taken as UTC) as microseconds since 1970."""
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (aware - EPOCH) // _MICROSECOND


def moment(at_us: int) -> datetime:
    """Return microseconds since 1970 as an aware moment in UTC."""
    return EPOCH + at_us * _MICROSECOND


def to_text(at_us: int | None) -> str | None:
    """Return a watermark as records keep it.

    >>> to_text(0), to_text(None)
    ('1970-01-01T00:00:00+00:00', None)
    """
    return None if at_us is None else moment(at_us).isoformat()


def from_text(text: str | None) -> int | None:
    """Return the watermark of a record."""
    return None if text is None else micros(datetime.fromisoformat(text))


def clocks_to_json(clocks: Mapping[str, Reading]) -> dict[str, Json]:
    """Return clocks as records keep them: name to ``at`` and ``seen_at``."""
    return {name: {"at": to_text(each.at_us), "seen_at": to_text(each.seen_at_us)} for name, each in clocks.items()}


def clocks_from_json(body: Mapping[str, Any]) -> dict[str, Reading]:
    """Return the clocks of a record."""
    return {name: Reading(from_text(each["at"]), from_text(each["seen_at"])) for name, each in body.items()}
