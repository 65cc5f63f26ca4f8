"""NDJSON: strict values, exact places, the same rows at every chunk size."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.errors import RowError, SchemaDriftError
from tests.unit.formats.reading import infer, read

N = {"n": "int64"}


def test_rows_come_with_the_byte_where_their_line_starts() -> None:
    assert read("ndjson", b'{"n": 1}\n{"n": 22}\n{"n": null}\n{}', N) == [(1, 0), (22, 9), (None, 19), (None, 31)]


def test_columns_come_in_the_order_of_the_schema() -> None:
    assert read("ndjson", b'{"b":"x","a":1}\n', {"a": "int64", "z": "date", "b": "string"}) == [(1, None, "x", 0)]


def test_blank_lines_padding_crlf_and_byte_order_mark_keep_offsets_right() -> None:
    content = b'\xef\xbb\xbf{"n":1}\r\n\r\n \t\n  {"n":2} \r\n{"n":3}'
    assert read("ndjson", content, N) == [(1, 3), (2, 17), (3, 29)]


@pytest.mark.parametrize("content", [b"", b"\n", b" \r\n\n", b"\xef\xbb\xbf"])
def test_file_without_objects_has_no_rows(content: bytes) -> None:
    assert read("ndjson", content, N) == []
    assert infer("ndjson", content) == {}


@pytest.mark.parametrize("chunk_bytes", [5, 7, 20, 64, 10_000])
@pytest.mark.parametrize("is_compressed", [False, True])
def test_rows_are_the_same_at_every_chunk_size(chunk_bytes: int, is_compressed: bool) -> None:
    lines = [json.dumps({"n": i, "s": "é" * (i % 7)}, ensure_ascii=False).encode() + b"\n" for i in range(40)]
    content = b"".join(lines)
    offsets = [sum(map(len, lines[:i])) for i in range(40)]
    given = gzip.compress(content) if is_compressed else content
    rows = read("ndjson", given, {"n": "int64", "s": "string"}, chunk_bytes=chunk_bytes)
    assert rows == [(i, "é" * (i % 7), offsets[i]) for i in range(40)]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.sampled_from(['{"n":1}', '{"n": 23, "s": "\\"}{"}', "", "  ", '{"s":"null"}\r', '{"s":"ü{}"}']), max_size=12
    ),
    st.integers(4, 40),
    st.booleans(),
)
def test_rows_equal_those_of_the_json_module(lines: list[str], chunk_bytes: int, ends_in_newline: bool) -> None:
    content = "\n".join(lines).encode() + (b"\n" if ends_in_newline else b"")
    expected, offset = [], 0
    for line in content.split(b"\n"):
        if line.strip():
            row = json.loads(line)
            expected.append((row.get("n"), row.get("s"), offset))
        offset += len(line) + 1
    assert read("ndjson", content, {"n": "int64", "s": "string"}, chunk_bytes=chunk_bytes) == expected


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"null", "not one JSON object on a line"),
        (b"[1]", "not one JSON object on a line"),
        (b'"x"', "not one JSON object on a line"),
        (b"{", "not one JSON object on a line"),
        (b'{"n":1}{"n":2}', "more than one JSON value on a line"),
        (b'{"n":1} null {"n":2}', "more than one JSON value on a line"),
        (b'{"n":1} null', "not one JSON object on a line"),
        (b'{"n":1}\r{"n":2}', "a carriage return inside a line"),
        (b'{"n":1,}', "Missing a name for object member"),
        (b'{"n":1,"n":2}', "column n was specified twice"),
        (b'{"n":1.0}', "couldn't parse:1.0"),
        (b'{"n":"5"}', "column n changed from number to string"),
        (b'{"n":true}', "column n changed from number to boolean"),
        (b'{"n":9223372036854775808}', "couldn't parse:9223372036854775808"),
        (b'{"n":1,"s":7}', "column s changed from string to number"),
        (b'{"s":"\xff"}', "not UTF-8: byte 0xff at byte 6 of the line"),
        (b'{"s":"\\ud800"}', "surrogate pair in string is invalid"),
        (b"\x00", "not one JSON object on a line"),
    ],
)
@pytest.mark.parametrize("chunk_bytes", [30, 10_000])
def test_line_that_does_not_fit_is_named_with_its_number(line: bytes, reason: str, chunk_bytes: int) -> None:
    content = b'{"n":1}\n\n' * 5 + line + b"\n" + b'{"n":1}\n' * 5
    with pytest.raises(RowError) as caught:
        read("ndjson", content, {"n": "int64", "s": "string"}, chunk_bytes=chunk_bytes)
    assert caught.value.where == "in/f:11"
    assert reason in caught.value.message


def test_object_over_several_lines_is_refused_even_where_rows_and_lines_agree() -> None:
    with pytest.raises(RowError, match=r"^in/f:1: not one JSON object on a line"):
        read("ndjson", b'{"n":\n{"n":1}}\n{"n":1}{"n":2}\n', N)


def test_excerpt_of_a_bad_line_is_short_and_without_control_characters() -> None:
    with pytest.raises(RowError) as caught:
        read("ndjson", b'{"n":"\x1b[31m' + "é".encode() * 300 + b'"}', N)
    assert '{"n":"\\x1b[31mééé' in caught.value.message
    assert len(caught.value.message) < 250


@pytest.mark.parametrize(
    ("line", "schema"),
    [
        (b'{"m":1}', N),
        (b'{"s":{"b":1}}', {"s": {"struct": {"a": "int64"}}}),
        (b'{"l":[{"b":1}]}', {"l": {"list": {"struct": {"a": "int64"}}}}),
        (b'{"n":5}', {"n": "null"}),
        (b'{"n":{"x":1}}', {"n": "null"}),
        (b'{"n":["x"]}', {"n": {"list": "null"}}),
    ],
)
def test_what_the_schema_lacks_is_drift_and_inference_finds_it(line: bytes, schema: dict[str, object]) -> None:
    with pytest.raises(SchemaDriftError, match=r"^in/f: "):
        read("ndjson", line, schema)
    widened = infer("ndjson", line, schema)
    assert widened != schema
    assert len(read("ndjson", line, widened)) == 1


def test_empty_object_and_null_fit_a_column_that_is_not_known_yet() -> None:
    schema = infer("ndjson", b'{"n":{}}\n{"n":null}\n')
    assert schema == {"n": "null"}
    assert read("ndjson", b'{"n":{}}\n{"n":null}\n', schema) == [(None, 0), (None, 9)]


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
    first, second, third = read("ndjson", content, schema)
    assert first[:-1] == (
        date(2024, 2, 29),
        datetime(2024, 1, 2, 3, 4, 5, 500_000),  # noqa: DTZ001  a timestamp without a zone
        datetime(2024, 1, 2, 1, 4, 5, tzinfo=UTC),
        time(3, 4, 5, 6),
        Decimal("1.25"),
        [date(2024, 1, 1), None],
        {"z": datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)},
    )
    assert second[:-1] == (None, None, None, None, Decimal("1.20"), None, None)
    assert third[:-1] == (None, None, None, None, None, None, {"z": None})


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("timestamp", "2024-01-02T03:04:05Z"),
        ("timestamp(UTC)", "2024-01-02T03:04:05"),
        ("timestamp", "2024-01-02T03:04:05.1234567"),
        ("timestamp", "03/02/2024"),
        ("timestamp", ""),
        ("date", "2024-02-30"),
        ("date", "2024-01-02T00:00:00"),
        ("time", "25:00:00"),
    ],
)
def test_text_that_is_no_such_moment_is_refused_by_line_and_column(kind: str, value: str) -> None:
    content = b'{"x":null}\n' + json.dumps({"x": value}).encode() + b"\n"
    with pytest.raises(RowError, match=r"^in/f:2: column x: Failed to parse string"):
        read("ndjson", content, {"x": kind})


@pytest.mark.parametrize("schema", [{"x": "float64"}, {"x": {"list": "float64"}}, {"x": {"struct": {"y": "float64"}}}])
def test_integer_that_a_float_would_round_is_refused(schema: dict[str, Any]) -> None:
    def line(number: int) -> bytes:
        wrap = (
            {"x": number}
            if schema["x"] == "float64"
            else {"x": [None, number]}
            if "list" in schema["x"]
            else {"x": {"y": number}}
        )
        return json.dumps(wrap).encode() + b"\n"

    assert len(read("ndjson", line(2**53) + line(2**60), schema)) == 2
    with pytest.raises(RowError, match=r"^in/f:3: column x: the integer 9007199254740993 has more digits than float64"):
        read("ndjson", b'{"x":null}\n' + line(2**53) + line(2**53 + 1), schema)


@pytest.mark.parametrize("value", ["1234.5", "123456", "1.234", '"1.234"', '"x"', "1e9"])
def test_decimal_with_too_many_digits_is_refused(value: str) -> None:
    for schema, text in (({"x": "decimal(5,2)"}, value), ({"x": {"list": "decimal(5,2)"}}, f"[null, {value}]")):
        with pytest.raises(RowError, match=r"^in/f:2: "):
            read("ndjson", b'{"x":null}\n{"x":' + text.encode() + b"}\n", schema)


def test_number_beyond_float32_is_refused() -> None:
    with pytest.raises(RowError, match=r"1e\+39 is beyond float32"):
        read("ndjson", b'{"x":1e39}\n', {"x": "float32"})


def test_inference_keeps_text_as_text_and_sees_the_whole_file() -> None:
    content = b'{"a":1,"t":"2024-01-01T00:00:00Z"}\n' * 50 + b'{"a":1.5,"late":[{"x":true},null],"e":[],"o":{}}\n'
    assert infer("ndjson", content, chunk_bytes=100) == {
        "a": "float64",
        "t": "string",
        "late": {"list": {"struct": {"x": "boolean"}}},
        "e": {"list": "null"},
        "o": "null",
    }


def test_inference_keeps_what_is_known_and_appends_the_rest() -> None:
    known = {"z": "date", "s": {"struct": {"a": "int64", "q": "timestamp"}}, "k": "null", "gone": "decimal(5,2)"}
    found = infer("ndjson", b'{"new":1,"z":"2024-01-01","s":{"b":"x","a":1},"k":5}\n', known)
    assert found == {
        **known,
        "s": {"struct": {"a": "int64", "q": "timestamp", "b": "string"}},
        "k": "int64",
        "new": "int64",
    }
    assert list(found) == ["z", "s", "k", "gone", "new"]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b'{"n":1}\n{"n":"x"}\n', 2),
        (b'{"n":true}\n\n{"n":1}\n', 3),
        (b'{"n":1.5}\n{"n":9223372036854775808}\n', 2),
        (b'{"n":18446744073709551616}\n', 1),
    ],
)
def test_inference_refuses_a_type_that_changes_and_integers_beyond_int64(content: bytes, line: int) -> None:
    with pytest.raises(RowError) as caught:
        infer("ndjson", content)
    assert caught.value.where == f"in/f:{line}"


def test_known_type_is_not_widened_by_inference() -> None:
    with pytest.raises(RowError, match=r"^in/f:2: "):
        infer("ndjson", b'{"n":1}\n{"n":1.5,"m":1}\n', N)


@pytest.mark.parametrize("content", [b'{"n":' * 5000 + b"1" + b"}" * 5000, b'{"n":' + b"[" * 5000 + b"]" * 5000 + b"}"])
def test_nesting_of_5000_levels_is_an_error_and_not_a_crash(content: bytes) -> None:
    with pytest.raises(RowError, match="nest deeper than 64 levels"):
        infer("ndjson", content)
    with pytest.raises((RowError, SchemaDriftError)):
        read("ndjson", content, N)


@pytest.mark.parametrize("is_compressed", [False, True])
def test_line_beyond_the_bound_is_refused_and_one_below_it_is_read(is_compressed: bool) -> None:
    def packed(content: bytes) -> bytes:
        return gzip.compress(content) if is_compressed else content

    fits = b'{"s":"a"}\n{"s":"' + b"x" * 800 + b'"}\n{"s":"b"}\n'
    rows = read("ndjson", packed(fits), {"s": "string"}, chunk_bytes=20, max_line_bytes=1000)
    assert rows == [("a", 0), ("x" * 800, 10), ("b", 819)]
    with pytest.raises(RowError, match="a line is longer than 500 bytes"):
        read("ndjson", packed(fits), {"s": "string"}, chunk_bytes=20, max_line_bytes=500)
