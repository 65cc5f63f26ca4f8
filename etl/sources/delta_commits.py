"""The commits of a Delta table's log, one by one: what each did to the rows.

*Source*: Delta protocol, "Delta Log Entries", "Add File and Remove File", "Add CDC File".
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from etl.errors import SourceError, StorageError
from etl.sources.delta_units import ADD, CDC, REMOVE, TableFile
from etl.storage import Storage

Action = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Commit:
    """A version: the files whose rows came and went with it, and those that hold its changes.

    Actions that only lay rows out anew (``dataChange`` false) are not among them. ``flaw`` is why the files do not say
    which rows are meant, empty where they do.
    """

    version: int
    operation: str
    at_ms: int
    adds: tuple[TableFile, ...]
    removes: tuple[TableFile, ...]
    changes: tuple[TableFile, ...]
    flaw: str = ""


class DeltaCommits:
    """The log of a table, called ``name`` in errors."""

    def __init__(self, name: str, storage: Storage) -> None:
        self._name = name
        self._storage = storage

    def read(self, version: int) -> Commit | None:
        """Return a commit, None where the log does not hold it. Raises SourceError, StorageError."""
        try:
            content = self._storage.read(_path(version))
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise StorageError(f"the log of {self._name} cannot be read: {exc}", where=self._storage.url) from exc
        try:
            return _commit(version, [json.loads(line) for line in content.splitlines() if line.strip()])
        except (ValueError, LookupError, TypeError, AttributeError) as exc:
            raise SourceError(
                f"version {version} of {self._name} is torn or no Delta commit: {exc}",
                where=f"{self._storage.url}/{_path(version)}",
                hint="restore the file from a copy",
            ) from exc

    def holds(self, version: int) -> bool:
        """Tell whether the log still holds a commit."""
        return self._storage.size(_path(version)) is not None


def _path(version: int) -> str:
    return f"_delta_log/{version:020d}.json"


def _commit(version: int, actions: list[Action]) -> Commit:
    """Return a commit from its actions. Raises LookupError where there is none, as in a file that a power cut left."""
    actions[0]
    info: Action = next((action["commitInfo"] for action in actions if "commitInfo" in action), {})
    at_ms = int(info.get("inCommitTimestamp") or info.get("timestamp") or 0)
    found = {
        kind: [action[kind] for action in actions if kind in action and (kind == CDC or action[kind]["dataChange"])]
        for kind in (ADD, REMOVE, CDC)
    }
    files = {kind: tuple(_file(kind, each, version, at_ms) for each in found[kind]) for kind in found}
    return Commit(
        version,
        str(info.get("operation", "unknown operation")),
        at_ms,
        files[ADD],
        files[REMOVE],
        files[CDC],
        next(filter(None, (_flaw(each) for kind in found for each in found[kind])), ""),
    )


def _file(kind: str, action: Action, version: int, at_ms: int) -> TableFile:
    modified_ms = action.get("modificationTime") or action.get("deletionTimestamp") or at_ms
    partition = action.get("partitionValues")
    return TableFile(
        path=unquote(action["path"]),
        size_bytes=int(action.get("size") or 0),
        modified_ns=int(modified_ms) * 1_000_000,
        version=version,
        kind=kind,
        partition=None if partition is None else dict(partition),
        rows=_rows(action.get("stats")),
    )


def _rows(stats: str | None) -> int | None:
    rows = json.loads(stats).get("numRecords") if stats else None
    return None if rows is None else int(rows)


def _flaw(action: Action) -> str:
    if action.get("deletionVector") is not None:
        return "deletion vectors"
    path = str(action["path"])
    return "files outside the table's folder (a shallow clone)" if "://" in path or path.startswith("/") else ""
