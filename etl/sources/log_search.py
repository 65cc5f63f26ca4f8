"""Where a log went: the files beside it, known by inode and by content."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from typing import NamedTuple

from etl.errors import SourceError
from etl.sources.file_names import from_text, join, split, to_text
from etl.sources.log_handles import LogHandles
from etl.sources.log_identity import (
    Content,
    Mark,
    Status,
    born_ns,
    is_marked,
    is_of_family,
    mark_of,
    open_content,
    status_of,
)
from etl.sources.log_tail import Tail

SURE_BYTES = 1024
"""From so many equal bytes on, content alone says that two files are one log, whatever their names and inodes."""

_COPIED_NS = 2_000_000_000
"""How long making a copy may take, and 100 ns a byte."""


class Candidate(NamedTuple):
    """A file that may be a log that is looked for. ``path`` is text; ``is_matched``: the source's patterns take it."""

    path: str
    status: Status
    is_matched: bool = False


class Undecided(NamedTuple):
    """A candidate that cannot be judged yet: compressed data that is still being written, or damaged."""

    path: str
    status: Status


class LogSearch:
    """The search of one source."""

    def __init__(self, handles: LogHandles) -> None:
        self.handles = handles
        self.undecided: list[Undecided] = []

    def beside(self, folders: Iterable[str], is_wanted: Callable[[str], bool] = bool) -> list[Candidate]:
        """Return the regular files directly in some folders whose paths are wanted; a folder that is gone has none."""
        found: list[Candidate] = []
        for folder in sorted(set(folders)):
            with (
                suppress(FileNotFoundError, NotADirectoryError),
                os.scandir(self.handles.whole(folder)) as entries,
            ):
                for entry in entries:
                    path = to_text(join(from_text(folder), entry.name))
                    with suppress(FileNotFoundError):
                        if is_wanted(path) and entry.is_file(follow_symlinks=False):
                            found.append(Candidate(path, status_of(entry.stat(follow_symlinks=False))))
        return found

    def by_identity(self, tail: Tail, candidates: Iterable[Candidate]) -> Candidate | None:
        """Return the candidate that is the very file of a log, None where there is none."""
        for candidate in candidates:
            if candidate.status.identity != tail.identity or not self.holds(candidate, tail.mark):
                continue
            if tail.born_ns in (0, born_ns(self.handles.whole(candidate.path))):
                return candidate
        return None

    def by_content(self, tail: Tail, candidates: Iterable[Candidate], *, may_be_cut: bool) -> Candidate | None:
        """Return the oldest candidate that may hold a log by its name and whose bytes are those of the log.

        Unless it ``may_be_cut`` by copytruncate, a few equal bytes of a plain file say nothing.
        """
        for candidate in sorted(candidates, key=lambda each: (each.status.modified_ns, each.path)):
            if not self._may_be(tail, candidate):
                continue
            if candidate.path == tail.origin:
                if self.holds(candidate, tail.mark):
                    return candidate
            elif self.is_copy(candidate, tail, may_be_cut=may_be_cut):
                return candidate
        return None

    def holds(self, candidate: Candidate, mark: Mark) -> bool:
        """Tell whether a file starts with the bytes of a mark; ``undecided`` takes one that cannot be judged."""
        try:
            with closing(self._opened(candidate)) as content:
                return is_marked(content, mark)
        except SourceError:
            self.undecided.append(Undecided(candidate.path, candidate.status))
        except OSError:
            pass
        return False

    def is_copy(self, candidate: Candidate, tail: Tail, *, may_be_cut: bool) -> bool:
        """Tell whether a file has the bytes of a log: all that is known of them, or all up to where it ends.

        A copy that was made while the log grew is shorter than what was seen of the log. So is another log that begins
        alike: where less is known than leaves no doubt, the copy must end where one was seen to end.
        """
        if not tail.marks:
            return False
        try:
            with closing(self._opened(candidate)) as content:
                size = content.size()
                usable = [mark for mark in tail.marks if mark.length <= size]
                is_copied = content.is_packed or (may_be_cut and not self._has_grown(candidate))
                if not usable or not (is_copied or usable[-1].length >= SURE_BYTES):
                    return False
                is_sure = usable[-1] == tail.mark or usable[-1].length in range(SURE_BYTES, size + 1)
                return (is_sure or usable[-1].length == size) and is_marked(content, usable[-1])
        except SourceError:
            self.undecided.append(Undecided(candidate.path, candidate.status))
        except OSError:
            pass
        return False

    def begun_copy(self, candidate: Candidate, original: str) -> Mark | None:
        """Return the mark of a file that is younger than another and holds nothing but its first bytes, else None."""
        whole, whole_original = self.handles.whole(candidate.path), self.handles.whole(original)
        if 0 < born_ns(whole) < born_ns(whole_original):
            return None  # a log that was rotated away is older than the one that came after it
        try:
            with (
                closing(open_content(whole, candidate.path)) as copy,
                closing(open_content(whole_original, original)) as content,
            ):
                size = copy.size()
                mark = mark_of(copy, size)
                return mark if size <= content.size() and is_marked(content, mark) else None
        except (OSError, SourceError):
            return None

    def _has_grown(self, candidate: Candidate) -> bool:
        """Tell whether a file was written to for a while, as logs are; a copy is made at once."""
        born = born_ns(self.handles.whole(candidate.path))
        return 0 < born < candidate.status.modified_ns - _COPIED_NS - candidate.status.size_bytes * 100

    def _opened(self, candidate: Candidate) -> Content:
        """Return the bytes of a candidate. Raises FileNotFoundError where another file lies there by now."""
        content = open_content(self.handles.whole(candidate.path), candidate.path)
        if content.status().identity != candidate.status.identity:
            content.close()
            raise FileNotFoundError(candidate.path)
        return content

    def _may_be(self, tail: Tail, candidate: Candidate) -> bool:
        """Tell whether a file's name allows it to hold a log.

        A file of the same name is another one, unless the device was renumbered or the content leaves no doubt: new
        logs often start with the same line.
        """
        if candidate.path == tail.origin:
            is_alike = candidate.status.inode == tail.inode and tail.mark.length > 0
            return is_alike or tail.mark.length >= SURE_BYTES
        return is_of_family(from_text(candidate.path), from_text(tail.origin))


def folders_of(paths: Iterable[str]) -> Iterator[str]:
    """Return the folder of each path, as text."""
    return (to_text(split(from_text(path))[0]) for path in paths)
