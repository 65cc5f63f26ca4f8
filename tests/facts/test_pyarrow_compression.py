"""What pyarrow's decompression does, and what rests on it."""

from __future__ import annotations

import bz2
import gzip
import io

import pyarrow as pa
import pytest
import zstandard

PLAIN = bytes(range(256)) * 2000
PACKED = {"gzip": gzip.compress(PLAIN, mtime=0), "zstd": zstandard.ZstdCompressor(write_checksum=True).compress(PLAIN)}


def unpacked(content: bytes, codec: str) -> bytes:
    stream = pa.CompressedInputStream(pa.PythonFile(io.BytesIO(content), "r"), codec)
    parts = []
    while part := stream.read(10_000):
        parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
def test_members_that_follow_one_another_are_all_read(codec: str) -> None:
    assert unpacked(PACKED[codec] * 2, codec) == PLAIN * 2


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
@pytest.mark.parametrize("cut", [5, 200, -8, -1])
def test_cut_stream_is_an_error(codec: str, cut: int) -> None:
    with pytest.raises(OSError, match="Truncated compressed stream"):
        unpacked(PACKED[codec][:cut], codec)


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
def test_cut_second_member_is_an_error(codec: str) -> None:
    with pytest.raises(OSError, match="Truncated compressed stream"):
        unpacked(PACKED[codec] + PACKED[codec][:100], codec)


@pytest.mark.parametrize("place", [-6, -1])
def test_wrong_checksum_or_length_of_gzip_is_an_error(place: int) -> None:
    content = bytearray(PACKED["gzip"])
    content[place] ^= 1
    with pytest.raises(OSError, match=r"incorrect (data|length) check"):
        unpacked(bytes(content), "gzip")


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
@pytest.mark.parametrize("tail", [b"garbage", b"\0" * 20])
def test_anything_behind_the_end_is_an_error(codec: str, tail: bytes) -> None:
    with pytest.raises(OSError, match=r"inflate failed|decompress failed"):
        unpacked(PACKED[codec] + tail, codec)


def test_bzip2_stumbles_over_a_stream_of_nothing() -> None:
    content = bz2.compress(b"a") + bz2.compress(b"") + bz2.compress(b"b")
    assert bz2.decompress(content) == b"ab"
    stream = pa.CompressedInputStream(pa.PythonFile(io.BytesIO(content), "r"), "bz2")
    with pytest.raises(pa.ArrowException, match="wrong sequence of calls"):
        [stream.read(1) for _ in range(3)]
