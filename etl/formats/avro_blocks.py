"""Avro object container files: the header, and the blocks of records behind it.

Source: Avro 1.12 specification, "Object Container Files".
"""

from __future__ import annotations

import bz2
import json
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

from etl.formats.avro_types import Avro

MAGIC = b"Obj\x01"
MAX_BLOCK_BYTES = 256_000_000
"""The most that one block of records may hold, before and after decompression."""

_SYNC_BYTES = 16
_MAX_SHIFT = 63
_MAX_HEADER = 16_000_000


class Container:
    """One opened file. Raises ValueError, with the reason, for what is not a whole container."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        if self._exactly(len(MAGIC)) != MAGIC:
            raise ValueError("it does not start as an Avro file does")
        meta = self._metadata()
        self.codec = meta.get("avro.codec", b"null").decode()
        self._sync = self._exactly(_SYNC_BYTES)
        self.schema: Avro = json.loads(meta["avro.schema"]) if "avro.schema" in meta else "null"
        if self.codec not in _CODECS:
            raise ValueError(f"codec {self.codec!r} is not one of {', '.join(_CODECS)}")

    def blocks(self) -> Iterator[tuple[int, bytes]]:
        """Yield the number of records and the bytes of each block."""
        while first := self._stream.read(1):
            count = self._number(first)
            size = self._number()
            if count < 0 or not 0 <= size <= MAX_BLOCK_BYTES:
                raise ValueError(f"a block of {count} records and {size} bytes")
            content = _CODECS[self.codec](self._exactly(size))
            if self._exactly(_SYNC_BYTES) != self._sync:
                raise ValueError("a block does not end with the file's sync marker")
            if len(content) > MAX_BLOCK_BYTES or count > len(content):
                raise ValueError(f"a block of {count} records and {len(content)} bytes")
            yield count, content

    def _metadata(self) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        while count := self._number():
            if count < 0:
                count = -count
                self._number()
            for _ in range(count):
                key = self._text().decode()
                found[key] = self._text()
        return found

    def _text(self) -> bytes:
        size = self._number()
        if not 0 <= size <= _MAX_HEADER:
            raise ValueError("the header is damaged")
        return self._exactly(size)

    def _number(self, first: bytes = b"") -> int:
        value, shift = 0, 0
        while True:
            byte = (first or self._exactly(1))[0]
            first = b""
            value |= (byte & 127) << shift
            if byte < 128:  # noqa: PLR2004  the bit that says: more follows
                return (value >> 1) ^ -(value & 1)
            shift += 7
            if shift > _MAX_SHIFT:
                raise ValueError("a number is longer than 64 bits")

    def _exactly(self, size: int) -> bytes:
        parts, missing = [], size
        while missing and (part := self._stream.read(missing)):
            parts.append(part)
            missing -= len(part)
        if missing:
            raise EOFError("the file ends in the middle")
        return b"".join(parts)


def _deflate(content: bytes) -> bytes:
    return _at_most(zlib.decompressobj(-15), content)


def _bzip2(content: bytes) -> bytes:
    return _at_most(bz2.BZ2Decompressor(), content)


def _xz(content: bytes) -> bytes:
    return _at_most(lzma.LZMADecompressor(memlimit=MAX_BLOCK_BYTES), content)


def _at_most(stream: zlib._Decompress | bz2.BZ2Decompressor | lzma.LZMADecompressor, content: bytes) -> bytes:
    try:
        found = stream.decompress(content, MAX_BLOCK_BYTES + 1)
    except (zlib.error, lzma.LZMAError) as exc:
        raise ValueError(f"a block cannot be decompressed: {exc}") from exc
    if not stream.eof and len(found) <= MAX_BLOCK_BYTES:
        raise ValueError("the compressed bytes of a block end in the middle")
    return found


def _snappy(content: bytes) -> bytes:
    import pyarrow as pa

    size, shift = 0, 0
    for byte in content[:5]:
        size |= (byte & 127) << shift
        shift += 7
        if byte < 128:  # noqa: PLR2004  the bit that says: more follows
            break
    if size > MAX_BLOCK_BYTES:
        raise ValueError(f"a block of {size} bytes")
    found = bytes(pa.Codec("snappy").decompress(content[:-4], size)) if size else b""
    if zlib.crc32(found) != int.from_bytes(content[-4:], "big"):
        raise ValueError("the checksum of a block is wrong")
    return found


def _zstandard(content: bytes) -> bytes:
    import pyarrow as pa

    stream = pa.CompressedInputStream(pa.BufferReader(content), "zstd")
    return bytes(stream.read(MAX_BLOCK_BYTES + 1))


_CODECS: dict[str, Callable[[bytes], bytes]] = {
    "null": bytes,
    "deflate": _deflate,
    "snappy": _snappy,
    "zstandard": _zstandard,
    "bzip2": _bzip2,
    "xz": _xz,
}
