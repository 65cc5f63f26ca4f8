"""The files of a state that are open: mapped into memory on a local disk, held in it, up to a bound, elsewhere."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING

from etl.errors import StateError
from etl.state.segment import Segment, digest
from etl.state.version import StateFile

if TYPE_CHECKING:
    import pyarrow as pa

    from etl.storage import Storage

RESTORE = (
    "restore the checkpoint folder from a copy, or run `etl run NAME --full-refresh`, which builds state and table anew"
)
_MAX_OPEN = 10_000
"""A process may map some sixty thousand files."""


class DamagedFileError(StateError):
    """A file of state that is missing, or whose bytes are not those that were written."""


class SegmentCache:
    """Opened files, those that were not used for longest closed first. Each is verified before its first use."""

    def __init__(self, storage: Storage, max_bytes: int) -> None:
        self._storage = storage
        self._max_bytes = max_bytes
        self._open: OrderedDict[str, tuple[Segment, int]] = OrderedDict()
        self.held_bytes = 0
        self._verified: set[str] = set()
        self._lock = Lock()  # partitions are folded in threads

    def get(self, file: StateFile) -> Segment:
        """Return an open file. Raises DamagedFileError."""
        with self._lock:
            found = self._open.get(file.path)
            if found is not None:
                self._open.move_to_end(file.path)
                return found[0]
            content = self._verify(file)
            return self._keep(file.path, Segment(content), 0 if self._storage.is_local else file.size_bytes)

    def trust(self, file: StateFile, content: bytes) -> None:
        """Take note of a file that is about to be written: it can be read at once."""
        with self._lock:
            self._verified.add(file.path)
            self._keep(file.path, Segment(content), file.size_bytes)

    def settle(self, file: StateFile) -> None:
        """Take note that a file is there: on a local disk it is mapped when it is asked for next."""
        if self._storage.is_local:
            with self._lock:
                self._close(file.path)

    def forget(self, path: str) -> None:
        """Close a file that was removed."""
        with self._lock:
            self._verified.discard(path)
            self._close(path)

    def _close(self, path: str) -> None:
        _, size = self._open.pop(path, (None, 0))
        self.held_bytes -= size

    def _keep(self, path: str, segment: Segment, size_bytes: int) -> Segment:
        self._close(path)
        self._open[path] = segment, size_bytes
        self.held_bytes += size_bytes
        while len(self._open) > 1 and (len(self._open) > _MAX_OPEN or self.held_bytes > self._max_bytes):
            self._close(next(iter(self._open)))
        return segment

    def _verify(self, file: StateFile) -> object:
        where = f"{self._storage.url}/{file.path}"
        try:
            content = self._read(file.path)
        except FileNotFoundError as exc:
            raise DamagedFileError("is missing", where=where, hint=RESTORE) from exc
        view = memoryview(content)
        if len(view) != file.size_bytes:
            raise DamagedFileError(
                f"has {len(view)} bytes where {file.size_bytes} were written", where=where, hint=RESTORE
            )
        if file.path not in self._verified and digest(view) != file.checksum:
            raise DamagedFileError("its bytes are not those that were written", where=where, hint=RESTORE)
        self._verified.add(file.path)
        return content

    def _read(self, path: str) -> bytes | pa.Buffer:
        """Return the bytes of a file. Raises FileNotFoundError."""
        import pyarrow as pa

        if not self._storage.is_local:
            return self._storage.read(path)
        with pa.memory_map(f"{self._storage.url}/{path}") as file:  # what it has mapped outlives it
            return file.read_buffer()
