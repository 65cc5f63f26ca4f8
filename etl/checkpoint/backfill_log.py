"""Files that are read again: one record for each time, so that what was interrupted can go on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etl.model import BACKFILL

if TYPE_CHECKING:
    from etl.checkpoint.batch_log import BatchLog
    from etl.checkpoint.commit_log import CommitLog

OPEN, DONE, ABANDONED = "open", "done", "abandoned"


@dataclass(frozen=True, slots=True)
class Backfill:
    """Files that are read again: the texts of their paths by source, in the order in which they are read.

    ``first_batch`` is the first batch that may belong to it, ``selection`` what was asked for, for people.
    """

    number: int
    files: Mapping[str, list[str]]
    first_batch: int
    selection: str
    state: str = OPEN

    @property
    def count(self) -> int:
        """Return how many files there are."""
        return sum(len(paths) for paths in self.files.values())


class BackfillLog:
    """The backfills, ``backfills/``, numbered from 0; that one has ended is a second revision of its record."""

    def __init__(self, log: BatchLog) -> None:
        self.log = log

    def next_number(self) -> int:
        """Return the number that a new one gets."""
        return max(self.log.revisions(), default=-1) + 1

    def add(self, found: Backfill, *, epoch: int, attempt: str) -> None:
        """Publish one that begins, or that has ended. By the holder of the lease."""
        body: dict[str, Any] = {
            "files": {name: list(paths) for name, paths in found.files.items()},
            "first_batch": found.first_batch,
            "selection": found.selection,
            "state": found.state,
        }
        revision = 1 if found.state == OPEN else 2
        self.log.add(found.number, body, epoch=epoch, attempt=attempt, revision=revision)

    def newest(self) -> Backfill | None:
        """Return the last one that was begun, None for none."""
        revisions = self.log.revisions()
        if not revisions:
            return None
        number = max(revisions)
        return Backfill(number, **self.log.read(number, revisions[number]).body)


def files_done(found: Backfill, commits: CommitLog) -> int:
    """Return how many files of a backfill are committed."""
    for batch in reversed(commits.log.revisions()):
        if batch < found.first_batch:
            break
        resolution = commits.read(batch).result.resolution or {}
        if resolution.get("action") == BACKFILL and resolution["backfill"] == found.number and resolution["files"]:
            return int(resolution["upto"])
    return 0
