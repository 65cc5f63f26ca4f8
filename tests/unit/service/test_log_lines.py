from __future__ import annotations

import json

import pytest

from etl.secrets import register_secret
from etl.service.contract import Happening
from etl.service.log_lines import console_line, json_line, level_of, line_of, note_line
from tests.fleets import at, batch

AT = at("2026-01-01T13:00:00.123456+01:00")


def test_a_batch_is_a_line_for_people() -> None:
    line = console_line(Happening(AT, "orders", "committed", result=batch(batch_id=3)))

    assert line == (
        "2026-01-01T12:00:00.123Z  INFO     orders  batch 3  committed  "
        "10 read, 8 written, 1 filtered, 1 quarantined  silver.orders v3  0.25 s"
    )


def test_a_batch_is_an_object_for_machines() -> None:
    line = json_line(Happening(AT, "orders", "committed", result=batch(batch_id=3)))

    assert json.loads(line) == {
        "at": "2026-01-01T12:00:00.123Z",
        "level": "info",
        "event": "committed",
        "pipeline": "orders",
        "batch_id": 3,
        "rows": {"read": 10, "written": 8, "filtered": 1, "quarantined": 1},
        "bytes_read": 1000,
        "tables": {"silver.orders": 3},
        "seconds": {"plan": 0.01, "stage": 0.2, "commit": 0.04, "total": 0.25},
    }


@pytest.mark.parametrize(
    ("kind", "level"),
    [
        ("started", "debug"),
        ("planned", "debug"),
        ("ended", "debug"),
        ("committed", "info"),
        ("recovered", "info"),
        ("paused", "warning"),
        ("missed", "warning"),
        ("faulty", "warning"),
        ("failed", "error"),
    ],
)
def test_what_happens_has_a_level(kind: str, level: str) -> None:
    assert level_of(Happening(AT, "orders", kind)) == level
    assert json.loads(json_line(Happening(AT, "orders", kind)))["level"] == level


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_no_message_forges_a_line_or_turns_its_direction_or_tells_a_secret(log_format: str) -> None:
    register_secret("zq60secret")
    message = 'zq60secret\r\n{"level": "info"}\x1b[2J\u202egnp\u2028x\x85y\x00 http://me:zq61@host'

    line = line_of(Happening(AT, "orders", "failed", message), log_format)  # type: ignore[arg-type]

    assert line.isprintable()
    assert "zq6" not in line
    assert "***" in line
    if log_format == "json":
        assert json.loads(line)["message"].startswith('***\\r\\n{"level": "info"}\\x1b[2J\\u202egnp')


def test_the_lines_of_a_message_become_one_for_people() -> None:
    line = console_line(Happening(AT, "orders", "failed", "disk full\n  make room"))

    assert line == "2026-01-01T12:00:00.123Z  ERROR    orders  failed  disk full | make room"


def test_the_service_itself_has_its_lines_too() -> None:
    assert note_line(AT, "a\nb", "console") == "2026-01-01T12:00:00.123Z  INFO     a\\nb"
    assert json.loads(note_line(AT, "a\nb", "json")) == {
        "at": "2026-01-01T12:00:00.123Z",
        "level": "info",
        "event": "service",
        "message": "a\\nb",
    }
