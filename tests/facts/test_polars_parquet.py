"""What ``etl.formats.parquet_exact`` and ``parquet_pages`` rest on in the Parquet readers of Polars and pyarrow."""

from __future__ import annotations

import io
import subprocess
import sys
import zlib

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

_COUNT = b"\x2c\x15\x06"
"""The count of a page of three values, behind the beginning of its own header."""


def _file(values: pa.Array, **options: object) -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table({"a": values}), stream, **options)
    return stream.getvalue()


def _read_by(library: str, content: bytes) -> int:
    """Return how a process ends that reads a file."""
    footer = "pyarrow.parquet.read_metadata(io.BytesIO(content))"
    reads = {
        "polars": "import polars; polars.scan_parquet(content).collect()",
        "pyarrow": f"import pyarrow.parquet; {footer}.row_group(0).column(0).compression",
    }
    code = f"import io; content = {content!r}\ntry:\n    {reads[library]}\nexcept BaseException: raise SystemExit(7)"
    return subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode


def test_a_negative_count_of_values_ends_the_process_inside_polars() -> None:
    content = _file(pa.array([1, None, 3]), compression="none", use_dictionary=False)
    assert content.count(_COUNT) == 1
    assert _read_by("polars", content) == 0
    assert _read_by("polars", content.replace(_COUNT, b"\x2c\x15\x05")) == -6


def test_a_foreign_codec_ends_the_process_where_pyarrow_is_asked_for_a_column_of_the_footer() -> None:
    content = _file(pa.array([1, 2, 3]), compression="none", use_dictionary=False)
    codec = content.rindex(b"\x18\x01a\x15\x00") + 4
    damaged = content[:codec] + b"\x4c" + content[codec + 1 :]
    assert [_read_by("pyarrow", each) for each in (content, damaged)] == [0, -6]


def test_polars_does_not_look_at_the_checksum_of_gzip_and_pyarrow_does() -> None:
    content = _file(pa.array(["x" * 50] * 20), compression="gzip", use_dictionary=False, write_statistics=False)
    start = content.index(b"\x1f\x8b")
    page = zlib.decompressobj(31).decompress(content[start:])
    trailer = content.index(zlib.crc32(page).to_bytes(4, "little"), start)
    damaged = content[:trailer] + b"\0\0\0\0" + content[trailer + 4 :]
    with pytest.raises(OSError, match="incorrect data check"):
        pq.read_table(io.BytesIO(damaged))
    assert pl.read_parquet(damaged).rows() == [("x" * 50,)] * 20


@pytest.mark.parametrize("use_dictionary", [True, False])
@pytest.mark.parametrize("values", [[b"ab", b"\xff"], [b"\xc3", b"\xa9"], [b"x" * 20 + b"\xc3", b"\xa9" + b"x" * 20]])
def test_polars_refuses_text_that_is_not_utf8_also_where_neighbours_would_make_it_so(
    values: list[bytes], *, use_dictionary: bool
) -> None:
    stream = io.BytesIO()
    text = pa.StringArray.from_buffers(2, *pa.array(values, pa.binary()).buffers()[1:])
    pq.write_table(pa.table({"a": text}), stream, use_dictionary=use_dictionary)
    with pytest.raises(pl.exceptions.ComputeError, match=r"(?i)utf-?8"):
        pl.read_parquet(stream.getvalue())
