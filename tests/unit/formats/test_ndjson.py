"""NDJSON: strict values, exact places, bad lines by themselves, the same rows at every chunk size."""

from __future__ import annotations

import gzip
import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.errors import UnreadableFileError
from etl.formats.contract import FileOpener
from etl.formats.ndjson import Ndjson
from etl.model import Schema
from etl.schema_contract import STRICT
from tests.unit.formats.json_reading import read, survey

N: Schema = {"n": "int64"}


NS = {"n": "int64", "s": "string"}


def test_rows_come_with_the_byte_where_their_line_starts() -> None:
    assert read(b'{"n": 1}\n{"n": 22}\n{"n": null}\n{}', N).rows == [(1, 0), (22, 9), (None, 19), (None, 31)]


def test_columns_come_in_the_order_of_the_schema() -> None:
    assert read(b'{"b":"x","a":1}\n', {"a": "int64", "z": "date", "b": "string"}).rows == [(1, None, "x", 0)]


def test_blank_lines_padding_crlf_and_byte_order_mark_keep_offsets_right() -> None:
    content = b'\xef\xbb\xbf{"n":1}\r\n\r\n \t\n  {"n":2} \r\n{"n":x}\r\n{"n":3}'
    found = read(content, N)
    assert found.rows == [(1, 3), (2, 17), (3, 38)]
    assert found.rejects == [(29, 5, "syntax", b'{"n":x}')]


@pytest.mark.parametrize("content", [b"", b"\n", b" \r\n\n", b"\xef\xbb\xbf"])
def test_file_without_objects_has_no_rows(content: bytes) -> None:
    assert read(content, N).rows == []
    assert survey(content).schema == {}


@pytest.mark.parametrize("chunk_bytes", [5, 7, 20, 64, 10_000])
@pytest.mark.parametrize("is_compressed", [False, True])
def test_rows_and_rejects_are_the_same_at_every_chunk_size(chunk_bytes: int, is_compressed: bool) -> None:
    lines = [
        (b'{"n":' if i % 9 == 5 else json.dumps({"n": i, "s": "é" * (i % 7)}, ensure_ascii=False).encode()) + b"\n"
        for i in range(40)
    ]
    content = b"".join(lines)
    offsets = [sum(map(len, lines[:i])) for i in range(40)]
    given = gzip.compress(content) if is_compressed else content
    found = read(given, NS, chunk_bytes=chunk_bytes)
    assert found.rows == [(i, "é" * (i % 7), offsets[i]) for i in range(40) if i % 9 != 5]
    assert found.rejects == [(offsets[i], i + 1, "syntax", b'{"n":') for i in (5, 14, 23, 32)]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ['{"n":1}', '{"n": 23, "s": "\\"}{"}', "", "  ", '{"s":"null"}\r', '{"s":"ü{}"}', "x", '{"n":"']
        ),
        max_size=12,
    ),
    st.integers(4, 40),
    st.booleans(),
)
def test_rows_equal_those_of_the_json_module(lines: list[str], chunk_bytes: int, ends_in_newline: bool) -> None:
    content = "\n".join(lines).encode() + (b"\n" if ends_in_newline else b"")
    rows, rejects, offset = [], [], 0
    for number, line in enumerate(content.split(b"\n"), 1):
        if line.strip():
            try:
                row = json.loads(line)
                rows.append((row.get("n"), row.get("s"), offset))
            except ValueError:
                rejects.append((offset, number, "syntax", line))
        offset += len(line) + 1
    found = read(content, NS, chunk_bytes=chunk_bytes)
    assert (found.rows, found.rejects) == (rows, rejects)


@pytest.mark.parametrize(
    ("line", "rule", "reason"),
    [
        (b"null", "syntax", "null, where an object should be"),
        (b"[1]", "syntax", "a list, where an object should be"),
        (b'"x"', "syntax", '"x", where an object should be'),
        (b"1.50", "syntax", "1.50, where an object should be"),
        (b"{", "syntax", "no JSON object: expecting property name enclosed in double quotes at character 2"),
        (b'{"n":1}{"n":2}', "syntax", "more than one JSON value on a line"),
        (b'{"n":1} null', "syntax", "more than one JSON value on a line"),
        (b'{"n":1}\r{"n":2}', "syntax", "more than one JSON value on a line"),
        (b'{"n":1,"n":2}', "syntax", 'the name "n" stands twice in one object'),
        (b'{"s":{"a":1,"\\u0061":2}}', "syntax", 'the name "a" stands twice in one object'),
        (b'{"n":NaN}', "syntax", "NaN is no JSON"),
        (b'{"n":-Infinity}', "syntax", "-Infinity is no JSON"),
        (b'{"s":"\\x"}', "syntax", "no JSON object: invalid \\escape at character 7"),
        (b'{"s":"a\tb"}', "syntax", "no JSON object: invalid control character at character 8"),
        (b'{"s":"a', "syntax", "no JSON object: unterminated string at character 6"),
        (b"\x00", "syntax", "no JSON object: expecting value at character 1"),
        (b'{"s":"\xff"}', "encoding", "not UTF-8: byte 0xff at byte 6 of the line"),
        (b'{"s":"\xed\xa0\x80"}', "encoding", "not UTF-8: byte 0xed at byte 6 of the line"),
        (b'{"s":"\\ud800"}', "encoding", "half a surrogate pair: \\ud800"),
        (b'{"\\udc00":1}', "encoding", "half a surrogate pair: \\udc00"),
        (b'{"n":1.0}', "type", "column n: 1.0 is no int64"),
        (b'{"n":1e2}', "type", "column n: 1e2 is no int64"),
        (b'{"n":"5"}', "type", 'column n: "5" is no int64'),
        (b'{"n":true}', "type", "column n: true is no int64"),
        (b'{"n":{}}', "type", "column n: an object is no int64"),
        (b'{"n":[1]}', "type", "column n: a list is no int64"),
        (b'{"n":9223372036854775808}', "type", "column n: 9223372036854775808 is beyond int64"),
        (b'{"n":1,"s":7}', "type", "column s: 7 is no string"),
        (b'{"n":1,"x":7}', "new_column", "column x is not in the schema"),
    ],
)
@pytest.mark.parametrize("chunk_bytes", [30, 10_000])
def test_line_that_does_not_fit_is_rejected_by_itself(line: bytes, rule: str, reason: str, chunk_bytes: int) -> None:
    content = b'{"n":1}\n\n' * 5 + line + b"\n" + b'{"n":1}\n' * 5
    found = read(content, NS, STRICT, chunk_bytes=chunk_bytes)
    assert found.rejects == [(45, 11, rule, line)]
    assert found.reasons == [reason]
    after = 45 + len(line) + 1
    assert found.rows == [(1, None, 9 * i) for i in range(5)] + [(1, None, after + 8 * i) for i in range(5)]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b'{"s":"\\u0000"}', "\x00"),
        (b'{"s":"\\ud83d\\ude00"}', "😀"),
        ('{"s":"\u2028\u0085"}'.encode(), "\u2028\u0085"),
        (b'{"s":"\x7f"}', "\x7f"),
        (b'{"s":"\\/\\b\\f"}', "/\b\f"),
        (b'{"s":\r"x"}', "x"),
        (b'{"\\u0073":"x"}', "x"),
    ],
)
def test_text_that_json_allows_is_kept_in_clean_and_dirty_pieces(line: bytes, value: str) -> None:
    assert read(line + b"\n", NS).rows == [(None, value, 0)]
    assert read(line + b"\nx\n", NS).rows == [(None, value, 0)]


def test_object_over_several_lines_is_refused_even_where_rows_and_lines_agree() -> None:
    found = read(b'{"n":\n{"n":1}}\n{"n":1}{"n":2}\n{"n":3}\n', N)
    assert found.rows == [(3, 30)]
    assert [(line, rule) for _, line, rule, _ in found.rejects] == [(1, "syntax"), (2, "syntax"), (3, "syntax")]


@pytest.mark.parametrize("content", [b'{"n":' * 5000 + b"1" + b"}" * 5000, b'{"n":' + b"[" * 5000 + b"]" * 5000 + b"}"])
def test_nesting_of_5000_levels_is_a_reject_and_not_a_crash(content: bytes) -> None:
    for schema in (N, {"n": "null"}):
        found = read(b'{"n":null}\n' + content + b"\n", schema)
        assert [(line, rule) for _, line, rule, _ in found.rejects] == [(2, "syntax")]
        assert found.reasons == ["nests deeper than 64 levels"]
        assert len(found.rows) == 1
    assert survey(b'{"n":null}\n' + content).schema == {"n": "null"}


def test_nesting_of_64_levels_is_read_and_65_are_rejected() -> None:
    def line(levels: int) -> bytes:
        return b'{"n":' + b"[" * levels + b"]" * levels + b"}\n"

    schema = survey(line(64)).schema
    assert len(read(line(64), schema).rows) == 1
    assert survey(line(65)).schema == {}
    assert read(line(65), schema, STRICT).reasons == ["nests deeper than 64 levels"]


@pytest.mark.parametrize("is_compressed", [False, True])
@pytest.mark.parametrize("chunk_bytes", [20, 300, 10_000])
def test_line_beyond_the_bound_is_rejected_and_the_file_goes_on(is_compressed: bool, chunk_bytes: int) -> None:
    content = b'{"s":"a"}\n{"s":"' + b"x" * 800 + b'"}\n{"s":"b"}\n{"s":' + b"y" * 900 + b"\r\n" + b'{"s":"c"}\n{'
    given = gzip.compress(content) if is_compressed else content
    found = read(given, {"s": "string"}, chunk_bytes=chunk_bytes, max_line_bytes=808)
    assert found.rows == [("a", 0), ("x" * 800, 10), ("b", 819), ("c", 1736)]
    assert [reject[:3] for reject in found.rejects] == [(829, 4, "too_long"), (1746, 6, "syntax")]
    assert found.rejects[0][3].startswith(b'{"s":yyy')
    assert found.reasons[0] == "longer than 808 bytes; of these the first 65536 are kept"
    shorter = read(given, {"s": "string"}, chunk_bytes=chunk_bytes, max_line_bytes=807)
    assert [reject[1] for reject in shorter.rejects] == [2, 4, 6]


def test_of_a_line_that_is_too_long_the_first_64_kilobytes_are_kept() -> None:
    content = b"x" * 200_000 + b'\n{"s":"a"}\n'
    for chunk_bytes in (30_000, 1_000_000):
        found = read(content, {"s": "string"}, chunk_bytes=chunk_bytes, max_line_bytes=100_000)
        assert found.rejects == [(0, 1, "too_long", b"x" * 65_536)]
        assert found.rows == [("a", 200_001)]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("chunk_bytes", [20, 10_000])
def test_utf16_is_an_unreadable_file_with_a_hint(encoding: str, chunk_bytes: int) -> None:
    content = ('{"n": 1}\n' * 20).encode(encoding)
    for look in (read, survey):
        with pytest.raises(UnreadableFileError, match=r"(?s)^in/f: the file is UTF-16.*convert it to UTF-8"):
            look(content, N, chunk_bytes=chunk_bytes)


def test_every_column_of_ten_thousand_is_read_and_a_bad_line_among_them_rejected() -> None:
    schema = {f"c{number}": "int64" for number in range(10_000)}
    row = {name: number for number, name in enumerate(schema)}
    content = b"".join(json.dumps(row | {"c7": value}).encode() + b"\n" for value in (7, "x", 8))
    found = read(content, schema)
    assert [line[7] for line in found.rows] == [7, 8]
    assert found.reasons == ['column c7: "x" is no int64']
    assert survey(content).schema == schema


def test_line_numbers_need_no_look_at_a_file_without_rejects() -> None:
    opened = []
    content = b'{"n":1}\n' * 100

    def open_file() -> io.BytesIO:
        opened.append(1)
        return io.BytesIO(content)

    file = FileOpener("f", len(content), open_file, chunk_bytes=100)
    tasks = list(Ndjson().tasks(file, N))
    assert sum(chunk.rows for task in tasks for chunk in task()) == 100
    assert len(opened) == 1 + len(tasks)


def test_tasks_in_any_order_tell_the_same_line_numbers() -> None:
    content = b'{"n":1}\n{"n":\n' * 50
    file = FileOpener("f", len(content), lambda: io.BytesIO(content), chunk_bytes=64)
    tasks = list(Ndjson().tasks(file, N))
    found = [[chunk.rejects["line"].to_list() for chunk in task()] for task in reversed(tasks)]  # type: ignore[index]
    lines = [line for task in reversed(found) for chunk in task for line in chunk]
    assert lines == list(range(2, 101, 2))
