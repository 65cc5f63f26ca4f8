"""A file that remembers what happened when it was read, while a library reads it."""

from __future__ import annotations

import io
from typing import Any, BinaryIO


class Watched(io.RawIOBase):
    """A file that counts the bytes read of it and keeps the error that reading raised.

    A library turns every error into one of its own: only this tells a damaged file from a store that cannot be reached.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.taken = 0
        self.fault: BaseException | None = None
        self.is_at_end = False

    def readable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Tell whether the file can seek."""
        return self._file.seekable()

    def read(self, size: int | None = -1) -> bytes:
        """Read as the file does, and note it."""
        try:
            block = self._file.read(-1 if size is None else size)
        except BaseException as exc:
            self.fault = exc
            raise
        self.taken += len(block)
        self.is_at_end = not block and size != 0
        return block

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401  any writable bytes
        """Read into ``buffer``."""
        block = self.read(len(buffer))
        buffer[: len(block)] = block
        return len(block)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Seek in the file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the place in the file."""
        return self._file.tell()
