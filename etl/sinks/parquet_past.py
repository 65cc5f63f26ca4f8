"""What a plain Parquet table has been: its commit records as versions, and the files that are live or only lie."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.sinks.parquet_commits import FOLDER, record_name
from etl.sinks.parquet_rewind import ParquetRewind
from etl.sinks.past import LiveFile, LoggedVersion, Torn

if TYPE_CHECKING:
    from etl.model import StagedFile
    from etl.sinks.delta_log import Action
    from etl.sinks.parquet_commits import Commit, Commits
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


class ParquetPast:
    """The records and the folder of one table, looked at as the batches of ``app_id`` see it."""

    def __init__(self, commits: Commits, files: ParquetFiles, app_id: str, pipeline: str) -> None:
        self.storage: Storage = commits.storage
        self.app_id = app_id
        self._commits = commits
        self._files = files
        self.pipeline = pipeline

    @property
    def url(self) -> str:
        """The table's root."""
        return self.storage.url

    def head(self) -> ParquetHead | None:
        """Return the newest version, None where there is no table. Raises TableStateError for a torn record."""
        found = self._commits.standing()
        if found is None:
            return None
        return ParquetHead(found.version, found.table_id, found.batch_id(self.app_id))

    def refuse_rollback_since(self, version: int) -> None:
        """Nothing to refuse: no engine can restore the table."""

    def files(self) -> dict[str, LiveFile]:
        """Return the data files of the newest version, by their path."""
        standing = self._commits.standing()
        live = () if standing is None else standing.live
        return {file.path: LiveFile(file.size_bytes, file.rows) for batch in live for file in batch.files}

    def logged(self) -> list[int]:
        """Return the versions, the oldest first."""
        return [found.version for found in self.versions()]

    def version(self, number: int) -> LoggedVersion:
        """Return one version. Raises FileNotFoundError, TableStateError."""
        for found in self.versions(number - 1):
            if found.version == number:
                return found
        raise FileNotFoundError(number)

    def versions(self, after: int = -1) -> Iterator[LoggedVersion]:
        """Yield the versions behind ``after``, the oldest first. Raises TableStateError.

        Pipelines that wrote at the same moment may have one in common.
        """
        standing = self._commits.standing()
        every = [] if standing is None else list(standing.every.values())
        found: dict[int, list[Commit]] = {}
        for commit in (*every, *(batch for each in every for batch in each.kept)):
            found.setdefault(commit.version, []).append(commit)
        for number in sorted(number for number in found if number > after):
            own = next((each for each in found[number] if each.pipeline == self.pipeline), found[number][0])
            added: dict[str, Action] = {file.path: _told(file) for each in found[number] for file in each.files}
            batches = {each.app_id: each.batch_id for each in found[number]}
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
        own = record_name(self.pipeline, self.app_id, 0)[:-_NUMBER]
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
        """Remove the batches whose place others of ours have taken: files, then records; and what a crash left behind.

        *Repeat*: safe.
        """
        standing = self._commits.standing()
        if standing is None:
            return
        self.storage.sweep(FOLDER, older_than_s=_ABANDONED_AFTER_S, effect="table.sweep")
        ours = {name: each for name, each in standing.every.items() if each.pipeline == self.pipeline}
        replaced = [name for name, each in ours.items() if each.app_id in standing.superseded]
        if not replaced:
            return
        app_ids = {app_id for each in ours.values() for app_id in each.replaces}
        self._files.remove_all_of(app_ids, {file.path for batch in standing.live for file in batch.files})
        for name in replaced:
            self.storage.remove(name, effect="table.remove")


def _told(file: StagedFile) -> Action:
    """Return a file as the log of a Delta table tells of one."""
    return {"size": file.size_bytes, "stats": json.dumps({"numRecords": file.rows})}
