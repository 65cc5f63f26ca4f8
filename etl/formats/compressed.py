"""Compression, known by its magic bytes and never by a name."""

from __future__ import annotations

import bz2
import io
import lzma
import re
from typing import Any, BinaryIO, Literal, Protocol, cast

from etl.errors import UnreadableFileError
from etl.formats.watched import Watched

Codec = Literal["gzip", "zstd", "bz2", "xz"]

EXPANSION_FREE_BYTES = 1_000_000_000
"""Up to here a compressed file may expand as much as it likes."""

EXPANSION_RATIO = 300
"""Beyond that, how many bytes may come from one compressed byte: logs give 5 to 100, a bomb of zeros 1,000 and more."""

IN_MEMORY_BYTES = 256_000_000
"""The most that a compressed file may hold where its format has to seek in it: it is decompressed into memory."""

_XZ_MEMORY_BYTES = 256 * 2**20
_BLOCK_BYTES = 65_536
_MAGIC: tuple[tuple[bytes, Codec], ...] = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\xfd7zXZ\x00", "xz"),
)
_SKIPPABLE = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")
_BZ2 = re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)")
_HEAD_BYTES = 10
_HINT = "copy the file again; where it is still being written, set stable_for"


def sniff(head: bytes) -> Codec | None:
    """Return how a file that starts with ``head`` is compressed: its first 10 bytes, fewer where it has no more.

    4 bytes are enough for a file that starts with ``{``, as they are for any that is not compressed.
    """
    for magic, codec in _MAGIC:
        if head.startswith(magic[: max(len(head), 4)] if codec == "xz" else magic):
            return codec
    if _SKIPPABLE.match(head):
        return "zstd"
    is_bz2 = _BZ2.match(head) if len(head) >= _HEAD_BYTES else re.fullmatch(rb"BZh[1-9]", head)
    return "bz2" if is_bz2 else None


def decompressed(file: BinaryIO, path: str) -> BinaryIO:
    """Return ``file`` (at its start) as plain bytes, whatever its compression; plain files come back as they are.

    Members, frames and streams that follow one another are all read; an archive inside is not opened. Reading raises
    UnreadableFileError, naming ``path``, where the file is cut off, damaged, followed by anything else, or expands
    beyond all measure.
    """
    codec = sniff(file.read(_HEAD_BYTES))
    file.seek(0)
    if codec is None:
        return file
    watched = Watched(file)
    if codec in ("bz2", "xz"):
        return cast("BinaryIO", _Decompressed(_Streams(watched, codec), watched, path))
    import pyarrow as pa

    # A fifth faster than gzip, and it refuses all that gzip refuses: tests/facts/test_pyarrow_compression.py.
    stream = pa.CompressedInputStream(pa.PythonFile(watched, "r"), codec)
    return cast("BinaryIO", _Decompressed(stream, watched, path))


def seekable(file: BinaryIO, path: str) -> BinaryIO:
    """Return ``file`` (at its start) as plain bytes in which one can seek; a compressed file is held in memory.

    Raises UnreadableFileError as ``decompressed``, and for more than ``IN_MEMORY_BYTES``.
    """
    plain = decompressed(file, path)
    if plain is file:
        return file
    content = bytearray()
    while block := plain.read(1_000_000):
        content += block
        if len(content) > IN_MEMORY_BYTES:
            fault = f"it holds more than {IN_MEMORY_BYTES} bytes, and its format has to be read from the end"
            raise UnreadableFileError(path, fault, hint="store the file without compression around it")
    return io.BytesIO(content)


class _Stream(Protocol):
    def read(self, size: int | None) -> bytes: ...

    def close(self) -> None: ...


class _Decompressed(io.RawIOBase):
    """A decompressing stream whose failures are UnreadableFileErrors, those of the file beneath aside."""

    def __init__(self, stream: _Stream, watched: Watched, path: str) -> None:
        self._stream = stream
        self._watched = watched
        self._path = path
        self._given = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if size >= 0:
            return self._block(size)
        blocks = []
        while block := self._block(_BLOCK_BYTES * 16):
            blocks.append(block)
        return b"".join(blocks)

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401  any writable bytes
        block = self._block(len(buffer))
        buffer[: len(block)] = block
        return len(block)

    def _block(self, size: int) -> bytes:
        import pyarrow as pa

        try:
            block = bytes(self._stream.read(size))
        except (OSError, EOFError, ValueError, MemoryError, lzma.LZMAError, pa.ArrowException) as exc:
            if self._watched.fault is not None:
                raise self._watched.fault from None
            raise UnreadableFileError(self._path, f"compressed data is damaged: {exc}", hint=_HINT) from exc
        self._given += len(block)
        if self._given > max(EXPANSION_FREE_BYTES, EXPANSION_RATIO * self._watched.taken):
            fault = f"{self._watched.taken} compressed bytes expand to more than {self._given}: reading stopped"
            raise UnreadableFileError(self._path, fault, hint="a decompression bomb, or a file to be split")
        return block

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()


class _Streams:
    """The bz2 or xz streams of a file, one after the other; between those of xz zero bytes are padding, in fours.

    pyarrow has bz2 as well, and stumbles over a stream of nothing: tests/facts/test_pyarrow_compression.py.
    """

    def __init__(self, file: Watched, codec: Codec) -> None:
        self._file = file
        self._is_xz = codec == "xz"
        self._open: bz2.BZ2Decompressor | lzma.LZMADecompressor | None = None
        self._rest = b""

    def read(self, size: int | None) -> bytes:
        while size and (self._open is not None or self._next_stream()):
            if found := self._some(size):
                return found
        return b""

    def _some(self, size: int) -> bytes:
        """Return at most ``size`` bytes of the open stream, empty where it needs more input or has ended."""
        stream = self._open
        if stream is None:
            return b""
        block = b""
        if stream.needs_input:
            block = self._rest or self._file.read(_BLOCK_BYTES)
            self._rest = b""
            if not block:
                raise EOFError("the stream ends in the middle")
        found = stream.decompress(block, size)
        if stream.eof:
            self._open, self._rest = None, stream.unused_data
        return found

    def _next_stream(self) -> bool:
        """Tell whether a stream follows, and open it."""
        padding = 0
        while True:
            self._rest = self._rest or self._file.read(_BLOCK_BYTES)
            more = self._rest.lstrip(b"\x00") if self._is_xz else self._rest
            padding += len(self._rest) - len(more)
            if more or not self._rest:
                break
            self._rest = b""
        self._rest = more
        if padding % 4:
            raise EOFError("something else follows the last stream")
        if more:
            self._open = (
                lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY_BYTES)
                if self._is_xz
                else bz2.BZ2Decompressor()
            )
        return bool(more)

    def close(self) -> None:
        """Forget the state; the file is its owner's."""
        self._open = None
