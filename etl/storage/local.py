"""Records in a local folder: temporary file, fsync, hard link, fsync of the folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from etl.seam import Seam

TEMPORARY = ".tmp-"
_PRIVATE, _SHARED = 0o600, 0o666


class LocalStorage:
    """Records in a local folder, made when first written to.

    Its files are for their owner alone; with ``is_shared`` (tables, projects) the process's umask decides.
    """

    is_local = True

    def __init__(self, root: Path, seam: Seam, *, is_shared: bool = False) -> None:
        self.root = root
        self.url = str(root)
        self._seam = seam
        self._is_shared = is_shared

    def read(self, path: str) -> bytes:
        """Return the whole record. Raises FileNotFoundError."""
        return (self.root / path).read_bytes()

    def open(self, path: str) -> BinaryIO:
        """Open a file for reading. Raises FileNotFoundError."""
        return (self.root / path).open("rb")

    def list(self, folder: str = "") -> list[str]:
        """Return the names directly inside ``folder``, sorted."""
        try:
            return sorted(os.listdir(self.root / folder))
        except FileNotFoundError:
            return []

    def find(self, folder: str = "") -> Sequence[str]:
        """Return the paths of all files below ``folder``, sorted."""
        found = []
        for parent, _, names in os.walk(self.root / folder):
            found += [os.path.relpath(os.path.join(parent, name), self.root) for name in names]
        return sorted(found)

    def size(self, path: str) -> int | None:
        """Return the size in bytes, None when there is no such file."""
        try:
            return os.stat(self.root / path).st_size
        except FileNotFoundError:
            return None

    def modified_at(self, path: str) -> datetime | None:
        """Return when a file was last written, None when there is no such file."""
        try:
            return datetime.fromtimestamp(os.stat(self.root / path).st_mtime, UTC)
        except FileNotFoundError:
            return None

    def create(self, path: str, content: bytes, *, effect: str) -> None:
        """Write a new record: temporary file, fsync, hard link, fsync of the folder. Raises FileExistsError."""
        self._publish(path, content, effect, os.link)

    def replace(self, path: str, content: bytes, *, effect: str) -> None:
        """Write a record over what is there: temporary file, fsync, rename, fsync of the folder."""
        self._publish(path, content, effect, os.replace)

    def _publish(self, path: str, content: bytes, effect: str, publish: Callable[[Path, Path], None]) -> None:
        final = self.root / path
        if not final.parent.is_dir():
            self._seam.effect(f"{effect}.folder", lambda: self._make_folder(final.parent))
        temporary = final.parent / f"{TEMPORARY}{final.name}-{self._seam.new_id()}"
        try:
            self._seam.effect(
                f"{effect}.write",
                lambda: _write_synced(temporary, content, _SHARED if self._is_shared else _PRIVATE),
                lambda: temporary.write_bytes(content[: len(content) // 2]),
            )
            self._seam.effect(f"{effect}.publish", lambda: publish(temporary, final))
            self._seam.effect(f"{effect}.sync", lambda: _sync_folder(final.parent))
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)

    def _make_folder(self, folder: Path) -> None:
        if folder.is_dir():
            return
        self._make_folder(folder.parent)
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder)
        _sync_folder(folder.parent)

    def move(self, path: str, target: str, *, effect: str) -> None:
        """Rename a file. Raises FileNotFoundError."""
        folder = (self.root / target).parent
        if not folder.is_dir():
            self._seam.effect(f"{effect}.folder", lambda: self._make_folder(folder))
        self._seam.effect(effect, lambda: os.replace(self.root / path, self.root / target))

    def remove(self, path: str, *, effect: str) -> None:
        """Delete a record. *Repeat*: safe."""

        def act() -> None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.root / path)

        self._seam.effect(effect, act)

    def sweep(self, folder: str, *, older_than_s: float, effect: str) -> None:
        """Remove temporary files that a crash left directly inside ``folder``."""
        oldest_at = self._seam.now().timestamp() - older_than_s
        for name in self.list(folder):
            if not name.startswith(TEMPORARY):
                continue
            with contextlib.suppress(FileNotFoundError):  # its writer may be alive, and done meanwhile
                if os.stat(self.root / folder / name).st_mtime <= oldest_at:
                    self.remove(f"{folder}/{name}".lstrip("/"), effect=effect)

    def sync(self, paths: Iterable[str], *, effect: str) -> None:
        """Fsync files, then each folder that holds one, up to the root. A failure is final: never retried."""
        names = list(paths)

        def act() -> None:
            for name in names:
                _sync_file(self.root / name)
            folders = {parent for name in names for parent in Path(name).parents}
            for folder in folders:
                _sync_folder(self.root / folder)

        self._seam.effect(effect, act)

    def at(self, folder: str) -> LocalStorage:
        """Return the storage of a folder below this one."""
        return LocalStorage(self.root / folder, self._seam, is_shared=self._is_shared)


def _write_synced(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_sync_folder = _sync_file
