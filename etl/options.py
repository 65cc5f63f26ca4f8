"""The strict base of every options model, and the two spellings that YAML values share: durations and sizes."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

_DURATION_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE_BYTES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


class Options(BaseModel):
    """Options of one source, transform, sink or block: unknown keys and wrong types are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)


def parse_duration_s(text: object) -> float:
    """Return the seconds of ``500ms 30s 5m 2h 7d``."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", text) if isinstance(text, str) else None
    if found is None:
        raise ValueError("not a duration; write 500ms, 30s, 5m, 2h or 7d")
    return float(found[1]) * _DURATION_S[found[2]]


def duration_text(span_us: int) -> str:
    """Return microseconds as a pipeline file writes durations.

    >>> duration_text(300_000_000), duration_text(1_500_000), duration_text(0), duration_text(7)
    ('5m', '1500ms', '0s', '7us')
    """
    units = {"d": 86_400_000_000, "h": 3_600_000_000, "m": 60_000_000, "s": 1_000_000, "ms": 1000, "us": 1}
    return next((f"{span_us // size}{unit}" for unit, size in units.items() if span_us and span_us % size == 0), "0s")


def parse_size_bytes(text: object) -> int:
    """Return the bytes of ``64KB 256MB 2GB`` (powers of ten) or of a whole number."""
    if isinstance(text, int) and not isinstance(text, bool) and text > 0:
        return text
    found = re.fullmatch(r"(\d+)(B|KB|MB|GB|TB)", text) if isinstance(text, str) else None
    if found is None or int(found[1]) == 0:
        raise ValueError("not a size; write 64KB, 256MB or 2GB")
    return int(found[1]) * _SIZE_BYTES[found[2]]


DurationS = Annotated[
    float,
    BeforeValidator(parse_duration_s),
    Field(json_schema_extra={"type": "string", "pattern": r"^\d+(\.\d+)?(ms|s|m|h|d)$"}),
]
"""Seconds, written ``30s``: a number without a unit is refused; a default, which is not validated, is a float."""

SizeBytes = Annotated[
    int,
    BeforeValidator(parse_size_bytes),
    Field(json_schema_extra={"type": ["string", "integer"], "pattern": r"^\d+(B|KB|MB|GB|TB)$"}),
]
"""Bytes, written ``256MB``."""
