"""What Polars does with text and with structs without fields, and what rests on it in the JSON formats."""

from __future__ import annotations

import io

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest


def test_pattern_beyond_the_size_limit_is_an_error_and_no_crash() -> None:
    with pytest.raises(pl.exceptions.ComputeError, match="size limit"):
        pl.Series(["x"]).str.contains(r"(?:\w{100}){100}x")


def test_dollar_is_the_end_of_the_text_and_not_of_a_line() -> None:
    assert pl.Series(["a\n", "a\nb", "a"]).str.contains(r"^a\n?$").to_list() == [True, False, True]


def test_negated_class_matches_signs_beyond_ascii_as_a_whole() -> None:
    assert pl.Series(["ü😀\u2028"]).str.contains(r"^[^\x00-\x1f]{3}$").to_list() == [True]


def test_struct_without_fields_stays_in_frames_and_cannot_be_written_but_a_cast_leaves_it_out() -> None:
    frame = pl.DataFrame({"s": [{"a": 1, "o": {}}]}, schema={"s": pl.Struct({"a": pl.Int64, "o": pl.Struct({})})})
    assert pl.concat([frame, frame]).height == 2
    with pytest.raises(pl.exceptions.InvalidOperationError, match="no child field"):
        frame.write_parquet(io.BytesIO())
    fitted = frame.select(pl.col("s").cast(pl.Struct({"a": pl.Int64}), strict=True))
    assert fitted.rows() == [({"a": 1},)]


def test_ascii_trim_and_join_take_bytes_that_are_no_utf8() -> None:
    texts = pa.array([b" \xff ", b"x"], pa.large_binary())
    trimmed = pc.ascii_trim(texts.view(pa.large_string()), " ").view(pa.large_binary())
    assert trimmed.to_pylist() == [b"\xff", b"x"]
    whole = pa.LargeListArray.from_arrays(pa.array([0, 2], pa.int64()), trimmed)
    assert pc.binary_join(whole, pa.scalar(b"\n", pa.large_binary())).to_pylist() == [b"\xff\nx"]
