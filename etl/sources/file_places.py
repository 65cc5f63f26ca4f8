"""Where files lie: the local disk, or one fsspec filesystem for each store that the patterns name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from etl.sources.file_access import LocalAccess, RemoteAccess
from etl.sources.file_discovery import LocalFiles, RemoteFiles
from etl.sources.file_pattern import split_scheme
from etl.storage import open_filesystem


@dataclass(frozen=True, slots=True)
class Place:
    """A filesystem: how it is listed and how its files are opened."""

    files: LocalFiles | RemoteFiles
    access: LocalAccess | RemoteAccess


class Places:
    """The filesystems of one source, opened when first asked for."""

    def __init__(self, folder: Path, storage_options: Mapping[str, Mapping[str, str]]) -> None:
        self._folder = folder
        self._storage_options = storage_options
        self._local = Place(LocalFiles(folder), LocalAccess(folder))
        self._remote: dict[str, Place] = {}

    def at(self, path: str) -> Place:
        """Return the place of a path, its text or a pattern's root."""
        scheme, separator, rest = split_scheme(path)
        if not separator:
            return self._local
        host = f"{scheme}{separator}{rest.partition('/')[0]}"
        if host not in self._remote:
            filesystem, stripped = open_filesystem(host, self._storage_options.get(scheme, {}))
            lead = host.removesuffix(stripped) if stripped else host
            self._remote[host] = Place(RemoteFiles(filesystem, lead), RemoteAccess(filesystem, lead))
        return self._remote[host]

    def localised(self, pattern: str) -> str:
        """Return a pattern as paths are recorded: relative to the project where it lies inside; both may move."""
        scheme, _, rest = split_scheme(pattern)
        local = rest if scheme == "file" else pattern
        if scheme in {"", "file"}:
            return local.removeprefix(os.path.join(self._folder, "")) or "."
        return pattern
