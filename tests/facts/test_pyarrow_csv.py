"""What pyarrow's CSV reader does, and what rests on it."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from pyarrow import csv


def parse(piece: bytes, names: list[str], types: dict[str, pa.DataType], **parse_options: Any) -> dict[str, list[Any]]:
    """Read records without a header as ``etl.formats.delimited`` does."""
    table = csv.read_csv(
        pa.BufferReader(piece),
        read_options=csv.ReadOptions(use_threads=False, block_size=len(piece) + 1, column_names=names),
        parse_options=csv.ParseOptions(newlines_in_values=True, **parse_options),
        convert_options=csv.ConvertOptions(
            column_types=types,
            include_columns=list(types),
            include_missing_columns=True,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    found: dict[str, list[Any]] = table.to_pydict()
    return found


STRING = {"a": pa.string(), "b": pa.string()}


@pytest.mark.parametrize(
    ("piece", "rows"),
    [
        (b'1,"2\n3,4\n', {"a": ["1"], "b": ["2\n3,4\n"]}),
        (b'1,"x"y\n', {"a": ["1"], "b": ["xy"]}),
        (b"1,2\r3,4\r", {"a": ["1", "3"], "b": ["2", "4"]}),
    ],
)
def test_unsound_records_are_taken_without_a_word(piece: bytes, rows: dict[str, list[str]]) -> None:
    assert parse(piece, ["a", "b"], STRING) == rows


def test_empty_field_is_null_and_quoted_empty_field_is_text() -> None:
    assert parse(b',""\n', ["a", "b"], STRING) == {"a": [None], "b": [""]}


def test_missing_column_is_null_of_its_type_and_columns_come_as_asked() -> None:
    types = {"z": pa.timestamp("us"), "b": pa.string(), "a": pa.int64()}
    assert parse(b"1,2\n", ["a", "b"], types) == {"z": [None], "b": ["2"], "a": [1]}


def test_blank_lines_are_no_rows() -> None:
    assert parse(b"\n1\n\n2\n", ["a"], {"a": pa.string()}) == {"a": ["1", "2"]}


def test_numbers_are_trimmed_and_leading_zeros_dropped() -> None:
    assert parse(b'007\n 5\n"6"\n', ["a"], {"a": pa.int64()}) == {"a": [7, 5, 6]}


@pytest.mark.parametrize(
    ("text", "dtype"),
    [
        (b"1.0", pa.int64()),
        (b"300", pa.int8()),
        (b'""', pa.int64()),
        (b"yes", pa.bool_()),
        (b"1.239", pa.decimal128(10, 2)),
        (b"\xff", pa.string()),
    ],
)
def test_field_that_does_not_fit_is_refused_by_column_number(text: bytes, dtype: pa.DataType) -> None:
    with pytest.raises(pa.ArrowInvalid, match=r"^In CSV column #1: "):
        parse(b"x," + text + b"\n", ["a", "b"], {"b": dtype})


@pytest.mark.parametrize(("piece", "got"), [(b"1\n", 1), (b"1,2,3\n", 3)])
def test_short_and_long_rows_are_refused(piece: bytes, got: int) -> None:
    with pytest.raises(pa.ArrowInvalid, match=rf"^CSV parse error: Row #1: Expected 2 columns, got {got}"):
        parse(piece, ["a", "b"], STRING)


def test_floats_overflow_and_round_without_a_word() -> None:
    found = parse(b"1e400\n9007199254740993\n", ["a"], {"a": pa.float64()})
    assert found == {"a": [float("inf"), 2.0**53]}
