"""Upkeep of a pipeline's tables by their policy: when no batch waits, a little at a time, never instead of a batch."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from etl.checkpoint.folder import choose_lease, find_checkpoint, held
from etl.errors import FencedError
from etl.holds import holds_on

if TYPE_CHECKING:
    from etl.checkpoint.folder import Checkpoint
    from etl.checkpoint.lease import Lease
    from etl.pipeline import Pipeline
    from etl.seam import Seam
    from etl.sinks.delta_upkeep import TableUpkeep
    from etl.sinks.delta_vacuum import Holds

BUDGET_S = 30.0
"""For how long a run that is done goes on with upkeep before it ends; what is begun is finished."""

_RECORD = "maintenance.json"
_DELETE_EVERY = timedelta(days=1)


@dataclass(slots=True)
class Upkept:
    """What was done to the tables of a pipeline. ``is_done``: their policies ask for nothing more now.

    ``failure`` is why it ended early; a batch is never affected.
    """

    pipeline: str
    compacted_files: int = 0
    written_files: int = 0
    deleted_files: int = 0
    deleted_bytes: int = 0
    deleted_entries: int = 0
    notes: list[str] = field(default_factory=list)
    failure: str = ""
    is_done: bool = False


class Upkeep:
    """The upkeep of one pipeline, step by step, by whoever holds its lease."""

    def __init__(self, pipeline: Pipeline, checkpoint: Checkpoint, seam: Seam) -> None:
        self._pipeline = pipeline
        self._checkpoint = checkpoint
        self._seam = seam
        found = (getattr(sink, "upkeep", None) for sink in pipeline.flow.sinks.values())
        self._tables: list[TableUpkeep] = [each for each in found if each is not None]
        self._has_failed = False
        self._deleted_at: datetime | None = None

    def step(self, done: Upkept) -> bool:
        """Do the next small thing, tell whether there was any: a few files compacted, or all deletions that are due.

        *Repeat*: safe, also after a crash at any step of it. What fails is told in ``done`` and not tried again by this
        run. Raises FencedError.
        """
        if self._has_failed:
            return False
        try:
            self._checkpoint.epochs.check()
            return any(self._compact(table, done) for table in self._tables) or self._delete(done)
        except FencedError:
            raise
        except Exception as exc:  # noqa: BLE001  losing upkeep loses nothing, whatever a library says
            self._has_failed = True
            done.failure = f"upkeep failed, batches go on: {exc}"
            done.notes.append(done.failure)
            return False

    def _compact(self, table: TableUpkeep, done: Upkept) -> bool:
        made = table.compact_next()
        if made is None:
            return False
        done.compacted_files += made.removed
        done.written_files += made.added
        done.notes.append(f"{table.table}: {made.removed} small files are {made.added} now, version {made.version}")
        return True

    def _delete(self, done: Upkept) -> bool:
        """Delete what the policies allow, once a day."""
        tables = [table for table in self._tables if table.policy.vacuum_s or table.policy.retain_s]
        if not tables or not self._is_due():
            return False
        for table in tables:
            head = table.head()
            if head is not None:
                holds = holds_on(self._pipeline.project, head, self._seam)
                self._checkpoint.epochs.check()
                self._delete_of(table, holds, done)
        self._deleted_at = self._seam.now()
        record = json.dumps({"deleted_at": self._deleted_at.isoformat()}).encode()
        self._pipeline.checkpoint.replace(_RECORD, record, effect="maintenance.put")
        return True

    def _is_due(self) -> bool:
        if self._deleted_at is None:
            try:
                record = json.loads(self._pipeline.checkpoint.read(_RECORD))
                self._deleted_at = datetime.fromisoformat(record["deleted_at"])
            except (FileNotFoundError, ValueError, KeyError, TypeError):
                return True  # never done, or a note that nobody can read: doing it again costs a listing
        return self._seam.now() - self._deleted_at >= _DELETE_EVERY

    def _delete_of(self, table: TableUpkeep, holds: Holds, done: Upkept) -> None:
        before = done.deleted_files, done.deleted_entries
        if table.policy.vacuum_s is not None:
            for file in table.leftovers(holds, table.policy.vacuum_s):
                table.delete(file.path)
                done.deleted_files += 1
                done.deleted_bytes += file.size_bytes
        if table.policy.retain_s is not None:
            for path in table.old_entries(holds, table.policy.retain_s):
                table.forget(path)
                done.deleted_entries += 1
        files, entries = done.deleted_files - before[0], done.deleted_entries - before[1]
        if files or entries:
            done.notes.append(f"{table.table}: deleted {files} files and {entries} log entries that nobody needs")


def never() -> bool:
    """Tell that nothing asks for an end."""
    return False


def work_off(
    upkeep: Upkeep, seam: Seam, done: Upkept, budget_s: float = BUDGET_S, is_over: Callable[[], bool] = never
) -> Upkept:
    """Do what there is to do, for so long or until it is over; what is begun is finished. Raises FencedError."""
    until_s = seam.monotonic() + budget_s
    while upkeep.step(done):
        if seam.monotonic() >= until_s or is_over():
            return done
    done.is_done = not done.failure
    return done


def maintain(pipeline: Pipeline, seam: Seam, budget_s: float = BUDGET_S, lease: Lease | None = None) -> Upkept:
    """Keep the tables of a pipeline by their policies while no run of it is under way; return what was done.

    Takes its lease. *Repeat*: safe. Raises LeaseHeldError, FencedError; what else fails is told in the result.
    """
    done = Upkept(pipeline.name)
    checkpoint = find_checkpoint(pipeline.checkpoint, seam, pipeline.generation)
    if checkpoint is None:
        done.is_done = True
        return done
    with held(checkpoint, lease or choose_lease(checkpoint.storage, seam)):
        for sink in pipeline.flow.sinks.values():
            sink.tend()
        return work_off(Upkeep(pipeline, checkpoint, seam), seam, done, budget_s)
