"""Bringing a Delta table back to what an earlier version held, by one further version.

What is taken out and what is put back is fixed beforehand, so that it may be carried out after a crash too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from etl.errors import TableStateError
from etl.sinks.delta_actions import SUPERSEDED, remove_actions
from etl.sinks.delta_features import refuse_irreplaceable, refuse_unkept

if TYPE_CHECKING:
    from etl.model import Json, StagedFile
    from etl.sinks.delta_log import Action, Head
    from etl.sinks.delta_past import TablePast
    from etl.sinks.past import LoggedVersion

_UNCHANGED = "nothing was changed; go back to a later batch, or build the table anew: etl run PIPELINE --full-refresh"
_STUCK = "the rewind has begun and cannot be finished; put back what was taken out, or etl run PIPELINE --full-refresh"


@dataclass(frozen=True, slots=True)
class TableMove:
    """What brings a table back to ``version`` (-1: to no rows), found when ``head`` was its newest.

    Paths in ``removes`` are those on disk, ``adds`` are whole actions. ``metadata`` is what changes of the table's,
    ``batch_id`` the batch that the table holds afterwards, None for none.
    """

    version: int
    head: int
    batch_id: int | None
    removes: tuple[str, ...]
    adds: tuple[Mapping[str, Any], ...]
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TableRewind:
    """One table of a pipeline. ``ours`` are the app ids whose versions are undone, the newest first."""

    table: str
    past: TablePast
    ours: tuple[str, ...]

    def plan(
        self, version: int, batch_id: int | None, staged: Callable[[], Mapping[str, StagedFile]]
    ) -> TableMove | None:
        """Return how the table gets back to ``version``; None where there is no table.

        ``staged`` gives the files of our batches up to then, for those whose log entries were cleaned up. Raises
        TableStateError where files are gone or another writer changed rows since, SinkError.
        """
        head = self.past.head()
        if head is None:
            return None
        refuse_unkept(head, self.table)
        refuse_irreplaceable(head, self.table)
        live, target = set(self.past.live(head)), self._files_at(version)
        if live != target:
            self._refuse_others(version, head)
        adds = self._adds(target - live, staged)
        wanted = {} if version < 0 else self.past.metadata_at(version)
        metadata = {name: value for name, value in wanted.items() if head.metadata[name] != value}
        return TableMove(version, head.version, batch_id, tuple(sorted(live - target)), tuple(adds), metadata)

    def _files_at(self, version: int) -> set[str]:
        try:
            return self.past.live_at(version)
        except TableStateError as exc:
            raise self._refused(f"version {version} can no longer be read: its log entries were cleaned up") from exc

    def _refuse_others(self, version: int, head: Head) -> None:
        """Refuse to undo what another writer did to rows. Layout alone may be undone."""
        logged = set(self.past.logged())
        for number in range(version + 1, head.version + 1):
            if number not in logged:
                raise self._refused(f"nobody can tell who made version {number}: its log entry was cleaned up")
            found = self.past.version(number)
            if found.has_data_change and not self._is_ours(found):
                operation = found.info.get("operation", "a change")
                raise self._refused(
                    f"another writer changed rows in version {number} ({operation}), which would be lost"
                )

    def _is_ours(self, version: LoggedVersion) -> bool:
        return not version.batches.keys().isdisjoint(self.ours)

    def _adds(self, paths: set[str], staged: Callable[[], Mapping[str, StagedFile]]) -> list[Mapping[str, Any]]:
        """Return the actions that put files back. Raises TableStateError where one is gone."""
        told: dict[str, Action] = {}
        for version in self.past.versions() if paths else ():
            told.update({path: {**add} for path, add in version.added.items() if path in paths})
        if paths - told.keys():
            told |= {path: _add_of(file) for path, file in staged().items() if path not in told}
        found: list[Mapping[str, Any]] = []
        for path in sorted(paths):
            add = told.get(path)
            if add is None:
                raise self._refused(f"nothing tells any more what {path} holds: the log entry was cleaned up")
            if self.past.storage.size(path) != add["size"]:
                raise self._refused(f"{path} is gone (vacuum), or is not what it was")
            found.append({**add, "dataChange": True})
        return found

    def _refused(self, why: str, hint: str = _UNCHANGED) -> TableStateError:
        return TableStateError("not_rewound", why, where=self.table, hint=hint)

    def before(self, app_id: str) -> int | None:
        """Return the version before the first of ``app_id``, None where it made none. Raises TableStateError."""
        return next((found.version - 1 for found in self.past.versions() if app_id in found.batches), None)

    def done_at(self, move: TableMove) -> int | None:
        """Return the version that carried out a move, None where none has yet."""
        for found in self.past.versions(move.head):
            if found.batches.get(self.ours[0]) == SUPERSEDED:
                return found.version
        return None

    def carry_out(self, move: Mapping[str, Any], info: Mapping[str, Json], now_ms: Callable[[], int]) -> int:
        """Carry out a move, given by its fields; see ``carried_out``."""
        return self.carried_out(TableMove(**move), info, now_ms)

    def carried_out(self, move: TableMove, info: Mapping[str, Json], now_ms: Callable[[], int]) -> int:
        """Bring the table back in one version and return it. *Repeat*: the version of the first time.

        What other writers added since the move was planned stays. Raises TableStateError where one of them took out
        what the move takes out, or puts back.
        """
        while True:
            done = self.done_at(move)
            if done is not None:
                return done
            head = self.past.head()
            if head is None:
                raise self._refused("the table is gone", _STUCK)
            removes = self._still_removed(move, head)
            actions = self._actions(move, head, removes, now_ms())
            actions[0]["commitInfo"].update(info)
            version = self.past.commit(head, actions)
            if version is not None:
                return version

    def _still_removed(self, move: TableMove, head: Head) -> list[str]:
        """Return what has to be taken out by now: less what went, more what a late runner of ours added."""
        removes = set(move.removes)
        for found in self.past.versions(move.head):
            if found.version > head.version:
                break
            if self._is_ours(found):
                removes = (removes - found.removed) | found.added.keys()
            elif found.removed and (not removes.isdisjoint(found.removed) or found.has_data_change):
                raise self._refused(
                    f"another writer took files out in version {found.version}, while it was rewound", _STUCK
                )
        return sorted(removes)

    def _actions(self, move: TableMove, head: Head, removes: Sequence[str], now_ms: int) -> list[Action]:
        actions: list[Action] = [
            {
                "commitInfo": {
                    "timestamp": now_ms,
                    "operation": "RESTORE",
                    "operationParameters": {"version": str(move.version)},
                    "isBlindAppend": False,
                    "engineInfo": "lakehouse-etl",
                }
            }
        ]
        if move.metadata:
            known = {name: value for name, value in head.metadata.items() if value is not None}
            actions.append({"metaData": known | dict(move.metadata)})
        batches = {} if move.batch_id is None else {self.past.app_id: move.batch_id}
        batches |= dict.fromkeys(self.ours, SUPERSEDED)
        actions += [{"txn": {"appId": app_id, "version": version}} for app_id, version in batches.items()]
        actions += remove_actions([quote(path, safe="/=-_.~") for path in removes], now_ms)
        return actions + [{"add": dict(add)} for add in move.adds]


def _add_of(file: StagedFile) -> Action:
    """Return the action of a file that one of our manifests describes."""
    return {
        "path": quote(file.path, safe="/=-_.~"),
        "partitionValues": dict(file.partition_values),
        "size": file.size_bytes,
        "modificationTime": 0,
        "dataChange": True,
        "stats": json.dumps(file.statistics, ensure_ascii=False, separators=(",", ":")),
    }
