"""What polars makes of lines, and what rests on it in etl/formats/text.py."""

from __future__ import annotations

import io

import polars as pl
import pytest


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"a\r\n\r\n\nb", ["a", "", "", "b"]),
        (b"a\rb\nc\r", ["a\rb", "c"]),
        (b"\xef\xbb\xbfa\n", ["\ufeffa"]),
        ("\u2028\x0b\x85\0\n".encode(), ["\u2028\x0b\x85\0"]),
    ],
)
def test_lines_end_in_lf_crlf_or_the_last_cr_and_nowhere_else(content: bytes, lines: list[str]) -> None:
    assert pl.read_lines(io.BytesIO(content)).to_series().to_list() == lines
