"""What pyarrow's JSON reader does, and what rests on it."""

from __future__ import annotations

import math
import subprocess
import sys

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyarrow import json as pj


def parse(piece: bytes, schema: pa.Schema | None = None, unexpected: str = "error") -> pa.Table:
    """Read as ``etl.formats.ndjson`` does."""
    options = pj.ParseOptions(explicit_schema=schema, unexpected_field_behavior=unexpected if schema else "infer")
    read = pj.ReadOptions(use_threads=False, block_size=len(piece) + 1)
    return pj.read_json(pa.BufferReader(piece), read_options=read, parse_options=options)


def column(dtype: pa.DataType) -> pa.Schema:
    return pa.schema([("n", dtype)])


def test_first_line_null_kills_the_process() -> None:
    code = "import pyarrow as pa, pyarrow.json as pj; pj.read_json(pa.BufferReader(b'null\\n'))"
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode < 0


def test_one_block_is_one_chunk() -> None:
    table = parse(b'{"n":1}\n' * 10_000, column(pa.int64()))
    assert table.column("n").num_chunks == 1


@pytest.mark.parametrize("piece", [b'{"n":1}{"n":2}\n', b'{"n":1} null\n', b'{"n":1}\r{"n":2}\n'])
def test_several_values_on_a_line_are_as_many_rows(piece: bytes) -> None:
    assert parse(piece, column(pa.int64())).num_rows == 2


def test_object_over_two_lines_is_one_row() -> None:
    assert parse(b'{"n":\n1}\n', column(pa.int64())).num_rows == 1


def test_line_break_inside_a_string_is_refused() -> None:
    with pytest.raises(pa.ArrowInvalid):
        parse(b'{"n":"}\n{"}\n', column(pa.string()))


def test_blank_lines_are_no_rows_and_nothing_is_an_error() -> None:
    assert parse(b'\n{"n":1}\n \t\n', column(pa.int64())).num_rows == 1
    with pytest.raises(pa.ArrowInvalid, match="Empty JSON file"):
        parse(b"", column(pa.int64()))


def test_invalid_utf8_is_taken() -> None:
    assert parse(b'{"n":"\xff"}', column(pa.string())).num_rows == 1


def test_lists_with_null_are_inferred_with_right_types_and_wrong_values() -> None:
    piece = b'{"n":[null,{"a":1},null,{"a":2}]}\n{"n":[{"a":3}]}\n'
    dtype = pa.list_(pa.struct([("a", pa.int64())]))
    inferred = parse(piece)
    assert inferred.schema == column(dtype)
    assert inferred.column("n").to_pylist()[0] != [None, {"a": 1}, None, {"a": 2}]
    assert parse(piece, column(dtype)).column("n").to_pylist() == [[None, {"a": 1}, None, {"a": 2}], [{"a": 3}]]


@pytest.mark.parametrize(
    ("value", "dtype", "message"),
    [
        (b"1.0", pa.int64(), "couldn't parse:1.0"),
        (b"9223372036854775808", pa.int64(), "couldn't parse"),
        (b"300", pa.int8(), "couldn't parse"),
        (b"-1", pa.uint8(), "couldn't parse"),
        (b'"5"', pa.int64(), r"Column\(/n\) changed from number to string in row 0"),
        (b"5", pa.string(), r"Column\(/n\) changed from string to number"),
        (b"5", pa.null(), r"Column\(/n\) changed from null to number"),
        (b"5", pa.struct([]), r"Column\(/n\) changed from object to number"),
        (b"[5]", pa.list_(pa.struct([])), r"Column\(/n/\[\]\) changed from object to number"),
        (b'{"x":1}', pa.struct([]), "unexpected field"),
        (b'"\\ud800"', pa.string(), "surrogate pair in string is invalid"),
        (b"1e400", pa.float64(), "Number too big"),
        (b'1,"n":2', pa.int64(), "specified twice"),
        (b"1.234", pa.decimal128(5, 2), "requires scale 3"),
    ],
)
def test_value_that_does_not_fit_is_refused(value: bytes, dtype: pa.DataType, message: str) -> None:
    with pytest.raises(pa.ArrowInvalid, match=message):
        parse(b'{"n":' + value + b"}", column(dtype))


def test_empty_object_without_fields_keeps_null_apart() -> None:
    assert parse(b'{"n":{}}\n{"n":null}', column(pa.struct([]))).column("n").to_pylist() == [{}, None]


def test_floats_are_rounded_and_float32_overflows_without_a_word() -> None:
    assert parse(b'{"n":9007199254740993}', column(pa.float64())).column("n").to_pylist() == [2.0**53]
    assert parse(b'{"n":1e39}', column(pa.float32())).column("n").to_pylist() == [float("inf")]


def test_decimal_beyond_its_digits_is_taken_until_validated() -> None:
    table = parse(b'{"n":1234.5}', column(pa.decimal128(5, 2)))
    with pytest.raises(pa.ArrowInvalid):
        table.column("n").validate(full=True)


def test_inference_guesses_moments_and_takes_large_integers_as_floats() -> None:
    assert pa.types.is_timestamp(parse(b'{"n":"2024-01-01"}').schema.field("n").type)
    assert parse(b'{"n":9223372036854775808}').schema.field("n").type == pa.float64()
    assert parse(b'{"n":1}\n{"n":1.5}').schema.field("n").type == pa.float64()


@pytest.mark.parametrize("value", ["NaN", "-NaN", "Infinity", "-Infinity", "Inf"])
def test_tokens_that_are_no_json_are_taken_for_floats_and_infer_as_such(value: str) -> None:
    piece = b'{"n":' + value.encode() + b"}"
    assert not math.isfinite(parse(piece, column(pa.float64())).column("n")[0].as_py())
    assert parse(piece).schema == column(pa.float64())
    with pytest.raises(pa.ArrowInvalid):
        parse(piece, column(pa.int64()))


def test_min_and_max_pass_over_nan_and_a_sum_does_not() -> None:
    values = pa.array([1.0, math.nan])
    assert pc.min_max(values).as_py() == {"min": 1.0, "max": 1.0}
    assert math.isnan(pc.sum(values).as_py())


def test_carriage_return_inside_an_object_is_a_blank() -> None:
    assert parse(b'{"n":\r1}\r\n{"n":2}\r\n', column(pa.int64())).column("n").to_pylist() == [1, 2]


def test_names_that_stand_twice_are_seen_when_inferring_and_not_where_they_are_ignored() -> None:
    with pytest.raises(pa.ArrowInvalid, match="specified twice"):
        parse(b'{"z":{"a":1,"a":2}}')
    assert parse(b'{"n":1,"z":1,"z":2}', column(pa.int64()), "ignore").num_rows == 1


@pytest.mark.parametrize("value", [b'"+1"', b'"01"', b"1e2", b"1.200"])
def test_decimals_are_read_from_text_and_with_exponents_and_zeros_at_the_end(value: bytes) -> None:
    assert parse(b'{"n":' + value + b"}", column(pa.decimal128(5, 2))).num_rows == 1


@pytest.mark.parametrize("unexpected", ["infer", "ignore", "error"])
def test_nesting_of_100_000_levels_kills_the_process_only_when_inferring(unexpected: str) -> None:
    code = f"""if True:
        import pyarrow as pa, pyarrow.json as pj
        line = b'{{"m":' + b"[" * 100_000 + b"]" * 100_000 + b"}}"
        options = pj.ParseOptions(pa.schema([("n", pa.int64())]), unexpected_field_behavior={unexpected!r})
        read = pj.ReadOptions(use_threads=False, block_size=len(line) + 1)
        try:
            pj.read_json(pa.BufferReader(line), read_options=read, parse_options=options)
        except pa.ArrowInvalid:
            pass
        """
    status = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode
    assert (status < 0) == (unexpected == "infer")
