"""One look at the disk: which logs grew, which were rotated, truncated or deleted, and which are new.

A log that stayed as it is costs a stat. Only where something lies no longer where it lay are the folders around it
listed, and files opened.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from datetime import datetime
from pathlib import Path

from etl.seam import Seam
from etl.sources.file_names import from_text, split, to_text
from etl.sources.file_places import Places
from etl.sources.log_arrivals import LogArrivals
from etl.sources.log_displaced import Displaced, LogReturn
from etl.sources.log_handles import LogHandles
from etl.sources.log_identity import (
    Status,
    look_at,
    status_of,
)
from etl.sources.log_listing import LogListing
from etl.sources.log_measuring import RACY_NS, LogMeasuring, unreadable
from etl.sources.log_options import LogOptions
from etl.sources.log_positions import LogPositions
from etl.sources.log_search import Candidate, LogSearch
from etl.sources.log_tail import Tail


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
        self._measuring = LogMeasuring(positions, handles)
        self._return = LogReturn(positions, handles, self._search, self._measuring)
        self._entered: set[str] = set()
        self._folders: dict[str, Status] = {}

    def look(self) -> None:
        """Bring the positions up to date. Raises SourceError."""
        now = self._seam.now()
        self._measuring.now_ns = int(now.timestamp() * 1e9)
        self._positions.ready()
        if not self._positions.has_started:
            self._begin(now)
        same, displaced = self._changed()
        fresh = self._found(displaced)
        for tail, status in same:
            if not self._measuring.is_same(tail, status):
                displaced.append(Displaced(tail, tail.path or "", is_truncated=True, status=status))
        self._return.watch_nameless(self._options.close_partial_after)
        if displaced:
            self._return.settle(displaced, fresh)
            fresh = [each for each in fresh if each.path not in self._positions.by_path]
        fresh += self._missed(fresh)
        # What is followed and was renamed since this look began is no new log: the next look finds it.
        fresh = [each for each in fresh if not self._return.is_followed(each)]
        for tail in self.arrivals.take(fresh, now):
            self._measuring.look(tail)

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
        self._positions.begin(now, tails, must_be_kept=self._options.read_from == "end")

    def _changed(self) -> tuple[list[tuple[Tail, Status]], list[Displaced]]:
        """Return the logs that were written to, with what they are now, and those that lie elsewhere."""
        same: list[tuple[Tail, Status]] = []
        displaced: list[Displaced] = []
        stat = os.stat
        for tail in self._positions.tails.values():
            if tail.path is None:
                held = self._handles.held(tail)
                if not tail.is_gone and (held is None or held.has_name):
                    displaced.append(Displaced(tail, tail.origin, is_truncated=False, status=None))
                continue
            whole = tail.whole = tail.whole or self._handles.whole(tail.path)
            try:
                now = stat(whole)
            except (FileNotFoundError, NotADirectoryError):
                displaced.append(Displaced(tail, tail.path, is_truncated=False, status=None))
                continue
            except OSError as exc:
                raise unreadable(tail.path, exc) from exc
            seen = tail.status
            # Ten thousand times a look: compared in place, without a value of our own for each.
            if seen is not None and (seen[3], seen[2], seen[1]) == (now.st_mtime_ns, now.st_size, now.st_ino):  # noqa: SIM102
                if not tail.is_racy and seen[0] == now.st_dev:
                    continue
            status = status_of(now)
            if status.identity == tail.identity:
                same.append((tail, status))
            else:
                displaced.append(Displaced(tail, tail.path, is_truncated=False, status=status))
        return same, displaced

    def _found(self, displaced: Iterable[Displaced]) -> list[Candidate]:
        """Return the files that the patterns take and no log is known at."""
        away = {each.path for each in displaced}
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
            if text in self._positions.by_path and text not in away:
                continue
            status = look_at(self._handles.whole(text))
            if status is not None:
                found[text] = Candidate(text, status, is_matched=True)
        return [each for each in found.values() if not self._return.is_second_name(each)]

    def _real(self, path: str) -> str:
        """Return the path behind links, as text: a log lies where its bytes are, whatever points there."""
        whole = self._handles.whole(to_text(path))
        if not os.path.islink(whole):
            return to_text(path)
        base = os.path.realpath(self._handles.whole(""))
        return to_text(os.path.realpath(whole).removeprefix(os.path.join(base, "")))

    def _missed(self, fresh: Iterable[Candidate]) -> list[Candidate]:
        """Return files that no pattern takes and that were logs between two looks, in folders that changed."""
        known = {each.path for each in fresh}
        folders = [to_text(folder) for folder in self._entered if self._has_changed(folder)]
        unknown = self._search.beside(folders, self._is_unknown_rotated)
        return [each for each in unknown if each.path not in known and self.arrivals.is_missed(each)]

    def _is_unknown_rotated(self, path: str) -> bool:
        return path not in self._positions.by_path and self.arrivals.is_rotated(path)

    def _has_changed(self, folder: str) -> bool:
        """Tell whether names may have come or gone in a folder since the last look."""
        status = look_at(self._handles.whole(to_text(folder)) or ".")
        if status is not None and self._folders.get(folder) == status:
            return False
        if status is not None and self._measuring.now_ns - status.modified_ns >= RACY_NS:
            self._folders[folder] = status
        return True
