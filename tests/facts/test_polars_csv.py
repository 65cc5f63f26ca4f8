"""What Polars' CSV reader does with doubtful input, and what rests on it in ``etl.formats.csv_parsing``."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

TEXT = {"a": pl.String(), "b": pl.String()}


def parse(piece: bytes, second: Any = None) -> list[tuple[Any, ...]]:
    """Read records of two fields as ``etl.formats.csv_parsing`` does."""
    schema = TEXT if second is None else {"a": pl.String(), "b": second}
    return pl.read_csv(piece, has_header=False, schema=schema).rows()


def test_a_short_record_is_padded_and_a_blank_line_is_a_row_of_nulls() -> None:
    assert parse(b"1,2\n3\n\n") == [("1", "2"), ("3", None), (None, None)]


def test_a_long_record_is_refused() -> None:
    with pytest.raises(pl.exceptions.ComputeError):
        parse(b"1,2\n3,4,5\n")


@pytest.mark.parametrize("piece", [b'1,2\n3,"x"y\n', b'1,2\n3,"x\n', b'1,x"\n'])
def test_most_unsound_quotes_are_refused_and_a_sound_stray_one_as_well(piece: bytes) -> None:
    with pytest.raises(pl.exceptions.PolarsError):
        parse(piece)


def test_text_between_doubled_quotes_at_the_edges_of_a_field_is_taken_without_a_word() -> None:
    assert parse(b'1,""x""\n') == [("1", "x")]


def test_a_last_field_of_three_quotes_is_empty_text_unless_a_line_end_follows() -> None:
    assert parse(b'1,"""') == [("1", "")]
    with pytest.raises(pl.exceptions.PolarsError):
        parse(b'1,"""\n')


def test_an_unquoted_empty_field_is_null_and_a_quoted_one_is_text() -> None:
    assert parse(b',""\n') == [(None, "")]


def test_a_word_for_null_holds_for_quoted_fields_too() -> None:
    assert pl.read_csv(b'NA,"NA"\n', has_header=False, schema=TEXT, null_values=["NA"]).rows() == [(None, None)]


def test_the_letter_x_and_a_control_character_are_taken_for_compressed_data_unless_a_mark_stands_before() -> None:
    assert parse(b"x\x01,2\n") == []
    assert parse(b"\xef\xbb\xbfx\x01,2\n") == [("x\x01", "2")]


def test_a_byte_order_mark_is_dropped_once() -> None:
    assert parse(b"\xef\xbb\xbf\xef\xbb\xbf1,2\n") == [("\ufeff1", "2")]


def test_integers_may_have_a_sign_zeros_and_blanks_before_them() -> None:
    assert parse(b'1,+1\n1, 5\n1,007\n1,"6"\n1,""\n1, \n', pl.Int64()) == [
        ("1", 1), ("1", 5), ("1", 7), ("1", 6), ("1", None), ("1", None),
    ]  # fmt: skip


@pytest.mark.parametrize("text", [b"5 ", b"1.0", b"1e3", b"0x10", b"1_0", b"\xd9\xa3", b"9223372036854775808"])
def test_other_integers_are_refused(text: bytes) -> None:
    with pytest.raises(pl.exceptions.ComputeError):
        parse(b"1," + text + b"\n", pl.Int64())


def test_floats_overflow_and_round_without_a_word() -> None:
    assert parse(b"1,1e400\n1,9007199254740993\n", pl.Float64()) == [("1", float("inf")), ("1", 2.0**53)]


def test_decimals_are_rounded_and_dates_guessed_so_neither_is_parsed_at_once() -> None:
    assert [str(row[1]) for row in parse(b"1,1.239\n", pl.Decimal(5, 2))] == ["1.24"]
    assert [str(row[1]) for row in parse(b"1,05/01/2024\n", pl.Date())] == ["2024-01-05"]


def test_a_date_of_two_digits_has_a_year_of_the_first_century_under_four() -> None:
    assert str(pl.Series(["05/03/24"]).str.strptime(pl.Date, "%d/%m/%Y", strict=False)[0]) == "0024-03-05"
