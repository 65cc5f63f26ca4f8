"""Compression by magic bytes; damage never passes as the end of a file."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import time
import zipfile
from collections.abc import Callable
from typing import BinaryIO

import pytest
import zstandard

from etl.errors import SourceError, UnreadableFileError
from etl.formats.compressed import decompressed, seekable, sniff
from tests.unit.formats.files import parquet, read, survey

PLAIN = b"".join(b'{"n": %d}\n' % i for i in range(2000))


def zstd(content: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(content)


CODECS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda content: gzip.compress(content, mtime=0),
    "zstd": zstd,
    "bz2": bz2.compress,
    "xz": lzma.compress,
}
PACKED = {name: compress(PLAIN) for name, compress in CODECS.items()}


def flipped(content: bytes) -> bytes:
    """Return the bytes with one bit changed in the middle."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :]


@pytest.mark.parametrize(
    ("head", "codec"),
    [
        *((content[:10], name) for name, content in PACKED.items()),
        *((content[:4], name) for name, content in PACKED.items()),
        (bz2.compress(b"")[:10], "bz2"),
        (b"\x50\x2a\x4d\x18", "zstd"),
        (b"BZh9 is no bzip2", None),
        (b"\xfd7zX", "xz"),
        (b"\xfd7", None),
        (b'{"n"', None),
        (b"", None),
        (b"\x1f", None),
    ],
)
def test_codec_is_known_by_magic_bytes(head: bytes, codec: str | None) -> None:
    assert sniff(head) == codec


def test_plain_file_comes_back_as_it_is() -> None:
    file = io.BytesIO(PLAIN)
    assert decompressed(file, "f") is file
    assert file.tell() == 0


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("size", [-1, 1, 777, 100_000])
def test_stream_and_those_that_follow_it_are_read_from_the_start(codec: str, size: int) -> None:
    content = (
        (CODECS[codec](PLAIN[:1000]) + CODECS[codec](b"") + CODECS[codec](PLAIN[:500]))
        if size == 1
        else PACKED[codec] * 2
    )
    expected = PLAIN[:1000] + PLAIN[:500] if size == 1 else PLAIN * 2
    stream, found = decompressed(io.BytesIO(content), "f"), b""
    while block := stream.read(size):
        found += block
    assert found == expected


def test_padding_between_and_behind_xz_streams_is_allowed_in_fours_only() -> None:
    assert decompressed(io.BytesIO(PACKED["xz"] + bytes(4) + PACKED["xz"] + bytes(70_000)), "f").read() == PLAIN * 2
    with pytest.raises(UnreadableFileError, match="something else follows the last stream"):
        decompressed(io.BytesIO(PACKED["xz"] + bytes(3)), "f").read()


@pytest.mark.parametrize("codec", CODECS)
def test_compressed_nothing_is_an_empty_file(codec: str) -> None:
    assert read("text", CODECS[codec](b""), {"line": "string"}).rows == []


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("damage", ["half", "last byte", "flip", "garbage", "second half"])
def test_damage_is_an_unreadable_file_that_is_named(codec: str, damage: str) -> None:
    content = PACKED[codec]
    damaged = {
        "half": content[: len(content) // 2],
        "last byte": content[:-1],
        "flip": flipped(content),
        "garbage": content + b"garbage",
        "second half": content + content[: len(content) // 2],
    }[damage]
    for act in (lambda: read("text", damaged, {"line": "string"}), lambda: survey("text", damaged)):
        with pytest.raises(UnreadableFileError, match=r"^in/f: compressed data is damaged") as failure:
            act()
        assert failure.value.path == "in/f"
        assert isinstance(failure.value, SourceError)


@pytest.mark.parametrize("codec", CODECS)
def test_error_of_the_store_is_no_damage(codec: str) -> None:
    class Torn(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() >= 20:
                raise ConnectionError("the store is away")
            return super().read(min(size or 20, 20))

    with pytest.raises(ConnectionError, match="the store is away"):
        decompressed(Torn(PACKED[codec]), "f").read()


def drained(stream: BinaryIO) -> int:
    size = 0
    while block := stream.read(4_000_000):
        size += len(block)
    return size


def zeros(codec: str, megabytes: int) -> bytes:
    """Return a bomb; streams may follow one another, so one is enough of each."""
    return CODECS[codec](bytes(1_000_000)) * megabytes


@pytest.mark.parametrize(
    "codec", ["zstd", *(pytest.param(name, marks=pytest.mark.slow) for name in ("gzip", "bz2", "xz"))]
)
def test_bomb_is_stopped_behind_the_first_gigabyte(codec: str) -> None:
    began = time.monotonic()
    with pytest.raises(
        UnreadableFileError, match=r"^f: \d+ compressed bytes expand to more than 1\d{9}: reading stopped"
    ):
        drained(decompressed(io.BytesIO(zeros(codec, 1200)), "f"))
    assert time.monotonic() - began < 30


def test_ten_megabytes_of_a_bomb_are_stopped_in_seconds() -> None:
    one = zstandard.compress(bytes(500_000_000))
    content = one * (10_000_000 // len(one) + 1)
    began = time.monotonic()
    with pytest.raises(UnreadableFileError, match="reading stopped"):
        drained(decompressed(io.BytesIO(content), "f"))
    assert time.monotonic() - began < 30


def test_honest_file_may_be_large() -> None:
    line = b"".join(b"2024-01-01T00:00:%02d.%06d INFO request %d served\n" % (i % 60, i, i) for i in range(20_000))
    assert drained(decompressed(io.BytesIO(zstd(line) * 1_000), "f")) == len(line) * 1_000


@pytest.mark.parametrize("codec", CODECS)
def test_format_that_seeks_is_read_from_memory(codec: str) -> None:
    content = CODECS[codec](parquet({"a": [1, 2]}))
    assert read("parquet", content, {"a": "int64"}).rows == [(1, 0), (2, 1)]


def test_more_than_fits_into_memory_is_unreadable() -> None:
    with pytest.raises(UnreadableFileError, match=r"^f: it holds more than 256000000 bytes"):
        seekable(io.BytesIO(zeros("zstd", 300)), "f")


def test_archive_inside_is_not_opened() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as parts:
        parts.writestr("a.txt", "x\n")
    inner = gzip.compress(gzip.compress(b"a\n"))
    assert decompressed(io.BytesIO(inner), "f").read() == gzip.decompress(inner)
    assert decompressed(io.BytesIO(stream.getvalue()), "f").read() == stream.getvalue()
