"""What becomes of a log that is not where it lay: found again, drained by its handle, waited for, or lost."""

from __future__ import annotations

from contextlib import closing, suppress
from typing import NamedTuple

from etl.sources.log_arrivals import UNDECIDED_S
from etl.sources.log_handles import LogHandles
from etl.sources.log_identity import Status, look_at, open_content
from etl.sources.log_measuring import LogMeasuring
from etl.sources.log_positions import LogPositions
from etl.sources.log_search import Candidate, LogSearch, folders_of
from etl.sources.log_tail import Tail
from etl.sources.log_units import Loss

_LISTINGS = 3
"""How often a folder is listed before a log counts as gone: names may be moving on just now."""
_CUT = "truncated after it was copied"
_REPLACED = "truncated, or replaced by another file"


class Displaced(NamedTuple):
    """A log that is not where it lay: at ``path`` is now something else, or nothing."""

    tail: Tail
    path: str
    is_truncated: bool
    status: Status | None


class LogReturn:
    """The way back of one source's displaced logs."""

    def __init__(
        self, positions: LogPositions, handles: LogHandles, search: LogSearch, measuring: LogMeasuring
    ) -> None:
        self._positions = positions
        self._handles = handles
        self._search = search
        self._measuring = measuring

    def watch_nameless(self, close_after_s: float) -> None:
        """Look at logs whose name is gone and whose handle is open; let go of what is read to its end."""
        for tail in [tail for tail in self._positions.tails.values() if tail.path is None]:
            held = self._handles.held(tail)
            if held is None:
                continue
            status = held.status()
            if status.size_bytes < tail.offset:
                self._lose(tail, "truncated after its name was gone")
                continue
            self._measuring.measure(tail, held, status)
            is_idle = self._measuring.now_ns - status.modified_ns >= close_after_s * 1e9
            if tail.unread_bytes == 0 and is_idle:
                self._lose(tail, "", is_complete=True)

    def settle(self, displaced: list[Displaced], fresh: list[Candidate]) -> None:
        """Find displaced logs again, or note what of them is lost."""
        nameless = [each for each in displaced if each.tail.path is None and self._handles.held(each.tail) is not None]
        for each in displaced:
            if each.tail.path is not None:
                self._positions.move(each.tail, None, each.tail.identity)
            if each.is_truncated:
                self._handles.release(each.tail)
        for each in displaced:
            if each.is_truncated and each.status is not None:
                self._measuring.look(self._positions.new(each.path, each.path, each.status.identity))
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
        # Only now by content: a file that is another log itself may begin with all that one that is gone held.
        for each in waiting:
            if each not in nameless and not self._has_copy(each, left):
                self._give_up(each)

    def _unknown(self, folders: list[str], fresh: list[Candidate]) -> list[Candidate]:
        """Return the files in the folders, and the fresh ones elsewhere, that are no log that is followed."""
        found = {each.path: each for each in self._search.beside(folders)}
        found |= {each.path: each for each in fresh if each.path not in found or found[each.path].status == each.status}
        found = {path: each for path, each in found.items() if path not in self._positions.by_path}
        taken = {path for path, each in found.items() if self.is_followed(each)}
        return [each for path, each in found.items() if path not in taken]

    def is_second_name(self, candidate: Candidate) -> bool:
        """Tell whether a file is one that is followed under another name, which still holds."""
        tail = self._positions.by_identity.get(candidate.status.identity)
        if tail is None or tail.path is None or tail.path == candidate.path:
            return False
        return look_at(self._handles.whole(tail.path)) == candidate.status

    def is_followed(self, candidate: Candidate) -> bool:
        """Tell whether a file is one that is followed elsewhere, though its name may have moved on during this look."""
        tail = self._positions.by_identity.get(candidate.status.identity)
        return tail is not None and tail.path not in (None, candidate.path)

    def _is_found(self, displaced: Displaced, candidates: list[Candidate]) -> bool:
        """Follow a log to where its very file lies now."""
        found = None if displaced.is_truncated else self._search.by_identity(displaced.tail, candidates)
        return self._follow(displaced, found, candidates)

    def _has_copy(self, displaced: Displaced, candidates: list[Candidate]) -> bool:
        """Follow a log to a file that was made of it.

        Who rotates by renaming deletes the oldest log in the end, and younger ones may begin with all that it held. So
        of a log that had been rotated away only a compressed file, or many equal bytes, are taken for a copy.
        """
        tail = displaced.tail
        may_be_cut = displaced.is_truncated or displaced.path == tail.origin
        found = self._search.by_content(tail, candidates, may_be_cut=may_be_cut)
        return self._follow(displaced, found, candidates)

    def _follow(self, displaced: Displaced, found: Candidate | None, candidates: list[Candidate]) -> bool:
        tail = displaced.tail
        if found is None:
            return False
        candidates.remove(found)
        if found.status.identity != tail.identity or displaced.is_truncated:
            self._handles.release(tail)
        self._positions.move(tail, found.path, found.status.identity)
        tail.whole, tail.born_ns = self._handles.whole(found.path), 0  # a copy may have been given the freed inode
        self._shorten(tail)
        self._measuring.look(tail)
        return True

    def _shorten(self, tail: Tail) -> None:
        """Note what was seen of a log and is not in the copy that is left of it: it was cut while it grew."""
        with suppress(FileNotFoundError), closing(open_content(tail.whole, tail.path or "")) as content:
            if content.status().identity != tail.identity:
                return  # it moved on this moment
            tail.is_packed = content.is_packed
            size = content.size()
            if tail.seen_bytes > max(size, tail.offset) and not tail.is_skipped:
                start = max(size, tail.offset)
                loss = Loss(tail.origin, tail.generation, start, tail.seen_bytes - start, is_exact=False, reason=_CUT)
                self._positions.lose(loss)
            tail.marks = tuple(mark for mark in tail.marks if mark.length <= size)
            tail.offset, tail.seen_bytes = min(tail.offset, size), size

    def _give_up(self, displaced: Displaced) -> None:
        """Drain what a handle still holds, wait for what may still be compressed, else note the loss."""
        tail = displaced.tail
        if not displaced.is_truncated and (held := self._handles.held(tail)) is not None:
            self._measuring.measure(tail, held, held.status())
            return
        if any(self._measuring.now_ns - each.status.modified_ns < UNDECIDED_S * 1e9 for each in self._search.undecided):
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
        self._positions.note(tail)
