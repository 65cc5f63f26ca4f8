"""What makes a log the same log, whatever it is called: its bytes, fingerprinted at a known length.

A device and an inode name a file only while it exists, and a path names whatever lies there. So a log is known by its
*mark* as well: how long it was when it was looked at, a digest of its first bytes and one of the last before that
length. Appending leaves a mark true; truncating, rewriting and another file that starts alike do not.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import struct
from contextlib import suppress
from functools import cache
from typing import Any, BinaryIO, NamedTuple, Protocol, cast

from etl.errors import SourceError
from etl.formats.compressed import decompressed, sniff
from etl.sources.file_names import split

HEAD_BYTES = 4096
TAIL_BYTES = 1024
_DIGEST_BYTES = 16
_SKIP_BYTES = 1 << 20
_STATX_BYTES, _STATX_BTIME, _BTIME_AT, _AT_FDCWD = 256, 0x800, 0x50, -100
_TAG = r"\d{1,14}(?:[-._T:+]?\d{1,14})*"
_PACKED = r"(?:\.gz|\.zst)"


class Status(NamedTuple):
    """What a stat tells of a file."""

    device: int
    inode: int
    size_bytes: int
    modified_ns: int

    @property
    def identity(self) -> tuple[int, int]:
        """Device and inode."""
        return self.device, self.inode


class Mark(NamedTuple):
    """The fingerprint of a log's first ``length`` bytes, uncompressed; digests carry the length that they cover."""

    length: int = 0
    head: str = ""
    tail: str = ""


class Content(Protocol):
    """The plain bytes of a log."""

    is_packed: bool

    def read_at(self, start: int, length: int) -> bytes:
        """Return up to ``length`` bytes from ``start``; fewer only at the end. Raises OSError, SourceError."""

    def size(self) -> int:
        """Return how many bytes there are. Raises SourceError where compressed data is damaged or cut off."""

    def status(self) -> Status:
        """Return what the open file is now, wherever it lies."""

    def close(self) -> None:
        """Let go of the file. *Repeat*: safe."""


class PlainContent:
    """An uncompressed log: any place can be read at once."""

    is_packed = False

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read_at(self, start: int, length: int) -> bytes:
        """Return up to ``length`` bytes from ``start``."""
        block = os.pread(self._file.fileno(), length, start)
        if not block or len(block) == length:
            return block
        parts, missing = [block], length - len(block)
        while missing and (block := os.pread(self._file.fileno(), missing, start + length - missing)):
            parts.append(block)
            missing -= len(block)
        return b"".join(parts)

    def size(self) -> int:
        """Return the size."""
        return os.fstat(self._file.fileno()).st_size

    def status(self) -> Status:
        """Return what the open file is now, wherever it lies."""
        return status_of(os.fstat(self._file.fileno()))

    @property
    def has_name(self) -> bool:
        """Whether the open file still lies somewhere."""
        return os.fstat(self._file.fileno()).st_nlink > 0

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


class PackedContent:
    """A compressed log: read forwards; going back starts it anew."""

    is_packed = True

    def __init__(self, file: BinaryIO, path: str) -> None:
        self._file = file
        self._path = path
        self._stream = self._begun()
        self._at = 0

    def read_at(self, start: int, length: int) -> bytes:
        """Return up to ``length`` bytes from ``start``."""
        if start < self._at:
            self._stream, self._at = self._begun(), 0
        while self._at < start and (skipped := self._stream.read(min(start - self._at, _SKIP_BYTES))):
            self._at += len(skipped)
        parts: list[bytes] = []
        while self._at == start + sum(map(len, parts)) and (missing := length - sum(map(len, parts))):
            block = self._stream.read(missing)
            if not block:
                break
            parts.append(block)
            self._at += len(block)
        return b"".join(parts)

    def size(self) -> int:
        """Return how many bytes there are, by reading them all."""
        while block := self._stream.read(_SKIP_BYTES):
            self._at += len(block)
        return self._at

    def status(self) -> Status:
        """Return what the open file is now, wherever it lies."""
        return status_of(os.fstat(self._file.fileno()))

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _begun(self) -> BinaryIO:
        self._file.seek(0)
        return decompressed(cast("BinaryIO", _Kept(self._file)), self._path)


class _Kept:
    """A file that a stream over it may close without closing it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.closed = False

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)

    def close(self) -> None:
        """Do nothing."""


def open_content(whole: str, text: str) -> PlainContent | PackedContent:
    """Return the bytes of the file at ``whole``; ``text`` is its name in messages. Raises OSError."""
    file = open(whole, "rb", buffering=0)  # noqa: SIM115  the content closes it
    try:
        head = file.read(4)
        return PlainContent(file) if sniff(head) is None else PackedContent(file, text)
    except BaseException:
        file.close()
        raise


def status_of(found: os.stat_result) -> Status:
    """Return what a stat says."""
    return Status(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def look_at(whole: str) -> Status | None:
    """Return what lies at a path, None where nothing does. Raises OSError for a path that cannot be looked at."""
    with suppress(FileNotFoundError, NotADirectoryError):
        return status_of(os.stat(whole))
    return None


def born_ns(whole: str) -> int:
    """Return when a file was made, in ns, 0 where the system does not tell: a reused inode is a younger file.

    Python has no call for it (Linux statx(2), the field ``stx_btime``).
    """
    call = _statx()
    if call is None:
        return 0
    found = ctypes.create_string_buffer(_STATX_BYTES)
    if call(_AT_FDCWD, os.fsencode(whole), 0, _STATX_BTIME, found) != 0:
        return 0
    (told,) = struct.unpack_from("=I", found, 0)
    seconds, nanoseconds = struct.unpack_from("=qI", found, _BTIME_AT)
    return seconds * 1_000_000_000 + nanoseconds if told & _STATX_BTIME else 0


@cache
def _statx() -> Any:  # noqa: ANN401  a function of the C library
    try:
        return ctypes.CDLL(None).statx
    except (AttributeError, OSError):
        return None


def mark_of(content: Content, length: int, known: Mark | None = None) -> Mark:
    """Return the mark of the first ``length`` bytes; ``known`` is an earlier mark of the same log."""
    head_bytes = min(length, HEAD_BYTES)
    if known is not None and min(known.length, length) >= HEAD_BYTES:
        head = known.head
    else:
        head = _digest(content.read_at(0, head_bytes))
    tail_bytes = min(length, TAIL_BYTES)
    return Mark(length, head, _digest(content.read_at(length - tail_bytes, tail_bytes)))


def is_marked(content: Content, mark: Mark) -> bool:
    """Tell whether a file starts with the bytes of a mark; any file does where nothing is marked yet.

    Raises OSError, SourceError.
    """
    if mark.length == 0:
        return True
    head_bytes, _, head = mark.head.partition(":")
    if _digest(content.read_at(0, int(head_bytes))) != f"{head_bytes}:{head}":
        return False
    tail_bytes = int(mark.tail.partition(":")[0])
    return _digest(content.read_at(mark.length - tail_bytes, tail_bytes)) == mark.tail


def rotated_from(name: str) -> tuple[str, ...]:
    """Return the names that ``name`` may have been rotated from; empty where it has no mark of rotation.

    >>> rotated_from("app.log.2.gz"), rotated_from("app-20240101.log"), rotated_from("app.log")
    (('app.log.2', 'app.log'), ('app.log',), ())
    >>> rotated_from("app.log.gz"), rotated_from("app.log-2024-01-01_12-00")
    (('app.log',), ('app.log',))
    """
    plain = re.sub(_PACKED + r"\Z", "", name)
    found = [] if plain == name else [plain]
    if after := re.fullmatch(rf"(.+?)[-._](?:{_TAG}|old|bak|orig)", plain, re.DOTALL):
        found.append(after[1])
    if within := re.fullmatch(rf"(.+?)[-._]{_TAG}(\.[^.]+)", plain, re.DOTALL):
        found.append(within[1] + within[2])
    return tuple(dict.fromkeys(found))


def is_packed_name(name: str) -> bool:
    """Tell whether a name says that the file is compressed."""
    return re.search(_PACKED + r"\Z", name) is not None


def is_of_family(path: str, origin: str) -> bool:
    """Tell whether the file at ``path`` may hold what was once written at ``origin``, by their names alone."""
    name, base = split(path)[1], split(origin)[1]
    names = {name, *rotated_from(name)}
    names |= {older for each in names for older in rotated_from(each)}
    return base in names


def _digest(block: bytes) -> str:
    return f"{len(block)}:{hashlib.blake2b(block, digest_size=_DIGEST_BYTES).hexdigest()}"


def is_whole(content: Content) -> bool:
    """Tell whether compressed data is neither damaged nor still being written; plain data always is."""
    try:
        content.size()
    except SourceError:
        return False
    return True
