"""Parquet: columns by name, only exact conversions."""

from __future__ import annotations

import io
from datetime import UTC, datetime, time
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from etl.errors import RowError, SchemaDriftError, SourceError
from tests.unit.formats.reading import infer, read


def parquet(columns: dict[str, pa.Array], **options: object) -> bytes:
    """Return a Parquet file."""
    stream = io.BytesIO()
    pq.write_table(pa.table(columns), stream, **options)
    return stream.getvalue()


NESTED = {
    "s": pa.array([{"x": 1}, None, {"x": 2}]),
    "l": pa.array([[{"x": 1}, None], None, []]),
}


def test_columns_come_by_name_and_a_missing_one_is_null() -> None:
    content = parquet({"b": pa.array(["x", "y"]), "a": pa.array([1, 2])})
    assert read("parquet", content, {"a": "int64", "z": "date", "b": "string"}) == [
        (1, None, "x", 0),
        (2, None, "y", 1),
    ]


def test_fields_come_by_name_at_any_depth() -> None:
    inner = {"struct": {"y": "string", "x": "int64"}}
    assert read("parquet", parquet(NESTED), {"s": inner, "l": {"list": inner}}) == [
        ({"y": None, "x": 1}, [{"y": None, "x": 1}, None], 0),
        (None, None, 1),
        ({"y": None, "x": 2}, [], 2),
    ]


def test_offsets_and_lists_are_right_across_batches_and_row_groups() -> None:
    lists = [None if row % 7 == 0 else [row, row + 1] for row in range(150_000)]
    content = parquet({"l": pa.array(lists)}, row_group_size=100_000)
    rows = read("parquet", content, {"l": {"list": "int64"}})
    assert [row[1] for row in rows] == list(range(150_000))
    assert [row[0] for row in rows] == lists


def test_file_without_rows_gives_none() -> None:
    assert read("parquet", parquet({"a": pa.array([], pa.int64())}), {"a": "int64"}) == []


def test_only_columns_unknown_to_the_file_still_give_its_rows() -> None:
    assert read("parquet", parquet({"a": pa.nulls(2)}), {"z": "int64", "a": "null"}) == [
        (None, None, 0),
        (None, None, 1),
    ]


@pytest.mark.parametrize(
    ("array", "kind", "value"),
    [
        (pa.array([1], pa.int32()), "int64", 1),
        (pa.array([1], pa.uint32()), "int64", 1),
        (pa.array([1.5], pa.float32()), "float64", 1.5),
        (pa.array([Decimal("1.20")], pa.decimal128(5, 2)), "decimal(18,4)", Decimal("1.2000")),
        (pa.array([1000], pa.timestamp("ns")), "timestamp", datetime(1970, 1, 1, 0, 0, 0, 1)),  # noqa: DTZ001
        (
            pa.array([5], pa.timestamp("ms", "Europe/Berlin")),
            "timestamp(UTC)",
            datetime(1970, 1, 1, 0, 0, 0, 5000, UTC),
        ),
        (pa.array([time(1, 2)], pa.time32("s")), "time", time(1, 2)),
        (pa.array(["x"]).dictionary_encode(), "string", "x"),
        (pa.array([b"ab"], pa.binary(2)), "binary", b"ab"),
    ],
)
def test_value_that_fits_is_converted(array: pa.Array, kind: str, value: object) -> None:
    assert read("parquet", parquet({"a": array}), {"a": kind}) == [(value, 0)]


def test_int96_timestamps_are_read_exactly() -> None:
    moment = datetime(2024, 1, 1, 0, 0, 0, 5)  # noqa: DTZ001  a timestamp without a zone
    content = parquet({"t": pa.array([moment])}, use_deprecated_int96_timestamps=True)
    assert read("parquet", content, {"t": "timestamp"}) == [(moment, 0)]


@pytest.mark.parametrize(
    "t", [pa.array([1000, 1001], pa.timestamp("ns")), pa.array([None, [1001]], pa.list_(pa.timestamp("ns")))]
)
def test_moment_finer_than_microseconds_is_refused_by_row(t: pa.Array) -> None:
    kind = {"list": "timestamp"} if pa.types.is_list(t.type) else "timestamp"
    with pytest.raises(RowError, match=r"^in/f:1: column t: .* would lose data: 1001"):
        read("parquet", parquet({"t": t}), {"t": kind})


@pytest.mark.parametrize(
    ("array", "tree"),
    [
        (pa.array([1]), "int32"),
        (pa.array([1.0]), "int64"),
        (pa.array([1]), "float64"),
        (pa.array(["1"]), "int64"),
        (pa.array([1]), "string"),
        (pa.array([{"x": 1.5}]), {"struct": {"x": "int64"}}),
        (pa.array([[1]]), "int64"),
    ],
)
def test_type_that_does_not_fit_is_refused_even_where_the_values_would(array: pa.Array, tree: object) -> None:
    content = parquet({"a": array})
    for act in (lambda: read("parquet", content, {"a": tree}), lambda: infer("parquet", content, {"a": tree})):
        with pytest.raises(RowError, match=r"^in/f: column a.* here and .* elsewhere"):
            act()


@pytest.mark.parametrize(
    "schema", [{"l": {"list": {"struct": {"x": "int64"}}}}, {"s": {"struct": {}}, "l": "null"}, {}]
)
def test_column_field_or_type_that_the_schema_lacks_is_drift_and_inference_finds_it(schema: dict[str, object]) -> None:
    content = parquet(NESTED)
    with pytest.raises(SchemaDriftError):
        read("parquet", content, schema)
    widened = infer("parquet", content, schema)
    assert widened == {"s": {"struct": {"x": "int64"}}, "l": {"list": {"struct": {"x": "int64"}}}}
    assert len(read("parquet", content, widened)) == 3


def test_inference_keeps_a_known_wider_type() -> None:
    content = parquet({"a": pa.array([1], pa.int32()), "b": pa.array([1], pa.int32())})
    assert infer("parquet", content, {"z": "date", "a": "int64"}) == {"z": "date", "a": "int64", "b": "int32"}


@pytest.mark.parametrize("content", [b"", b"PAR1" * 10, parquet({"a": pa.array([1])})[:-10], b"a,b\n1,2\n"])
def test_file_that_is_not_whole_is_a_source_error_that_names_it(content: bytes) -> None:
    for act in (lambda: read("parquet", content, {"a": "int64"}), lambda: infer("parquet", content)):
        with pytest.raises(SourceError, match=r"^in/f: not a whole Parquet file"):
            act()


def test_damaged_page_is_a_source_error() -> None:
    content = bytearray(parquet({"a": pa.array(range(10_000))}))
    content[2000] ^= 255
    with pytest.raises(SourceError, match=r"^in/f: data is damaged"):
        read("parquet", bytes(content), {"a": "int64"})


def test_type_that_no_table_keeps_is_refused_with_its_column() -> None:
    with pytest.raises(SourceError, match=r"^in/f: column x: type duration\[s\] is not supported"):
        infer("parquet", parquet({"x": pa.array([1], pa.duration("s"))}))
