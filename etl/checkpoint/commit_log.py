"""The outcomes: which table version each batch became, with its counts and timings."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from etl.checkpoint.batch_log import BatchLog
from etl.errors import RecordExistsError
from etl.model import BatchResult


@dataclass(frozen=True, slots=True)
class CommitEntry:
    """An outcome and what the next start compares it with: the attempt that won, the identity of the table."""

    result: BatchResult
    attempt: str
    table_id: str
    committed_at: str
    definition: str


class CommitLog:
    """The commit entries, ``commits/``."""

    def __init__(self, log: BatchLog) -> None:
        self.log = log

    def add(self, entry: CommitEntry, *, epoch: int) -> None:
        """Publish an entry. *Repeat*: safe; where another runner recorded the same batch, its entry stands."""
        body = asdict(entry)
        try:
            self.log.add(entry.result.batch_id, body, epoch=epoch, attempt=entry.attempt)
        except RecordExistsError:
            self.read(entry.result.batch_id)

    def read(self, batch_id: int) -> CommitEntry:
        """Return an entry. Raises FileNotFoundError, CheckpointError."""
        return entry_from_json(self.log.read(batch_id).body)


def entry_from_json(body: dict[str, Any]) -> CommitEntry:
    """Return the entry in the body of a record."""
    return CommitEntry(**{**body, "result": BatchResult(**body["result"])})
