"""Small files of a Delta table written anew as few large ones: the same rows, in one version that changes no data.

The files that go in are those of one partition. The version is committed only if nobody took one of them out since they
were looked at; rows that others append meanwhile stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import unquote

from etl.balance import observed
from etl.delta_types import from_delta_fields
from etl.errors import BalanceError, SinkError, UnknownOutcomeError
from etl.sinks.delta_actions import compaction_actions
from etl.sinks.delta_checks import refuse_partition_types
from etl.sinks.delta_clustering import clustered, refuse_unordered
from etl.sinks.delta_features import refuse_unkept
from etl.sinks.delta_files import nan_observer
from etl.sinks.delta_options import DeltaOptions
from etl.sinks.delta_past import TablePast
from etl.sinks.delta_reading import FileReader
from etl.sinks.delta_staging import StagingArea

if TYPE_CHECKING:
    from collections.abc import Sequence

    from etl.model import StagedFile
    from etl.sinks.contract import SinkSite
    from etl.sinks.delta_bins import Bin
    from etl.sinks.delta_log import DeltaLog, Head

STAGED_AS = "compact"
"""What stands in the names of files that a compaction writes, in the place of a pipeline's id."""

_LONGEST_S = 1800.0
_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class Compacted:
    """What one step did: the version that it made, the files that went and came. ``rows`` are in both."""

    version: int
    removed: int
    added: int
    rows: int
    bytes_before: int
    bytes_after: int


class Compaction:
    """The compaction of one table. ``log`` is that of the table's writer in this process, who sees what it commits."""

    def __init__(self, options: DeltaOptions, site: SinkSite, log: DeltaLog) -> None:
        self._options = options
        self._site = replace(site, role=STAGED_AS)
        self._log = log
        self._past = TablePast(site.storage, site.storage_options, site.seam, "")

    def refuse(self, head: Head) -> None:
        """Refuse a table whose files cannot be written anew by us. Raises SinkError."""
        refuse_unkept(head, self._site.table)
        if "deletionVectors" in (head.protocol.get("readerFeatures") or ()):
            raise SinkError(
                "the table may hold deletion vectors, which this release cannot rewrite",
                where=self._site.table,
                hint="purge them and drop the feature",
            )
        refuse_partition_types(head.fields, head.partition_columns, self._site.table)

    def carry_out(self, head: Head, files: Bin) -> Compacted | None:
        """Write files of the version ``head`` anew; None where another writer took one of them out meanwhile.

        *Repeat*: safe, what a crash leaves is referred to by nothing. Raises SinkError, BalanceError.
        """
        started_s = self._site.seam.monotonic()
        staging = StagingArea(self._options.model_copy(update={"partition_by": head.partition_columns}), self._site)
        staging.app_id = STAGED_AS
        written: tuple[StagedFile, ...] = ()
        after = None
        is_known = True
        try:
            written = self._write(staging, head, files)
            if self._site.seam.monotonic() - started_s < _LONGEST_S and not staging.missing(written):
                after = self._commit(head, files, written)
        except UnknownOutcomeError:
            is_known = False
            raise
        finally:
            if after is None and is_known:
                for file in written:
                    self._site.storage.remove(file.path, effect=f"{STAGED_AS}.discard")
        return None if after is None else _told(after, files, written)

    def _write(self, staging: StagingArea, head: Head, files: Bin) -> tuple[StagedFile, ...]:
        import polars as pl

        reader = FileReader(head, from_delta_fields(head.fields), self._site.storage, self._site.storage_options)
        look, nan_columns = nan_observer()
        before = _rows_of(reader, files)
        rows = pl.concat([reader.read(file) for file in files])
        refuse_unordered(rows.collect_schema(), self._options.z_order_by, self._site.table)
        ordered = observed(clustered(rows, self._options.z_order_by), look)
        written = staging.write(0, f"{self._site.seam.new_id()[:16]}-", [ordered], nan_columns)
        after = sum(file.rows for file in written)
        if after != before:
            for file in written:
                self._site.storage.remove(file.path, effect=f"{STAGED_AS}.discard")
            raise BalanceError(f"{before} rows taken out, {after} put back", where=self._site.table)
        return written

    def _commit(self, head: Head, files: Bin, written: Sequence[StagedFile]) -> int | None:
        now_ms = int(self._site.seam.now().timestamp() * 1000)
        parameters = {"targetSize": str(self._options.target_file_size), "zOrderBy": str(self._options.z_order_by)}
        actions = compaction_actions([*files], written, now_ms, parameters)
        paths = frozenset(unquote(file["path"]) for file in files)
        looked_at = head
        for _ in range(_ATTEMPTS):
            now = self._log.head()
            if now is None or now.version < looked_at.version or self._is_moved(looked_at, now, paths):
                return None
            looked_at = now
            after = self._log.commit(now, actions)
            if after is not None:
                return after.version
        return None

    def _is_moved(self, before: Head, now: Head, paths: frozenset[str]) -> bool:
        """Tell whether, since a look at the table, a file went that we rewrite, or the table became another."""
        if before.table_id != now.table_id or before.metadata != now.metadata or before.protocol != now.protocol:
            return True
        try:
            versions = [self._past.version(number) for number in range(before.version + 1, now.version + 1)]
        except FileNotFoundError:
            return True
        return any(version.removed & paths for version in versions)


def _rows_of(reader: FileReader, files: Bin) -> int:
    """Return the rows of files by their own footers."""
    import polars as pl

    return int(pl.concat([reader.read(file).select(pl.len()) for file in files]).collect()["len"].sum())


def _told(version: int, files: Bin, written: Sequence[StagedFile]) -> Compacted:
    return Compacted(
        version,
        len(files),
        len(written),
        sum(file.rows for file in written),
        sum(file["size_bytes"] for file in files),
        sum(file.size_bytes for file in written),
    )
