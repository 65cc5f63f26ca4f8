"""Avro: records as columns, logical types exactly."""

from __future__ import annotations

import io
import json
import sys
import uuid
import zlib
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from etl.errors import ConfigError, UnreadableFileError
from etl.schema_contract import RESCUE, STRICT, SchemaContract, Survey
from tests.unit.formats.files import avro, opener, read, survey

NOON = datetime(2024, 1, 1, 12, 0, 0, 123_000, UTC)


def logical(kind: str, logical_type: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "logicalType": logical_type, **more}


@pytest.mark.parametrize(
    ("kind", "value", "tree", "expected"),
    [
        ("boolean", True, "boolean", True),
        ("int", -1, "int32", -1),
        ("long", 2**62, "int64", 2**62),
        ("float", 1.5, "float32", 1.5),
        ("double", 0.1, "float64", 0.1),
        ("string", "é", "string", "é"),
        ("bytes", b"\xff", "binary", b"\xff"),
        ({"type": "fixed", "name": "f", "size": 2}, b"ab", "binary", b"ab"),
        ({"type": "enum", "name": "e", "symbols": ["A", "B"]}, "B", "string", "B"),
        (logical("bytes", "decimal", precision=10, scale=2), Decimal("-1.20"), "decimal(10,2)", Decimal("-1.20")),
        (
            logical("fixed", "decimal", name="d", size=16, precision=38, scale=3),
            Decimal("9" * 35),
            "decimal(38,3)",
            Decimal("9" * 35 + ".000"),
        ),
        (logical("int", "date"), date(2024, 2, 29), "date", date(2024, 2, 29)),
        (logical("int", "time-millis"), time(1, 2, 3, 4000), "time", time(1, 2, 3, 4000)),
        (logical("long", "time-micros"), time(1, 2, 3, 4), "time", time(1, 2, 3, 4)),
        (logical("long", "timestamp-millis"), NOON, "timestamp(UTC)", NOON),
        (logical("long", "timestamp-micros"), NOON, "timestamp(UTC)", NOON),
        (logical("long", "local-timestamp-millis"), NOON.replace(tzinfo=None), "timestamp", NOON.replace(tzinfo=None)),
        (logical("long", "local-timestamp-micros"), NOON.replace(tzinfo=None), "timestamp", NOON.replace(tzinfo=None)),
        (logical("string", "uuid"), uuid.UUID(int=5), "string", "00000000-0000-0000-0000-000000000005"),
        (logical("string", "unheard-of"), "x", "string", "x"),
        (["null", "long"], None, "int64", None),
        (["long", "null"], 5, "int64", 5),
        (["null", "int", "long"], 5, "int64", 5),
        (["null", "long", "double"], 5, "float64", 5.0),
        ("null", None, "null", None),
        ({"type": "array", "items": ["null", "int"]}, [1, None], {"list": "int32"}, [1, None]),
        (
            {"type": "map", "values": logical("int", "date")},
            {"k": date(2024, 1, 1)},
            {"list": {"struct": {"key": "string", "value": "date"}}},
            [{"key": "k", "value": date(2024, 1, 1)}],
        ),
        (
            {
                "type": "record",
                "name": "q",
                "fields": [{"name": "d", "type": logical("bytes", "decimal", precision=4, scale=1)}],
            },
            {"d": Decimal("1.5")},
            {"struct": {"d": "decimal(4,1)"}},
            {"d": Decimal("1.5")},
        ),
        (
            [
                "null",
                {
                    "type": "array",
                    "items": {
                        "type": "record",
                        "name": "q",
                        "fields": [{"name": "t", "type": logical("long", "timestamp-micros")}],
                    },
                },
            ],
            [{"t": NOON}, {"t": NOON}],
            {"list": {"struct": {"t": "timestamp(UTC)"}}},
            [{"t": NOON}, {"t": NOON}],
        ),
    ],
)
def test_type_has_a_column_type_and_its_values_are_exact(kind: Any, value: Any, tree: Any, expected: Any) -> None:
    content = avro({"n": "int", "a": kind}, [{"n": 1, "a": value}, {"n": 2, "a": value}])
    assert survey("avro", content).schema == {"n": "int32", "a": tree}
    assert read("avro", content, {"n": "int32", "a": tree}, STRICT).rows == [(1, expected, 0), (2, expected, 1)]


def test_type_that_is_named_before_is_known_again() -> None:
    point = {"type": "record", "name": "geo.point", "fields": [{"name": "x", "type": "int"}]}
    content = avro({"a": point, "b": ["null", "geo.point"]}, [{"a": {"x": 1}, "b": {"x": 2}}])
    assert read("avro", content, {"a": {"struct": {"x": "int32"}}, "b": {"struct": {"x": "int32"}}}).rows == [
        ({"x": 1}, {"x": 2}, 0)
    ]


@pytest.mark.parametrize(
    ("kind", "value", "fault"),
    [
        (["null", "string", "long"], "x", "a union of null, string, long has no column type"),
        (logical("fixed", "duration", name="d", size=12), b"x" * 12, "a duration has no column type"),
        ({"type": "array", "items": "null"}, [None], "an array of nulls has no column type"),
        (logical("bytes", "decimal", precision=50, scale=2), Decimal(1), r"decimal\(50,2\) has no column type"),
    ],
)
def test_type_without_a_column_type_makes_the_file_unreadable(kind: Any, value: Any, fault: str) -> None:
    with pytest.raises(UnreadableFileError, match=rf"^in/f: the schema of the file: .*{fault}"):
        survey("avro", avro({"a": kind}, [{"a": value}]))


def test_type_that_holds_itself_makes_the_file_unreadable() -> None:
    node = {"type": "record", "name": "node", "fields": [{"name": "next", "type": ["null", "node"]}]}
    with pytest.raises(UnreadableFileError, match="type node holds itself"):
        survey("avro", avro({"a": node}, [{"a": {"next": None}}]))


def test_moments_that_no_column_holds_set_their_row_aside_or_are_rescued() -> None:
    nanos = logical("long", "timestamp-nanos")
    content = avro({"t": nanos}, [{"t": 1000}, {"t": 1001}, {"t": 2**62 + 1}])
    found = read("avro", content, {"t": "timestamp(UTC)"}, STRICT)
    assert [row[-1] for row in found.rows] == [0]
    assert [fault[:2] for fault in found.faults] == [(1, "type"), (2, "type")]
    rescued = read("avro", content, {"t": "timestamp(UTC)", "_rescued_data": "string"}, RESCUE)
    assert [row[1] for row in rescued.rows][:2] == [None, '{"t":"1970-01-01T00:00:00.000001001Z"}']


def number(value: int) -> bytes:
    """Return Avro's form of a number that is not negative."""
    left, found = value << 1, b""
    while left > 127:
        found += bytes([left & 127 | 128])
        left >>= 7
    return found + bytes([left])


def container(codec: str, blocks: list[tuple[int, bytes]], sync: bytes = b"0123456789abcdef") -> bytes:
    """Return a file of records of one long, ``a``."""
    schema = json.dumps({"type": "record", "name": "r", "fields": [{"name": "a", "type": "long"}]}).encode()
    meta = b"".join(number(len(each)) + each for each in (b"avro.schema", schema, b"avro.codec", codec.encode()))
    head = b"Obj\x01" + number(2) + meta + number(0) + b"0123456789abcdef"
    return head + b"".join(number(rows) + number(len(each)) + each + sync for rows, each in blocks)


PLAIN = b"".join(number(value) for value in range(1000))


@pytest.mark.parametrize("codec", ["null", "deflate", "bzip2", "xz"])
def test_codecs_of_the_library_are_read(codec: str) -> None:
    rows = [{"a": value} for value in range(1000)]
    assert read("avro", avro({"a": "long"}, rows, codec), {"a": "int64"}).rows == [(row, row) for row in range(1000)]


def test_snappy_and_zstandard_are_read() -> None:
    packed = bytes(pa.Codec("snappy").compress(PLAIN)) + zlib.crc32(PLAIN).to_bytes(4, "big")
    zstd = bytes(pa.Codec("zstd").compress(PLAIN))
    for content in (container("snappy", [(1000, packed)]), container("zstandard", [(1000, zstd), (1000, zstd)])):
        assert [row[0] for row in read("avro", content, {"a": "int64"}).rows][:1000] == list(range(1000))
    stream = io.BytesIO()
    pl.DataFrame({"a": [1, 2]}).write_avro(stream, compression="snappy")
    assert read("avro", stream.getvalue(), {"a": "int64"}).rows == [(1, 0), (2, 1)]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "not a whole Avro file: the file ends in the middle"),
        (b"a,b\n1,2\n", "not a whole Avro file: it does not start as an Avro file does"),
        (container("lzo", []), "not a whole Avro file: codec 'lzo' is not one of null, deflate, snappy"),
        (container("null", [(1000, PLAIN)])[:-1], "data is damaged: the file ends in the middle"),
        (container("null", [(1000, PLAIN)], b"x" * 16), "a block does not end with the file's sync marker"),
        (container("null", [(999, PLAIN)]), "a block is longer than its records"),
        (container("null", [(1001, PLAIN)]), "data is damaged"),
        (container("null", [(2**40, b"")]), "a block of 1099511627776 records and 0 bytes"),
        (container("deflate", [(1, b"\xff\xff")]), "a block cannot be decompressed"),
        (container("snappy", [(1, bytes(pa.Codec("snappy").compress(b"\2")) + b"0000")]), "the checksum of a block"),
        (container("zstandard", [(1, b"no zstd")]), "data is damaged"),
    ],
)
def test_file_that_is_not_whole_is_unreadable(content: bytes, fault: str) -> None:
    for act in (lambda: read("avro", content, {"a": "int64"}), lambda: survey("avro", content)):
        with pytest.raises(UnreadableFileError, match=rf"^in/f: .*{fault}"):
            act()


def test_text_that_is_not_utf8_sets_its_row_aside() -> None:
    content = avro({"n": "int", "s": "string"}, [{"n": 1, "s": "ok"}, {"n": 2, "s": "AB"}]).replace(b"AB", b"A\xff")
    found = read("avro", content, {"n": "int32", "s": "string"}, STRICT)
    assert found.rows == [(1, "ok", 0)]
    assert found.faults == [(1, "encoding", "column s: text is not UTF-8")]
    assert json.loads(found.rejects[0]["raw"]) == {"n": 2, "s": "Qf8="}


def test_contract_counts_for_fields() -> None:
    content = avro({"a": "long", "n": "string"}, [{"a": 300, "n": "x"}])
    assert survey("avro", content, {"a": "int32"}).schema == {"a": "int64", "n": "string"}
    assert read("avro", content, {"a": "int8"}, SchemaContract("ignore", "quarantine")).faults == [
        (0, "type", "column a: Integer value 300 not in range: -128 to 127")
    ]
    assert read("avro", content, {"a": "int8", "_rescued_data": "string"}, RESCUE).rows == [
        (None, '{"a":300,"n":"x"}', 0)
    ]


def test_file_without_records_or_with_many_is_read() -> None:
    assert survey("avro", avro({"a": "long"}, [])) == Survey({"a": "int64"})
    content = avro({"a": "long"}, [{"a": value} for value in range(70_000)])
    assert read("avro", opener(content), {"a": "int64"}).rows == [(row, row) for row in range(70_000)]


def test_missing_library_is_named_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastavro", None)
    with pytest.raises(
        ConfigError, match=r'needs the library fastavro\n  install it: pip install "lakehouse-etl\[avro\]"'
    ):
        survey("avro", container("null", []))
