"""The newest batches of a pipeline, kept in memory: a look costs a few questions, however long the history is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from etl.checkpoint.folder import find_checkpoint
from etl.checkpoint.generations import newest_generation
from etl.errors import EtlError
from etl.storage import open_storage

if TYPE_CHECKING:
    from etl.checkpoint.batch_log import BatchLog
    from etl.checkpoint.commit_log import CommitEntry
    from etl.checkpoint.folder import Checkpoint
    from etl.project import Project
    from etl.seam import Seam
    from etl.storage import Storage

MOST_KEPT = 400


@dataclass(frozen=True, slots=True)
class Position:
    """How far a pipeline has come: the generation of its checkpoint, and the newest batch in it (-1: none)."""

    generation: int
    batch_id: int


class Recent:
    """The commit entries of one pipeline, newest first. Every method may be called from any thread.

    A record never changes once it is published, so that only new ones are read; a further generation (a full refresh,
    a rewind) begins from nothing.
    """

    def __init__(self, project: Project, name: str, seam: Seam) -> None:
        self._seam = seam
        self._folder: Storage = open_storage(project.checkpoint_url(name), seam, project.storage_options)
        self._lock = Lock()
        self._checkpoint: Checkpoint | None = None
        self._newest = -1
        self._entries: dict[int, CommitEntry] = {}

    @property
    def folder(self) -> Storage:
        """The folder of the checkpoint, with what lies beside its records."""
        return self._folder

    def position(self) -> Position:
        """Return how far the pipeline has come by now. Raises CheckpointError, StorageError."""
        with self._lock:
            return self._position()

    def checkpoint(self) -> Checkpoint | None:
        """Return the checkpoint that counts now, None before the first run. Raises as ``position``."""
        with self._lock:
            self._position()
            return self._checkpoint

    def entries(self, most: int, upto: int | None = None) -> list[CommitEntry]:
        """Return the newest entries, at most so many; with ``upto`` those of that batch and before.

        Raises CheckpointError, StorageError.
        """
        with self._lock:
            newest = self._position().batch_id
            start = newest if upto is None else min(upto, newest)
            found = list(self._found(start, most))
            if len(self._entries) > MOST_KEPT:
                self._entries = {entry.result.batch_id: entry for entry in found}
            return found

    def _found(self, start: int, most: int) -> Iterator[CommitEntry]:
        for batch_id in range(start, max(start - most, -1), -1):
            if batch_id not in self._entries:
                if self._checkpoint is None:
                    return
                try:
                    self._entries[batch_id] = self._checkpoint.commits.read(batch_id)
                except FileNotFoundError:  # the log begins later
                    return
            yield self._entries[batch_id]

    def _position(self) -> Position:
        generation = newest_generation(self._folder)
        if self._checkpoint is None or self._checkpoint.generation != generation:
            self._checkpoint = find_checkpoint(self._folder, self._seam, generation)
            self._newest, self._entries = -1, {}
            if self._checkpoint is not None:
                self._newest = newest_of(self._checkpoint.commits.log)
        elif self._checkpoint.commits.log.has(self._newest + 1):
            self._newest = newest_of(self._checkpoint.commits.log, self._newest + 1)
        return Position(generation, self._newest)


def newest_of(log: BatchLog, known: int = 0) -> int:
    """Return the newest batch of a log without gaps, -1 for an empty one; ``known`` is one that may be in it.

    Asks about as often as the number of batches has binary digits. A log that begins later is listed.
    """
    if not log.has(known):
        return max(log.revisions(), default=-1)
    step = 1
    while log.has(known + step):
        known += step
        step *= 2
    while step > 1:
        step //= 2
        if log.has(known + step):
            known += step
    return known


def position_of(recent: Recent) -> Position | None:
    """Return how far a pipeline has come, None where that cannot be read."""
    try:
        return recent.position()
    except (EtlError, OSError):
        return None
