"""Files that grow at their end: what proves that a first part is the one that was read, and how the rest is read alone.

Formats know nothing of this: they are given the tail as a file of its own, under ``csv`` and ``tsv`` with the header
before it, and the offsets of its rows are moved here.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from etl.errors import SourceError
from etl.formats import FORMATS, format_of
from etl.formats.compressed import sniff
from etl.sources.file_options import LINE_FORMATS, FileOptions, LogPattern
from etl.sources.file_units import UnitRow

if TYPE_CHECKING:
    from etl.formats.contract import Chunk, Task
    from etl.sources.file_access import FileAccess

PROOF_BYTES = 1 << 16
"""So much of the start of a file, and of its end, is kept as a digest: a smaller file is proved byte by byte."""

_BLOCK_BYTES = 1 << 20
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")
_HINT = "`on_change: replace_rows` puts the new rows in place of the old ones, `reingest` adds them"


def proof_of(access: FileAccess, unit: UnitRow) -> str:
    """Return a digest of the first and the last 64 KB of a file. Raises FileNotFoundError, SourceChangedError."""
    with access.open(unit) as handle:
        return _proof(handle, unit.size_bytes)


def _proof(handle: BinaryIO, size_bytes: int) -> str:
    """Return the digest of the first ``size_bytes`` of an open file."""
    digest = hashlib.blake2b(digest_size=16)
    head = min(PROOF_BYTES, size_bytes)
    handle.seek(0)
    digest.update(handle.read(head))
    last = max(head, size_bytes - PROOF_BYTES)
    handle.seek(last)
    digest.update(handle.read(size_bytes - last))
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Tail:
    """The part of a file behind ``start``; ``header`` stands before it, so that a format can read it by itself."""

    start: int
    size_bytes: int
    header: bytes = b""
    is_numbered: bool = False

    def opened(self, handle: BinaryIO) -> BinaryIO:
        """Return header and tail of an open file as one file, closed with it."""
        return cast("BinaryIO", io.BufferedReader(_TailStream(handle, self), _BLOCK_BYTES))

    def task(self, task: Task) -> Task:
        """Return a format's task over the tail, with offsets in the whole file."""
        return partial(self._moved, task)

    def _moved(self, task: Task) -> Iterator[Chunk]:
        """Move offsets. Lines are not counted from the file's start, so rejected rows have none."""
        import polars as pl

        in_bytes = self.start - len(self.header)
        for chunk in task():
            moved = replace(chunk, locate=partial(_plus, chunk.locate, self.start if self.is_numbered else in_bytes))
            if chunk.rejects is not None:
                placed = chunk.rejects.with_columns(pl.col("_source_offset") + in_bytes, line=pl.lit(None, pl.Int64))
                moved = replace(moved, rejects=placed)
            yield moved


def _plus(locate: Callable[[], Any], shift: int) -> Any:  # noqa: ANN401  a Series
    return locate() + shift


class _TailStream(io.RawIOBase):
    """The bytes of a header, then those of a file from some place on."""

    def __init__(self, handle: BinaryIO, tail: Tail) -> None:
        self._handle = handle
        self._header = tail.header
        self._start = tail.start
        self._size_bytes = len(tail.header) + tail.size_bytes
        self._at = 0

    def readable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say yes."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to an offset."""
        self._at = max(0, offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size_bytes}[whence])
        return self._at

    def tell(self) -> int:
        """Return the offset."""
        return self._at

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401  typeshed's Buffer is not importable at run time
        """Fill ``buffer``; returns how many bytes came."""
        if self._at < len(self._header):
            content = self._header[self._at : self._at + len(buffer)]
        else:
            self._handle.seek(self._start + self._at - len(self._header))
            content = self._handle.read(min(len(buffer), max(0, self._size_bytes - self._at)))
        buffer[: len(content)] = content
        self._at += len(content)
        return len(content)

    def close(self) -> None:
        """Close the file."""
        try:
            if not self.closed:
                self._handle.close()
        finally:
            super().close()


class FileTails:
    """What one source does with files that have grown."""

    def __init__(self, options: FileOptions) -> None:
        self._format = options.format
        self._given = options.format_options

    def start_of(self, access: FileAccess, now: UnitRow, before: UnitRow) -> int:
        """Return where the new part of a file begins that was ``before``.

        Raises SourceError where it does not begin as it did then, FileNotFoundError and SourceChangedError.
        """
        size_bytes = before.size_bytes
        if before.digest is None:
            raise _refused(now.path, "changed after it was read, and nothing was kept to prove its first part by")
        if now.size_bytes < size_bytes:
            raise _refused(now.path, f"is shorter than when it was read: {now.size_bytes} bytes, {size_bytes} then")
        with access.open(now) as handle:
            if _proof(handle, size_bytes) != before.digest:
                raise _refused(now.path, "has other bytes in the part that was read")
        return size_bytes

    def tail_of(self, unit: UnitRow, open_file: Callable[[], BinaryIO]) -> Tail:
        """Return the part of a unit that is to be read."""
        start = unit.from_byte or 0
        tail = Tail(start, unit.size_bytes - start)
        if self._name(unit.path) not in ("csv", "tsv"):
            return tail
        with open_file() as handle:
            return replace(tail, header=self._header(handle, unit.path), is_numbered=True)

    def check_border(self, access: FileAccess, now: UnitRow, start: int) -> None:
        """Refuse a file whose new part does not begin with a record. Raises SourceError."""
        with access.open(now) as handle:
            self._check_border(handle, now.path, start)

    def _check_border(self, handle: BinaryIO, path: str, size_bytes: int) -> None:
        if self._name(path) not in LINE_FORMATS:
            raise _refused(path, f"has grown, and {self._name(path)} files cannot be read from their middle on")
        handle.seek(0)
        head = handle.read(4)
        if sniff(head) is not None:
            raise _refused(path, "has grown, and compressed files cannot be read from their middle on")
        if head.startswith(_WIDE_MARKS):
            raise _refused(path, "has grown, and UTF-16 cannot be read from its middle on")
        handle.seek(size_bytes - 1)
        if handle.read(1) != b"\n":
            raise _refused(path, "goes on in a line that was read as a row: it had no line end then")
        if self._has_open_quote(handle, path, size_bytes):
            raise _refused(path, "goes on in a quoted field that was read as a row's last")

    def _has_open_quote(self, handle: BinaryIO, path: str, size_bytes: int) -> bool:
        """Tell whether the first part of a CSV file has an odd number of quotes, which takes reading it once more."""
        if self._name(path) not in ("csv", "tsv"):
            return False
        quote, escape = (self._option(path, name, "").encode() for name in ("quote", "escape"))
        if not quote:
            return False
        handle.seek(0)
        left, quotes = size_bytes, 0
        while left > 0 and (block := handle.read(min(_BLOCK_BYTES, left))):
            while escape and escape != quote and block.endswith(escape) and len(block) < left:
                block += handle.read(1)
            left -= len(block)
            if escape and escape != quote:
                block = block.replace(escape + escape, b"").replace(escape + quote, b"")
            quotes += block.count(quote)
        return quotes % 2 == 1

    def _header(self, handle: BinaryIO, path: str) -> bytes:
        """Return the lines that a CSV file begins with, up to its header. Raises SourceError."""
        lines = [handle.readline() for _ in range(self._option(path, "skip_lines", 0))]
        if self._option(path, "header", default=True):
            lines.append(handle.readline())
            while lines[-1] and not lines[-1].strip():
                lines.append(handle.readline())
            quote = self._option(path, "quote", "").encode()
            if quote and lines[-1].count(quote) % 2:
                raise _refused(path, "has grown, and its header goes over several lines")
        return b"".join(lines)

    def _name(self, path: str) -> str:
        return "lines" if isinstance(self._format, LogPattern) else self._format or format_of(path)

    def _option(self, path: str, name: str, default: Any) -> Any:  # noqa: ANN401  each option has a type of its own
        kind: Any = FORMATS[self._name(path)]
        value = getattr(kind.options_model.model_validate(self._given), name, None)
        return default if value is None else value


def _refused(path: str, reason: str) -> SourceError:
    return SourceError(reason, where=path, hint=_HINT)
