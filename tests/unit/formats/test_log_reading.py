from __future__ import annotations

import gzip
import io
import random
from typing import Any

import polars as pl
import pytest

from etl.errors import ConfigError, RowError, SchemaDriftError
from etl.formats.line_pieces import LineNumbers
from etl.formats.log_formats import format_from
from etl.schema_contract import EVOLVE, RESCUE, STRICT, SchemaContract
from tests.unit.formats.log_files import opener, parsed, read

WORDS = {"regex": "(?P<word>[a-zé]+)(?: (?P<n>[^ ]+))?"}


CONTENT = b"one 1\r\n\nTWO\nthr\xffee\nfour 4\n\xc3\xa9\nlonger than it may be\nlast"


ROWS = [("one", "1", 0), ("four", "4", 19), ("é", None, 26), ("last", None, 51)]


NO_MATCH = "the pattern does not match the whole line"


REJECTS = [
    (8, 3, "syntax", NO_MATCH, b"TWO"),
    (12, 4, "encoding", "not UTF-8: byte 0xff at byte 3 of the line", b"thr\xffee"),
    (29, 7, "too_long", "a line of more than 10 bytes; its first 11 bytes are kept", b"longer than"),
]


@pytest.mark.parametrize("chunk_bytes", [*range(1, 60), 4_000_000])
def test_rows_and_rejects_do_not_depend_on_where_a_file_is_cut(chunk_bytes: int) -> None:
    found = read(WORDS, CONTENT, chunk_bytes=chunk_bytes, max_line_bytes=10)

    assert found.rows == ROWS
    assert sorted(found.rejects) == REJECTS


@pytest.mark.parametrize("chunk_bytes", [1, 7, 4_000_000])
def test_a_compressed_file_gives_the_same_rows_at_the_same_places(chunk_bytes: int) -> None:
    found = read(WORDS, gzip.compress(CONTENT), chunk_bytes=chunk_bytes, max_line_bytes=10)

    assert found.rows == ROWS
    assert sorted(found.rejects) == REJECTS


@pytest.mark.parametrize("chunk_bytes", [1, 2, 3, 4, 100])
def test_a_byte_order_mark_at_the_start_is_no_part_of_the_first_line(chunk_bytes: int) -> None:
    found = read(WORDS, b"\xef\xbb\xbfone\ntwo", chunk_bytes=chunk_bytes)

    assert found.rows == [("one", None, 3), ("two", None, 7)]
    assert found.rejects == []


def test_lines_keeps_blank_lines_and_whatever_else_stands_there() -> None:
    found = read("lines", b"\n a\t\n\x00\xe2\x80\xa8\r\n\r\nb\rc")

    assert found.rows == [("", 0), (" a\t", 1), ("\x00\u2028", 5), ("", 11), ("b\rc", 13)]
    assert found.rejects == []


def test_an_empty_file_has_no_rows() -> None:
    assert read("combined", b"") == ([], [])


def test_a_long_line_is_read_over_in_bounded_memory() -> None:
    class Endless(io.RawIOBase):
        """``x`` 50 million times, then a line; remembers the most that was asked for."""

        def __init__(self) -> None:
            self.left = 50_000_000
            self.tail = b"\none\n"

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            size = min(len(buffer), self.left)
            if size:
                buffer[:size] = b"x" * size
                self.left -= size
                return size
            size = min(len(buffer), len(self.tail))
            buffer[:size], self.tail = self.tail[:size], self.tail[size:]
            return size

    from etl.formats.line_pieces import pieces

    file = opener(b"", chunk_bytes=1000, max_line_bytes=10)
    found = list(pieces(io.BufferedReader(Endless()), file))

    assert [(piece.start, len(piece.content), piece.is_long) for piece in found] == [
        (0, 1003, True),
        (50_000_001, 4, False),
    ]


def test_line_numbers_are_the_same_in_any_order_of_asking() -> None:
    content = b"".join(b"x" * random.Random(7).randint(0, 30) + b"\n" for _ in range(100))
    numbers = LineNumbers(opener(content, chunk_bytes=16))

    for offset in [0, 5, len(content), 40, 7, 1000, len(content)]:
        assert numbers.before(offset) == content[:offset].count(b"\n")


@pytest.mark.parametrize("chunk_bytes", [1, 3, 10, 4_000_000])
def test_lines_that_go_on_join_the_line_that_matches_start(chunk_bytes: int) -> None:
    content = b"  early\n1 a\r\n  b\n\n2 c\n\xff\n  d\n3"

    found = read("lines", content, options={"multiline": {"start": "^[0-9]"}}, chunk_bytes=chunk_bytes)

    assert found.rows == [("  early", 0), ("1 a\n  b\n", 8), ("2 c\n  d", 18), ("3", 28)]
    assert found.rejects == [(22, 6, "encoding", "not UTF-8: byte 0xff at byte 0 of the line", b"\xff")]


@pytest.mark.parametrize("chunk_bytes", [1, 40, 90, 4_000_000])
def test_parts_of_container_lines_join_by_stream_wherever_the_file_is_cut(chunk_bytes: int) -> None:
    time = "2024-03-05T10:20:30.5Z"
    lines = [
        f"{time} stderr P a",
        f"{time} stdout P 1",
        f"{time} stderr F b",
        "junk",
        f"{time} stdout P 2",
        f"{time} stderr F c",
        f"{time} stdout F 3",
        f"{time} stdout P open",
    ]
    content = "".join(f"{line}\n" for line in lines).encode()
    size = len(lines[0]) + 1

    found = read("cri", content, chunk_bytes=chunk_bytes)

    assert [row[1:3] + row[4:] for row in found.rows] == [
        ("stderr", "ab", 0),
        ("stdout", "123", size),
        ("stderr", "c", 4 * size + 5),
        ("stdout", "open", 6 * size + 5),
    ]
    assert [(place, line, raw) for place, line, _, _, raw in found.rejects] == [(3 * size, 4, b"junk")]


TYPED = {"word": "string", "n": "int8"}


def test_a_declared_type_is_kept_exactly_or_the_line_is_rejected() -> None:
    found = read(WORDS, b"a 7\nb 128\nc x\nd\n", TYPED, contract=STRICT)

    assert found.rows == [("a", 7, 0), ("d", None, 14)]
    assert found.rejects == [
        (4, 2, "type", "n: 128 is no int8", b"b 128"),
        (10, 3, "type", "n: x is no int8", b"c x"),
    ]


def test_a_value_that_its_type_cannot_hold_is_rescued_where_the_contract_says_so() -> None:
    found = read(WORDS, b"a 7\nb 128\n-\n", TYPED | {"_rescued_data": "string"}, contract=RESCUE)

    assert found.rows == [("a", 7, None, 0), ("b", None, '{"n": "128"}', 4)]
    assert found.rejects == [(10, 3, "syntax", NO_MATCH, b"-")]


@pytest.mark.parametrize(
    ("contract", "content", "reason"),
    [
        (SchemaContract(type_change="fail"), b"a 7\nb x\n", "n: x is no int8"),
        (SchemaContract(new_columns="fail"), b"n=1\nn=1 other=x\n", "other is not in the schema"),
        (SchemaContract("ignore", "quarantine", "fail"), b"n=1\nm=1\n", "no n, which the schema has"),
    ],
)
def test_a_policy_of_fail_names_the_line(contract: SchemaContract, content: bytes, reason: str) -> None:
    form, schema = (WORDS, TYPED) if b"=" not in content else ("logfmt", {"n": "int8"})

    with pytest.raises(RowError) as caught:
        read(form, content, schema, contract=contract)
    assert caught.value.where == "in/f.log:2"
    assert caught.value.message == reason


LOGFMT = b"a=1 b=2\na=x c=3\nd=4\n"


def test_logfmt_evolves_by_the_keys_of_rows_that_are_not_rejected() -> None:
    form = format_from("logfmt", None, SchemaContract("evolve", "quarantine", "null"))
    known = form.survey(opener(b"a=1\n"), None)
    assert known.schema == {"a": "string"}

    typed = type(known)({"a": "int64"})
    assert form.survey(opener(LOGFMT), typed).schema == {"a": "int64", "b": "string", "d": "string"}
    with pytest.raises(SchemaDriftError, match="the schema lacks b"):
        read("logfmt", LOGFMT, {"a": "int64"}, contract=EVOLVE)


@pytest.mark.parametrize(
    ("policy", "rows", "rejects"),
    [
        ("rescue", [("1", '{"b": "2"}', 0), ("x", '{"c": "3"}', 8), (None, '{"d": "4"}', 16)], []),
        ("ignore", [("1", 0), ("x", 8), (None, 16)], []),
        ("quarantine", [], ["b is not in the schema", "c is not in the schema", "d is not in the schema"]),
    ],
)
def test_keys_beyond_the_schema_go_where_the_contract_says(policy: Any, rows: Any, rejects: list[str]) -> None:
    schema = {"a": "string"} | ({"_rescued_data": "string"} if policy == "rescue" else {})

    found = read("logfmt", LOGFMT, schema, contract=SchemaContract(policy, "quarantine", "null"))

    assert found.rows == rows
    assert [reject[3] for reject in found.rejects] == rejects


def test_a_line_without_a_key_of_the_schema_is_rejected_where_the_contract_says_so() -> None:
    found = read("logfmt", LOGFMT, {"a": "string"}, contract=SchemaContract("ignore", "quarantine", "quarantine"))

    assert found.rows == [("1", 0), ("x", 8)]
    assert found.rejects == [(16, 3, "missing_column", "no a, which the schema has", b"d=4")]


@pytest.mark.parametrize(
    ("schema", "contract", "message"),
    [
        ({"word": "string"}, STRICT, "the schema lacks what the format gives: n"),
        (TYPED | {"x": "string"}, SchemaContract(missing_columns="fail"), "the format gives no x"),
        (TYPED | {"n": {"list": "string"}}, STRICT, "n: the format gives string, which cannot be read as list<string>"),
    ],
)
def test_a_schema_that_no_line_could_fit_is_refused_before_any_is_read(
    schema: Any, contract: SchemaContract, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        read(WORDS, b"a 7\n", schema, contract=contract)
    assert caught.value.message == message


def test_a_schema_that_lacks_columns_of_the_format_evolves_or_does_without() -> None:
    with pytest.raises(SchemaDriftError):
        read(WORDS, b"a 7\n", {"word": "string"}, contract=EVOLVE)
    form = format_from(WORDS, None, EVOLVE)
    known = form.survey(opener(b"a 7\n"), None)
    assert form.survey(opener(b""), type(known)({"word": "string"})).schema == {"word": "string", "n": "string"}
    assert read(WORDS, b"a 7\n", {"n": "int8"}, contract=SchemaContract("ignore")).rows == [(7, 0)]
    assert read(WORDS, b"a 7\n", {"n": "int8", "z": "date", "word": "string"}).rows == [(7, None, "a", 0)]


def test_a_number_of_the_format_may_be_read_as_a_wider_or_narrower_one() -> None:
    line = b'a - - [05/Mar/2024:10:20:30 +0000] "-" 200 70000\n'
    names = format_from("common").way.parser.schema
    assert names is not None

    found = read("common", line * 2, names | {"status": "int16", "body_bytes": "uint16"}, contract=STRICT)

    assert found.rows == []
    assert [reject[3] for reject in found.rejects] == ["body_bytes: 70000 is no uint16"] * 2
    assert read("common", line, names | {"body_bytes": "float64"}, contract=STRICT).rows[0][9] == 70000.0


def test_null_is_a_row_of_nulls_in_every_format() -> None:
    for form in ("lines", "common", "combined", "syslog_rfc3164", "syslog_rfc5424", "cri", WORDS):
        result = format_from(form).way.parser.parse(pl.Series([None, None], dtype=pl.String), None)
        assert result.reasons is None
        assert set(result.frame.row(0)) == {None}
    assert parsed("logfmt", "a=1") == [{"a": "1"}]
