"""Records on an object store, or any fsspec filesystem that creates conditionally."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, BinaryIO

from etl.seam import Seam


class ObjectStorage:
    """Records on any fsspec filesystem that creates conditionally (S3 ``If-None-Match``, memory)."""

    is_local = False

    def __init__(self, url: str, filesystem: Any, root: str, seam: Seam) -> None:  # noqa: ANN401  fsspec has no types
        self.url = url.rstrip("/")
        self._filesystem = filesystem
        self._root = root.rstrip("/")
        self._seam = seam

    def _whole(self, path: str) -> str:
        return f"{self._root}/{path}".rstrip("/")

    def read(self, path: str) -> bytes:
        """Return the whole record. Raises FileNotFoundError."""
        with _os_errors():
            return bytes(self._filesystem.cat_file(self._whole(path)))

    def open(self, path: str) -> BinaryIO:
        """Open an object for reading. Raises FileNotFoundError."""
        with _os_errors():
            file: BinaryIO = self._filesystem.open(self._whole(path), "rb")
        return file

    def list(self, folder: str = "") -> list[str]:
        """Return the names directly inside ``folder``, sorted; always asks the store."""
        whole = self._whole(folder)
        try:
            with _os_errors():
                found = self._filesystem.ls(whole, detail=False, refresh=True)
        except FileNotFoundError:
            return []
        return sorted(name.rsplit("/", 1)[-1] for name in found if name.rstrip("/") != whole)

    def find(self, folder: str = "") -> Sequence[str]:
        """Return the paths of all files below ``folder``, sorted; ``find`` never answers from the listing cache."""
        self._filesystem.invalidate_cache()
        start = len(self._root) + 1
        with _os_errors():
            return sorted(name[start:] for name in self._filesystem.find(self._whole(folder)))

    def size(self, path: str) -> int | None:
        """Return the size in bytes, None when there is no such object."""
        self._filesystem.invalidate_cache()
        try:
            with _os_errors():
                return int(self._filesystem.info(self._whole(path))["size"])
        except FileNotFoundError:
            return None

    def modified_at(self, path: str) -> datetime | None:
        """Return when an object was last written, None when there is no such object."""
        self._filesystem.invalidate_cache()
        try:
            with _os_errors():
                found: datetime = self._filesystem.modified(self._whole(path))
        except FileNotFoundError:
            return None
        return found if found.tzinfo else found.replace(tzinfo=UTC)

    def create(self, path: str, content: bytes, *, effect: str) -> None:
        """Create an object unless it is there. Raises FileExistsError."""
        self._seam.effect(effect, lambda: self._put(path, content, "create"))

    def replace(self, path: str, content: bytes, *, effect: str) -> None:
        """Write an object over what is there."""
        self._seam.effect(effect, lambda: self._put(path, content, "overwrite"))

    def _put(self, path: str, content: bytes, mode: str) -> None:
        with _os_errors():
            self._filesystem.pipe_file(self._whole(path), content, mode=mode)

    def move(self, path: str, target: str, *, effect: str) -> None:
        """Copy an object inside the store, then delete it. Raises FileNotFoundError."""

        def copy() -> None:
            with _os_errors():
                self._filesystem.cp_file(self._whole(path), self._whole(target))

        self._seam.effect(effect, copy)
        self.remove(path, effect=f"{effect}.remove")

    def remove(self, path: str, *, effect: str) -> None:
        """Delete an object. *Repeat*: safe."""

        def act() -> None:
            with contextlib.suppress(FileNotFoundError), _os_errors():
                self._filesystem.rm_file(self._whole(path))

        self._seam.effect(effect, act)

    def sweep(self, folder: str, *, older_than_s: float, effect: str) -> None:
        """Do nothing: object stores show no half-written object."""

    def sync(self, paths: Iterable[str], *, effect: str) -> None:
        """Do nothing: an object that was written is durable."""

    def at(self, folder: str) -> ObjectStorage:
        """Return the storage of a folder below this one."""
        return ObjectStorage(f"{self.url}/{folder}", self._filesystem, self._whole(folder), self._seam)


@contextlib.contextmanager
def _os_errors() -> Iterator[None]:
    """Raise what a store's library raises as an OSError: "precondition failed" as FileExistsError."""
    try:
        yield
    except (FileExistsError, FileNotFoundError):
        raise
    except Exception as exc:
        if _status(exc) == HTTPStatus.PRECONDITION_FAILED:
            raise FileExistsError(errno.EEXIST, str(exc)) from exc
        if isinstance(exc, OSError):
            raise
        raise OSError(errno.EIO, f"{type(exc).__name__}: {exc}") from exc


def _status(exc: Exception) -> int | None:
    """Return the HTTP status behind an error of s3fs, which knows the code 412 only as AWS words it."""
    response = getattr(exc.__cause__, "response", None) or {}
    status: int | None = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status
