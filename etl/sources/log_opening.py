"""Opening exactly the log that a plan names, wherever it lies by now."""

from __future__ import annotations

from collections.abc import Iterator

from etl.errors import SourceChangedError, SourceError
from etl.sources.file_names import from_text
from etl.sources.log_handles import LogHandles
from etl.sources.log_identity import Content, Status, is_marked, is_of_family, look_at, open_content
from etl.sources.log_positions import LogPositions
from etl.sources.log_search import LogSearch, folders_of
from etl.sources.log_units import LogUnit


class LogOpening:
    """The way to the bytes of a unit: where it was planned, where it was seen last, its handle, the files beside it."""

    def __init__(self, positions: LogPositions, handles: LogHandles) -> None:
        self._positions = positions
        self._handles = handles

    def open(self, unit: LogUnit) -> Content:
        """Return the bytes of the log of a unit; the caller closes them.

        Raises SourceChangedError where nothing holds them any more, SourceError where a folder cannot be listed.
        """
        for path in self._paths(unit):
            if (content := self._opened(path, unit)) is not None:
                return content
        tail = self._positions.tails.get(unit.key)
        held = None if tail is None else self._handles.held(tail)
        if held is not None and is_marked(held, unit.mark):
            return _Borrowed(held)
        raise SourceChangedError(
            unit.path,
            f"bytes {unit.start} to {unit.end} of generation {unit.generation} are in no file any more",
            hint="put the file back under any name beside it; else they are reported as lost and the rest goes on",
        )

    def refuse_missing_folder(self, unit: LogUnit) -> None:
        """Refuse to take bytes for lost whose whole folder is away. Raises SourceError."""
        folder = next(folders_of([unit.path]))
        if look_at(self._handles.whole(folder)) is None:
            raise SourceError("source unavailable: the folder is gone", where=folder, hint="mount it, or put it back")

    def _paths(self, unit: LogUnit) -> Iterator[str]:
        tail = self._positions.tails.get(unit.key)
        first = [unit.path] if tail is None or tail.path in (None, unit.path) else [tail.path or "", unit.path]
        yield from first
        beside = [each for each in LogSearch(self._handles).beside(folders_of(first)) if each.path not in first]
        beside.sort(key=lambda each: each.status.identity != (unit.device, unit.inode))
        for each in beside:
            is_it = each.status.identity == (unit.device, unit.inode)
            if is_it or is_of_family(from_text(each.path), from_text(unit.origin)):
                yield each.path

    def _opened(self, path: str, unit: LogUnit) -> Content | None:
        try:
            content = open_content(self._handles.whole(path), path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as exc:
            raise SourceError(f"cannot be read: {exc.strerror}", where=path, hint="mend its permissions") from exc
        try:
            if is_marked(content, unit.mark):
                return content
        except SourceError:
            pass  # compressed data that breaks off: not these bytes
        content.close()
        return None


class _Borrowed:
    """A handle that stays open when the reader is done with it."""

    is_packed = False

    def __init__(self, content: Content) -> None:
        self._content = content

    def read_at(self, start: int, length: int) -> bytes:
        return self._content.read_at(start, length)

    def size(self) -> int:
        return self._content.size()

    def status(self) -> Status:
        return self._content.status()

    def close(self) -> None:
        """Do nothing."""
