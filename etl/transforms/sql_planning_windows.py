"""Windows in the GROUP BY of a query: TUMBLE, HOP and SESSION as options of ``group_by``."""

from __future__ import annotations

import re
from typing import Any

from etl.errors import ConfigError

WINDOWS = {
    "TUMBLE": "TUMBLE(ts, INTERVAL '5 minutes')",
    "HOP": "HOP(ts, INTERVAL '1 minute', INTERVAL '5 minutes'): first how far apart, then how long",
    "SESSION": "SESSION(ts, INTERVAL '30 minutes')",
}
"""Name to how it is written."""

BOUNDS = ("window_start", "window_end")
"""The columns that a window adds."""

_UNITS_US = {
    "MICROSECOND": 1,
    "MILLISECOND": 1_000,
    "SECOND": 1_000_000,
    "MINUTE": 60_000_000,
    "HOUR": 3_600_000_000,
    "DAY": 86_400_000_000,
    "WEEK": 604_800_000_000,
}
_WRITTEN = {"d": "DAY", "h": "HOUR", "m": "MINUTE", "s": "SECOND", "ms": "MILLISECOND"}
_ARGUMENTS = {"TUMBLE": (2, 3), "HOP": (3, 4), "SESSION": (2, 2)}


def is_window(node: Any) -> bool:  # noqa: ANN401  a node of a lazily imported library
    """Tell whether a node is the call of a window."""
    return node.key == "anonymous" and str(node.this).upper() in WINDOWS


def window_options(call: Any, column: str) -> dict[str, str]:  # noqa: ANN401
    """Return the ``window`` of a ``group_by`` over ``column``, the first argument of ``call``. Raises ConfigError."""
    name = str(call.this).upper()
    least, most = _ARGUMENTS[name]
    if not least <= len(call.expressions) <= most:
        raise ConfigError(f"{name} takes {least - 1} intervals after the column", hint=f"write {WINDOWS[name]}")
    spans = [duration(node) for node in call.expressions[1:]]
    if name == "SESSION":
        return {"column": column, "session_gap": spans[0]}
    if name == "HOP":
        found = {"column": column, "every": spans[0], "period": spans[1]}
        return found if len(spans) == least - 1 else {**found, "offset": spans[2]}
    found = {"column": column, "every": spans[0]}
    return found if len(spans) == least - 1 else {**found, "offset": spans[1]}


def duration(node: Any) -> str:  # noqa: ANN401
    """Return an INTERVAL as a pipeline file writes durations. Raises ConfigError.

    >>> from etl.expressions import parse
    >>> duration(parse("INTERVAL '1 hour 30 minutes'")), duration(parse("INTERVAL '2' DAY"))
    ('90m', '2d')
    """
    return as_duration(interval_us(node))


def as_duration(span_us: int) -> str:
    """Return microseconds as a pipeline file writes durations.

    >>> as_duration(0), as_duration(1_500_000)
    ('0s', '1500ms')
    """
    for unit, word in _WRITTEN.items():
        size_us = _UNITS_US[word]
        if span_us and span_us % size_us == 0:
            return f"{span_us // size_us}{unit}"
    if span_us:
        raise ConfigError("an interval of microseconds", hint="milliseconds are the smallest unit")
    return "0s"


def interval_us(node: Any) -> int:  # noqa: ANN401
    """Return the length of an INTERVAL in microseconds. Raises ConfigError for months and years, and what is none."""
    if node.key != "interval":
        raise ConfigError(f"{node.sql()} is no interval", hint="write INTERVAL '5 minutes'")
    unit = node.args.get("unit")
    text = f"{node.this.name} {unit.name}" if unit else node.this.name
    parts = re.findall(r"(\d+)\s*([A-Za-z]+)", text)
    if not parts or re.sub(r"(\d+)\s*([A-Za-z]+)|[\s,]", "", text):
        raise ConfigError(f"INTERVAL '{text}' cannot be read", hint="write INTERVAL '5 minutes'")
    return sum(int(number) * _unit_us(word.upper()) for number, word in parts)


def _unit_us(word: str) -> int:
    singular = word.removesuffix("S") if word not in _UNITS_US else word
    if singular not in _UNITS_US:
        raise ConfigError(
            f"INTERVAL of {word}", hint="months and years differ in length; write days, hours, minutes or seconds"
        )
    return _UNITS_US[singular]
