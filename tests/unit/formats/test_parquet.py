"""Parquet: columns by name, only exact conversions, rows that do not fit set aside."""

from __future__ import annotations

import io
import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from etl.errors import RowError, UnreadableFileError
from etl.formats import FileOpener
from etl.schema_contract import RESCUE, STRICT, SchemaContract
from tests.unit.formats.files import parquet, read, survey

NESTED = {
    "s": pa.array([{"x": 1}, None, {"x": 2}]),
    "l": pa.array([[{"x": 1}, None], None, []]),
}


def test_columns_come_by_name_and_a_missing_one_is_null() -> None:
    content = parquet({"b": pa.array(["x", "y"]), "a": pa.array([1, 2])})
    assert read("parquet", content, {"a": "int64", "z": "date", "b": "string"}).rows == [
        (1, None, "x", 0),
        (2, None, "y", 1),
    ]


def test_fields_come_by_name_at_any_depth() -> None:
    inner = {"struct": {"y": "string", "x": "int64"}}
    assert read("parquet", parquet(NESTED), {"s": inner, "l": {"list": inner}}).rows == [
        ({"y": None, "x": 1}, [{"y": None, "x": 1}, None], 0),
        (None, None, 1),
        ({"y": None, "x": 2}, [], 2),
    ]


def test_column_whose_name_is_the_path_of_a_field_is_another_column() -> None:
    content = parquet({"a": pa.array([{"b": 1}]), "a.b": pa.array([2])})
    assert read("parquet", content, {"a.b": "int64", "a": {"struct": {"b": "int64"}}}).rows == [(2, {"b": 1}, 0)]


def test_offsets_and_lists_are_right_across_batches_and_row_groups() -> None:
    lists = [None if row % 7 == 0 else [row, row + 1] for row in range(150_000)]
    rows = read("parquet", parquet({"l": pa.array(lists)}, row_group_size=100_000), {"l": {"list": "int64"}}).rows
    assert [row[1] for row in rows] == list(range(150_000))
    assert [row[0] for row in rows] == lists


def test_file_without_rows_or_columns_gives_what_it_has() -> None:
    assert read("parquet", parquet({"a": pa.array([], pa.int64())}), {"a": "int64"}).rows == []
    assert survey("parquet", parquet({"a": pa.array([], pa.int64())})).schema == {"a": "int64"}
    assert read("parquet", parquet({}), {"a": "int64"}).rows == []
    assert survey("parquet", parquet({})).schema == {}


def test_only_columns_unknown_to_the_file_still_give_its_rows() -> None:
    content = parquet({"a": pa.nulls(2)})
    assert read("parquet", content, {"z": "int64", "a": "null"}).rows == [(None, None, 0), (None, None, 1)]


@pytest.mark.parametrize(
    ("array", "kind", "value"),
    [
        (pa.array([1], pa.int32()), "int64", 1),
        (pa.array([1], pa.uint32()), "int64", 1),
        (pa.array([2**63], pa.uint64()), "uint64", 2**63),
        (pa.array([1]), "int8", 1),
        (pa.array([2.0]), "int64", 2),
        (pa.array([2**53]), "float64", 2.0**53),
        (pa.array([1.5], pa.float32()), "float64", 1.5),
        (pa.array([1.5]), "float32", 1.5),
        (pa.array([12]), "decimal(4,2)", Decimal("12.00")),
        (pa.array([Decimal("1.20")], pa.decimal128(5, 2)), "decimal(18,4)", Decimal("1.2000")),
        (pa.array([Decimal("1.20")], pa.decimal256(50, 2)), "decimal(3,1)", Decimal("1.2")),
        (pa.array([Decimal("3.00")], pa.decimal128(5, 2)), "int16", 3),
        (pa.array([date(2024, 2, 29)]), "timestamp", datetime(2024, 2, 29)),  # noqa: DTZ001
        (pa.array([1000], pa.timestamp("ns")), "timestamp", datetime(1970, 1, 1, 0, 0, 0, 1)),  # noqa: DTZ001
        (pa.array([5], pa.timestamp("ms", "Asia/Tokyo")), "timestamp(UTC)", datetime(1970, 1, 1, 0, 0, 0, 5000, UTC)),
        (pa.array([time(1, 2)], pa.time32("s")), "time", time(1, 2)),
        (pa.array([1000], pa.time64("ns")), "time", time(0, 0, 0, 1)),
        (pa.array(["x"]).dictionary_encode(), "string", "x"),
        (pa.array(["x"], pa.large_string()), "string", "x"),
        (pa.array([b"ab"], pa.binary(2)), "binary", b"ab"),
        (pa.array([[1]], pa.large_list(pa.int8())), {"list": "int64"}, [1]),
        (pa.array([[1, 2]], pa.list_(pa.int64(), 2)), {"list": "int64"}, [1, 2]),
        (
            pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())),
            {"list": {"struct": {"key": "string", "value": "int64"}}},
            [{"key": "k", "value": 1}],
        ),
    ],
)
def test_value_that_fits_is_converted(array: pa.Array, kind: Any, value: object) -> None:
    assert read("parquet", parquet({"a": array}), {"a": kind}, STRICT).rows == [(value, 0)]


@pytest.mark.parametrize(
    ("array", "kind", "reason"),
    [
        (pa.array([128]), "int8", "Integer value 128 not in range: -128 to 127"),
        (pa.array([2**63], pa.uint64()), "int64", "Integer value 9223372036854775808 not in range"),
        (pa.array([1.5]), "int64", "Float value 1.500000 was truncated converting to int64"),
        (pa.array([2**53 + 1]), "float64", "Integer value 9007199254740993 not in range"),
        (pa.array([0.1]), "float32", "Float value 0.1 has more digits than float32 keeps"),
        (pa.array([1e300]), "float32", "Float value 1e+300 has more digits than float32 keeps"),
        (pa.array([0.5]), "decimal(3,2)", "double is not decimal(3,2)"),
        (pa.array([1000]), "decimal(4,2)", "Decimal value does not fit in precision 4"),
        (pa.array([Decimal("1.25")]), "decimal(9,1)", "Rescaling Decimal value would cause data loss"),
        (pa.array([Decimal("1.50")]), "float64", "decimal128(3, 2) is not float64"),
        (pa.array(["1"]), "int64", "string is not int64"),
        (pa.array([1]), "string", "int64 is not string"),
        (pa.array([True]), "int64", "bool is not int64"),
        (pa.array([b"x"]), "string", "binary is not string"),
        (pa.array([[1]]), "int64", "list<element: int64> is not int64"),
        (pa.array([1001], pa.timestamp("ns")), "timestamp", "would lose data: 1001"),
        (pa.array([1001], pa.time64("ns")), "time", "would lose data: 1001"),
        (pa.array([2**60], pa.timestamp("us")), "timestamp", "1152921504606846976 is outside of the years 1 to 9999"),
        (pa.array([86_400], pa.time32("s")), "time", "86400000000 is outside of its day"),
        (pa.array([5], pa.timestamp("us", "UTC")), "timestamp", "timestamp[us, tz=UTC] is not timestamp"),
        (pa.array([5], pa.timestamp("us")), "timestamp(UTC)", "timestamp[us] is not timestamp(UTC)"),
        (pa.array([5], pa.timestamp("us")), "date", "timestamp[us] is not date"),
        (pa.array([{"x": 1.5}]), {"struct": {"x": "int64"}}, "Float value 1.500000 was truncated"),
        (pa.array([[1, None, 300]]), {"list": "int8"}, "Integer value 300 not in range"),
    ],
)
def test_value_that_does_not_fit_sets_its_row_aside_or_is_rescued(array: pa.Array, kind: Any, reason: str) -> None:
    none, ten = pa.nulls(1, array.type), pa.array(range(12))
    table = {"n": ten, "a": pa.concat_arrays([none] * 5 + [array] + [none] * 5 + [array])}
    found = read("parquet", parquet(table), {"n": "int64", "a": kind}, STRICT)
    assert [row[0] for row in found.rows] == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10]
    assert [row[-1] for row in found.rows] == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10]
    assert [(offset, rule) for offset, rule, _ in found.faults] == [(5, "type"), (11, "type")]
    assert reason in found.faults[0][2]
    assert found.faults[0][2].startswith("column a: ")
    assert found.rejects[0]["form"] == "json"
    assert json.loads(found.rejects[0]["raw"])["n"] == 5

    rescued = read("parquet", parquet(table), {"n": "int64", "a": kind, "_rescued_data": "string"}, RESCUE)
    assert rescued.rejects == []
    assert [row[0] for row in rescued.rows if row[2] is not None] == [5, 11]
    assert list(json.loads(rescued.rows[5][2])) == ["a"]

    with pytest.raises(RowError, match=r"^in/f:5: column a: ") as failure:
        read("parquet", parquet(table), {"n": "int64", "a": kind}, SchemaContract("fail", "fail", "fail"))
    assert reason in failure.value.message


def test_rejected_row_is_json_in_which_every_value_can_be_told() -> None:
    table = {
        "bad": pa.array(["x"]),
        "t": pa.array([1], pa.timestamp("ns", "UTC")),
        "d": pa.array([Decimal("1.20")]),
        "b": pa.array([b"\xff\x00"]),
        "f": pa.array([float("nan")]),
        "m": pa.array([[("k", None)]], pa.map_(pa.string(), pa.int64())),
        "u": pa.array(["é"]),
        "day": pa.array([date(2024, 1, 1)]),
    }
    schema = {**survey("parquet", parquet(table)).schema, "bad": "int64"}
    (reject,) = read("parquet", parquet(table), schema, STRICT).rejects
    assert json.loads(reject["raw"]) == {
        "bad": "x",
        "t": "1970-01-01T00:00:00.000000001Z",
        "d": "1.20",
        "b": "/wA=",
        "f": "nan",
        "m": [{"key": "k", "value": None}],
        "u": "é",
        "day": "2024-01-01",
    }


def test_text_that_is_not_utf8_sets_its_row_aside() -> None:
    wrong = pa.Array.from_buffers(
        pa.string(), 2, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0"), pa.py_buffer(b"a\xff")]
    )
    found = read("parquet", parquet({"a": wrong}), {"a": "string"})
    assert found.rows == [("a", 0)]
    assert found.faults == [(1, "encoding", "column a: text is not UTF-8")]
    assert json.loads(found.rejects[0]["raw"]) == {"a": "/w=="}


def test_rescue_keeps_fields_and_items_under_their_columns() -> None:
    table = {
        "s": pa.array([{"x": 1, "y": "q"}, None, {"x": 300, "y": None}]),
        "l": pa.array([[1, 300], [], None]),
        "n": pa.array([None, 1, None]),
    }
    schema = {"s": {"struct": {"x": "int8"}}, "l": {"list": "int8"}, "_rescued_data": "string"}
    found = read("parquet", parquet(table), schema, RESCUE)
    assert [(row[0], row[1], row[2] and json.loads(row[2])) for row in found.rows] == [
        ({"x": 1}, [1, None], {"s": {"y": "q"}, "l": [None, 300]}),
        (None, [], {"n": 1}),
        ({"x": None}, None, {"s": {"x": 300}}),
    ]


def test_int96_timestamps_are_read_exactly() -> None:
    moment = datetime(2024, 1, 1, 0, 0, 0, 5)  # noqa: DTZ001  a timestamp without a zone
    content = parquet({"t": pa.array([moment])}, use_deprecated_int96_timestamps=True)
    assert read("parquet", content, {"t": "timestamp"}).rows == [(moment, 0)]


@pytest.mark.parametrize("content", [b"", b"PAR1" * 10, parquet({"a": pa.array([1])})[:-10], b"a,b\n1,2\n"])
def test_file_that_is_not_whole_is_unreadable_and_named(content: bytes) -> None:
    for act in (lambda: read("parquet", content, {"a": "int64"}), lambda: survey("parquet", content)):
        with pytest.raises(UnreadableFileError, match=r"^in/f: not a whole Parquet file") as failure:
            act()
        assert failure.value.path == "in/f"


def test_torn_page_makes_the_file_unreadable_also_in_a_survey_and_behind_good_rows() -> None:
    content = bytearray(parquet({"a": pa.array(range(100_000))}, row_group_size=50_000, compression="snappy"))
    content[len(content) * 3 // 4] ^= 255
    for act in (lambda: read("parquet", bytes(content), {"a": "int64"}), lambda: survey("parquet", bytes(content))):
        with pytest.raises(UnreadableFileError, match=r"^in/f: data is damaged"):
            act()


def test_error_of_the_store_is_no_damage() -> None:
    class Torn(io.BytesIO):
        reads = 0

        def read(self, size: int | None = -1) -> bytes:
            self.reads += 1
            if self.reads == 3:
                raise ConnectionError("the store is away")
            return super().read(size)

    content = parquet({"a": pa.array(range(10_000))})
    with pytest.raises(ConnectionError, match="the store is away"):
        read("parquet", FileOpener("in/f", len(content), lambda: Torn(content)), {"a": "int64"})


def test_type_that_no_table_keeps_makes_the_file_unreadable_unless_it_is_not_wanted() -> None:
    content = parquet({"x": pa.array([1], pa.duration("s")), "a": pa.array([1])})
    with pytest.raises(UnreadableFileError, match=r"^in/f: column x: type duration\[s\] cannot be kept in a table"):
        survey("parquet", content)
    assert read("parquet", content, {"a": "int64"}, SchemaContract("ignore")).rows == [(1, 0)]
    assert read("parquet", content, {"a": "int64", "_rescued_data": "string"}, RESCUE).rows == [(1, '{"x":"1"}', 0)]


def test_two_columns_of_one_name_make_the_file_unreadable() -> None:
    content = parquet(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]))
    with pytest.raises(UnreadableFileError, match=r"^in/f: two columns have the same name: a"):
        survey("parquet", content)


def test_reading_again_gives_the_same_chunks() -> None:
    content = parquet({"a": pa.array([1, 300, None])})
    first = read("parquet", content, {"a": "int8"}, STRICT)
    assert first == read("parquet", content, {"a": "int8"}, STRICT)
