"""What happens to files once their batch is committed: archived or deleted, never anything that was not read."""

from __future__ import annotations

import errno
import hashlib
import os
import posixpath
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from etl.errors import ConfigError, EtlError, SourceError
from etl.seam import Seam
from etl.sources.file_access import FileAccess, LocalAccess, is_same_version
from etl.sources.file_listing import FileListing
from etl.sources.file_options import ArchiveTo, FileOptions
from etl.sources.file_places import Places
from etl.sources.file_units import UnitRow

_BLOCK_BYTES = 1 << 20


class FileDisposal:
    """Deletes units, or moves them below ``archive`` where one is given.

    A file that is gone was done before; one that is no longer the version read is left alone.
    """

    def __init__(self, places: Places, seam: Seam, archive: str | None) -> None:
        self._places = places
        self._seam = seam
        self._archive = None if archive is None else places.localised(archive).rstrip("/")

    def dispose(self, unit: UnitRow, relative: str) -> None:
        """Dispose of one unit; ``relative`` is its path below the source's root. *Repeat*: safe. Raises SourceError."""
        access = self._places.at(unit.path).access
        now = access.current(unit.path)
        if now is None or not is_same_version(unit, now):
            return
        try:
            if self._archive is not None:
                self._store(access, unit, f"{self._archive}/{relative}")
            self._seam.effect("source.delete", lambda: access.remove(unit.path))
        except EtlError:
            raise
        except Exception as exc:  # also what a store's library raises of its own
            raise SourceError(f"cannot be disposed of: {exc}", where=unit.path, hint="mend `after_commit`") from exc

    def _store(self, access: FileAccess, unit: UnitRow, target: str) -> None:
        """Give the file a second name (or a copy) in the archive: the first that is free or holds it already."""
        place = self._places.at(target)
        for name in _names(target):
            if isinstance(place.access, LocalAccess):
                put: Callable[[], bool] = _local_put(access, unit, place.access.whole(name))
            else:
                put = _remote_put(access, unit, place.access.filesystem, place.access.whole(name))
            if self._seam.effect("source.archive", put):
                return


def _names(target: str) -> Iterator[str]:
    """Return the target, then the same with ``-1``, ``-2``, … before its ending."""
    yield target
    stem, ending = posixpath.splitext(target)
    number = 0
    while True:
        number += 1
        yield f"{stem}-{number}{ending}"


def _local_put(access: FileAccess, unit: UnitRow, target: Path) -> Callable[[], bool]:
    def put() -> bool:
        """Return False when another file has the name."""
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            if isinstance(access, LocalAccess):
                with suppress(_NotLinkableError):
                    _link(access.whole(unit.path), target)
                    return True
            _copy(access, unit, target)
        except FileExistsError:
            return _is_same_content(access, unit, target.open("rb"))
        return True

    return put


class _NotLinkableError(Exception):
    """The archive lies on another filesystem."""


def _link(origin: Path, target: Path) -> None:
    try:
        os.link(origin, target)
    except OSError as exc:
        if exc.errno in {errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK}:
            raise _NotLinkableError from exc
        raise
    _sync(target.parent)


def _copy(access: FileAccess, unit: UnitRow, target: Path) -> None:
    """Copy by way of a temporary name, so that a crash leaves no half file under the final one."""
    temporary = target.with_name(f".{target.name}.tmp")
    with access.open(unit) as origin, temporary.open("wb") as copy:
        _pour(origin, copy)
        copy.flush()
        os.fsync(copy.fileno())
    try:
        os.link(temporary, target)
    finally:
        temporary.unlink()
    _sync(target.parent)


def _remote_put(access: FileAccess, unit: UnitRow, filesystem: Any, target: str) -> Callable[[], bool]:  # noqa: ANN401
    def put() -> bool:
        """Return False when another object has the name."""
        filesystem.invalidate_cache()
        if filesystem.exists(target):
            return _is_same_content(access, unit, filesystem.open(target, "rb"))
        with access.open(unit) as origin, filesystem.open(target, "wb") as copy:
            _pour(origin, copy)
        filesystem.invalidate_cache()
        if not _is_same_content(access, unit, filesystem.open(target, "rb")):
            raise OSError(errno.EIO, f"the copy in the archive differs: {target}")
        return True

    return put


def _pour(origin: IO[bytes], copy: IO[bytes]) -> None:
    while block := origin.read(_BLOCK_BYTES):
        copy.write(block)


def _is_same_content(access: FileAccess, unit: UnitRow, other: IO[bytes]) -> bool:
    with access.open(unit) as origin, other:
        return _digest(origin) == _digest(other)


def _digest(handle: IO[bytes]) -> bytes:
    digest = hashlib.blake2b()
    while block := handle.read(_BLOCK_BYTES):
        digest.update(block)
    return digest.digest()


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def refuse_archive_inside(options: FileOptions, places: Places, listing: FileListing) -> None:
    """Refuse an archive that the source would list again. Raises ConfigError."""
    if not isinstance(options.after_commit, ArchiveTo):
        return
    archive = places.localised(options.after_commit.archive).rstrip("/")
    if (pattern := listing.reaches(archive)) is not None:
        raise ConfigError(
            f"the archive {archive!r} lies inside {pattern.text!r}, which would read it again",
            where="after_commit.archive",
            hint="archive to a folder outside the source",
        )
