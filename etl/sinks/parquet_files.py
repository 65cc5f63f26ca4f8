"""The data files of a plain Parquet table: staged where no reader of the folder looks, then given their final names.

A staged file lies below ``_staging`` and does not end in ``.parquet``: readers that leave out folders with an
underscore pass it by, and so do patterns like ``**/*.parquet``.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from etl.errors import SinkError
from etl.sinks.delta_files import StagingPlan, describe_file, partition_values, write_files

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    import polars as pl

    from etl.model import StagedFile
    from etl.sinks.contract import SinkSite
    from etl.sinks.parquet_options import ParquetOptions

STAGING = "_staging"
ENDING = ".staged"


class ParquetFiles:
    """The files of one pipeline in one table, under names of its app id, their batch and attempt."""

    def __init__(self, options: ParquetOptions, site: SinkSite) -> None:
        self._options = options
        self._site = site
        self._storage = site.storage
        self.app_id = ""

    def stage(self, batch_id: int, attempt: str, rows: pl.LazyFrame, nan_columns: set[str]) -> tuple[StagedFile, ...]:
        """Write rows durably, unseen, and describe the files that hold any by their final paths.

        ``nan_columns`` fills while the rows are written.
        """
        plan = StagingPlan(
            f"{self._site.url}/{STAGING}",
            f"{self._prefix(batch_id)}{attempt[:16]}-",
            tuple(self._options.partition_by),
            self._options.target_file_size,
            dict(self._site.storage_options),
            ending=f".parquet{ENDING}",
        )
        written = self._site.seam.effect(
            "data.write", partial(write_files, [rows], plan), partial(write_files, [rows.head(1)], plan)
        )
        paths = [path.removesuffix(ENDING) for path in written]
        self._storage.sync(map(staged_path, paths), effect="data.sync")
        files = [self._described(path, frozenset(nan_columns)) for path in paths]
        for file in files:
            if not file.rows:
                self._storage.remove(staged_path(file.path), effect="data.discard")
        return tuple(file for file in files if file.rows)

    def _prefix(self, batch_id: int) -> str:
        return f"{prefix_of(self.app_id)}{batch_id:010d}-"

    def _described(self, path: str, nan_columns: frozenset[str]) -> StagedFile:
        staged = staged_path(path)
        size = self._storage.size(staged)
        if size is None:
            raise SinkError("a data file vanished while it was staged", where=f"{self._site.url}/{staged}")
        found = describe_file(staged, size, partial(self._storage.open, staged), nan_columns)
        return replace(found, path=path, partition_values=partition_values(path))

    def missing(self, files: Iterable[StagedFile]) -> list[str]:
        """Return those of the files that are there neither staged nor under their final names."""
        return [file.path for file in files if not self._is_there(file)]

    def _is_there(self, file: StagedFile) -> bool:
        return file.size_bytes in map(self._storage.size, (staged_path(file.path), file.path))

    def publish(self, files: Iterable[StagedFile]) -> None:
        """Give files their final names, one by one, and make that durable. *Repeat*: safe. Raises SinkError."""
        paths = []
        for file in files:
            try:
                self._storage.move(staged_path(file.path), file.path, effect="data.publish")
            except FileNotFoundError as exc:
                if self._storage.size(file.path) != file.size_bytes:
                    raise SinkError(
                        "a staged file is gone", where=f"{self._site.url}/{file.path}", hint="run again"
                    ) from exc
            paths.append(file.path)
        self._storage.sync(paths, effect="data.publish.sync")

    def discard(self, batch_id: int, keep: Collection[str]) -> None:
        """Remove files of ``batch_id`` but those named, staged or not."""
        self._remove([self._prefix(batch_id)], keep, effect="data.discard")

    def remove_all_of(self, app_ids: Iterable[str], keep: Collection[str]) -> None:
        """Remove every file of batches under these app ids but those named, staged or not."""
        self._remove([prefix_of(app_id) for app_id in app_ids], keep, effect="data.remove")

    def _remove(self, prefixes: Collection[str], keep: Collection[str], *, effect: str) -> None:
        kept = frozenset(keep)
        for path in self._storage.find():
            if path.rsplit("/", 1)[-1].startswith(tuple(prefixes)) and final_path(path) not in kept:
                self._storage.remove(path, effect=effect)


def prefix_of(app_id: str) -> str:
    """Return what the names of all files of an app id begin with."""
    return f"part-{app_id[:8]}-"


def staged_path(path: str) -> str:
    """Return where a file lies until it gets its final ``path``."""
    return f"{STAGING}/{path}{ENDING}"


def final_path(path: str) -> str:
    """Return the final path of a file, wherever it lies."""
    return path.removeprefix(f"{STAGING}/").removesuffix(ENDING)
