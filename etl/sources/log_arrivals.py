"""Files that no log is known by: which of them are new logs, and which are older ones under another name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import datetime

from etl.errors import SourceError
from etl.sources.file_names import from_text, join, split, to_text
from etl.sources.log_borders import last_line_end
from etl.sources.log_identity import (
    HEAD_BYTES,
    Mark,
    Status,
    born_ns,
    is_of_family,
    is_whole,
    look_at,
    mark_of,
    open_content,
    rotated_from,
)
from etl.sources.log_listing import LogListing
from etl.sources.log_options import LogOptions
from etl.sources.log_positions import LogPositions
from etl.sources.log_search import SURE_BYTES, Candidate, LogSearch
from etl.sources.log_tail import Tail

_FOREIGN_ENDINGS = (".bz2", ".xz", ".lz4", ".lzma", ".zip", ".Z")
UNDECIDED_S = 60.0
"""For so long after its last write, compressed data that breaks off counts as being written."""


class LogArrivals:
    """The judgement of one source on unknown files. ``notes`` are for people."""

    def __init__(self, options: LogOptions, listing: LogListing, positions: LogPositions, search: LogSearch) -> None:
        self._options = options
        self._listing = listing
        self._positions = positions
        self._handles = search.handles
        self._search = search
        self._passed_over: dict[str, tuple[Status, str]] = {}
        self._fresh: set[str] = set()
        self._families: dict[str, list[Tail]] = {}
        self._away: list[Tail] = []
        self._copies: list[tuple[str, Mark]] = []
        self.notes: list[str] = []

    def first(self, found: Sequence[Candidate], folders: Iterable[str]) -> list[Tail]:
        """Return the logs of the first look of all that are not read from their beginning.

        Under ``read_from: end`` those are all that the patterns take, each with what is whole so far behind it. Files
        beside them that were rotated away before and that no pattern takes are known and never read.
        """
        tails = []
        if self._options.read_from == "end":
            tails = [self._at_end(each) for each in _once_each(sorted(found))]
        paths = {each.path for each in found}
        beside = [each for each in self._search.beside(folders, self.is_rotated) if each.path not in paths]
        origins: dict[str, int] = {}
        for each in sorted(beside, key=lambda each: (-each.status.modified_ns, each.path)):
            origin = self._origin(each, paths)
            tails.append(self._skipped(each, origin, -origins.get(origin, 0)))
            origins[origin] = origins.get(origin, 0) + 1
        return tails

    def is_missed(self, candidate: Candidate) -> bool:
        """Tell whether a file that no pattern takes was one of the logs between two looks, and rotated away."""
        started_at = self._positions.started_at
        is_younger = started_at is None or candidate.status.modified_ns >= started_at.timestamp() * 1e9
        return is_younger and candidate.status.size_bytes > 0

    def is_rotated(self, path: str) -> bool:
        """Tell whether a path is, by its name, that of a log that a pattern takes, rotated away."""
        return any(map(self._listing.takes, older_paths(path)))

    def take(self, fresh: Iterable[Candidate], now: datetime) -> list[Tail]:
        """Follow the unknown files that are new logs, oldest first, and return them."""
        ordered = _once_each(sorted(fresh, key=lambda each: (each.status.modified_ns, each.path)))
        self._fresh = {each.path for each in ordered}
        self._families.clear()
        self._away = [tail for tail in self._positions.tails.values() if tail.path is None and tail.mark.length]
        taken = [tail for each in ordered if (tail := self._taken(each, now)) is not None]
        for path, mark in self._copies:
            if (original := self._positions.by_path.get(path)) is not None and mark.length:
                original.prove_copied(mark)
                self._positions.note(original)
        self._copies.clear()
        return taken

    def why_passed_over(self, path: str) -> str | None:
        """Return why a file is not followed, None where it was not judged."""
        return self._passed_over[path][1] if path in self._passed_over else None

    def _taken(self, candidate: Candidate, now: datetime) -> Tail | None:
        status, reason = self._passed_over.get(candidate.path, (None, ""))
        if status == candidate.status:
            return None
        age_s = now.timestamp() - candidate.status.modified_ns / 1e9
        if self._options.ignore_older is not None and age_s > self._options.ignore_older:
            self._passed_over[candidate.path] = (candidate.status, "its last write is older than `ignore_older`")
            return None
        if (known := self._revived(candidate)) is not None:
            return known
        reason = self._why_not(candidate, age_s)
        if reason:
            if not reason.startswith("waiting"):
                self._passed_over[candidate.path] = (candidate.status, reason)
            return None
        if not self._is_undisturbed(candidate):
            return None
        self._passed_over.pop(candidate.path, None)
        origin = self._origin(candidate, self._fresh)
        return self._positions.new(origin, candidate.path, candidate.status.identity)

    def _is_undisturbed(self, candidate: Candidate) -> bool:
        """Tell whether the logs that a file may have been made of still lie as this look found them.

        Else it may hold what is left of one that was rotated since: the next look will tell.
        """
        older = older_paths(candidate.path)
        if older and not self._families:
            for tail in self._positions.tails.values():
                self._families.setdefault(tail.origin, []).append(tail)
        return all(self._lies(tail) for path in older for tail in self._families.get(path, ()) if tail.path is not None)

    def _lies(self, tail: Tail) -> bool:
        status = look_at(self._handles.whole(tail.path or ""))
        if status is None or status.identity != tail.identity:
            return False
        return tail.is_packed or status.size_bytes >= max(tail.offset, tail.seen_bytes, tail.mark.length)

    def _origin(self, candidate: Candidate, paths: set[str]) -> str:
        """Return where a log was first written, as far as names tell: at a known path, or one that a pattern takes."""
        older = older_paths(candidate.path)
        origins = [each for each in older if each in paths or each in self._positions.generations]
        if not origins and not candidate.is_matched:
            origins = list(filter(self._listing.takes, older))
        return origins[-1] if origins else candidate.path

    def _revived(self, candidate: Candidate) -> Tail | None:
        """Return a log that was taken for gone and is here, without doubt: its folder was away, or it was packed."""
        for tail in self._away:
            is_same = tail.identity == candidate.status.identity
            is_sure = tail.mark.length >= SURE_BYTES and (is_same or _is_family(candidate.path, tail))
            is_sure = is_sure or (is_same and tail.born_ns == self._born_ns(candidate) != 0)
            if is_sure and self._search.holds(candidate, tail.mark):
                self._away.remove(tail)
                self._handles.release(tail)
                tail.is_gone = False
                self._positions.move(tail, candidate.path, candidate.status.identity)
                tail.born_ns = 0  # a compressed copy may have been given the freed inode
                self.notes.append(f"{candidate.path}: is the log {tail.origin}, generation {tail.generation}, again")
                return tail
        return None

    def _born_ns(self, candidate: Candidate) -> int:
        return born_ns(self._handles.whole(candidate.path))

    def _why_not(self, candidate: Candidate, age_s: float) -> str:
        """Return why a file is no new log; empty where it is one."""
        name = split(from_text(candidate.path))[1]
        if name.endswith(_FOREIGN_ENDINGS):
            return "a compression that is not read; gz and zst are"
        folder, plain = split(from_text(candidate.path))[0], name.removesuffix(".gz").removesuffix(".zst")
        if plain != name and plain in self._positions.names.get(folder, ()):
            return "waiting: it is made of a log that is still there"
        try:
            with closing(open_content(self._handles.whole(candidate.path), candidate.path)) as content:
                if content.is_packed and not is_whole(content):
                    return (
                        "waiting: it is being compressed" if age_s < UNDECIDED_S else "compressed data that is damaged"
                    )
        except FileNotFoundError:
            return "waiting: it is gone"
        except OSError as exc:
            raise SourceError(
                f"cannot be read: {exc.strerror}", where=candidate.path, hint="mend its permissions"
            ) from exc
        if original := self._copied(candidate):
            return f"a copy of {original}"
        return ""

    def _copied(self, candidate: Candidate) -> str:
        """Return the log, still in its place, that a file of a rotated name copies, before copytruncate cuts it."""
        for path in older_paths(candidate.path):
            tail = self._positions.by_path.get(path)
            is_there = path in self._fresh if tail is None else tail.path == tail.origin
            mark = self._search.begun_copy(candidate, path) if is_there else None
            if mark is not None:
                self._copies.append((path, mark))
                return path
        return ""

    def _at_end(self, candidate: Candidate) -> Tail:
        tail = Tail(candidate.path, 1, candidate.path, *candidate.status.identity)
        with closing(open_content(self._handles.whole(candidate.path), candidate.path)) as content:
            if content.is_packed:
                return self._skipped(candidate, candidate.path, 1)
            size = content.size()
            tail.offset = last_line_end(content, 0, size)
            tail.prove(mark_of(content, size))
            tail.seen_bytes = size
        return tail

    def _skipped(self, candidate: Candidate, origin: str, generation: int) -> Tail:
        tail = Tail(origin, generation, candidate.path, *candidate.status.identity, is_skipped=True)
        try:
            with closing(open_content(self._handles.whole(candidate.path), candidate.path)) as content:
                tail.is_packed = content.is_packed
                seen = len(content.read_at(0, HEAD_BYTES)) if content.is_packed else content.size()
                tail.prove(mark_of(content, seen))
        except (OSError, SourceError):
            pass  # it cannot be read and is not to be: its inode is all that is known of it
        return tail


def _once_each(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Return each file under the first of its names."""
    found: dict[tuple[int, int], Candidate] = {}
    for each in candidates:
        found.setdefault(each.status.identity, each)
    return list(found.values())


def older_paths(path: str) -> list[str]:
    """Return the paths from which a file may have been rotated by its name, the nearest first."""
    folder, name = split(from_text(path))
    names = list(rotated_from(name))
    for each in names:
        names += [older for older in rotated_from(each) if older not in names]
    return [to_text(join(folder, each)) for each in names]


def _is_family(path: str, tail: Tail) -> bool:
    return path == tail.origin or is_of_family(from_text(path), from_text(tail.origin))
