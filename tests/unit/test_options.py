"""Durations and sizes as YAML spells them, and options that take nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from etl.options import DurationS, Options, SizeBytes, parse_duration_s, parse_size_bytes


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("30s", 30.0), ("1.5s", 1.5), ("5m", 300.0), ("2h", 7200.0), ("7d", 604800.0), ("0s", 0.0)],
)
def test_duration_is_read(text: str, seconds: float) -> None:
    assert parse_duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "30", "s", "-5s", "5 s", "5S", "1e3s", "5s5s", "5s\n", "1:30", ".5s", None, 30, True, []]
)
def test_other_text_is_no_duration(text: object) -> None:
    with pytest.raises(ValueError, match="not a duration; write 500ms, 30s, 5m, 2h or 7d"):
        parse_duration_s(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("1B", 1), ("64KB", 64_000), ("256MB", 256_000_000), ("2GB", 2_000_000_000), ("3TB", 3_000_000_000_000), (17, 17)],
)
def test_size_is_read(text: object, size: int) -> None:
    assert parse_size_bytes(text) == size


@pytest.mark.parametrize(
    "text", ["", "64", "0MB", "-1MB", "1.5MB", "64kb", "64 MB", "64KiB", "MB", 0, -5, True, False, 1.5, None]
)
def test_other_text_is_no_size(text: object) -> None:
    with pytest.raises(ValueError, match="not a size; write 64KB, 256MB or 2GB"):
        parse_size_bytes(text)


class Sample(Options):
    """Options with one of each."""

    every: DurationS = 1.0
    most: SizeBytes = 2
    name: str = "n"
    count: int = 1


def test_options_read_both_spellings() -> None:
    found = Sample.model_validate({"every": "2m", "most": "3KB"})
    assert (found.every, found.most) == (120.0, 3000)
    assert (Sample().every, Sample().most) == (1.0, 2)


@pytest.mark.parametrize(
    "given",
    [
        {"unknown": 1},
        {"name": 5},
        {"count": "5"},
        {"count": True},
        {"count": 1.0},
        {"every": 30},
        {"every": 1.5},
        {"most": "big"},
    ],
)
def test_options_refuse_unknown_keys_and_other_types(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Sample.model_validate(given)


def test_options_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Sample().count = 2


def test_schema_for_editors_shows_the_spellings() -> None:
    assert TypeAdapter(DurationS).json_schema() == {"pattern": r"^\d+(\.\d+)?(ms|s|m|h|d)$", "type": "string"}
    assert TypeAdapter(SizeBytes).json_schema() == {"pattern": r"^\d+(B|KB|MB|GB|TB)$", "type": ["string", "integer"]}
