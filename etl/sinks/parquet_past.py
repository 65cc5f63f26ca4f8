"""What a plain Parquet table has been: its commit records as versions, and the files that are live or only lie."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.errors import SinkError
from etl.sinks.parquet_commits import FOLDER, record_name
from etl.sinks.parquet_rewind import ParquetRewind
from etl.sinks.past import LiveFile, LoggedVersion, Torn

if TYPE_CHECKING:
    from etl.sinks.delta_log import Action
    from etl.sinks.parquet_commits import Commits, Standing
    from etl.sinks.parquet_files import ParquetFiles
    from etl.storage import Storage

_ABANDONED_AFTER_S = 3600.0
_NUMBER = len("0000000000.json")


@dataclass(frozen=True, slots=True)
class ParquetHead:
    """The newest version of a table, as one pipeline sees it."""

    version: int
    table_id: str
    batch_id: int | None
    standing: Standing


class ParquetPast:
    """The records and the folder of one table, looked at as the batches of ``app_id`` see it."""

    def __init__(self, commits: Commits, files: ParquetFiles, app_id: str, pipeline: str) -> None:
        self.storage: Storage = commits.storage
        self.app_id = app_id
        self._commits = commits
        self._files = files
        self._pipeline = pipeline

    @property
    def pipeline(self) -> str:
        """The pipeline whose past it is."""
        return self._pipeline

    @property
    def url(self) -> str:
        """The table's root."""
        return self.storage.url

    def head(self) -> ParquetHead | None:
        """Return the newest version, None where there is no table. Raises TableStateError for a torn record."""
        found = self._commits.standing()
        if found is None:
            return None
        return ParquetHead(found.version, found.table_id, found.batch_id(self.app_id), found)

    def refuse_rollback_since(self, version: int) -> None:
        """Nothing to refuse: no engine can restore the table."""

    def live(self, head: ParquetHead) -> dict[str, LiveFile]:
        """Return the data files of a version, by their path."""
        return {file.path: LiveFile(file.size_bytes, file.rows) for batch in head.standing.live for file in batch.files}

    def versions(self, after: int = -1) -> Iterator[LoggedVersion]:
        """Yield the versions behind ``after``, the oldest first. Raises TableStateError.

        Pipelines that wrote at the same moment may have one in common.
        """
        standing = self._commits.standing()
        found = {} if standing is None else standing.every
        numbers = sorted({commit.version for commit in found.values() if commit.version > after})
        for number in numbers:
            commits = [commit for commit in found.values() if commit.version == number]
            own = next((each for each in commits if each.app_id == self.app_id), commits[0])
            added: dict[str, Action] = {file.path: {} for each in commits for file in each.files}
            batches = {each.app_id: each.batch_id for each in commits}
            yield LoggedVersion(number, own.info, batches, added, frozenset(), has_data_change=bool(added))

    def lying(self) -> list[str]:
        """Return every data file in the table's folder, staged ones too, whatever refers to it."""
        found = self.storage.find()
        return [path for path in found if path.endswith((".parquet", ".staged")) and not path.startswith(FOLDER)]

    def rows_in(self, path: str) -> int:
        """Return the rows of a file, by its own footer. Raises OSError, ValueError where it cannot be read."""
        import pyarrow.parquet as pq

        with self.storage.open(path) as file:
            return int(pq.ParquetFile(file).metadata.num_rows)

    def torn(self) -> Torn | None:
        """Return the first record that is torn, of ours if one of these is."""
        own = record_name(self._pipeline, self.app_id, 0)[:-_NUMBER]
        names = [f"{FOLDER}/{name}" for name in self._commits.names()]
        for name in sorted(names, key=lambda name: not name.startswith(own)):
            if not self._commits.is_whole(name):
                return Torn(name, None, self.storage.read(name), name.startswith(own))
        return None

    def set_aside(self, torn: Torn) -> None:
        """Rename a torn record, so that it can be made again. *Repeat*: safe. By its pipeline's runner."""
        self.storage.replace(f"{torn.name}.corrupt", torn.content, effect="table.set_aside")
        self.storage.remove(torn.name, effect="table.set_aside.remove")

    def lost(self, told: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """Return those of the committed batches that no record of ours has any more, with their versions."""
        names = (f"{FOLDER}/{name}" for name in self._commits.names())
        whole = [self._commits.read(name) for name in names if self._commits.is_whole(name)]
        known = {batch.batch_id for each in whole if each.app_id == self.app_id for batch in each.batches}
        return [(batch, version) for batch, version in told if batch not in known]

    def moving(self, table: str, ours: tuple[str, ...]) -> ParquetRewind:
        """Return the way back of this table."""
        return ParquetRewind(table, self._commits, self, ours)

    def sweep(self) -> None:
        """Remove files of batches whose place others have taken, and what a crash left in the records' folder."""
        standing = self._commits.standing()
        if standing is None:
            return
        self.storage.sweep(FOLDER, older_than_s=_ABANDONED_AFTER_S, effect="table.sweep")
        swept = set(self.storage.list(FOLDER))
        live = {file.path for batch in standing.live for file in batch.files}
        for name, commit in standing.every.items():
            mark = f"{name.removesuffix('.json')}.swept"
            is_ours = commit.pipeline == self._pipeline and commit.app_id not in standing.superseded
            if commit.replaces and is_ours and mark.removeprefix(f"{FOLDER}/") not in swept:
                self._files.remove_all_of(commit.replaces, live)
                self.storage.replace(mark, b"", effect="table.swept")


def refuse_gone(standing: Standing, version: int, table: str) -> None:
    """Refuse a version of which files were removed when others took their place. Raises SinkError."""
    live = {file.path for batch in standing.live for file in batch.files}
    if any(file.path not in live for batch in standing.at(version).live for file in batch.files):
        raise SinkError(
            f"version {version} can no longer be read: a refresh or a rewind took the place of its rows", where=table
        )
