"""Opening exactly the version of a file that a plan names, on a local disk or any fsspec filesystem."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from etl.errors import SourceChangedError, SourceError
from etl.sources.file_discovery import FoundFile, remote_file
from etl.sources.file_names import from_text, split
from etl.sources.file_units import UnitRow, unit_of

_BUFFER_BYTES = 1 << 20
_CHANGED_HINT = (
    "it was written, replaced or truncated after it was planned; put the old bytes back,"
    " or give writers a temporary name and rename, or set `stable_for`"
)


class FileAccess(Protocol):
    """What is done with the files of a plan."""

    def open(self, unit: UnitRow) -> BinaryIO:
        """Return the bytes of the unit; closing them checks once more that they were those of the plan.

        Raises FileNotFoundError and SourceChangedError.
        """

    def current(self, text: str) -> UnitRow | None:
        """Return what lies under this path now, None where there is nothing."""

    def remove(self, text: str) -> None:
        """Delete the file. *Repeat*: safe."""


class LocalAccess:
    """Local files; relative paths start from ``base``."""

    def __init__(self, base: Path) -> None:
        self._base = base

    def whole(self, text: str) -> Path:
        """Return the path on disk."""
        return self._base / from_text(text)

    def open(self, unit: UnitRow) -> BinaryIO:
        """Return the bytes of the unit. Raises FileNotFoundError, SourceChangedError and SourceError."""
        try:
            raw = _CheckedFile(str(self.whole(unit.path)), unit)
        except FileNotFoundError:
            raise
        except OSError as exc:
            raise SourceError(f"cannot be read: {exc.strerror}", where=unit.path, hint="mend its permissions") from exc
        try:
            raw.check()
        except SourceChangedError:
            io.FileIO.close(raw)
            raise
        return io.BufferedReader(raw, _BUFFER_BYTES)

    def current(self, text: str) -> UnitRow | None:
        """Return what lies under this path now, None where there is nothing."""
        try:
            status = os.stat(self.whole(text))
        except (FileNotFoundError, NotADirectoryError):
            return None
        return UnitRow(text, status.st_size, status.st_mtime_ns)

    def remove(self, text: str) -> None:
        """Delete the file. *Repeat*: safe."""
        with suppress(FileNotFoundError):
            os.unlink(self.whole(text))


class _CheckedFile(io.FileIO):
    """A local file whose size and time are those of the plan, checked when it is opened and when it is closed."""

    def __init__(self, path: str, unit: UnitRow) -> None:
        super().__init__(path, "rb")
        self._unit = unit

    def check(self) -> None:
        """Raise SourceChangedError where the file is not the one planned."""
        status = os.fstat(self.fileno())
        refuse_other_version(self._unit, UnitRow(self._unit.path, status.st_size, status.st_mtime_ns))

    def close(self) -> None:
        """Check, then close."""
        try:
            if not self.closed:
                self.check()
        finally:
            super().close()


class RemoteAccess:
    """Files of one fsspec filesystem; ``lead`` is what its own paths lack of the URL."""

    def __init__(self, filesystem: Any, lead: str) -> None:  # noqa: ANN401  fsspec has no types
        self.filesystem = filesystem
        self._lead = lead

    def whole(self, text: str) -> str:
        """Return the path as the filesystem spells it."""
        return from_text(text).removeprefix(self._lead)

    def open(self, unit: UnitRow) -> BinaryIO:
        """Return the bytes of the unit. Raises FileNotFoundError, SourceChangedError and SourceError.

        Every range is asked for with the ETag of the plan where the store knows conditional reads (s3fs ``If-Match``).
        """
        path = self.whole(unit.path)
        try:
            handle = self.filesystem.open(path, "rb", block_size=_BUFFER_BYTES * 8, cache_type="readahead")
        except FileNotFoundError:
            raise
        except Exception as exc:
            raise SourceError(f"cannot be read: {exc}", where=unit.path, hint="check access rights") from exc

        def check() -> None:
            now = self.current(unit.path)
            refuse_other_version(unit, now or unit._replace(size_bytes=-1))

        try:
            check()
        except SourceChangedError:
            handle.close()
            raise
        return cast("BinaryIO", io.BufferedReader(_CheckedStream(handle, unit, check), _BUFFER_BYTES))

    def current(self, text: str) -> UnitRow | None:
        """Return what lies under this path now, None where there is nothing."""
        self.filesystem.invalidate_cache()
        try:
            info = self.filesystem.info(self.whole(text))
        except FileNotFoundError:
            return None
        except Exception as exc:
            raise SourceError(f"cannot be looked at: {exc}", where=text, hint="check access rights") from exc
        return unit_of(remote_file(from_text(text), info), None)

    def remove(self, text: str) -> None:
        """Delete the object. *Repeat*: safe."""
        with suppress(FileNotFoundError):
            self.filesystem.rm_file(self.whole(text))


class _CheckedStream(io.RawIOBase):
    """A remote file as raw bytes; a failed conditional read is a changed file."""

    def __init__(self, handle: Any, unit: UnitRow, check: Callable[[], None]) -> None:  # noqa: ANN401
        self._handle = handle
        self._unit = unit
        self._check = check

    def readable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say yes: formats with a footer need it."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to an offset."""
        return int(self._handle.seek(offset, whence))

    def tell(self) -> int:
        """Return the offset."""
        return int(self._handle.tell())

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401  typeshed's Buffer is not importable at run time
        """Fill ``buffer``; returns how many bytes came."""
        try:
            content = self._handle.read(len(buffer))
        except Exception as exc:  # also what a store's library raises of its own: a checksum that differs
            self._check()
            raise SourceError(f"cannot be read: {exc}", where=self._unit.path) from exc
        if not content and self._handle.tell() < self._unit.size_bytes:
            raise SourceError(
                f"ends after {self._handle.tell()} of {self._unit.size_bytes} bytes",
                where=self._unit.path,
                hint="the store cut its answer short; run again",
            )
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        """Check, then close."""
        if self.closed:
            return
        try:
            self._check()
        finally:
            self._handle.close()
            super().close()


def refuse_other_version(planned: UnitRow, now: UnitRow) -> None:
    """Raise SourceChangedError where ``now`` is not the version that was planned."""
    if is_same_version(planned, now):
        return
    raise SourceChangedError(
        planned.path,
        f"changed since it was planned: {_described(planned)} then, {_described(now)} now",
        hint=_CHANGED_HINT,
    )


def is_same_version(planned: UnitRow, now: UnitRow) -> bool:
    """Tell whether both are one version: by ETag where both have one, else by size and time."""
    if planned.etag is not None and now.etag is not None:
        return (planned.etag, planned.size_bytes) == (now.etag, now.size_bytes)
    return (planned.size_bytes, planned.modified_ns) == (now.size_bytes, now.modified_ns)


def digest_of(access: FileAccess, found: FoundFile) -> str:
    """Return the BLAKE2b digest of a found file's bytes. Raises FileNotFoundError and SourceChangedError."""
    digest = hashlib.blake2b(digest_size=16)
    with access.open(unit_of(found, None)) as handle:
        while block := handle.read(_BUFFER_BYTES):
            digest.update(block)
    return digest.hexdigest()


def found_of(unit: UnitRow) -> FoundFile:
    """Return the found file that a unit was made of."""
    return FoundFile(unit.modified_ns, *split(from_text(unit.path)), unit.size_bytes, unit.etag)


def _described(unit: UnitRow) -> str:
    if unit.size_bytes < 0:
        return "nothing"
    return f"{unit.size_bytes} bytes of {unit.modified_ns} ns" + (f", ETag {unit.etag}" if unit.etag else "")
