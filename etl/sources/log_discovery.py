"""One look at the disk: which logs grew, which were rotated, truncated or deleted, and which are new.

A log that stayed as it is costs a stat. Only where something lies no longer where it lay are the folders around it
listed, and files opened.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from etl.errors import SourceError
from etl.seam import Seam
from etl.sources.file_names import from_text, split, to_text
from etl.sources.file_places import Places
from etl.sources.log_arrivals import UNDECIDED_S, LogArrivals
from etl.sources.log_handles import LogHandles
from etl.sources.log_identity import (
    Content,
    PlainContent,
    Status,
    born_ns,
    is_marked,
    look_at,
    mark_of,
    open_content,
    status_of,
)
from etl.sources.log_listing import LogListing
from etl.sources.log_options import LogOptions
from etl.sources.log_positions import LogPositions
from etl.sources.log_search import Candidate, LogSearch, folders_of
from etl.sources.log_tail import Tail
from etl.sources.log_units import Loss

_RACY_NS = 50_000_000
"""Writes this close to a look may leave size and time of the file as they are (a kernel's clock ticks every 4 ms)."""
_LISTINGS = 3
_REPLACED = "truncated, or replaced by another file"


class _Displaced(NamedTuple):
    """A log that is not where it lay: at ``path`` is now something else, or nothing."""

    tail: Tail
    path: str
    is_truncated: bool
    status: Status | None


class LogDiscovery:
    """The looks of one source. Changes the positions; reads nothing but marks."""

    def __init__(
        self, options: LogOptions, places: Places, positions: LogPositions, handles: LogHandles, seam: Seam
    ) -> None:
        self._options = options
        self._positions = positions
        self._handles = handles
        self._seam = seam
        self._search = LogSearch(handles)
        self._listing = LogListing(options, places, handles)
        self.arrivals = LogArrivals(options, self._listing, positions, self._search)
        self._entered: set[str] = set()
        self._folders: dict[str, Status] = {}
        self._now_ns = 0

    def look(self) -> None:
        """Bring the positions up to date. Raises SourceError."""
        now = self._seam.now()
        self._now_ns = int(now.timestamp() * 1e9)
        self._positions.ready()
        if not self._positions.has_started:
            self._begin(now)
        same, displaced = self._changed()
        fresh = self._found(displaced)
        for tail, status in same:
            if not self._is_same(tail, status):
                displaced.append(_Displaced(tail, tail.path or "", is_truncated=True, status=status))
        self._watch_nameless()
        if displaced:
            self._settle(displaced, fresh)
            fresh = [each for each in fresh if each.path not in self._positions.by_path]
        fresh += self._missed(fresh)
        for tail in self.arrivals.take(fresh, now):
            self._note_size(tail)

    def watched(self, folder: Path) -> tuple[str, ...]:
        """Return the folders, whole, that the patterns start from."""
        return self._listing.local_roots(folder)

    def is_out_of_reach(self, tail: Tail) -> bool:
        """Tell whether no pattern finds a log where it lies now."""
        return not tail.is_skipped and (tail.path is None or isinstance(self._listing.look(from_text(tail.path)), str))

    def why_not(self, path: str) -> str:
        """Return why no log is followed at a path."""
        reason = self.arrivals.why_passed_over(to_text(path))
        if reason:
            return reason
        found = self._listing.look(path)
        return found if isinstance(found, str) else "waiting: the next look takes it"

    def _begin(self, now: datetime) -> None:
        """Record the first look of all. A batch that is there already says that the record was lost: nothing is new."""
        tails = [] if self._positions.batches else self.arrivals.first(self._found([]), map(to_text, self._entered))
        self._positions.begin(now, tails)

    def _changed(self) -> tuple[list[tuple[Tail, Status]], list[_Displaced]]:
        """Return the logs that were written to, with what they are now, and those that lie elsewhere."""
        same: list[tuple[Tail, Status]] = []
        displaced: list[_Displaced] = []
        stat = os.stat
        for tail in self._positions.tails.values():
            if tail.path is None:
                if not tail.is_gone and self._handles.held(tail) is None:
                    displaced.append(_Displaced(tail, tail.origin, is_truncated=False, status=None))
                continue
            whole = tail.whole = tail.whole or self._handles.whole(tail.path)
            try:
                now = stat(whole)
            except (FileNotFoundError, NotADirectoryError):
                displaced.append(_Displaced(tail, tail.path, is_truncated=False, status=None))
                continue
            except OSError as exc:
                raise _unreadable(tail.path, exc) from exc
            seen = tail.status
            # Ten thousand times a look: compared in place, without a value of our own for each.
            if seen is not None and (seen[3], seen[2], seen[1]) == (now.st_mtime_ns, now.st_size, now.st_ino):
                if not tail.is_racy and seen[0] == now.st_dev:
                    continue
            status = status_of(now)
            if status.identity == tail.identity:
                same.append((tail, status))
            else:
                displaced.append(_Displaced(tail, tail.path, is_truncated=False, status=status))
        return same, displaced

    def _found(self, displaced: Iterable[_Displaced]) -> list[Candidate]:
        """Return the files that the patterns take and no log is known at."""
        vacated: dict[str, set[str]] = {}
        for each in displaced:
            folder, name = split(from_text(each.path))
            vacated.setdefault(folder, set()).add(name)
        self._entered = set()
        nothing: frozenset[str] = frozenset()

        def known(folder: str) -> AbstractSet[str]:
            self._entered.add(folder)
            names: AbstractSet[str] = self._positions.names.get(folder, nothing)
            return names - vacated[folder] if folder in vacated else names

        found: dict[str, Candidate] = {}
        for file in self._listing.find(known):
            text = self._real(file.path)
            status = look_at(self._handles.whole(text))
            if status is not None:
                found[text] = Candidate(text, status, is_matched=True)
        return [each for each in found.values() if not self._is_second_name(each)]

    def _real(self, path: str) -> str:
        """Return the path behind links, as text: a log lies where its bytes are, whatever points there."""
        whole = self._handles.whole(to_text(path))
        if not os.path.islink(whole):
            return to_text(path)
        base = os.path.realpath(self._handles.whole(""))
        return to_text(os.path.realpath(whole).removeprefix(os.path.join(base, "")))

    def _is_second_name(self, candidate: Candidate) -> bool:
        tail = self._positions.by_identity.get(candidate.status.identity)
        if tail is None or tail.path is None or tail.path == candidate.path:
            return False
        return look_at(self._handles.whole(tail.path)) == candidate.status

    def _is_same(self, tail: Tail, status: Status) -> bool:
        """Tell whether a file still is its log, and take its new size and mark in."""
        born = born_ns(tail.whole or self._handles.whole(tail.path or ""))
        if born != (tail.born_ns or born):
            return False
        tail.born_ns = born
        try:
            content = self._handles.content(tail)
            try:
                is_shorter = not content.is_packed and content.size() < max(tail.offset, tail.mark.length)
                if is_shorter or not is_marked(content, tail.mark):
                    self._handles.release(tail)
                    content.close()
                    return False
                self._measure(tail, content, status)
            except BaseException:
                content.close()
                raise
        except SourceError:
            return False  # it was compressed, and is not any more, or is damaged
        except FileNotFoundError:
            return True  # it went this moment: the next look will see
        except OSError as exc:
            raise _unreadable(tail.path or tail.origin, exc) from exc
        self._handles.keep(tail, content, self._is_nameless)
        return True

    def _measure(self, tail: Tail, content: Content, status: Status) -> None:
        if isinstance(content, PlainContent):
            status = content.status()
        tail.is_packed = content.is_packed
        tail.seen_bytes = content.size()
        tail.prove(mark_of(content, tail.seen_bytes, tail.mark))
        tail.modified_ns = status.modified_ns
        tail.status, tail.is_racy = status, self._now_ns - status.modified_ns < _RACY_NS

    def _note_size(self, tail: Tail) -> None:
        status = look_at(self._handles.whole(tail.path or ""))
        if status is not None and status.identity == tail.identity:
            self._is_same(tail, status)

    def _is_nameless(self, key: tuple[str, int]) -> bool:
        tail = self._positions.tails.get(key)
        return tail is not None and tail.path is None

    def _watch_nameless(self) -> None:
        """Look at logs whose name is gone and whose handle is open; let go of what is read to its end."""
        for tail in [tail for tail in self._positions.tails.values() if tail.path is None]:
            held = self._handles.held(tail)
            if held is None:
                continue
            status = held.status()
            if status.size_bytes < tail.offset:
                self._lose(tail, "truncated after its name was gone")
                continue
            self._measure(tail, held, status)
            is_idle = self._now_ns - status.modified_ns >= self._options.close_partial_after * 1e9
            if tail.unread_bytes == 0 and is_idle:
                self._lose(tail, "", is_complete=True)

    def _settle(self, displaced: list[_Displaced], fresh: list[Candidate]) -> None:
        """Find displaced logs again, or note what of them is lost."""
        for each in displaced:
            self._positions.move(each.tail, None, each.tail.identity)
        for each in displaced:
            if each.is_truncated and each.status is not None:
                self._note_size(self._positions.new(each.path, each.path, each.status.identity))
        folders = list(folders_of(each.path for each in displaced))
        waiting = sorted(displaced, key=lambda each: (each.tail.origin, each.tail.generation))
        self._search.undecided.clear()
        left: list[Candidate] = []
        before: set[tuple[str, tuple[int, int]]] | None = None
        for _ in range(_LISTINGS):
            left = self._unknown(folders, fresh)
            waiting = [each for each in waiting if not self._is_found(each, left)]
            now = {(each.path, each.status.identity) for each in left}
            if not waiting or now == before:
                break
            before = now
        for each in waiting:
            self._give_up(each)

    def _missed(self, fresh: Iterable[Candidate]) -> list[Candidate]:
        """Return files that no pattern takes and that were logs between two looks, in folders that changed."""
        known = {each.path for each in fresh}
        folders = [to_text(folder) for folder in self._entered if self._has_changed(folder)]
        unknown = self._search.beside(folders, self._is_unknown_rotated)
        return [each for each in unknown if each.path not in known and self.arrivals.is_missed(each)
                and not self._is_second_name(each)]  # fmt: skip

    def _is_unknown_rotated(self, path: str) -> bool:
        return path not in self._positions.by_path and self.arrivals.is_rotated(path)

    def _has_changed(self, folder: str) -> bool:
        """Tell whether names may have come or gone in a folder since the last look."""
        status = look_at(self._handles.whole(to_text(folder)) or ".")
        if status is not None and self._folders.get(folder) == status:
            return False
        if status is not None and self._now_ns - status.modified_ns >= _RACY_NS:
            self._folders[folder] = status
        return True

    def _unknown(self, folders: list[str], fresh: list[Candidate]) -> list[Candidate]:
        """Return the files in the folders, and the fresh ones elsewhere, that are no log that is followed."""
        found = {each.path: each for each in self._search.beside(folders)}
        found |= {each.path: each for each in fresh if each.path not in found or found[each.path].status == each.status}
        found = {path: each for path, each in found.items() if path not in self._positions.by_path}
        taken = {path for path, each in found.items() if self._is_second_name(each)}
        return [each for path, each in found.items() if path not in taken]

    def _is_found(self, displaced: _Displaced, candidates: list[Candidate]) -> bool:
        tail = displaced.tail
        found = None if displaced.is_truncated else self._search.by_identity(tail, candidates)
        found = found or self._search.by_content(tail, candidates)
        if found is None:
            return False
        candidates.remove(found)
        if found.status.identity != tail.identity or displaced.is_truncated:
            self._handles.release(tail)
        self._positions.move(tail, found.path, found.status.identity)
        tail.whole = self._handles.whole(found.path)
        status = look_at(tail.whole)
        if status is not None and status.identity == tail.identity:
            tail.is_packed = _is_packed(tail.whole, found.path)
            self._is_same(tail, status)
        return True

    def _give_up(self, displaced: _Displaced) -> None:
        """Drain what a handle still holds, wait for what may still be compressed, else note the loss."""
        tail = displaced.tail
        if not displaced.is_truncated and (held := self._handles.held(tail)) is not None:
            self._measure(tail, held, held.status())
            return
        if any(self._now_ns - each.status.modified_ns < UNDECIDED_S * 1e9 for each in self._search.undecided):
            return  # without a name and a handle, the next look searches for it again
        is_complete = tail.unread_bytes == 0 and displaced.path != tail.origin
        self._lose(tail, _REPLACED if displaced.is_truncated else "gone", is_complete=is_complete)

    def _lose(self, tail: Tail, reason: str, *, is_complete: bool = False) -> None:
        """Follow a log no more; what was rotated and read to its end is no loss."""
        self._handles.release(tail)
        if not (tail.is_skipped or is_complete):
            loss = Loss(tail.origin, tail.generation, tail.offset, tail.unread_bytes, is_exact=False, reason=reason)
            self._positions.lose(loss)
        tail.is_gone = True
        self._positions.touch(tail)


def _is_packed(whole: str, path: str) -> bool:
    with closing(open_content(whole, path)) as content:
        return content.is_packed


def _unreadable(path: str, exc: OSError) -> SourceError:
    return SourceError(f"cannot be read: {exc.strerror}", where=path, hint="mend its permissions")
