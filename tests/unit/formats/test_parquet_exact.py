"""Parquet in the schema's own types: Polars reads what pyarrow would, and leaves to it what it does not."""

from __future__ import annotations

import io
import random
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from etl.formats.parquet_exact import exact_frames
from etl.formats.parquet_pages import are_sound
from etl.schema import to_polars
from etl.schema_contract import RESCUE, RESCUED
from tests.unit.formats.files import made, opener, parquet, read

ROWS = 3000
AT = datetime(2024, 1, 1, tzinfo=UTC)
BALLAST = pa.array([random.Random(row).randbytes(60).hex() for row in range(ROWS)])
"""What no codec makes small: a file that is all footer is left to pyarrow."""
NAN = [0x7FF8000000000000, 0x7FF0DEADBEEF0001, 0xFFF8000000000000, 0x8000000000000000, 1]
"""NaN with several payloads, -0.0 and the least number."""


def _numbers(bits: list[int], width: int) -> pa.Array:
    kind = pa.float64() if width == 8 else pa.float32()
    content = b"".join(each.to_bytes(width, "little") for each in bits)
    return pa.Array.from_buffers(kind, len(bits), [None, pa.py_buffer(content)])


def _every(*values: Any, kind: pa.DataType | None = None) -> pa.Array:
    return pa.array([values[row % len(values)] for row in range(ROWS)], kind)


def _frame(content: bytes, schema: Any, **bounds: Any) -> pl.DataFrame:
    """Return all rows, floats as their bits."""
    chunks = [chunk for task in made("parquet").tasks(opener(content, **bounds), schema) for chunk in task()]
    frame: pl.DataFrame = pl.concat([chunk.frame.with_columns(chunk.offsets) for chunk in chunks])
    bits = {"float64": pl.UInt64(), "float32": pl.UInt32()}
    floats = {name: bits[str(kind)] for name, kind in schema.items() if str(kind) in bits}
    return frame.with_columns([pl.col(name).reinterpret(dtype=kind) for name, kind in floats.items()])


def _read_by_polars(content: bytes, schema: Any) -> int:
    """Return how many rows Polars reads: all of 3000, or none where it leaves the file to pyarrow."""
    if not are_sound(content, list(schema)):
        return 0
    return sum(frame.height for frame in exact_frames(content, schema, [ROWS], 1000))


EXACT = [
    ("int8", _every(-128, 127, None, kind=pa.int8())),
    ("int16", _every(-(2**15), None, kind=pa.int16())),
    ("int32", _every(2**31 - 1, kind=pa.int32())),
    ("int64", _every(-(2**63), 2**63 - 1, None)),
    ("uint8", _every(255, kind=pa.uint8())),
    ("uint16", _every(2**16 - 1, None, kind=pa.uint16())),
    ("uint32", _every(2**32 - 1, kind=pa.uint32())),
    ("uint64", _every(2**64 - 1, None, kind=pa.uint64())),
    ("float64", _numbers(NAN * (ROWS // 5), 8)),
    ("float32", _numbers([0x7FC00000, 0x7F80BEEF, 0x80000000] * (ROWS // 3), 4)),
    ("boolean", _every(True, None, False)),
    ("string", _every("", "é" * 40, None, "\0x")),
    ("string", _every("a", None, "long enough to be kept elsewhere", kind=pa.large_string())),
    ("string", pa.nulls(ROWS, pa.string())),
    ("binary", _every(b"\xff\x00", None, b"")),
    ("date", _every(date(1, 1, 1), None, date(9999, 12, 31))),
    ("timestamp", _every(datetime(1, 1, 1), None, datetime(9999, 12, 31, 23, 59), kind=pa.timestamp("us"))),  # noqa: DTZ001
    ("timestamp(UTC)", _every(AT, None, kind=pa.timestamp("us", "UTC"))),
]


@pytest.mark.parametrize(("kind", "array"), EXACT, ids=[f"{kind}-{array.type}" for kind, array in EXACT])
@pytest.mark.parametrize(
    "options",
    [
        {"compression": "none", "use_dictionary": False},
        {"compression": "snappy", "row_group_size": 7, "data_page_version": "2.0"},
        {"compression": "zstd", "data_page_size": 100, "use_byte_stream_split": False},
    ],
    ids=["plain", "groups", "pages"],
)
def test_polars_gives_the_values_that_pyarrow_gives(kind: str, array: pa.Array, options: dict[str, Any]) -> None:
    content = parquet({"a": array, "b": BALLAST}, write_statistics=False, **options)
    schema = {"b": "string", "a": kind}
    assert _frame(content, schema).equals(_frame(content, schema, chunk_bytes=0))
    if "row_group_size" not in options:
        assert _read_by_polars(content, schema) == ROWS


@pytest.mark.parametrize(
    ("array", "kind"),
    [
        (_every(AT, kind=pa.timestamp("ms", "UTC")), "timestamp(UTC)"),
        (_every(AT, kind=pa.timestamp("us", "Asia/Tokyo")), "timestamp(UTC)"),
        (_every(1, kind=pa.int32()), "int64"),
        (_every("x").dictionary_encode(), "string"),
        (_every(Decimal("1.5")), "decimal(2,1)"),
        (_every([1]), {"list": "int64"}),
        (_every({"x": 1}), {"struct": {"x": "int64"}}),
    ],
)
def test_other_types_are_read_by_pyarrow(array: pa.Array, kind: Any) -> None:
    content = parquet({"a": array, "b": BALLAST}, write_statistics=False)
    frame = _frame(content, {"a": kind, "b": "string"})
    assert frame.drop("_source_offset").schema == to_polars({"a": kind, "b": "string"})
    assert frame.equals(_frame(content, {"a": kind, "b": "string"}, chunk_bytes=0))


def test_old_timestamps_of_96_bits_are_read_by_pyarrow() -> None:
    content = parquet({"a": _every(AT.replace(tzinfo=None)), "b": BALLAST}, use_deprecated_int96_timestamps=True)
    frame = _frame(content, {"a": "timestamp", "b": "string"})
    assert frame["a"].to_list() == [AT.replace(tzinfo=None)] * ROWS


@pytest.mark.parametrize("codec", ["gzip", "brotli"])
def test_codec_whose_checksum_or_limits_polars_does_not_know_is_left_to_pyarrow(codec: str) -> None:
    content = parquet({"a": _every("x")}, compression=codec)
    assert not are_sound(content, ["a"])


def test_rows_behind_the_first_that_does_not_fit_are_read_by_pyarrow_and_none_twice() -> None:
    times = [0] * ROWS
    times[2500] = -(2**60)
    content = parquet({"a": pa.array(times, pa.timestamp("us")), "b": BALLAST})
    schema = {"a": "timestamp", "b": "string"}
    assert _read_by_polars(content, schema) == 2000
    found = read("parquet", content, schema)
    assert [row[-1] for row in found.rows] == [row for row in range(ROWS) if row != 2500]
    assert found.faults == [(2500, "type", f"column a: {-(2**60)} is outside of the years 1 to 9999")]


def test_text_that_is_not_utf8_is_set_aside_by_row() -> None:
    values = [b"good" * 30] * ROWS
    values[7], values[8] = b"\xc3", b"\xa9"
    text = pa.StringArray.from_buffers(ROWS, *pa.array(values, pa.binary()).buffers()[1:])
    content = parquet({"a": text}, use_dictionary=False, compression="none")
    found = read("parquet", content, {"a": "string"})
    assert len(found.rows) == ROWS - 2
    assert [fault[:2] for fault in found.faults] == [(7, "encoding"), (8, "encoding")]


def test_column_of_rescued_data_goes_its_own_way() -> None:
    content = parquet({"a": _every("x" * 50), RESCUED: _every('{"y": 1}')}, use_dictionary=False)
    schema = {"a": "string", RESCUED: "string"}
    assert (
        read("parquet", content, schema, RESCUE).rows
        == read("parquet", opener(content, chunk_bytes=0), schema, RESCUE).rows
    )


def test_file_of_several_members_in_a_stream_around_it_is_read_alike() -> None:
    import gzip

    content = parquet({"a": _every("x" * 50)}, use_dictionary=False, compression="none")
    assert read("parquet", gzip.compress(content), {"a": "string"}).rows == [("x" * 50, row) for row in range(ROWS)]


def test_pages_that_do_not_add_up_are_not_sound() -> None:
    stream = io.BytesIO()
    pl.DataFrame({"a": BALLAST}).write_parquet(stream, compression="uncompressed", statistics=False)
    content = stream.getvalue()
    assert are_sound(content, ["a"])
    assert not are_sound(content[:-8] + (10**6).to_bytes(4, "little") + content[-4:], ["a"])
    damaged = [content[:place] + b"\xff" + content[place + 1 :] for place in range(4, 12)]
    assert not any(are_sound(each, ["a"]) for each in damaged)
