"""Arrow IPC: files and streams; what Parquet's tests show of types and contracts holds here as well."""

from __future__ import annotations

import gzip

import pyarrow as pa
import pytest

from etl.errors import UnreadableFileError
from etl.schema_contract import STRICT
from tests.unit.formats.files import arrow, read, survey

COLUMNS = {
    "a": pa.array([1, None, 300]),
    "d": pa.array(["x", "y", "x"]).dictionary_encode(),
    "v": pa.array(["a longer text than twelve", "b", None], pa.string_view()),
    "l": pa.array([[1], None, [2, 3]], pa.list_view(pa.int64())),
    "m": pa.array([[("k", 1)], [], None], pa.map_(pa.string(), pa.int64())),
    "h": pa.array([1.5, 2.0, None], pa.float32()),
}
SCHEMA = {
    "a": "int64",
    "d": "string",
    "v": "string",
    "l": {"list": "int64"},
    "m": {"list": {"struct": {"key": "string", "value": "int64"}}},
    "h": "float32",
}
ROWS = [
    (1, "x", "a longer text than twelve", [1], [{"key": "k", "value": 1}], 1.5, 0),
    (None, "y", "b", None, [], 2.0, 1),
    (300, "x", None, [2, 3], None, None, 2),
]
FILE, STREAM = arrow(COLUMNS), arrow(COLUMNS, is_stream=True)


@pytest.mark.parametrize(
    "content",
    [FILE, STREAM, arrow(COLUMNS, compression="lz4"), arrow(COLUMNS, compression="zstd"), gzip.compress(FILE)],
    ids=["file", "stream", "lz4", "zstd", "gzip around"],
)
def test_file_and_stream_are_told_apart_and_read(content: bytes) -> None:
    assert survey("arrow", content).schema == SCHEMA
    assert read("arrow", content, SCHEMA).rows == ROWS


def test_value_that_does_not_fit_sets_its_row_aside() -> None:
    found = read("arrow", STREAM, {**SCHEMA, "a": "int8"}, STRICT)
    assert found.rows == ROWS[:2]
    assert found.faults == [(2, "type", "column a: Integer value 300 not in range: -128 to 127")]


def test_large_batches_are_cut() -> None:
    rows = read("arrow", arrow({"a": pa.array(range(200_000))}), {"a": "int64"}).rows
    assert rows == [(row, row) for row in range(200_000)]


def test_file_and_stream_without_rows_are_empty() -> None:
    for content in (arrow({"a": pa.array([], pa.int64())}), arrow({"a": pa.array([], pa.int64())}, is_stream=True)):
        assert survey("arrow", content).schema == {"a": "int64"}
        assert read("arrow", content, {"a": "int64"}).rows == []


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "not a whole Arrow file"),
        (b"ARROW1", "not a whole Arrow file"),
        (b'{"a": 1}\n', "not a whole Arrow file"),
        (b"FEA1" + b"\0" * 100, "Feather version 1 is not Arrow"),
        (FILE[:-1], "not a whole Arrow file"),
        (STREAM[:-8], "the stream has no end mark"),
        (STREAM[:-20], "data is damaged"),
        (STREAM + b"x", "something follows the end of the stream"),
        (STREAM + STREAM, "something follows the end of the stream"),
    ],
)
def test_file_that_is_not_whole_is_unreadable(content: bytes, fault: str) -> None:
    for act in (lambda: read("arrow", content, SCHEMA), lambda: survey("arrow", content)):
        with pytest.raises(UnreadableFileError, match=rf"^in/f: .*{fault}"):
            act()


def test_offsets_that_point_outside_make_the_file_unreadable() -> None:
    content = arrow({"a": pa.array(["first", "second", "third"])})
    offsets = (5).to_bytes(4, "little") + (11).to_bytes(4, "little")
    assert content.count(offsets) == 1
    wrong = content.replace(offsets, (5).to_bytes(4, "little") + (1 << 24).to_bytes(4, "little"))
    with pytest.raises(UnreadableFileError, match=r"^in/f: data is damaged: .*offset"):
        read("arrow", wrong, {"a": "string"})


def test_text_that_is_not_utf8_sets_its_row_aside() -> None:
    wrong = pa.Array.from_buffers(
        pa.string(), 2, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0"), pa.py_buffer(b"a\xff")]
    )
    found = read("arrow", arrow({"a": wrong}), {"a": "string"})
    assert (found.rows, [fault[0] for fault in found.faults]) == ([("a", 0)], [1])
