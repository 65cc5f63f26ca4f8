"""What pyarrow's cast of text to moments does, and what rests on it."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pytest

PLAIN, UTC = pa.timestamp("us"), pa.timestamp("us", "UTC")


@pytest.mark.parametrize(
    ("text", "dtype", "micros"),
    [
        ("1970-01-01", PLAIN, 0),
        ("1970-01-01 00:00:01.5", PLAIN, 1_500_000),
        ("1970-01-01T00:01", PLAIN, 60_000_000),
        ("1970-01-01T01:00:00.000001+01:00", UTC, 1),
        ("1969-12-31T23:59:59Z", UTC, -1_000_000),
    ],
)
def test_iso_text_is_cast_exactly(text: str, dtype: pa.DataType, micros: int) -> None:
    assert pc.cast(pa.array([text]), dtype).cast(pa.int64()).to_pylist() == [micros]


@pytest.mark.parametrize(
    ("text", "dtype"),
    [
        ("1970-01-01T00:00:00Z", PLAIN),
        ("1970-01-01T00:00:00", UTC),
        ("1970-01-01T00:00:00.1234567", PLAIN),
        ("1970-01-01T24:00:00", PLAIN),
        ("1970-01-01T00:00:60", PLAIN),
        ("01/02/1970", PLAIN),
        (" 1970-01-01", PLAIN),
        ("", PLAIN),
        ("1970-02-30", pa.date32()),
        ("1970-01-01T00:00:00", pa.date32()),
    ],
)
def test_other_text_is_refused(text: str, dtype: pa.DataType) -> None:
    with pytest.raises(pa.ArrowInvalid, match="Failed to parse string"):
        pc.cast(pa.array([text]), dtype)


def test_flatten_hides_the_fields_of_a_null_struct() -> None:
    array = pa.array([{"a": "x"}, None], pa.struct([("a", pa.string())]))
    assert array.flatten()[0].to_pylist() == ["x", None]
