"""Where a Delta table's files lie before any version of the table refers to them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from etl.errors import SinkError
from etl.model import StagedFile
from etl.sinks.delta_files import StagingPlan, describe_file, write_files

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import polars as pl

    from etl.sinks.contract import SinkSite
    from etl.sinks.delta_options import DeltaOptions


def fit(rows: pl.LazyFrame, types: pl.Schema) -> pl.LazyFrame:
    """Cast columns to the table's types, which hold every value of theirs."""
    import polars as pl

    given = rows.collect_schema()
    return rows.select(
        pl.col(name) if given[name] == dtype else pl.col(name).cast(dtype, strict=True) for name, dtype in types.items()
    )


class StagingArea:
    """The staged files of one table: durable, under names of their app id, batch and attempt."""

    def __init__(self, options: DeltaOptions, site: SinkSite) -> None:
        self._options = options
        self._site = site
        self.app_id = ""

    def write(
        self,
        batch_id: int,
        name: str,
        parts: Sequence[pl.LazyFrame],
        nan_columns: set[str],
        *,
        keeps_order: bool = True,
    ) -> tuple[StagedFile, ...]:
        """Write parts of rows as files of an attempt and describe those that hold any; the others are removed.

        ``nan_columns`` fills while the rows are written.
        """
        plan = StagingPlan(
            self._site.url,
            f"{self._prefix(batch_id)}{name}",
            tuple(self._options.partition_by),
            self._options.target_file_size,
            dict(self._site.storage_options),
            keeps_order,
        )
        if not parts:
            return ()
        paths = self._site.seam.effect(
            f"{self._effect}.write", partial(write_files, parts, plan), partial(write_files, [parts[0].head(1)], plan)
        )
        self._site.storage.sync(paths, effect=f"{self._effect}.sync")
        files = self._describe(paths, frozenset(nan_columns))
        for file in files:
            if not file.rows:
                self._site.storage.remove(file.path, effect=f"{self._effect}.discard")
        return tuple(file for file in files if file.rows)

    @property
    def _effect(self) -> str:
        """The name of what this table does, at the seam."""
        return "data" if self._site.role == "main" else self._site.role

    def _prefix(self, batch_id: int) -> str:
        return f"part-{self.app_id[:8]}-{batch_id:010d}-"

    def _describe(self, paths: list[str], nan_columns: frozenset[str]) -> list[StagedFile]:
        described = []
        for path in paths:
            size = self._site.storage.size(path)
            if size is None:
                raise SinkError("a data file vanished while it was staged", where=f"{self._site.url}/{path}")
            described.append(describe_file(path, size, partial(self._site.storage.open, path), nan_columns))
        return described

    def missing(self, files: Collection[StagedFile]) -> list[str]:
        """Return those of the files that are not there with their size."""
        return [file.path for file in files if self._site.storage.size(file.path) != file.size_bytes]

    def discard(self, batch_id: int, keep: Collection[str]) -> None:
        """Remove staged files of ``batch_id`` but those named."""
        prefix, kept = self._prefix(batch_id), frozenset(keep)
        for path in self._site.storage.find():
            if path.rsplit("/", 1)[-1].startswith(prefix) and path not in kept:
                self._site.storage.remove(path, effect=f"{self._effect}.discard")
