"""Encodings of CSV: a stream in which ASCII characters are single bytes, and the way back to the file's own bytes."""

from __future__ import annotations

import codecs
from typing import BinaryIO, Literal, Protocol

from etl.errors import UnreadableFileError
from etl.formats.csv_lines import units_of

Encoding = Literal["utf-8", "utf-16", "latin-1", "windows-1252"]

_UTF8_BOM = b"\xef\xbb\xbf"
_UTF16 = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
_ASCII_END, _FIRST_LEAD, _FIRST_OF_FOUR = 128, 192, 240


class TextStream(Protocol):
    """The text of a file. ``start`` is the byte of the file at which it starts, ``encoding`` that of what is read."""

    start: int
    encoding: str

    def read(self, size_bytes: int) -> bytes:
        """Return what comes next, nothing at the end."""

    def utf8(self, text: bytes) -> bytes | None:
        """Return some of what was read in UTF-8; None where it is no text, unless it is UTF-8 already."""

    def raw(self, text: bytes) -> bytes:
        """Return the file's own bytes of some of what was read."""

    def size(self, text: bytes) -> int:
        """Return how many bytes of the file that is."""


class _Bytes:
    """Text whose bytes are read as they are."""

    def __init__(self, stream: BinaryIO, encoding: str, head: bytes) -> None:
        is_marked = encoding == "utf-8" and head.startswith(_UTF8_BOM)
        self.start = len(_UTF8_BOM) if is_marked else 0
        self.encoding = encoding
        self._stream = stream
        self._head = head[self.start :]

    def read(self, size_bytes: int) -> bytes:
        if self._head:
            head, self._head = self._head, b""
            return head
        return self._stream.read(size_bytes)

    def utf8(self, text: bytes) -> bytes | None:
        if self.encoding == "utf-8" or text.isascii():
            return text
        try:
            return text.decode(self.encoding).encode()
        except UnicodeDecodeError:
            return None

    def raw(self, text: bytes) -> bytes:
        return text

    def size(self, text: bytes) -> int:
        return len(text)


class _Utf16:
    """UTF-16, read as UTF-8; a lone surrogate or half a character at the end becomes bytes that are no UTF-8."""

    encoding = "utf-8"

    def __init__(self, stream: BinaryIO, encoding: str, head: bytes) -> None:
        self.start = len(codecs.BOM_UTF16)
        self._encoding = encoding
        self._stream = stream
        self._head = head[self.start :]
        self._decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")

    def read(self, size_bytes: int) -> bytes:
        while True:
            block = self._head or self._stream.read(size_bytes)
            self._head = b""
            try:
                text = self._decoder.decode(block, final=not block).encode("utf-8", "surrogatepass")
            except UnicodeDecodeError:
                self._decoder.reset()
                return b"\xff"
            if text or not block:
                return text

    def utf8(self, text: bytes) -> bytes | None:
        return text

    def raw(self, text: bytes) -> bytes:
        is_whole = not text.endswith(b"\xff")
        found = text.removesuffix(b"\xff").decode("utf-8", "surrogatepass").encode(self._encoding, "surrogatepass")
        return found if is_whole else found + b"\xff"

    def size(self, text: bytes) -> int:
        units = units_of(text)
        is_lead = (units < _ASCII_END) | (units >= _FIRST_LEAD)
        return 2 * (int(is_lead.sum()) + int((units >= _FIRST_OF_FOUR).sum())) if text else 0


def text_stream(stream: BinaryIO, path: str, encoding: Encoding, chunk_bytes: int) -> TextStream:
    """Return the text of a file behind its byte order mark. Raises UnreadableFileError for the wrong encoding."""
    head = stream.read(max(chunk_bytes, len(_UTF8_BOM)))
    found = _UTF16.get(head[:2])
    if encoding == "utf-16":
        if found is None and head:
            raise UnreadableFileError(path, "UTF-16 without a byte order mark", hint="convert the file to UTF-8")
        return _Utf16(stream, found or "utf-16-le", head)
    if found is not None and encoding == "utf-8":
        raise UnreadableFileError(
            path, "the file starts as UTF-16 does", hint="set `format_options: {encoding: utf-16}`"
        )
    return _Bytes(stream, encoding, head)


class TextBuffer:
    """What was read of a text and not used up yet: ``content``, which starts at byte ``position``, line ``line``."""

    def __init__(self, text: TextStream, chunk_bytes: int) -> None:
        self.text = text
        self.content = b""
        self.is_ended = False
        self.position = text.start
        self.line = 1
        self._chunk_bytes = chunk_bytes

    def fill(self, size_bytes: int) -> None:
        """Read until there are ``size_bytes`` or there is no more."""
        parts, size = [self.content], len(self.content)
        while size < size_bytes and not self.is_ended:
            block = self.text.read(self._chunk_bytes)
            self.is_ended = not block
            parts.append(block)
            size += len(block)
        parts = [part for part in parts if part]
        self.content = parts[0] if len(parts) == 1 else b"".join(parts)

    def drop(self, size_bytes: int, lines: int | None = None) -> None:
        """Leave out the first bytes; ``lines`` are the line ends in them, counted where None."""
        passed = self.content if size_bytes == len(self.content) else self.content[:size_bytes]
        self.position += self.text.size(passed)
        self.line += passed.count(b"\n") if lines is None else lines
        self.content = b"" if passed is self.content else self.content[size_bytes:]

    def drop_line(self) -> None:
        """Leave out all up to the end of the line, which may be longer than what is kept."""
        while (end := self.content.find(b"\n") + 1) == 0 and not self.is_ended:
            self.drop(len(self.content))
            self.fill(1)
        self.drop(end or len(self.content))
