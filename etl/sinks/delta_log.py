"""The transaction log of a Delta table: its head, kept up to date commit by commit, and a true compare-and-swap.

A commit is ``_delta_log/<version>.json``, created only if absent, at exactly the version after the head, once every
commit since was read. So nothing can slip in between a look at the table and a commit, schema and data change in one
version, and the cost does not depend on the table's length. *Source*: Delta protocol, "Delta Log Entries",
"Transaction Identifiers", "Writer Requirements".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from etl.errors import RecordExistsError, SinkError, StorageError, TableStateError
from etl.seam import Seam
from etl.storage import Storage, put_if_absent

if TYPE_CHECKING:
    import polars as pl

Action = dict[str, Any]

_ABANDONED_AFTER_S = 3600.0
_CLAIM = "etl-pipeline:"


@dataclass(frozen=True, slots=True)
class Head:
    """What a writer must know of a table's newest version.

    ``batch_id`` is that of our own transactions, ``claimed`` that of our pipeline's under whatever checkpoint.
    """

    version: int
    table_id: str
    metadata: Action
    protocol: Action
    batch_id: int | None
    batch_version: int | None = None
    claimed: int | None = None

    @property
    def fields(self) -> list[Action]:
        """Return the table's fields, as Delta writes them."""
        return list(json.loads(self.metadata["schemaString"])["fields"])

    @property
    def partition_columns(self) -> list[str]:
        """Return the names of the partition columns, in order."""
        return list(self.metadata["partitionColumns"])


class DeltaLog:
    """The log of one table, seen by one writer with its own transaction name ``app_id``.

    ``pipeline`` names the claim, a second transaction that outlives a lost checkpoint; without it there is none.
    """

    def __init__(self, storage: Storage, storage_options: Mapping[str, str], seam: Seam) -> None:
        self._storage = storage
        self._options = dict(storage_options)
        self._seam = seam
        self._head: Head | None = None
        self.app_id = self.pipeline = ""
        self.effect = "table.commit"

    @property
    def claim(self) -> str:
        """The name of the transaction that every checkpoint of the pipeline shares."""
        return f"{_CLAIM}{self.pipeline}" if self.pipeline else ""

    @property
    def refresh_command(self) -> str:
        """The command that builds the table anew."""
        return f"etl run {self.pipeline or 'PIPELINE'} --full-refresh"

    def stands_at(self, batch_id: int, version: int) -> bool:
        """Tell, from two looks, whether ``version`` is the newest and made by our ``batch_id``."""
        if self._storage.size(_name(version + 1)) is not None:
            return False
        try:
            actions = self._actions(version)
        except FileNotFoundError:
            return False
        return any(action.get("txn", {}).get("version") == batch_id for action in actions if self._is_ours(action))

    def head(self) -> Head | None:
        """Return the newest version, None where there is no table. Raises TableStateError for a torn log."""
        if self._head is None:
            self._head = self._open()
        while self._head is not None:
            try:
                actions = self._actions(self._head.version + 1)
            except FileNotFoundError:
                break
            self._head = self._after(self._head, actions)
        return self._head

    def _open(self) -> Head | None:
        """Read the table's state with deltalake, which knows checkpoints."""
        names = [
            name
            for name in self._storage.list("_delta_log")
            if name[:20].isdigit() and name.endswith((".json", ".parquet"))
        ]
        if not names:
            return None
        commits = [name for name in names if name.endswith(".json") and name[20:] == ".json"]
        if commits:
            self._actions(int(commits[-1][:20]))
        from deltalake import DeltaTable

        with self._reading():
            table = DeltaTable(self._storage.url, storage_options=self._options or None)
            batch_id = table.transaction_version(self.app_id)
            claimed = table.transaction_version(self.claim) if self.claim else None
        metadata, protocol = table.metadata(), table.protocol()
        return Head(
            version=table.version(),
            table_id=str(metadata.id),
            metadata={
                "id": str(metadata.id),
                "name": metadata.name,
                "description": metadata.description,
                "format": {"provider": "parquet", "options": {}},
                "schemaString": table.schema().to_json(),
                "partitionColumns": list(metadata.partition_columns),
                "createdTime": metadata.created_time,
                "configuration": dict(metadata.configuration),
            },
            protocol={
                "minReaderVersion": protocol.min_reader_version,
                "minWriterVersion": protocol.min_writer_version,
                "readerFeatures": protocol.reader_features,
                "writerFeatures": protocol.writer_features,
            },
            batch_id=batch_id,
            claimed=claimed,
        )

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Turn what deltalake raises about a log into TableStateError, about a store into StorageError."""
        from deltalake.exceptions import DeltaError

        try:
            yield
        except (DeltaError, ValueError) as exc:
            raise self._torn(f"its log cannot be read: {exc}") from exc
        except OSError as exc:  # the store did not answer: that says nothing about the table
            raise StorageError(f"the table's log cannot be reached: {exc}", where=self._storage.url) from exc

    def _actions(self, version: int) -> list[Action]:
        """Return the actions of one commit. Raises FileNotFoundError, TableStateError where it is torn or empty."""
        content = self._storage.read(_name(version))
        try:
            actions = [json.loads(line) for line in content.splitlines() if line.strip()]
        except ValueError:
            actions = []
        if not actions or not all(isinstance(action, dict) for action in actions):
            raise self._torn(f"{_name(version)} is torn or empty, as after a power cut")
        return actions

    def _torn(self, message: str) -> TableStateError:
        return TableStateError(
            "table_torn",
            message,
            where=self._storage.url,
            hint="nothing was changed; restore the file from a copy, or remove it if no later version exists",
        )

    def _after(self, head: Head, actions: list[Action]) -> Head:
        """Return the head after one more commit."""
        version = head.version + 1
        self._refuse_rollback(actions, head.batch_version)
        for action in actions:
            if metadata := action.get("metaData"):
                head = replace(head, metadata=metadata, table_id=metadata["id"])
            if protocol := action.get("protocol"):
                head = replace(head, protocol=protocol)
            if self._is_ours(action):
                head = replace(head, batch_id=action["txn"]["version"], batch_version=version)
            if self.claim and action.get("txn", {}).get("appId") == self.claim:
                head = replace(head, claimed=action["txn"]["version"])
        return replace(head, version=version)

    def _is_ours(self, action: Action) -> bool:
        return bool(action.get("txn", {}).get("appId") == self.app_id)

    def refuse_rollback_since(self, version: int) -> None:
        """Refuse a table that was restored to a version before ``version``, which is ours. Raises TableStateError.

        RESTORE keeps transactions, so that the table would still say that it holds our batch.
        """
        head = self.head()
        for number in range(version + 1, head.version + 1 if head else 0):
            try:
                self._refuse_rollback(self._actions(number), version)
            except FileNotFoundError:
                continue

    def _refuse_rollback(self, actions: list[Action], ours: int | None) -> None:
        info: Action = next((action["commitInfo"] for action in actions if "commitInfo" in action), {})
        target = str((info.get("operationParameters") or {}).get("version", ""))
        is_behind = ours is not None and not (target.isdigit() and int(target) >= ours)
        if info.get("operation") == "RESTORE" and is_behind:
            raise TableStateError(
                "table_behind",
                f"the table was restored to version {target or 'at an earlier time'}, our newest rows are in {ours}",
                where=self._storage.url,
                hint=f"restore the table forward again, or build it anew: {self.refresh_command}",
            )

    def version_of(self, batch_id: int) -> int:
        """Return the version that holds ``batch_id`` of ours, walking back from the head.

        Where that part of the log was cleaned away, the head's own version.
        """
        head = self.head()
        if head is None:
            raise SinkError("there is no table", where=self._storage.url)
        if head.batch_id == batch_id and head.batch_version is not None:
            return head.batch_version
        for version, actions in self._backwards(head.version):
            if any(self._is_ours(action) and action["txn"]["version"] == batch_id for action in actions):
                return version
        return head.version

    def _backwards(self, version: int) -> Iterator[tuple[int, list[Action]]]:
        while version >= 0:
            try:
                yield version, self._actions(version)
            except FileNotFoundError:
                return
            version -= 1

    def commit(self, head: Head | None, actions: list[Action]) -> Head | None:
        """Append one version right after ``head``; None when another writer took it first.

        *Repeat*: the same actions are recognised as ours after a lost answer. Raises UnknownOutcomeError.
        """
        version = 0 if head is None else head.version + 1
        content = "".join(json.dumps(action, ensure_ascii=False, separators=(",", ":")) + "\n" for action in actions)
        try:
            put_if_absent(self._storage, _name(version), content.encode(), effect=self.effect, seam=self._seam)
        except RecordExistsError:
            return None
        before = head or Head(-1, "", {}, {}, None)
        self._head = self._after(before, actions)
        return self._head

    def live_paths(self, head: Head) -> list[str]:
        """Return the data files of a version, each as the log writes it."""
        from deltalake import DeltaTable

        with self._reading():
            table = DeltaTable(self._storage.url, version=head.version, storage_options=self._options or None)
            return [str(path) for path in table.get_add_actions().column("path").to_pylist()]

    def has_file_changes(self, version: int) -> bool:
        """Tell whether a version added files or took some out; True where the log does not say any more."""
        try:
            actions = self._actions(version)
        except FileNotFoundError:
            return True
        return any("add" in action or "remove" in action for action in actions)

    def live_files(self, head: Head) -> pl.DataFrame:
        """Return the data files of a version: ``path`` as the log writes it, ``num_records`` and ``partition_values``.

        Rows are not to be counted on where another writer left out the statistics.
        """
        import polars as pl
        from deltalake import DeltaTable

        with self._reading():
            table = DeltaTable(self._storage.url, version=head.version, storage_options=self._options or None)
            return pl.DataFrame(table.get_add_actions())

    def checkpoint_version(self) -> int:
        """Return the version of the newest summary of the log, 0 where there is none that can be read."""
        try:
            return int(json.loads(self._storage.read("_delta_log/_last_checkpoint"))["version"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return 0

    def write_checkpoint(self) -> None:
        """Summarise the log for readers, and sweep what a crash left in it long ago. Losing it loses nothing."""
        from deltalake import DeltaTable

        self._storage.sweep("_delta_log", older_than_s=_ABANDONED_AFTER_S, effect="table.sweep")
        table = DeltaTable(self._storage.url, storage_options=self._options or None)
        self._seam.effect("table.checkpoint", table.create_checkpoint)


def _name(version: int) -> str:
    return f"_delta_log/{version:020d}.json"
