"""The upkeep of one plain Parquet table: how it stands, and files of ours that no record names deleted.

Its files stay as they are: to compact them, a reader that lists the folder would see their rows twice, or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from etl.sinks.delta_health import TableHealth, health_of
from etl.sinks.delta_vacuum import ABANDONED_AFTER, Holds, Leftover
from etl.sinks.parquet_commits import Commits
from etl.sinks.parquet_files import ParquetFiles, final_path
from etl.sinks.parquet_past import ParquetPast
from etl.sinks.upkeep_options import MaintainOptions

if TYPE_CHECKING:
    from datetime import datetime

    from etl.sinks.contract import SinkSite
    from etl.sinks.parquet_commits import Standing
    from etl.sinks.parquet_options import ParquetOptions

_OURS = re.compile(r"part-([0-9a-f]{8})-(\d{10})-[0-9a-f]{1,16}-\d+\.parquet(\.staged)?")


@dataclass(frozen=True, slots=True)
class PlainHead:
    """The newest version of a table, described in the words of a Delta table's."""

    version: int
    table_id: str
    partition_columns: tuple[str, ...]
    fields: tuple[str, ...]
    metadata: Mapping[str, Any]
    protocol: Mapping[str, Any]


class PlainUpkeep:
    """Looks at a table, and finds what lies in its folder and is needed by nobody."""

    def __init__(self, target_bytes: int, site: SinkSite, commits: Commits, past: ParquetPast) -> None:
        self._target_bytes = target_bytes
        self._site = site
        self._commits = commits
        self.past = past

    @classmethod
    def of(cls, options: ParquetOptions, site: SinkSite) -> PlainUpkeep:
        """Return the upkeep of a table, whoever writes it."""
        commits = Commits(site.storage, site.seam)
        past = ParquetPast(commits, ParquetFiles(options, site), "", "")
        return cls(options.target_file_size, site, commits, past)

    @property
    def table(self) -> str:
        """The table's name for people."""
        return self._site.table

    @property
    def policy(self) -> MaintainOptions:
        """What is done without being asked: nothing."""
        return MaintainOptions(compact="off")

    def head(self) -> PlainHead | None:
        """Return the newest version, None where there is no table. Raises TableStateError."""
        standing = self._commits.standing()
        if standing is None:
            return None
        folders = standing.live[0].partition_by if standing.live else ()
        return PlainHead(standing.version, standing.table_id, folders, tuple(standing.schema), {}, {})

    def transactions(self, app_ids: Sequence[str]) -> dict[str, int]:
        """Return the newest batch that the table holds under each of some names, without those that it has not."""
        standing = self._commits.standing()
        found = {} if standing is None else {app_id: standing.batch_id(app_id) for app_id in app_ids}
        return {app_id: batch for app_id, batch in found.items() if batch is not None}

    def kept_by_property_s(self) -> None:
        """Tell that the table says nothing of how long files are kept."""

    def health(self) -> TableHealth | None:
        """Return how the table stands, None where there is none. Raises TableStateError."""
        standing = self._commits.standing()
        if standing is None:
            return None
        versions = [each.version for each in standing.every.values()]
        return health_of(standing.version, _files(standing), versions, 0, self._target_bytes)

    def leftovers(self, holds: Holds, keep_s: float) -> list[Leftover]:
        """Return the files of ours that no record names and no batch under way needs. Raises TableStateError."""
        standing = self._commits.standing()
        if standing is None:
            return []
        needed = {file.path for batch in standing.live for file in batch.files} | holds.paths
        now = self._site.seam.now()
        return [
            Leftover(path, self._site.storage.size(path) or 0)
            for path in self._site.storage.find()
            if final_path(path) not in needed and self._is_old(path, holds, (now - timedelta(seconds=keep_s), now))
        ]

    def _is_old(self, path: str, holds: Holds, times: tuple[datetime, datetime]) -> bool:
        """Tell whether a file is of ours, of a batch that is done or long gone."""
        ours = _OURS.fullmatch(path.rsplit("/", 1)[-1])
        modified_at = self._site.storage.modified_at(path)
        if ours is None or modified_at is None:
            return False
        committed = holds.committed.get(ours[1])
        if committed is not None and int(ours[2]) > committed:
            return False
        cutoff, now = times
        return modified_at < cutoff or (committed is not None and modified_at < now - ABANDONED_AFTER)

    def delete(self, path: str) -> None:
        """Delete a leftover. *Repeat*: safe."""
        self._site.storage.remove(path, effect="vacuum.remove")

    def old_entries(self, holds: Holds, keep_s: float) -> list[str]:
        """Return nothing: the records are the table."""
        del holds, keep_s
        return []

    def forget(self, path: str) -> None:
        """Never called: nothing is old."""


def _files(standing: Standing) -> Any:  # noqa: ANN401  a frame
    """Return the live files as a frame, as those of a Delta table are given."""
    import polars as pl

    files = [file for batch in standing.live for file in batch.files]
    folders = [name for batch in standing.live[:1] for name in batch.partition_by]
    frame = pl.DataFrame(
        {"size_bytes": [file.size_bytes for file in files], "num_records": [file.rows for file in files]},
        schema={"size_bytes": pl.Int64, "num_records": pl.Int64},
    )
    if not folders:
        return frame
    values = [{name: file.partition_values.get(name) for name in folders} for file in files]
    types = pl.Struct(dict.fromkeys(folders, pl.String))
    return frame.with_columns(pl.Series("partition", values, dtype=types))
