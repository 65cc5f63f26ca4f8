"""CSV and TSV: strict records, columns by name, nothing guessed."""

from __future__ import annotations

import csv
import gzip
import io
import re
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from etl.errors import ConfigError, RowError, SchemaDriftError, SourceError
from etl.formats.delimited import CsvOptions
from tests.unit.formats.reading import infer, read

AB = {"a": "string", "b": "string"}


def test_rows_come_with_their_number_and_columns_by_name() -> None:
    assert read("csv", b"b,a\n1,2\n3,4\n", AB) == [("2", "1", 0), ("4", "3", 1)]


def test_column_that_the_file_lacks_is_null_and_one_that_the_schema_lacks_is_drift() -> None:
    assert read("csv", b"a\n1\n", {"a": "string", "n": "int64"}) == [("1", None, 0)]
    with pytest.raises(SchemaDriftError, match=r"^in/f: columns not in the schema: c, d"):
        read("csv", b"a,c,d\n", AB)


def test_unquoted_empty_field_is_null_and_a_quoted_one_is_empty_text() -> None:
    assert read("csv", b'a,b\n,""\n', AB) == [(None, "", 0)]


def test_blank_lines_and_byte_order_mark_are_no_rows() -> None:
    assert read("csv", b'\xef\xbb\xbf\r\n"a",b\r\n\r\n1,"x\r\n\r\ny"\r\n\r\n2,3', AB) == [
        ("1", "x\r\n\r\ny", 0),
        ("2", "3", 1),
    ]
    assert read("csv", b"a\n1\n\n2\n", {"a": "string"}) == [("1", 0), ("2", 1)]


@pytest.mark.parametrize("content", [b"", b"\n\n", b"a,b\n", b"a,b", b"\xef\xbb\xbf"])
def test_file_without_records_has_no_rows(content: bytes) -> None:
    assert read("csv", content, AB) == []


def test_quote_inside_an_unquoted_field_is_text() -> None:
    rows = read("csv", b'a,b\n1,5" pipe\n3,x"y"z\n4,"q,\n"""\n', AB, chunk_bytes=4)
    assert rows == [("1", '5" pipe', 0), ("3", 'x"y"z', 1), ("4", 'q,\n"', 2)]


FIELDS = st.text(st.sampled_from("ab\",\n\r' é;"), max_size=6).map(lambda text: text.replace("\r", "\r\n"))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(FIELDS, FIELDS), max_size=8), st.integers(1, 30), st.sampled_from(["\n", "\r\n"]), st.booleans()
)
def test_written_records_are_read_at_every_chunk_size(
    rows: list[tuple[str, str]], chunk_bytes: int, end: str, is_quoted: bool
) -> None:
    text = io.StringIO(newline="")
    quoting: Literal[0, 1] = csv.QUOTE_ALL if is_quoted else csv.QUOTE_MINIMAL
    csv.writer(text, lineterminator=end, quoting=quoting).writerows([("a", "b"), *rows])
    expected = [
        (a if is_quoted else a or None, b if is_quoted else b or None, number) for number, (a, b) in enumerate(rows)
    ]
    assert read("csv", text.getvalue().encode(), AB, chunk_bytes=chunk_bytes + 3) == expected


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"1", "1 fields where the header has 2"),
        (b"1,2,3", "3 fields where the header has 2"),
        (b"  ", "1 fields where the header has 2"),
        (b'1,"2"x', "text after a closing quote"),
        (b'1,"2', "a quoted field is never closed"),
        (b"1,x\ry", "a carriage return alone"),
        (b"1,\xff", "not utf-8: byte 0xff at byte 2 of the line"),
    ],
)
@pytest.mark.parametrize("chunk_bytes", [4, 10_000])
def test_record_that_is_none_is_named_with_its_line(line: bytes, reason: str, chunk_bytes: int) -> None:
    with pytest.raises(RowError) as caught:
        read("csv", b'a,b\n1,"x\ny"\n\n5,6\n' + line + b"\n7,8\n", AB, chunk_bytes=chunk_bytes)
    assert caught.value.where == "in/f:6"
    assert reason in caught.value.message


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("int64", "1.0"),
        ("int64", "1_000"),
        ("int64", "+1"),
        ("int64", "1e3"),
        ("int64", "0x10"),
        ("int64", " 0X1f"),
        ("int64", '"0x10"'),
        ("uint64", "0xffffffffffffffff"),
        ("int64", "0xFFFFFFFFFFFFFFFF"),
        ("int8", "0x7f"),
        ("float64", "0x10"),
        ("int64", "٣"),
        ("int64", '""'),
        ("int8", "300"),
        ("uint8", "-1"),
        ("int64", "NA"),
        ("float64", "1e400"),
        ("float64", "9007199254740993"),
        ("float32", "1e39"),
        ("boolean", "yes"),
        ("decimal(10,2)", "1.239"),
        ("decimal(4,2)", "123.4"),
        ("date", "03/02/2024"),
        ("timestamp", "2024-01-01T00:00:00Z"),
        ("timestamp(UTC)", "2024-01-01T00:00:00"),
        ("time", "25:00:00"),
    ],
)
def test_field_that_does_not_fit_is_named_with_line_and_column(kind: str, text: str) -> None:
    with pytest.raises(RowError) as caught:
        read("csv", b"x,y\n,1\n\n" + text.encode() + b",1\n", {"x": kind, "y": "string"})
    assert caught.value.where == "in/f:4"
    assert caught.value.message.startswith("column x: ")


def test_hexadecimal_digits_in_a_text_column_do_no_harm_to_the_integers_beside_it() -> None:
    content = b"x,y\n 007\t,0x10\n-5,0X\n,0x\n"

    assert read("csv", content, {"x": "int64", "y": "string"}) == [(7, "0x10", 0), (-5, "0X", 1), (None, "0x", 2)]


@given(st.from_regex(r"[ \t]?[-+]?[0-9_xXa-f.]{1,5}[ \t]?", fullmatch=True))
def test_an_integer_field_has_the_value_that_python_gives_its_decimal_digits(text: str) -> None:
    is_decimal = re.fullmatch(r"-?[0-9]+", text.strip()) is not None

    if is_decimal:
        assert read("csv", f"x\n{text}\n".encode(), {"x": "int64"}) == [(int(text), 0)]
    else:
        with pytest.raises(RowError, match="in/f:2: column x: "):
            read("csv", f"x\n{text}\n".encode(), {"x": "int64"})


def test_declared_types_are_read() -> None:
    schema = {
        "i": "int64",
        "f": "float64",
        "b": "boolean",
        "d": "date",
        "t": "timestamp(UTC)",
        "c": "time",
        "m": "decimal(5,2)",
    }
    content = b'i,f,b,d,t,c,m\n007,inf,TRUE,2024-02-29,2024-01-01T01:00:00+01:00,03:04:05,1.2\n"5",1e15,0,,,,\n'
    assert read("csv", content, schema) == [
        (7, float("inf"), True, date(2024, 2, 29), datetime(2024, 1, 1, tzinfo=UTC), time(3, 4, 5), Decimal("1.20"), 0),
        (5, 1e15, False, None, None, None, None, 1),
    ]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a,a\n1,2\n", "column 'a' stands twice in the header"),
        (b"a,\n1,2\n", "column 2 has no name in the header"),
        ("a,b\n1,2\n".encode("utf-16-le"), "is the file UTF-16"),
        ("a,b\n1,2\n".encode("utf-16"), "not utf-8: byte 0xff at byte 0"),
        (b"a,b\r1,2\r", "a carriage return alone"),
    ],
)
def test_header_that_cannot_be_trusted_is_refused(content: bytes, reason: str) -> None:
    for act in (lambda: read("csv", content, AB), lambda: infer("csv", content)):
        with pytest.raises(SourceError, match=reason):
            act()


def test_nested_type_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"in/f: a: a CSV field cannot be list<int64>"):
        read("csv", b"a\n", {"a": {"list": "int64"}})


def test_inference_gives_every_new_column_as_text() -> None:
    assert infer("csv", b"a,b,c\n1,2.5,x\n", {"b": "float64", "z": "date"}) == {
        "b": "float64",
        "z": "date",
        "a": "string",
        "c": "string",
    }
    assert infer("csv", b"") == {}
    assert infer("tsv", b"a\tb\n1\t2\n") == AB


def test_options_say_how_fields_are_written() -> None:
    options = {"delimiter": ";", "quote": "'", "skip_lines": 2, "null_values": ["NA"]}
    content = b"made by x, \"y\n'''\na;b\n'1;''';NA\n;'NA'\n"
    assert read("csv", content, AB, options, chunk_bytes=5) == [("1;'", None, 0), ("", "NA", 1)]


def test_no_quote_reads_quotes_as_text() -> None:
    assert read("csv", b'a,b\n"1,2"\n', AB, {"quote": ""}) == [('"1', '2"', 0)]


def test_headerless_columns_take_the_schema_in_order() -> None:
    assert read("csv", b"1,2\n", AB, {"header": False}) == [("1", "2", 0)]


@pytest.mark.parametrize(("encoding", "text"), [("latin-1", "é"), ("windows-1252", "€")])
def test_encoding_is_converted(encoding: str, text: str) -> None:
    content = f"a,b\n1,{text}\n".encode(encoding)
    assert read("csv", content, AB, {"encoding": encoding}) == [("1", text, 0)]


@pytest.mark.parametrize(
    "options", [{"delimiter": ""}, {"delimiter": ",,"}, {"delimiter": "é"}, {"escape": "\\"}, {"skip_lines": -1}]
)
def test_options_that_do_not_work_are_not_offered(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        CsvOptions(**options)  # type: ignore[arg-type]


def test_record_beyond_the_bound_is_refused_and_compressed_input_streams() -> None:
    content = gzip.compress(b'a,b\n1,"' + b"x\n" * 500 + b'"\n2,3\n')
    assert [row[2] for row in read("csv", content, AB, chunk_bytes=16)] == [0, 1]
    with pytest.raises(RowError, match="a line is longer than 300 bytes"):
        read("csv", content, AB, chunk_bytes=16, max_line_bytes=300)
