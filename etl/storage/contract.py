"""What a storage of small records is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import BinaryIO, Protocol


class Storage(Protocol):
    """A folder of small records. ``path`` is relative to its root, with ``/``."""

    url: str
    is_local: bool

    def read(self, path: str) -> bytes:
        """Return the whole record. Raises FileNotFoundError."""

    def open(self, path: str) -> BinaryIO:
        """Open a file for reading. Raises FileNotFoundError."""

    def list(self, folder: str = "") -> list[str]:
        """Return the names directly inside ``folder``, sorted; empty when it does not exist. Never from a cache."""

    def find(self, folder: str = "") -> Sequence[str]:
        """Return the paths of all files below ``folder``, sorted."""

    def size(self, path: str) -> int | None:
        """Return the size in bytes, None when there is no such file."""

    def modified_at(self, path: str) -> datetime | None:
        """Return when a file was last written, None when there is no such file."""

    def create(self, path: str, content: bytes, *, effect: str) -> None:
        """Write a new record, whole and durable. Raises FileExistsError."""

    def replace(self, path: str, content: bytes, *, effect: str) -> None:
        """Write a record over what is there, whole and durable."""

    def move(self, path: str, target: str, *, effect: str) -> None:
        """Give a file another name, under which it appears whole; ``sync`` makes that durable.

        *Repeat*: raises FileNotFoundError where it has happened before. What has the name already is replaced.
        """

    def remove(self, path: str, *, effect: str) -> None:
        """Delete a record. *Repeat*: safe."""

    def sweep(self, folder: str, *, older_than_s: float, effect: str) -> None:
        """Remove temporary files that a crash left directly inside ``folder``."""

    def sync(self, paths: Iterable[str], *, effect: str) -> None:
        """Make files that others wrote, and their folders, survive a power cut. Nothing to do on object stores."""

    def at(self, folder: str) -> Storage:
        """Return the storage of a folder below this one."""
