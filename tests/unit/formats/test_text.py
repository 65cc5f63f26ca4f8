"""Text: a row a line, whatever is in it."""

from __future__ import annotations

import gzip
from typing import Any

import pytest

from etl.errors import ConfigError, SchemaDriftError, UnreadableFileError
from etl.schema_contract import RESCUE, STRICT, SchemaContract
from tests.unit.formats.files import opener, read, survey

LINE = {"line": "string"}


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b"", []),
        (b"\n", [("", 0)]),
        (b"a", [("a", 0)]),
        (b"a\nb\n", [("a", 0), ("b", 2)]),
        (b"a\r\n\r\n \nb\r", [("a", 0), ("", 3), (" ", 5), ("b", 7)]),
        (b"a\rb\n", [("a\rb", 0)]),
        (b"\xef\xbb\xbfa\n\xef\xbb\xbfb", [("a", 3), ("\ufeffb", 5)]),
        (b"\xef\xbb", []),
        ("é\u2028x\x0b\x0c\x85\n\0\n".encode(), [("é\u2028x\x0b\x0c\x85", 0), ("\0", 11)]),
        (b'"quoted\n,", \n', [('"quoted', 0), (',", ', 8)]),
    ],
)
def test_every_line_is_a_row_at_its_byte(content: bytes, rows: list[tuple[Any, ...]]) -> None:
    for chunk_bytes in (1, 2, 3, 1000):
        found = read("text", opener(content, chunk_bytes=chunk_bytes), LINE)
        assert found.rows == rows
        assert len(found.rejects) == (content == b"\xef\xbb")


def test_line_that_is_no_text_is_set_aside_and_its_neighbours_are_read() -> None:
    content = b"one\nt\xffwo\r\nthr\xc3\xa9e\n\xe9\nfive"
    for chunk_bytes in (1, 5, 1000):
        found = read("text", opener(content, chunk_bytes=chunk_bytes), LINE)
        assert found.rows == [("one", 0), ("thrée", 10), ("five", 19)]
        assert found.faults == [
            (4, "encoding", "not utf-8: byte 0xff at byte 1 of the line"),
            (17, "encoding", "not utf-8: byte 0xe9 at byte 0 of the line"),
        ]
        assert [(each["raw"], each["line"], each["form"]) for each in found.rejects] == [
            (b"t\xffwo", 2, "text"),
            (b"\xe9", 4, "text"),
        ]


@pytest.mark.parametrize(
    ("encoding", "content", "rows", "faults"),
    [
        ("latin-1", b"\xe9\x80\nb\n", [("é\x80", 0), ("b", 3)], []),
        ("windows-1252", b"\xe9\x80\n\x81\nc", [("é€", 0), ("c", 5)], [(3, "encoding")]),
        ("latin-1", b"\xef\xbb\xbfa", [("ï»¿a", 0)], []),
    ],
)
def test_other_encodings_are_read_when_named(encoding: str, content: bytes, rows: Any, faults: Any) -> None:
    found = read("text", content, LINE, options={"encoding": encoding})
    assert found.rows == rows
    assert [fault[:2] for fault in found.faults] == faults


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
def test_line_that_is_too_long_is_set_aside_whatever_the_size_of_the_pieces(end: bytes) -> None:
    content = b"a\n" + b"x" * 10 + b"\n" + b"y" * 11 + end
    content += b"last\n" if end else b""
    for chunk_bytes in (1, 3, 12, 13, 14, 1000):
        found = read("text", opener(content, chunk_bytes=chunk_bytes, max_line_bytes=10), LINE)
        expected = [("a", 0), ("x" * 10, 2)] + ([("last", 24 + len(end))] if end else [])
        assert found.rows == expected
        assert found.faults == [(13, "too_long", "a line is longer than 10 bytes")]
        assert [(each["raw"], each["line"]) for each in found.rejects] == [(b"y" * 11, 3)]


def test_of_a_line_that_is_too_long_the_first_64_kilobytes_are_kept() -> None:
    content = b"0123456789" * 20_000 + b"\nb"
    for chunk_bytes in (10_000, 1_000_000):
        found = read("text", opener(content, chunk_bytes=chunk_bytes, max_line_bytes=100_000), LINE)
        assert [each["raw"] for each in found.rejects] == [content[:65_536]]
        assert found.rows == [("b", 200_001)]


def test_compressed_text_is_read_and_damage_makes_it_unreadable() -> None:
    content = gzip.compress(b"a\nb\n")
    assert read("text", content, LINE).rows == [("a", 0), ("b", 2)]
    for act in (lambda: read("text", content[:-1], LINE), lambda: survey("text", content[:-1])):
        with pytest.raises(UnreadableFileError, match=r"^in/f: compressed data is damaged"):
            act()


def test_contract_counts_for_the_column_as_for_any_other() -> None:
    content = b"a\n\xff\n"
    assert survey("text", content, {"x": "int64"}).schema == {"x": "int64", "line": "string"}
    with pytest.raises(SchemaDriftError):
        read("text", content, {"x": "int64"})
    assert read("text", content, {"x": "int64", "line": "string"}).rows == [(None, "a", 0)]
    assert read("text", content, {"x": "int64"}, SchemaContract("ignore")).rows == [(None, 0)]
    assert read("text", content, {"x": "int64", "_rescued_data": "string"}, RESCUE).rows == [(None, '{"line":"a"}', 0)]
    assert read("text", content, {"x": "int64"}, STRICT).faults == [
        (0, "new_column", "columns that the schema lacks: line"),
        (2, "encoding", "not utf-8: byte 0xff at byte 0 of the line"),
    ]
    missing = read("text", b"a\n", {"x": "int64", "line": "string"}, SchemaContract("evolve", "widen", "quarantine"))
    assert missing.faults == [(0, "missing_column", "columns that the file lacks: x")]
    assert [each["raw"] for each in missing.rejects] == [b"a"]


def test_line_is_nothing_but_text() -> None:
    with pytest.raises(ConfigError, match=r"^in/f: `line` is text"):
        read("text", b"1\n", {"line": "int64"})


def test_large_files_come_whole() -> None:
    lines = [f"line {number} é" if number % 1000 == 0 else f"line {number}" for number in range(300_000)]
    rows = read("text", opener("\r\n".join(lines).encode(), chunk_bytes=1_000_000), LINE).rows
    assert [row[0] for row in rows] == lines
    assert rows[-1][1] == len("\r\n".join(lines[:-1]).encode()) + 2
