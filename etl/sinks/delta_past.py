"""What a Delta table has been: the versions that its log still tells of, and the files that are live or only lie."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import unquote

from etl.errors import TableStateError
from etl.sinks.delta_log import DeltaLog
from etl.sinks.delta_rewind import TableRewind
from etl.sinks.past import LiveFile, LoggedVersion, Torn

if TYPE_CHECKING:
    from etl.seam import Seam
    from etl.sinks.delta_log import Action, Head
    from etl.storage import Storage

_LOG = "_delta_log"


class TablePast:
    """The log and the folder of one table, looked at as our transactions ``app_id`` see it. Nothing is written."""

    def __init__(self, storage: Storage, storage_options: Mapping[str, str], seam: Seam, app_id: str) -> None:
        self.storage = storage
        self.app_id = app_id
        self._options = dict(storage_options)
        self._log = DeltaLog(storage, storage_options, seam)
        self._log.app_id = app_id

    @property
    def url(self) -> str:
        """The table's root."""
        return self.storage.url

    def head(self) -> Head | None:
        """Return the newest version, None where there is no table. Raises TableStateError for a torn log."""
        return self._log.head()

    def refuse_rollback_since(self, version: int) -> None:
        """Refuse a table that was restored to before ``version``, which is ours. Raises TableStateError."""
        self._log.refuse_rollback_since(version)

    def logged(self) -> list[int]:
        """Return the versions whose log entries are still there, the oldest first."""
        names = [name for name in self.storage.list(_LOG) if name.endswith(".json") and name[20:] == ".json"]
        return sorted(int(name[:20]) for name in names if name[:20].isdigit())

    def versions(self, after: int = -1) -> Iterator[LoggedVersion]:
        """Yield the versions behind ``after`` that the log still tells of, the oldest first. Raises TableStateError."""
        for version in self.logged():
            if version > after:
                yield self.version(version)

    def version(self, number: int) -> LoggedVersion:
        """Return one version. Raises FileNotFoundError, TableStateError where its entry is torn."""
        actions = _actions(self.content(number))
        if not actions:
            raise TableStateError("table_torn", f"version {number} is torn or empty", where=self.url)
        return _version(number, actions)

    def content(self, version: int) -> bytes:
        """Return the log entry of a version, as it lies there. Raises FileNotFoundError."""
        return self.storage.read(_name(version))

    def is_torn(self, version: int) -> bool:
        """Tell whether the log entry of a version is empty, or cut off."""
        return not _actions(self.content(version))

    def torn(self) -> Torn | None:
        """Return the newest log entry where it is torn."""
        newest = max(self.logged(), default=None)
        if newest is None or not self.is_torn(newest):
            return None
        return Torn(f"version {newest}", newest, self.content(newest))

    def set_aside(self, torn: Torn) -> None:
        """Rename a torn log entry, so that its version can be made again. *Repeat*: safe. By its pipeline's runner."""
        name = _name(-1 if torn.version is None else torn.version)
        self.storage.replace(f"{name}.corrupt", torn.content, effect="table.set_aside")
        self.storage.remove(name, effect="table.set_aside.remove")

    def lost(self, told: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """Return the committed batches whose versions come right after the newest one, oldest first.

        None where they do not follow one another: then another writer's version is lost too.
        """
        torn = self.torn()
        newest = max((each for each in self.logged() if torn is None or each != torn.version), default=-1)
        found = [(batch, version) for batch, version in told if version > newest]
        versions = [version for _, version in found]
        return found if versions == list(range(newest + 1, newest + 1 + len(found))) else []

    def moving(self, table: str, ours: tuple[str, ...]) -> TableRewind:
        """Return the way back of this table."""
        return TableRewind(table, self, ours)

    def files(self) -> dict[str, LiveFile]:
        """Return the data files of the newest version, by their path on disk."""
        head = self.head()
        return {} if head is None else self.live(head)

    def live(self, head: Head) -> dict[str, LiveFile]:
        """Return the data files of a version, by their path on disk."""
        frame = self._log.live_files(head)
        sizes, rows = (frame.get_column(name).to_list() for name in ("size_bytes", "num_records"))
        paths = map(unquote, frame.get_column("path").to_list())
        return {path: LiveFile(*found) for path, *found in zip(paths, sizes, rows, strict=True)}

    def live_at(self, version: int) -> set[str]:
        """Return the paths of an older version, none of version -1. Raises TableStateError where it cannot be read."""
        head = self.head()
        return set() if version < 0 or head is None else set(self.live(replace(head, version=version)))

    def metadata_at(self, version: int) -> Action:
        """Return the columns and the partitioning of an older version, as metadata keeps them."""
        from deltalake import DeltaTable

        table = DeltaTable(self.url, version=version, storage_options=self._options or None)
        return {
            "schemaString": table.schema().to_json(),
            "partitionColumns": list(table.metadata().partition_columns),
        }

    def commit(self, head: Head, actions: list[Action]) -> int | None:
        """Append one version right after ``head`` and return it; None when another writer took it first."""
        after = self._log.commit(head, actions)
        return None if after is None else after.version

    def lying(self) -> list[str]:
        """Return every data file in the table's folder, whatever refers to it."""
        found = (path for path in self.storage.find() if path.endswith(".parquet"))
        return [path for path in found if not path.startswith((f"{_LOG}/", "_change_data/"))]

    def rows_in(self, path: str) -> int:
        """Return the rows of a file, by its own footer. Raises OSError, ValueError where it cannot be read."""
        import pyarrow.parquet as pq

        with self.storage.open(path) as file:
            return int(pq.ParquetFile(file).metadata.num_rows)


def _name(version: int) -> str:
    return f"{_LOG}/{version:020d}.json"


def _actions(content: bytes) -> list[Action]:
    """Return the actions of a log entry, none where it is torn."""
    try:
        return [json.loads(line) for line in content.splitlines() if line.strip()]
    except ValueError:
        return []


def _version(number: int, actions: list[Action]) -> LoggedVersion:
    adds = [action["add"] for action in actions if "add" in action]
    removes = [action["remove"] for action in actions if "remove" in action]
    return LoggedVersion(
        number,
        next((action["commitInfo"] for action in actions if "commitInfo" in action), {}),
        {action["txn"]["appId"]: action["txn"]["version"] for action in actions if "txn" in action},
        {unquote(add["path"]): add for add in adds},
        frozenset(unquote(remove["path"]) for remove in removes),
        any(each.get("dataChange", True) for each in (*adds, *removes)),
        frozenset(unquote(action["cdc"]["path"]) for action in actions if "cdc" in action),
    )
