"""What a look takes in of one log: that it still is the same, its size and its mark."""

from __future__ import annotations

from etl.errors import SourceError
from etl.sources.log_handles import LogHandles
from etl.sources.log_identity import Content, PlainContent, Status, born_ns, is_marked, look_at, mark_of
from etl.sources.log_positions import LogPositions
from etl.sources.log_tail import Key, Tail

RACY_NS = 50_000_000
"""Writes this close to a look may leave size and time of the file as they are (a kernel's clock ticks every 4 ms)."""


class LogMeasuring:
    """The measure of one source. ``now_ns`` is when the look began."""

    def __init__(self, positions: LogPositions, handles: LogHandles) -> None:
        self._positions = positions
        self._handles = handles
        self.now_ns = 0

    def is_same(self, tail: Tail, status: Status) -> bool:
        """Tell whether a file still is its log, and take its new size and mark in."""
        whole = tail.whole or self._handles.whole(tail.path or "")
        born = born_ns(whole)
        if born != (tail.born_ns or born):
            now = look_at(whole)
            return now is None or now.identity != tail.identity  # it went this moment: the next look will see
        tail.born_ns = born
        try:
            content = self._handles.content(tail)
            if content.status().identity != tail.identity:
                content.close()
                return True  # the same
            try:
                is_shorter = not content.is_packed and content.size() < max(tail.offset, tail.mark.length)
                if is_shorter or not is_marked(content, tail.mark):
                    self._handles.release(tail)
                    content.close()
                    return False
                self.measure(tail, content, status)
            except BaseException:
                content.close()
                raise
        except SourceError:
            return False  # it was compressed, and is not any more, or is damaged
        except FileNotFoundError:
            return True  # it went this moment: the next look will see
        except OSError as exc:
            raise unreadable(tail.path or tail.origin, exc) from exc
        self._handles.keep(tail, content, self._is_nameless)
        return True

    def measure(self, tail: Tail, content: Content, status: Status) -> None:
        """Take the size and the mark of a log in."""
        if isinstance(content, PlainContent):
            status = content.status()
        tail.is_packed = content.is_packed
        tail.seen_bytes = content.size()
        mark = mark_of(content, tail.seen_bytes, tail.mark)
        if content.is_packed or content.size() >= mark.length:  # else it was cut while it was marked
            tail.prove(mark)
        tail.modified_ns = status.modified_ns
        tail.status, tail.is_racy = status, self.now_ns - status.modified_ns < RACY_NS

    def look(self, tail: Tail) -> None:
        """Take in what a log is that was just found where it lies."""
        status = look_at(self._handles.whole(tail.path or ""))
        if status is not None and status.identity == tail.identity:
            self.is_same(tail, status)

    def _is_nameless(self, key: Key) -> bool:
        tail = self._positions.tails.get(key)
        return tail is not None and tail.path is None


def unreadable(path: str, exc: OSError) -> SourceError:
    """Return the error for a log that cannot be read."""
    return SourceError(f"cannot be read: {exc.strerror}", where=path, hint="mend its permissions")
