"""Open files of logs that grow: what is deleted while its handle is open can still be read to its end."""

from __future__ import annotations

import os
import weakref
from collections import OrderedDict
from collections.abc import Callable

from etl.sources.file_names import from_text
from etl.sources.log_identity import Content, PlainContent, open_content
from etl.sources.log_tail import Key, Tail

MAX_OPEN = 256


class LogHandles:
    """The handles of one source; the logs that grew last keep theirs, and those whose name is gone."""

    def __init__(self, base: str, max_open: int = MAX_OPEN) -> None:
        self._base = base
        self._max_open = max_open
        self._open: OrderedDict[Key, PlainContent] = OrderedDict()
        weakref.finalize(self, _close, self._open)

    def whole(self, text: str) -> str:
        """Return the path on disk."""
        return os.path.join(self._base, from_text(text))

    def held(self, tail: Tail) -> PlainContent | None:
        """Return the open handle of a log, None where there is none."""
        return self._open.get(tail.key)

    def content(self, tail: Tail) -> Content:
        """Return the bytes of a log, from its handle where one is open. Raises OSError."""
        held = self._open.get(tail.key)
        if held is not None:
            return held
        if tail.path is None:
            raise FileNotFoundError(tail.origin)
        return open_content(self.whole(tail.path), tail.path)

    def keep(self, tail: Tail, content: Content, is_needed: Callable[[Key], bool]) -> None:
        """Keep a handle open for a while; one that is not kept is closed. ``is_needed`` ones are never given up."""
        if not isinstance(content, PlainContent):
            content.close()
            return
        self._open[tail.key] = content
        self._open.move_to_end(tail.key)
        while len(self._open) > self._max_open:
            spare = next((key for key in self._open if not is_needed(key)), None)
            if spare is None or spare == tail.key:
                break
            self._open.pop(spare).close()

    def release(self, tail: Tail) -> None:
        """Close the handle of a log, if there is one."""
        held = self._open.pop(tail.key, None)
        if held is not None:
            held.close()

    def take_over(self, former: LogHandles) -> None:
        """Take the open handles of another."""
        if former._base == self._base:
            self._open.update(former._open)
            former._open.clear()

    def close(self) -> None:
        """Close all. *Repeat*: safe."""
        _close(self._open)


def _close(contents: OrderedDict[Key, PlainContent]) -> None:
    for content in contents.values():
        content.close()
    contents.clear()
