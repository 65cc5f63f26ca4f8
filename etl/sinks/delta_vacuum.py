"""Files in a Delta table's folder that nobody needs any more, found from its log and from who still reads it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from etl.errors import TableStateError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from etl.sinks.delta_log import Head
    from etl.sinks.delta_past import TablePast
    from etl.sinks.past import LoggedVersion

ABANDONED_AFTER = timedelta(hours=1)
"""How long a file of ours lies that no version names, before it is taken for a leftover."""

_STAGED = re.compile(r"part-([0-9a-f]{8}|compact)-(\d{10})-")
_CHANGES = "_change_data/"


@dataclass(frozen=True, slots=True)
class Holds:
    """What pipelines still need of a table.

    ``floor`` is the oldest version whose files a reader may still ask for, ``None`` for none older than the newest.
    ``paths`` are files that a plan or a manifest names. ``committed`` is the newest batch that is done, by what stands
    in the names of a pipeline's files: those of later batches stay. ``readers`` are the pipelines that read the table,
    with the version that each has read.
    """

    floor: int | None = None
    paths: frozenset[str] = frozenset()
    committed: Mapping[str, int] = field(default_factory=dict)
    readers: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Leftover:
    """A file that nobody needs."""

    path: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class _Window:
    """The newest part of a table's log. ``is_whole``: it begins with the first version that the log still tells of."""

    versions: tuple[LoggedVersion, ...]
    is_whole: bool

    @property
    def needed(self) -> Iterator[str]:
        """Every file that came or went in it: a version of it, or the one before, may have it."""
        for version in self.versions:
            yield from version.added
            yield from version.removed
            yield from version.changes


def leftovers(past: TablePast, head: Head, holds: Holds, cutoff: datetime, now: datetime) -> list[Leftover]:
    """Return the files that no version since ``cutoff`` has and no pipeline holds; nothing is deleted.

    Raises TableStateError where the log does not tell every version: then nothing may be deleted.
    """
    window = _window(past, head, holds, cutoff)
    needed = {*past.live(head), *window.needed, *holds.paths}
    found = []
    for path in past.storage.find():
        if not _is_data(path) or path in needed or _is_under_way(path, holds):
            continue
        modified_at, size_bytes = past.storage.modified_at(path), past.storage.size(path)
        if modified_at is None or size_bytes is None:
            continue
        if modified_at < cutoff or (_is_settled(path, holds) and _is_abandoned(modified_at, window, now)):
            found.append(Leftover(path, size_bytes))
    return found


def _window(past: TablePast, head: Head, holds: Holds, cutoff: datetime) -> _Window:
    """Return the versions since ``cutoff``, or behind the floor of a reader. Raises TableStateError."""
    logged = past.logged()
    if not logged or logged[-1] < head.version or logged[-1] - logged[0] + 1 != len(logged):
        raise TableStateError(
            "table_torn",
            "its log lacks versions, so that nobody can tell which files they have",
            where=past.url,
            hint="nothing was deleted; restore the log from a copy",
        )
    cutoff_ms = cutoff.timestamp() * 1000
    floor = head.version if holds.floor is None else holds.floor
    versions: list[LoggedVersion] = []
    for number in reversed(logged):
        version = past.version(number)
        if number <= floor and version.at_ms is not None and version.at_ms < cutoff_ms:
            return _Window(tuple(versions), is_whole=False)
        versions.append(version)
    return _Window(tuple(versions), is_whole=True)


def _is_data(path: str) -> bool:
    """Tell whether a path is one of a data file, or of the change feed: all else in the folder is not ours to judge."""
    if not path.endswith(".parquet"):
        return False
    return path.startswith(_CHANGES) or not any(_is_hidden(part) for part in path.split("/"))


def _is_hidden(part: str) -> bool:
    """Tell whether readers of Delta pass over a folder or file; one that spells a partition value is not hidden."""
    return part.startswith((".", "_")) and "=" not in part


def _is_under_way(path: str, holds: Holds) -> bool:
    """Tell whether a file is of a batch that is not committed yet."""
    staged = _STAGED.match(path.rsplit("/", 1)[-1])
    return staged is not None and int(staged[2]) > holds.committed.get(staged[1], int(staged[2]))


def _is_settled(path: str, holds: Holds) -> bool:
    """Tell whether a file is of a batch that is committed, or of a compaction: whoever wrote it is done or fenced."""
    staged = _STAGED.match(path.rsplit("/", 1)[-1])
    if staged is None:
        return False
    return staged[1] == "compact" or int(staged[2]) <= holds.committed.get(staged[1], -1)


def _is_abandoned(modified_at: datetime, window: _Window, now: datetime) -> bool:
    """Tell whether a file that the window does not name was never named: it tells of all since the file was written."""
    if modified_at >= now - ABANDONED_AFTER or not window.versions:
        return False
    oldest_ms = window.versions[-1].at_ms
    is_first = window.is_whole and window.versions[-1].version == 0
    return is_first or (oldest_ms is not None and oldest_ms < modified_at.timestamp() * 1000)
