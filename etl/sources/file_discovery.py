"""Listing files that a pattern matches and that are not known yet, on a local disk or any fsspec filesystem.

Locally a name that is known costs a look-up and no stat, and only folders that can match are entered. Links to folders
are never followed; links to files only where the target lies below the pattern's root.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import filterfalse
from pathlib import Path
from typing import Any, NamedTuple

from etl.errors import SourceError
from etl.sources.file_names import join, split, to_text
from etl.sources.file_pattern import Pattern

Known = Callable[[str], AbstractSet[str]]
"""The names of a folder that need no second look."""

_MANY = 100
"""From here on one scan of a folder is quicker than a question for each name."""
_GONE = (FileNotFoundError, NotADirectoryError)


class FoundFile(NamedTuple):
    """A file as the listing shows it. ``folder`` and ``name`` are as the filesystem spells them."""

    modified_ns: int
    folder: str
    name: str
    size_bytes: int
    etag: str | None = None

    @property
    def path(self) -> str:
        """The path from the project folder, absolute, or the whole URL: as the pattern reaches it."""
        return join(self.folder, self.name)


class Disk:
    """The four questions asked of a local filesystem."""

    def names(self, folder: str) -> list[str]:
        """Return the names in a folder."""
        return os.listdir(folder)

    def folders(self, folder: str) -> set[str]:
        """Return the names of the folders in a folder; a link is none."""
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.is_dir(follow_symlinks=False)}

    def status(self, path: str) -> os.stat_result:
        """Return the status of a path; that of a link is its own."""
        return os.lstat(path)

    def target(self, path: str) -> str:
        """Return the path behind every link."""
        return os.path.realpath(path)


class LocalFiles:
    """Files below ``base``, which relative patterns start from."""

    def __init__(self, base: Path, disk: Disk | None = None) -> None:
        self._base = str(base)
        self._disk = disk or Disk()

    def find(self, pattern: Pattern, known: Known) -> Iterator[FoundFile]:
        """Return the files of ``pattern`` that are not ``known``, in no particular order.

        A folder that takes the name of a known file is not seen. Raises SourceError where a folder cannot be listed.
        """
        pattern = self.settled(pattern)
        open_folders = [(pattern.root, pattern.start())]
        while open_folders:
            folder, states = open_folders.pop()
            try:
                names, folders = self._list(folder, known(folder), flat=pattern.only_files(states))
            except _GONE as exc:
                if folder == pattern.root:
                    raise _unavailable(folder, exc) from exc
                continue
            except OSError as exc:
                raise _unavailable(folder, exc) from exc
            open_folders += [(join(folder, name), inner) for name in folders if (inner := pattern.enter(states, name))]
            whole = os.path.join(self._base, folder, "")
            for name in pattern.taken(states, names):
                seen = self._look(whole + name, folder, name, pattern)
                if isinstance(seen, FoundFile):
                    yield seen

    def settled(self, pattern: Pattern) -> Pattern:
        """Return ``pattern`` once the disk has said whether a literal path is a file or a folder."""
        if pattern.is_literal and self._is_file(pattern.root):
            return pattern.as_file()
        return pattern

    def look(self, path: str, pattern: Pattern) -> FoundFile | str:
        """Return a matching file, or the reason why it is passed over. Raises SourceError."""
        return self._look(os.path.join(self._base, path), *split(path), pattern)

    def _look(self, whole: str, folder: str, name: str, pattern: Pattern) -> FoundFile | str:
        try:
            status = self._disk.status(whole)
            if stat.S_ISREG(status.st_mode):
                return FoundFile(status.st_mtime_ns, folder, name, status.st_size)
            if stat.S_ISLNK(status.st_mode):
                target = self._disk.target(whole)
                status = self._disk.status(target)
                root = self._disk.target(os.path.join(self._base, pattern.root))
                if stat.S_ISREG(status.st_mode) and not target.startswith(os.path.join(root, "")):
                    return f"a link out of {pattern.root!r}"
        except _GONE:
            return "does not exist, or is a link to nothing"
        except OSError as exc:
            raise _unavailable(join(folder, name), exc) from exc
        if not stat.S_ISREG(status.st_mode):
            return "not a file; links to folders are not followed"
        return FoundFile(status.st_mtime_ns, folder, name, status.st_size)

    def refreshed(self, file: FoundFile) -> FoundFile | None:
        """Return a listed file as it is now, None when it is gone."""
        with suppress(*_GONE):
            status = os.stat(os.path.join(self._base, file.path))
            return file._replace(size_bytes=status.st_size, modified_ns=status.st_mtime_ns)
        return None

    def _list(self, folder: str, known: AbstractSet[str], *, flat: bool) -> tuple[Iterable[str], set[str]]:
        """Return the unknown names and, unless ``flat``, those of sub-folders apart."""
        whole = os.path.join(self._base, folder)
        # 0.27 s for 500,000 known names, of which os.listdir takes 0.2 s; a second set would take 35 MiB (2026-11).
        unknown = set(filterfalse(known.__contains__, self._disk.names(whole)))
        if flat or not unknown:
            return unknown, set()
        if len(unknown) > _MANY:
            folders = self._disk.folders(whole)
        else:
            folders = {name for name in unknown if self._is_folder(os.path.join(whole, name))}
        folders &= unknown
        unknown -= folders
        return unknown, folders

    def _is_folder(self, path: str) -> bool:
        with suppress(*_GONE):
            return stat.S_ISDIR(self._disk.status(path).st_mode)
        return False

    def _is_file(self, path: str) -> bool:
        with suppress(OSError):
            return stat.S_ISREG(self._disk.status(self._disk.target(os.path.join(self._base, path))).st_mode)
        return False


class RemoteFiles:
    """Files of one fsspec filesystem; ``lead`` is what its own paths lack of the URL (``s3://``)."""

    def __init__(self, filesystem: Any, lead: str) -> None:  # noqa: ANN401  fsspec has no types
        self._filesystem = filesystem
        self._lead = lead

    def find(self, pattern: Pattern, known: Known) -> Iterator[FoundFile]:
        """Return the files of ``pattern`` that are not ``known``; always asks the store.

        Raises SourceError where any page of the listing fails: half a listing is none.
        """
        for found in self._listing(pattern.root):
            settled = pattern.as_file() if pattern.is_literal and found.path == pattern.root else pattern
            relative = settled.relative(found.path)
            if relative and found.name not in known(found.folder) and settled.why_not(relative) is None:
                yield found

    def look(self, path: str, pattern: Pattern) -> FoundFile | str:
        """Return a matching file, or the reason why it is passed over."""
        found = next((found for found in self._listing(path) if found.path == path), None)
        return found or f"does not exist below {pattern.root!r}"

    def settled(self, pattern: Pattern) -> Pattern:
        """Return ``pattern`` once the store has said whether a literal path is a file or a folder."""
        if pattern.is_literal and any(found.path == pattern.root for found in self._listing(pattern.root)):
            return pattern.as_file()
        return pattern

    def refreshed(self, file: FoundFile) -> FoundFile | None:
        """Return the file as it was listed: asking for each again would cost a request a file."""
        return file

    def _listing(self, root: str) -> Iterator[FoundFile]:
        try:
            self._filesystem.invalidate_cache()
            listing = self._filesystem.find(root.removeprefix(self._lead), detail=True)
        except Exception as exc:
            raise _unavailable(root, exc) from exc
        for path, info in listing.items():
            if not path.endswith("/"):
                yield remote_file(self._lead + path, info)


def remote_file(url: str, info: dict[str, Any]) -> FoundFile:
    """Return the file at ``url`` from what fsspec says of it; a store without times gives 0."""
    moment = info.get("LastModified") or info.get("last_modified") or info.get("mtime") or info.get("created") or 0
    if isinstance(moment, datetime):
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        modified_ns = (aware - datetime.fromtimestamp(0, UTC)) // timedelta(microseconds=1) * 1000
    else:
        # A float of seconds is exact to a microsecond, and some stores say the same moment in both ways.
        modified_ns = round(float(moment) * 1e6) * 1000
    etag = info.get("ETag") or info.get("etag")
    return FoundFile(modified_ns, *split(url), int(info["size"]), str(etag).strip('"') if etag else None)


def _unavailable(folder: str, exc: Exception) -> SourceError:
    return SourceError(
        f"source unavailable: cannot be listed ({exc})",
        where=to_text(folder) or ".",
        hint="nothing was taken for missing; make the folder, mount it, or mend `path` and its permissions",
    )
