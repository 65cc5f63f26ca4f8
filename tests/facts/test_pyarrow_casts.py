"""What pyarrow's casts let pass and refuse, and what rests on it in etl/formats/arrow_values.py."""

from __future__ import annotations

import polars as pl
import pyarrow as pa
import pytest


def test_a_cast_to_float32_rounds_and_overflows_without_a_word() -> None:
    assert pa.array([0.1, 1e300]).cast(pa.float32()).to_pylist() == [0.10000000149011612, float("inf")]


def test_a_cast_of_integers_to_a_narrow_decimal_is_refused_whatever_they_are() -> None:
    with pytest.raises(pa.ArrowInvalid, match="Precision is not great enough"):
        pa.array([5]).cast(pa.decimal128(3, 2))
    assert str(pa.array([5]).cast(pa.decimal128(20, 0)).cast(pa.decimal128(3, 2))[0].as_py()) == "5.00"


def test_integers_beyond_two_to_the_53_are_no_floats_though_some_are_exact() -> None:
    with pytest.raises(pa.ArrowInvalid, match="not in range"):
        pa.array([2**54]).cast(pa.float64())


def test_a_cast_of_list_views_gives_a_broken_array() -> None:
    with pytest.raises(pa.ArrowInvalid):
        pa.array([[1]], pa.list_view(pa.int64())).cast(pa.list_(pa.int64())).validate(full=True)


def test_polars_makes_a_time_behind_its_day_null_and_panics_on_a_far_moment() -> None:
    late = pa.array([90_000_000_000], pa.time64("us"))
    assert pl.Series(late).to_list() == [None]
    with pytest.raises(BaseException, match=r"out of range|overflow"):
        pl.DataFrame({"t": pa.array([-(2**63) + 1], pa.timestamp("us"))}).rows()


def test_a_stream_of_arrow_without_its_end_mark_ends_without_a_word() -> None:
    stream = pa.BufferOutputStream()
    table = pa.table({"a": [1]})
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    content = stream.getvalue().to_pybytes()
    assert content[-8:] == b"\xff\xff\xff\xff\0\0\0\0"
    assert pa.ipc.open_stream(content[:-8]).read_all() == table
