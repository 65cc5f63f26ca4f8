"""What ``format_options`` of CSV say of the way in which a file is written."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from etl.errors import UnreadableFileError
from etl.formats.delimited import CsvOptions
from tests.unit.formats.csv_reading import read, texts

AB = texts("a", "b")


def test_delimiter_quote_and_lines_before_the_header_are_as_declared() -> None:
    options = {"delimiter": ";", "quote": "'", "skip_lines": 2}
    content = b"made by x, \"y\n'''\na;b\n'1;''';\"z\n"

    for chunk_bytes in (1, 5, 1000):
        assert read(content, AB, options, chunk_bytes=chunk_bytes).rows == [("1;'", '"z', 0)]


def test_words_for_null_count_where_they_are_not_quoted() -> None:
    options = {"null_values": ["", "NA", "\\N"]}
    content = b'a,b,n\nNA,"NA",NA\n\\N,"x ""NA""",5\n"a\nNA","\\N",\n NA,,"NA"\n'

    found = read(content, {**AB, "n": "int64"}, options)

    assert found.rows == [(None, "NA", None, 0), (None, 'x "NA"', 5, 1), ("a\nNA", "\\N", None, 2)]
    assert found.rejects[0][4] == "column n: 'NA' is no int64"


def test_an_empty_field_is_empty_text_where_it_does_not_mean_null() -> None:
    found = read(b'a,n\n,\n"",1\nNA,2\n', {"a": "string", "n": "int64"}, {"null_values": ["NA"]})

    assert found.rows == [("", None, 0), ("", 1, 1), (None, 2, 2)]


def test_an_escape_makes_the_next_character_text() -> None:
    options = {"escape": "\\"}
    content = b'a,b\n"x \\"y\\"",1\\,5\n\\\\,"p\\\nq""r"\n"a\\n",2\nx\\,1\n3,4\n'

    found = read(content, AB, options)

    assert found.rows == [('x "y"', "1,5", 0), ("\\", 'p\nq"r', 1), ("an", "2", 2), ("3", "4", 4)]
    assert found.rejects == [(b"x\\,1", 40, 6, "syntax", "1 fields where the header has 2")]
    for chunk_bytes in (1, 3, 20):
        assert read(content, AB, options, chunk_bytes=chunk_bytes) == found


def test_no_quote_reads_quotes_as_text() -> None:
    assert read(b'a,b\n"1,2"\n', AB, {"quote": ""}).rows == [('"1', '2"', 0)]


@pytest.mark.parametrize(("encoding", "text"), [("latin-1", "é\x80"), ("windows-1252", "€"), ("utf-16", "é😀\u2028")])
def test_an_encoding_is_read_and_rejects_have_the_bytes_of_the_file(encoding: str, text: str) -> None:
    content = f'a,b\n1,{text}\n{text}\n2,"{text}"\n'.encode(encoding)

    for chunk_bytes in (1, 3, 1000):
        found = read(content, AB, {"encoding": encoding}, chunk_bytes=chunk_bytes)
        assert found.rows == [("1", text, 0), ("2", text, 2)]
        [(raw, offset, line, rule, _)] = found.rejects
        assert (line, rule) == (3, "syntax")
        assert content[offset : offset + len(raw)] == raw
        assert raw.decode(encoding if encoding != "utf-16" else "utf-16-le") == text


def test_bytes_that_the_encoding_lacks_reject_their_record() -> None:
    found = read(b"a,b\n1,\x81\n2,\x80\n", AB, {"encoding": "windows-1252"})
    assert found.rows == [("2", "€", 1)]
    assert found.rejects == [(b"1,\x81", 4, 2, "encoding", "not windows-1252 at byte 2 of the record")]
    lone = b"\xff\xfe" + "a,b\n1,".encode("utf-16-le") + b"\x00\xd8" + "\n2,3".encode("utf-16-le") + b"\x00"
    found = read(lone, AB, {"encoding": "utf-16"})
    assert (found.rows, found.rules) == ([], ["encoding", "encoding"])


def test_utf_16_needs_its_byte_order_mark() -> None:
    with pytest.raises(UnreadableFileError, match="UTF-16 without a byte order mark"):
        read(b"a,b\n", AB, {"encoding": "utf-16"})


def test_a_decimal_comma_is_the_only_point() -> None:
    schema: Any = {"f": "float64", "d": "decimal(6,2)", "n": "int64"}
    options = {"decimal_comma": True, "delimiter": ";"}

    found = read(b"f;d;n\n1,5;-2,50;3\n1.5;1;1\n1.000,5;1;1\n;1;1,0\n1e2;1;1\n", schema, options)

    assert found.rows == [(1.5, Decimal("-2.50"), 3, 0), (100.0, Decimal(1), 1, 4)]
    assert [reject[4] for reject in found.rejects] == [
        "column f: '1.5' is no float64",
        "column f: '1.000,5' is no float64",
        "column n: '1,0' is no int64",
    ]


def test_dates_and_timestamps_are_read_as_their_format_says_and_in_no_other_way() -> None:
    schema: Any = {"d": "date", "t": "timestamp", "u": "timestamp(UTC)"}
    options = {"date_format": "%d/%m/%Y", "timestamp_format": "%d.%m.%Y %H:%M:%S%.f", "timezone": "Europe/Berlin"}
    content = b"""d,t,u
03/02/2024,03.02.2024 10:20:30.5,03.07.2024 10:20:30
2024-02-03,,
13/13/2024,,
03/02/24,,
,03.02.2024 10:20:30.1234567,
,,31.03.2024 02:30:00
,,27.10.2024 02:30:00
"""
    found = read(content, schema, options)

    assert found.rows == [
        (date(2024, 2, 3), datetime(2024, 2, 3, 10, 20, 30, 500_000), datetime(2024, 7, 3, 8, 20, 30, tzinfo=UTC), 0)  # noqa: DTZ001
    ]
    assert [reject[4] for reject in found.rejects] == [
        "column d: '2024-02-03' is no date as %d/%m/%Y",
        "column d: '13/13/2024' is no date as %d/%m/%Y",
        "column d: '03/02/24' is no date as %d/%m/%Y",
        "column t: '03.02.2024 10:20:30.1234567' is no timestamp as %d.%m.%Y %H:%M:%S%.f",
        "column u: '31.03.2024 02:30:00' is no timestamp(UTC) as %d.%m.%Y %H:%M:%S%.f",
        "column u: '27.10.2024 02:30:00' is no timestamp(UTC) as %d.%m.%Y %H:%M:%S%.f",
    ]


def test_a_timezone_is_that_of_iso_timestamps_without_an_offset() -> None:
    content = b"u\n2024-07-03T10:20:30\n2024-07-03T10:20:30Z\n2024-03-31 02:30:00\n2024-07-03\n"

    found = read(content, {"u": "timestamp(UTC)"}, {"timezone": "Europe/Berlin"})

    assert [row[0].isoformat() for row in found.rows] == [
        "2024-07-03T08:20:30+00:00",
        "2024-07-03T10:20:30+00:00",
        "2024-07-02T22:00:00+00:00",
    ]
    assert found.raws == [b"2024-03-31 02:30:00"]


def test_a_format_with_an_offset_is_for_timestamps_in_utc_alone() -> None:
    options = {"timestamp_format": "%Y-%m-%d %H:%M:%S %z"}

    found = read(b"u\n2024-07-03 10:20:30 +0200\n", {"u": "timestamp(UTC)"}, options)
    assert found.rows == [(datetime(2024, 7, 3, 8, 20, 30, tzinfo=UTC), 0)]
    assert read(b"u\n2024-07-03 10:20:30 +0200\n", {"u": "timestamp"}, options).rules == ["type"]
    assert read(b"u\n2024-07-03\n", {"u": "timestamp(UTC)"}, {"timestamp_format": "%Y-%m-%d"}).rules == ["type"]


@pytest.mark.parametrize(
    "options",
    [
        {"delimiter": ""}, {"delimiter": ",,"}, {"delimiter": "é"}, {"delimiter": '"'}, {"escape": ","},
        {"skip_lines": -1}, {"null_values": ["a,b"]}, {"null_values": ['"']}, {"encoding": "ebcdic"},
        {"date_format": "no format"}, {"timestamp_format": "%Q"}, {"timezone": "Mars/Olympus"}, {"nulls": []},
    ],
)  # fmt: skip
def test_options_that_do_not_work_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CsvOptions(**options)
