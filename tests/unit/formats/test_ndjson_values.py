"""Values of NDJSON that a column holds exactly, and those that it cannot hold."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pytest

from tests.unit.formats.json_reading import read


def test_text_of_moments_is_converted_at_any_depth() -> None:
    schema = {
        "d": "date",
        "t": "timestamp",
        "z": "timestamp(UTC)",
        "c": "time",
        "m": "decimal(5,2)",
        "l": {"list": "date"},
        "s": {"struct": {"z": "timestamp(UTC)"}},
    }
    row = {
        "d": "2024-02-29",
        "t": "2024-01-02 03:04:05.5",
        "z": "2024-01-02T03:04:05+02:00",
        "c": "03:04:05.000006",
        "m": 1.25,
        "l": ["2024-01-01", None],
        "s": {"z": "1969-12-31T23:59:59.999999Z"},
    }
    content = json.dumps(row).encode() + b'\n{"l":null,"s":null,"m":"1.2"}\n{"s":{}}\n'
    for whole in (content, content + b"x\n", b"x\n" + content):
        first, second, third = (line[:-1] for line in read(whole, schema).rows)
        assert first == (
            date(2024, 2, 29),
            datetime(2024, 1, 2, 3, 4, 5, 500_000),  # noqa: DTZ001  a timestamp without a zone
            datetime(2024, 1, 2, 1, 4, 5, tzinfo=UTC),
            time(3, 4, 5, 6),
            Decimal("1.25"),
            [date(2024, 1, 1), None],
            {"z": datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)},
        )
        assert second == (None, None, None, None, Decimal("1.20"), None, None)
        assert third == (None, None, None, None, None, None, {"z": None})


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        ("timestamp", "2024-01-02T03:04:05Z", "is no timestamp without a zone"),
        ("timestamp(UTC)", "2024-01-02T03:04:05", "is no timestamp with a zone"),
        ("timestamp", "2024-01-02T03:04:05.1234567", "is no timestamp without a zone"),
        ("timestamp", "03/02/2024", "is no timestamp without a zone"),
        ("timestamp", "", "is no timestamp without a zone"),
        ("date", "2024-02-30", "is no date"),
        ("date", "2023-02-29", "is no date"),
        ("date", "2024-01-02T00:00:00", "is no date"),
        ("time", "25:00:00", "is no time"),
    ],
)
def test_text_that_is_no_such_moment_is_rejected(kind: str, value: str, reason: str) -> None:
    content = b'{"x":null}\n' + json.dumps({"x": value}).encode() + b'\n{"x":null}\n'
    found = read(content, {"x": kind})
    assert [(line, rule) for _, line, rule, _ in found.rejects] == [(2, "type")]
    assert found.reasons == [f'column x: "{value}" {reason}']
    assert len(found.rows) == 2


@pytest.mark.parametrize("schema", [{"x": "float64"}, {"x": {"list": "float64"}}, {"x": {"struct": {"y": "float64"}}}])
def test_integer_that_a_float_would_round_is_rejected(schema: dict[str, Any]) -> None:
    def line(number: int) -> bytes:
        wrap = (
            {"x": number}
            if schema["x"] == "float64"
            else {"x": [None, number]}
            if "list" in schema["x"]
            else {"x": {"y": number}}
        )
        return json.dumps(wrap).encode() + b"\n"

    assert len(read(line(2**53) + line(2**60), schema).rows) == 2
    found = read(b'{"x":null}\n' + line(2**53) + line(2**53 + 1) + line(2**63), schema)
    path = "x" if schema["x"] == "float64" else "x[]" if "list" in schema["x"] else "x.y"
    assert found.reasons == [
        f"column {path}: the integer 9007199254740993 has more digits than float64 keeps",
        f"column {path}: 9223372036854775808 is beyond int64",
    ]
    assert len(found.rows) == 2


@pytest.mark.parametrize("value", ["1234.5", "123456", "1.234", '"1.234"', '"x"', "1e9", "0.001", "true", '""'])
def test_decimal_with_too_many_digits_is_rejected(value: str) -> None:
    for schema, text in (({"x": "decimal(5,2)"}, value), ({"x": {"list": "decimal(5,2)"}}, f"[null, {value}]")):
        found = read(b'{"x":null}\n{"x":' + text.encode() + b"}\n", schema)
        assert [(line, rule) for _, line, rule, _ in found.rejects] == [(2, "type")]


@pytest.mark.parametrize(
    ("value", "number"),
    [("1.20", "1.20"), ("1.200", "1.20"), ("1e2", "100.00"), ("12e-1", "1.20"), ('"-1.5"', "-1.50"), ("-0", "0.00")],
)
def test_decimal_that_fits_is_kept_in_clean_and_dirty_pieces(value: str, number: str) -> None:
    for rest in (b"", b"x\n"):
        found = read(b'{"x":' + value.encode() + b"}\n" + rest, {"x": "decimal(5,2)"})
        assert [row[0] for row in found.rows] == [Decimal(number)]


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        ("float32", "1e39", "1e39 is beyond float32"),
        ("float32", "16777217", "the integer 16777217 has more digits than float32 keeps"),
        ("float64", "1e400", "1e400 is beyond float64"),
        ("float64", "1.7976931348623159e308", "1.7976931348623159e308 is beyond float64"),
        ("int8", "128", "128 is beyond int8"),
        ("uint8", "-1", "-1 is no uint8"),
        ("uint64", "18446744073709551616", "18446744073709551616 is beyond uint64"),
    ],
)
def test_number_beyond_its_type_is_rejected(kind: str, value: str, reason: str) -> None:
    found = read(b'{"x":1}\n{"x":' + value.encode() + b"}\n", {"x": kind})
    assert found.reasons == [f"column x: {reason}"]
    assert len(found.rows) == 1
