"""Compression, known by its magic bytes and never by a name."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, BinaryIO, Literal, cast

from etl.errors import SourceError

if TYPE_CHECKING:
    import pyarrow as pa

Codec = Literal["gzip", "zstd"]

_MAGIC: tuple[tuple[bytes, Codec], ...] = ((b"\x1f\x8b", "gzip"), (b"\x28\xb5\x2f\xfd", "zstd"))
_SKIPPABLE = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")


def sniff(head: bytes) -> Codec | None:
    """Return how a file that starts with ``head`` (4 bytes or more, fewer only if there are no more) is compressed."""
    for magic, codec in _MAGIC:
        if head.startswith(magic):
            return codec
    return "zstd" if _SKIPPABLE.match(head) else None


def decompressed(file: BinaryIO, path: str) -> BinaryIO:
    """Return ``file`` (at its start) as plain bytes, whatever its compression; plain files come back as they are.

    Members and frames that follow one another are all read. Reading raises SourceError, naming ``path``, where
    the file is cut off, damaged or followed by anything else.
    """
    codec = sniff(file.read(4))
    file.seek(0)
    if codec is None:
        return file
    import pyarrow as pa

    # A fifth faster than gzip, and it refuses all that gzip refuses: tests/facts/test_pyarrow_compression.py.
    stream = pa.CompressedInputStream(pa.PythonFile(file, "r"), codec)
    return cast("BinaryIO", _Decompressed(stream, path))


class _Decompressed(io.RawIOBase):
    """A decompressing stream whose failures are SourceErrors."""

    def __init__(self, stream: pa.CompressedInputStream, path: str) -> None:
        self._stream = stream
        self._path = path

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        try:
            return bytes(self._stream.read(None if size < 0 else size))
        except OSError as exc:
            hint = "copy the file again; where it is still being written, set stable_for"
            raise SourceError(f"compressed data is damaged: {exc}", where=self._path, hint=hint) from exc

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()
