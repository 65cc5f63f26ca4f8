"""Small records on any filesystem: read, list, put_if_absent, replace, remove, sync.

A record appears whole or not at all. Locally: temporary file, fsync, hard link to the final name, fsync of the
folder. On object stores: a conditional create. Every write is an effect of the seam.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from etl.errors import EtlError, RecordExistsError, StorageError, UnknownOutcomeError
from etl.seam import Seam

TEMPORARY = ".tmp-"
_TRIES = 6


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

    def find(self, folder: str = "") -> list[str]:
        """Return the paths of all files below ``folder``, sorted."""

    def size(self, path: str) -> int | None:
        """Return the size in bytes, None when there is no such file."""

    def create(self, path: str, content: bytes, *, effect: str) -> None:
        """Write a new record, whole and durable. Raises FileExistsError."""

    def replace(self, path: str, content: bytes, *, effect: str) -> None:
        """Write a record over what is there, whole and durable."""

    def remove(self, path: str, *, effect: str) -> None:
        """Delete a record. *Repeat*: safe."""

    def sweep(self, folder: str, *, older_than_s: float, effect: str) -> None:
        """Remove temporary files that a crash left directly inside ``folder``."""

    def sync(self, paths: Iterable[str], *, effect: str) -> None:
        """Make files that others wrote, and their folders, survive a power cut. Nothing to do on object stores."""

    def at(self, folder: str) -> Storage:
        """Return the storage of a folder below this one."""


class LocalStorage:
    """Records in a local folder, made when first written to."""

    is_local = True

    def __init__(self, root: Path, seam: Seam) -> None:
        self.root = root
        self.url = str(root)
        self._seam = seam

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

    def find(self, folder: str = "") -> list[str]:
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

    def create(self, path: str, content: bytes, *, effect: str) -> None:
        """Write a new record: temporary file, fsync, hard link, fsync of the folder. Raises FileExistsError."""
        self._publish(path, content, effect, os.link)

    def replace(self, path: str, content: bytes, *, effect: str) -> None:
        """Write a record over what is there: temporary file, fsync, rename, fsync of the folder."""
        self._publish(path, content, effect, os.replace)

    def _publish(self, path: str, content: bytes, effect: str, publish: Callable[[Path, Path], None]) -> None:
        final = self.root / path
        self._make_folder(final.parent)
        temporary = final.parent / f"{TEMPORARY}{final.name}-{self._seam.new_id()}"
        try:
            self._seam.effect(
                f"{effect}.write",
                lambda: _write_synced(temporary, content),
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
            path = f"{folder}/{name}"
            if name.startswith(TEMPORARY) and os.stat(self.root / folder / name).st_mtime <= oldest_at:
                self.remove(path.lstrip("/"), effect=effect)

    def sync(self, paths: Iterable[str], *, effect: str) -> None:
        """Fsync files and then each folder that holds one of them, up to the root. A failure is final: never retried."""
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
        return LocalStorage(self.root / folder, self._seam)


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
        return bytes(self._filesystem.cat_file(self._whole(path)))

    def open(self, path: str) -> BinaryIO:
        """Open an object for reading. Raises FileNotFoundError."""
        file: BinaryIO = self._filesystem.open(self._whole(path), "rb")
        return file

    def list(self, folder: str = "") -> list[str]:
        """Return the names directly inside ``folder``, sorted; always asks the store."""
        whole = self._whole(folder)
        try:
            found = self._filesystem.ls(whole, detail=False, refresh=True)
        except FileNotFoundError:
            return []
        return sorted(name.rsplit("/", 1)[-1] for name in found if name.rstrip("/") != whole)

    def find(self, folder: str = "") -> list[str]:
        """Return the paths of all files below ``folder``, sorted; ``find`` never answers from the listing cache."""
        self._filesystem.invalidate_cache()
        start = len(self._root) + 1
        return sorted(name[start:] for name in self._filesystem.find(self._whole(folder)))

    def size(self, path: str) -> int | None:
        """Return the size in bytes, None when there is no such object."""
        self._filesystem.invalidate_cache()
        try:
            return int(self._filesystem.info(self._whole(path))["size"])
        except FileNotFoundError:
            return None

    def create(self, path: str, content: bytes, *, effect: str) -> None:
        """Create an object unless it is there. Raises FileExistsError."""
        self._seam.effect(effect, lambda: self._filesystem.pipe_file(self._whole(path), content, mode="create"))

    def replace(self, path: str, content: bytes, *, effect: str) -> None:
        """Write an object over what is there."""
        self._seam.effect(effect, lambda: self._filesystem.pipe_file(self._whole(path), content, mode="overwrite"))

    def remove(self, path: str, *, effect: str) -> None:
        """Delete an object. *Repeat*: safe."""

        def act() -> None:
            with contextlib.suppress(FileNotFoundError):
                self._filesystem.rm_file(self._whole(path))

        self._seam.effect(effect, act)

    def sweep(self, folder: str, *, older_than_s: float, effect: str) -> None:
        """Do nothing: object stores show no half-written object."""

    def sync(self, paths: Iterable[str], *, effect: str) -> None:
        """Do nothing: an object that was written is durable."""

    def at(self, folder: str) -> ObjectStorage:
        """Return the storage of a folder below this one."""
        return ObjectStorage(f"{self.url}/{folder}", self._filesystem, self._whole(folder), self._seam)


def open_storage(url: str, seam: Seam, options: Mapping[str, Mapping[str, str]] | None = None) -> Storage:
    """Return the storage at ``url``: an absolute local path, ``file://…`` or any fsspec URL.

    ``options`` are by scheme, as under ``storage:`` in ``etl.yml``.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme == "file":
        return LocalStorage(Path(rest if separator else url), seam)
    filesystem, root = open_filesystem(url, (options or {}).get(scheme, {}))
    return ObjectStorage(url, filesystem, root, seam)


def open_filesystem(url: str, options: Mapping[str, str]) -> tuple[Any, str]:
    """Return the fsspec filesystem of ``url`` and the path on it.

    Raises StorageError where the package for the scheme is missing.
    """
    import fsspec  # noqa: PLC0415  0.2 s of import that local work never needs

    scheme = url.partition("://")[0]
    keywords = fsspec_options(scheme, options)
    try:
        filesystem = fsspec.filesystem(scheme, **keywords)
    except (ImportError, ValueError) as exc:
        raise StorageError(str(exc), where=url, hint=f"pip install 'lakehouse-etl[{scheme}]'") from exc
    return filesystem, str(filesystem._strip_protocol(url))  # noqa: SLF001  fsspec's own way


def fsspec_options(scheme: str, options: Mapping[str, str]) -> dict[str, Any]:
    """Return keyword arguments of the filesystem of ``scheme`` for options spelt as object stores do."""
    if scheme != "s3":
        return dict(options)
    known = {"access_key_id": "key", "secret_access_key": "secret", "session_token": "token", "endpoint_url": "endpoint_url"}
    keywords: dict[str, Any] = {known[name]: value for name, value in options.items() if name in known and value}
    if region := options.get("region"):
        keywords["client_kwargs"] = {"region_name": region}
    return {**keywords, "use_listings_cache": False}


def object_store_options(scheme: str, options: Mapping[str, str]) -> dict[str, str]:
    """Return options as Polars and deltalake take them, from those of ``storage:`` in ``etl.yml``."""
    given = {name: value for name, value in options.items() if value}
    if scheme == "s3":
        given = {name if name.startswith("aws_") else f"aws_{name}": value for name, value in given.items()}
        if given.get("aws_endpoint_url", "").startswith("http://"):
            given["aws_allow_http"] = "true"
    return given


def put_if_absent(storage: Storage, path: str, content: bytes, *, effect: str, seam: Seam) -> None:
    """Publish ``content`` under ``path``, unless another record has the name.

    ``content`` must hold a nonce: after any error, or the answer "exists", the record is read back and equal bytes
    are ours. *Repeat*: safe. Raises RecordExistsError (with what is there) and UnknownOutcomeError.
    """
    for attempt in range(_TRIES):
        try:
            storage.create(path, content, effect=effect)
        except Exception as exc:
            if _is_ours(storage, path, content, seam):
                return
            if attempt == _TRIES - 1 or not _is_worth_repeating(exc):
                raise StorageError(f"cannot be written: {exc}", where=f"{storage.url}/{path}") from exc
            seam.sleep(0.05 * 2**attempt)
        else:
            return


def _is_ours(storage: Storage, path: str, content: bytes, seam: Seam) -> bool:
    """Return True when our record is there, False when none is. Raises RecordExistsError, UnknownOutcomeError."""
    trouble: Exception | None = None
    for attempt in range(_TRIES):
        try:
            found = storage.read(path)
        except FileNotFoundError:
            return False
        except OSError as exc:
            trouble = exc
            seam.sleep(0.05 * 2**attempt)
            continue
        if found == content:
            return True
        raise RecordExistsError(path, found)
    raise UnknownOutcomeError(
        "written, but the answer was lost and it cannot be read back", where=f"{storage.url}/{path}"
    ) from trouble


def _is_worth_repeating(exc: Exception) -> bool:
    """Tell whether the same write may succeed in a moment: not when the disk is full or forbids it."""
    if isinstance(exc, EtlError):
        return False
    return not isinstance(exc, OSError) or exc.errno in (None, 5, 11, 16) or isinstance(exc, FileExistsError | TimeoutError)


def _write_synced(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
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
