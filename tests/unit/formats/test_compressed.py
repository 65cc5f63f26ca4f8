"""Compression by magic bytes; damage never passes as the end of a file."""

from __future__ import annotations

import gzip
import io

import pytest
import zstandard

from etl.errors import SourceError
from etl.formats.compressed import decompressed, sniff
from tests.unit.formats.reading import infer, read

PLAIN = b"".join(b'{"n": %d}\n' % i for i in range(2000))
GZIP, ZSTD = gzip.compress(PLAIN, mtime=0), zstandard.ZstdCompressor(write_checksum=True).compress(PLAIN)


def flipped(content: bytes) -> bytes:
    """Return the bytes with one bit changed in the middle."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :]


@pytest.mark.parametrize(
    ("head", "codec"),
    [
        (GZIP[:4], "gzip"),
        (ZSTD[:4], "zstd"),
        (b"\x50\x2a\x4d\x18", "zstd"),
        (b'{"n"', None),
        (b"", None),
        (b"\x1f", None),
    ],
)
def test_codec_is_known_by_magic_bytes(head: bytes, codec: str | None) -> None:
    assert sniff(head) == codec


@pytest.mark.parametrize("content", [PLAIN, GZIP, ZSTD])
def test_stream_is_read_from_its_start_whatever_the_codec(content: bytes) -> None:
    assert decompressed(io.BytesIO(content), "f").read() == PLAIN


@pytest.mark.parametrize("content", [GZIP + GZIP, ZSTD + ZSTD])
def test_members_that_follow_one_another_are_all_read(content: bytes) -> None:
    assert decompressed(io.BytesIO(content), "f").read() == PLAIN * 2


@pytest.mark.parametrize("content", [gzip.compress(b"", mtime=0), zstandard.compress(b"")], ids=["gzip", "zstd"])
def test_compressed_nothing_is_an_empty_file(content: bytes) -> None:
    assert read("ndjson", content, {"n": "int64"}) == []
    assert read("csv", content, {"n": "int64"}) == []


@pytest.mark.parametrize("content", [GZIP, ZSTD])
@pytest.mark.parametrize("damage", ["half", "last byte", "flip", "garbage", "second half"])
def test_damage_is_a_source_error_that_names_the_file(content: bytes, damage: str) -> None:
    damaged = {
        "half": content[: len(content) // 2],
        "last byte": content[:-1],
        "flip": flipped(content),
        "garbage": content + b"garbage",
        "second half": content + content[: len(content) // 2],
    }[damage]
    with pytest.raises(SourceError, match=r"^in/f: compressed data is damaged"):
        read("ndjson", damaged, {"n": "int64"}, chunk_bytes=1000)
    with pytest.raises(SourceError, match=r"^in/f: compressed data is damaged"):
        infer("ndjson", damaged)
