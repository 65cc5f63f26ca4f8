"""CSV and TSV: what each input becomes."""

from __future__ import annotations

import csv as python_csv
import gzip
import io
import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.formats.contract import FileOpener
from tests.unit.formats.csv_reading import csv, opener, read, texts

AB = texts("a", "b")
MORE = 64_000_000


def test_rows_come_with_their_number_and_columns_by_name() -> None:
    assert read(b"b,a\n1,2\n3,4\n", AB).rows == [("2", "1", 0), ("4", "3", 1)]


def test_a_tab_delimits_tsv() -> None:
    [task] = csv(is_tsv=True).tasks(opener(b"a\tb\n1\t2,3\n"), AB)
    assert [chunk.frame.rows() for chunk in task()] == [[("1", "2,3")]]


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b'a,b\n,""\n', [(None, "", 0)]),
        (b"a,b\n007,+1\n", [("007", "+1", 0)]),
        (b'a,b\n"1,5","x ""y"" z"\n', [("1,5", 'x "y" z', 0)]),
        (b'a,b\n1,"x\ny"\n2,"x\r\ny"\n', [("1", "x\ny", 0), ("2", "x\r\ny", 1)]),
        (b"a,b\r\n1,2\r\n3,\r\n", [("1", "2", 0), ("3", None, 1)]),
        (b'a,b\r\n1,"2"\r\n', [("1", "2", 0)]),
        (b"a,b\n1,2", [("1", "2", 0)]),
        (b'a,b\n1,""', [("1", "", 0)]),
        (b"a,b\n1,", [("1", None, 0)]),
        (b'a,b\n1,5" pipe\n3,x"y"z\n4, "q"\n', [("1", '5" pipe', 0), ("3", 'x"y"z', 1), ("4", ' "q"', 2)]),
        (b'a,b\n1,"x\ry"\n', [("1", "x\ry", 0)]),
        (b"a,b\n1,x\x00y\n", [("1", "x\x00y", 0)]),
        ("a,b\n1,x\u2028y\x85z\x0bw\n".encode(), [("1", "x\u2028y\x85z\x0bw", 0)]),
        ("\ufeffa,b\n\ufeff1,2\n".encode(), [("\ufeff1", "2", 0)]),
        (b"a,b\nx\x01,2\n", [("x\x01", "2", 0)]),
        (b"a,b\n  , x \n", [("  ", " x ", 0)]),
        (b"a,b\n#1,2\n", [("#1", "2", 0)]),
        (b"\n\r\na,b\n\n1,2\n\r\n\n3,4\n\n", [("1", "2", 0), ("3", "4", 1)]),
    ],
)
@pytest.mark.parametrize("chunk_bytes", [1, 4, 4_000_000])
def test_fields_are_kept_as_rfc_4180_says(content: bytes, rows: list[Any], chunk_bytes: int) -> None:
    found = read(content, AB, chunk_bytes=chunk_bytes)

    assert (found.rows, found.rejects) == (rows, [])


@pytest.mark.parametrize("content", [b"", b"\n\n", b"a,b\n", b"a,b", b"\xef\xbb\xbf", b"a,b\n\n"])
def test_a_file_without_records_has_no_rows(content: bytes) -> None:
    found = read(content, AB)

    assert (found.rows, found.rejects) == ([], [])


def test_blank_lines_of_a_file_of_one_column_are_no_rows_and_quoted_empty_text_is_one() -> None:
    assert read(b'a\n1\n\n""\n\n2\n', texts("a")).rows == [("1", 0), ("", 1), ("2", 2)]


@pytest.mark.parametrize(
    ("line", "rule", "reason"),
    [
        (b"1", "syntax", "1 fields where the header has 2"),
        (b"1,2,3", "syntax", "3 fields where the header has 2"),
        (b"1,2,", "syntax", "3 fields where the header has 2"),
        (b"  ", "syntax", "1 fields where the header has 2"),
        (b'"1,2"', "syntax", "1 fields where the header has 2"),
        (b'1,"2"x', "syntax", "text after a closing quote"),
        (b'1,""x""', "syntax", "text after a closing quote"),
        (b'1,"2" ', "syntax", "text after a closing quote"),
        (b"1,x\ry", "syntax", "a carriage return alone, neither a line end nor inside quotes"),
        (b"1,\xff", "encoding", "not utf-8 at byte 2 of the record"),
        (b"1,\xed\xa0\x80", "encoding", "not utf-8 at byte 2 of the record"),
        (b'1,"2', "syntax", "a quoted field is never closed"),
    ],
)
@pytest.mark.parametrize("chunk_bytes", [1, 7, 4_000_000])
def test_a_line_that_is_no_record_is_rejected_alone(line: bytes, rule: str, reason: str, chunk_bytes: int) -> None:
    content = b'a,b\n1,"x\ny"\n\n5,6\n' + line + b"\n7,8\n"

    found = read(content, AB, chunk_bytes=chunk_bytes)

    assert found.rows == [("1", "x\ny", 0), ("5", "6", 1), ("7", "8", 3)]
    assert found.rejects == [(line, 17, 6, rule, reason)]
    assert found.contexts == {'{"columns": ["a", "b"]}'}


def test_a_quote_that_is_not_closed_costs_its_line_and_no_more() -> None:
    found = read(b'a,b\n1,"x\n2,"y"\n3,z\n', AB)

    assert found.rows == [("2", "y", 1), ("3", "z", 2)]
    assert found.rejects == [
        (b'1,"x', 4, 2, "syntax", "a quoted field is not closed on its line, nor closed soundly below")
    ]


def test_the_rest_of_a_field_that_is_not_closed_soundly_is_no_row() -> None:
    found = read(b'a,b\n1,"x\ny"z,2\n3,4\n', AB)

    assert found.rows == [("3", "4", 2)]
    assert found.raws == [b'1,"x', b'y"z,2']
    assert found.rejects[1][4] == "a quote inside an unquoted field, below a quoted field that was not closed"


@pytest.mark.parametrize("chunk_bytes", [1, 8, 50, 4_000_000])
def test_a_line_beyond_the_bound_is_rejected_with_its_start(chunk_bytes: int) -> None:
    line = b"1," + b"x" * 70_000
    found = read(b"a,b\n" + line + b"\n2,y\n", AB, chunk_bytes=chunk_bytes, max_line_bytes=69_000)

    assert found.rows == [("2", "y", 1)]
    assert found.rejects == [(line[:65_536], 4, 2, "too_long", "a line is longer than 69000 bytes")]


@pytest.mark.parametrize("chunk_bytes", [1, 8, 4_000_000])
def test_a_quoted_field_must_be_closed_within_the_bound(chunk_bytes: int) -> None:
    found = read(b'a,b\n1,"x\n' + b"2,y\n" * 20 + b'3,"\n', AB, chunk_bytes=chunk_bytes, max_line_bytes=30)

    assert found.rows == [("2", "y", number) for number in range(1, 21)]
    assert [(raw, reason) for raw, _, _, _, reason in found.rejects] == [
        (b'1,"x', "a quoted field is never closed within 30 bytes"),
        (b'3,"', "a quoted field is never closed"),
    ]


KINDS: list[tuple[str, str, Any]] = [
    ("int64", "007", 7), ("int64", "+1", 1), ("int64", "-0", 0), ("int64", " 5\t", 5), ("int64", '"6"', 6),
    ("int64", "", None), ("int64", '""', None), ("int64", "  ", None), ("uint64", "18446744073709551615", 2**64 - 1),
    ("float64", "inf", float("inf")), ("float64", "1e15", 1e15), ("float64", ".5", 0.5), ("float64", "1e-400", 0.0),
    ("float64", "9007199254740994", 2.0**53 + 2), ("float32", "16777216", 2.0**24), ("float64", "-1.5 ", -1.5),
    ("boolean", "TRUE", True), ("boolean", "0", False), ("boolean", " 1", True), ("boolean", '""', None),
    ("decimal(5,2)", "1.2", Decimal("1.20")), ("decimal(5,2)", "+1.2300", Decimal("1.23")),
    ("decimal(5,2)", ".5", Decimal("0.50")), ("decimal(3,0)", "12.0", Decimal(12)),
    ("date", "2024-02-29", date(2024, 2, 29)), ("time", "03:04:05.5", time(3, 4, 5, 500_000)),
    ("timestamp", "2024-01-01 10:20", datetime(2024, 1, 1, 10, 20)),  # noqa: DTZ001  a timestamp without a zone
    ("timestamp", "2024-01-01", datetime(2024, 1, 1)),  # noqa: DTZ001
    ("timestamp(UTC)", "2024-01-01T01:00:00+01:00", datetime(2024, 1, 1, tzinfo=UTC)),
    ("timestamp(UTC)", "2024-01-01T01:00:00.123456Z", datetime(2024, 1, 1, 1, 0, 0, 123_456, tzinfo=UTC)),
    ("binary", "xy", b"xy"), ("binary", '""', b""), ("string", "x", "x"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "text", "value"), KINDS)
@pytest.mark.parametrize("beside", ["y", "é,1"])
def test_a_field_becomes_a_value_of_its_declared_type(kind: str, text: str, value: Any, beside: str) -> None:
    content = f"x,s,n\n{text},{beside}{',1' if ',' not in beside else ''}\n".encode()

    found = read(content, {"x": kind, "n": "int64"}, contract=_ignoring())

    assert found.rejects == []
    assert found.rows == [(value, 1, 0)]


def _ignoring() -> Any:
    from etl.schema_contract import SchemaContract

    return SchemaContract(new_columns="ignore")


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("int64", "1.0"), ("int64", "1_000"), ("int64", "1e3"), ("int64", "0x10"), ("int64", "٣"), ("int64", '"1,000"'),
        ("int64", "NA"), ("int64", "9223372036854775808"), ("int8", "300"), ("uint8", "-1"), ("uint8", "-0"),
        ("float64", "0x10"), ("float64", "1e400"), ("float64", "9007199254740993"), ("float32", "1e39"),
        ("float32", "16777217"), ("float64", '"1,5"'), ("float64", "1_0"), ("boolean", "yes"),
        ("decimal(10,2)", "1.239"),
        ("decimal(4,2)", "123.4"), ("decimal(4,2)", "1e1"), ("date", "03/02/2024"), ("date", "2024-02-30"),
        ("date", "2024-1-5"), ("date", "2024-01-05T00:00:00"), ("timestamp", "2024-01-01T00:00:00Z"),
        ("timestamp", "2024-01-01T00:00:00.1234567"), ("timestamp(UTC)", "2024-01-01T00:00:00"),
        ("timestamp(UTC)", "0000-01-01T00:00:00Z"), ("time", "25:00:00"),
    ],
)  # fmt: skip
def test_a_field_that_its_type_cannot_hold_rejects_its_row_alone(kind: str, text: str) -> None:
    found = read(f"x,y\n,1\n\n{text},2\n,3\n".encode(), {"x": kind, "y": "string"})

    assert found.rows == [(None, "1", 0), (None, "3", 2)]
    value = text.strip('"')
    assert found.rejects == [(f"{text},2".encode(), 8, 4, "type", f"column x: {value!r} is no {kind}")]


def test_a_text_of_any_length_is_shown_in_part() -> None:
    [reject] = read(b"x,y\n" + b"a" * 500 + b",1\n", {"x": "int64", "y": "string"}).rejects

    assert reject[4] == f"column x: '{'a' * 120}…' is no int64"


FIELDS = st.text(st.sampled_from("ab\",\n\r' é;"), max_size=6).map(lambda text: text.replace("\r", "\r\n"))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(FIELDS, FIELDS), max_size=8), st.integers(1, 30), st.sampled_from(["\n", "\r\n"]), st.booleans()
)
def test_written_records_are_read_at_every_chunk_size(
    rows: list[tuple[str, str]], chunk_bytes: int, end: str, is_quoted: bool
) -> None:
    text = io.StringIO(newline="")
    quoting: Literal[0, 1] = python_csv.QUOTE_ALL if is_quoted else python_csv.QUOTE_MINIMAL
    python_csv.writer(text, lineterminator=end, quoting=quoting).writerows([("a", "b"), *rows])
    found = read(text.getvalue().encode(), AB, chunk_bytes=chunk_bytes)

    assert found.rows == [
        (a if is_quoted else a or None, b if is_quoted else b or None, number) for number, (a, b) in enumerate(rows)
    ]
    assert found.rejects == []


def test_quoted_line_breaks_are_read_at_every_chunk_size() -> None:
    lines = [f'{number},"x\n{"y" * (number % 90)}\r\n,z"' for number in range(1500)]
    content = ("a,b\n" + "\n".join(lines)).encode()
    expected = read(content, AB)

    assert len(expected.rows) == 1500
    assert expected.rows[91] == ("91", "x\ny\r\n,z", 91)
    for chunk_bytes in (1_000, 1_024, 4_096, 10_001, 32_768, 65_536):
        assert read(content, AB, chunk_bytes=chunk_bytes) == expected


def test_ten_thousand_columns_are_read_and_a_short_record_rejected() -> None:
    names = [f"c{number}" for number in range(10_000)]
    content = "\n".join([",".join(names), ",".join(["1"] * 10_000), ",".join(["1"] * 9_999)]).encode()

    found = read(content, dict.fromkeys(names, "int32"))

    assert found.rows == [(*[1] * 10_000, 0)]
    assert found.rejects[0][4] == "9999 fields where the header has 10000"
    assert json.loads(*found.contexts) == {"columns": names}


def test_compressed_input_streams_and_offsets_are_those_of_the_uncompressed_file() -> None:
    content = b'a,b\n1,"' + b"x\n" * 500 + b'"\n2\n3,4\n'
    packed = gzip.compress(content)
    file = FileOpener("f", len(packed), lambda: io.BytesIO(packed), chunk_bytes=16)

    [task] = csv().tasks(file, AB)
    chunks = list(task())

    assert [number for chunk in chunks for number in chunk.offsets] == [0, 2]
    [reject] = [chunk.rejects for chunk in chunks if chunk.rejects is not None]
    assert reject.select("raw", "_source_offset", "line").rows() == [(b"2", 1_009, 503)]
