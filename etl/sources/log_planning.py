"""Which bytes of which logs come next: whole lines, within limits, fairly among the logs."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from etl.errors import SourceError
from etl.model import ReadLimit
from etl.sources.log_borders import first_line_end, last_line_end, last_record_end
from etl.sources.log_csv import CsvBorders
from etl.sources.log_handles import LogHandles
from etl.sources.log_identity import Content, mark_of
from etl.sources.log_options import LogOptions
from etl.sources.log_pieces import Range
from etl.sources.log_tail import Tail
from etl.sources.log_units import LogUnit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from etl.sources.log_rows import LogRows


class LogPlanning:
    """The choice of one source. A log that was served waits for the others; older logs of a path come first."""

    def __init__(self, options: LogOptions, handles: LogHandles, rows: LogRows) -> None:
        self._options = options
        self._handles = handles
        self._joiner = rows.joiner
        self._csv = rows.csv
        self._turns: dict[str, int] = {}
        self._turn = 0

    def ranges(self, tails: Iterable[Tail], limit: ReadLimit, now_ns: int) -> list[LogUnit]:
        """Return the next ranges; at least one where a whole line waits, however long it is."""
        pending = [tail for tail in tails if tail.seen_bytes > tail.offset and tail.unread_bytes]
        pending.sort(key=lambda tail: (self._turns.get(tail.origin, 0), tail.origin, tail.generation))
        left_bytes = inf if limit.max_bytes is None else limit.max_bytes
        found: list[LogUnit] = []
        cut: set[str] = set()
        for tail in pending:
            if limit.max_files is not None and len(found) >= limit.max_files:
                break
            if tail.origin in cut:
                continue
            if left_bytes < tail.unread_bytes:
                cut.add(tail.origin)
            unit = self._range(tail, left_bytes, now_ns, is_first=not found)
            if unit is not None:
                found.append(unit)
                left_bytes -= unit.end - unit.start
            if left_bytes <= 0:
                break
        return found

    def served(self, units: Iterable[LogUnit]) -> None:
        """Let the logs of a plan wait for their next turn."""
        self._turn += 1
        for unit in units:
            self._turns[unit.origin] = self._turn

    def _range(self, tail: Tail, left_bytes: float, now_ns: int, *, is_first: bool) -> LogUnit | None:
        is_held = self._handles.held(tail) is not None
        try:
            content = self._handles.content(tail)
        except FileNotFoundError:
            return None  # it went this moment: the next look will say where
        except OSError as exc:
            raise SourceError(f"cannot be read: {exc.strerror}", where=tail.path or tail.origin) from exc
        try:
            if content.status().identity != tail.identity:
                return None  # the same: another file lies there now
            end = self._end(tail, content, left_bytes, now_ns)
            if end == tail.offset and is_first and left_bytes < tail.seen_bytes - tail.offset:
                end = self._end_of_one(tail, content, int(left_bytes), now_ns)
            if end == tail.offset:
                return None
            mark = mark_of(content, end, tail.mark)
            if not content.is_packed and content.size() < end:
                return None  # it was cut while it was marked
        finally:
            if not is_held:
                content.close()
        path = tail.path or tail.origin
        place = (path, tail.generation, tail.device, tail.inode, tail.born_ns, tail.offset, end)
        return LogUnit(*place, mark.head, mark.tail, tail.modified_ns, tail.origin)

    def _end(self, tail: Tail, content: Content, left_bytes: float, now_ns: int) -> int:
        """Return up to where a log can be taken, its offset where nothing is whole."""
        upto = int(min(tail.seen_bytes, tail.offset + left_bytes))
        if self._csv is not None:
            return self._end_of_csv(self._csv, tail, content, upto, now_ns)
        begun = max(tail.offset, min(tail.searched, upto))
        end = last_line_end(content, begun, upto)
        if end == begun:
            end = tail.offset
            tail.searched = max(tail.searched, upto)
        if upto == tail.seen_bytes:
            idle_s = _idle_s(tail, now_ns)
            if idle_s >= self._options.close_partial_after:
                return upto
            multiline = self._options.multiline
            if multiline is not None and idle_s >= multiline.timeout:
                return end
        if self._joiner is not None and end > tail.offset:
            asked = Range(tail.path or tail.origin, tail.offset, end)
            return last_record_end(content, self._joiner, asked, self._options.max_line)
        return end

    def _end_of_csv(self, csv: CsvBorders, tail: Tail, content: Content, upto: int, now_ns: int) -> int:
        """Return the same for a log that is CSV: nothing is taken before its header is whole."""
        lead = csv.lead(content, tail.path or tail.origin)
        if lead is None or upto < len(lead):
            return tail.offset
        if upto == tail.seen_bytes and _idle_s(tail, now_ns) >= self._options.close_partial_after:
            return upto
        end = csv.last_end(content, tail.offset, upto)
        return end if end >= len(lead) else tail.offset

    def _end_of_one(self, tail: Tail, content: Content, left_bytes: int, now_ns: int) -> int:
        """Return the end of the first line, which is longer than the limit."""
        if self._csv is not None:
            lead = self._csv.lead(content, tail.path or tail.origin)
            start = max(tail.offset, len(lead or b""))
            end = self._csv.first_end(content, start, tail.seen_bytes)
            return end if lead is not None and end > start else self._end(tail, content, inf, now_ns)
        end = first_line_end(content, tail.offset + left_bytes, tail.seen_bytes)
        if end > tail.offset + left_bytes:
            return end
        return self._end(tail, content, inf, now_ns)


def _idle_s(tail: Tail, now_ns: int) -> float:
    """Return for how long nothing was written; a compressed log is never written to again."""
    return inf if tail.is_packed else (now_ns - tail.modified_ns) / 1e9
