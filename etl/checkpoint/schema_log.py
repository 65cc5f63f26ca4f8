"""Every version of the reading schema: which batch brought it, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etl.errors import RecordExistsError
from etl.model import Schema, SchemaChange, change_to_json

if TYPE_CHECKING:
    from etl.checkpoint.batch_log import BatchLog


@dataclass(frozen=True, slots=True)
class SchemaVersion:
    """A reading schema from batch ``batch_id`` on. ``changes`` lead to it from the version before."""

    version: int
    batch_id: int
    source: str
    schema: Schema
    changes: tuple[SchemaChange, ...]


class SchemaLog:
    """The schema versions of all sources, ``schemas/``, numbered from 0."""

    def __init__(self, log: BatchLog) -> None:
        self.log = log

    def add(self, found: SchemaVersion, *, epoch: int, attempt: str) -> None:
        """Publish the next version, unless the batch has published it already. *Repeat*: safe.

        ``found.version`` is not looked at. Called by the runner between manifest and commit.
        """
        versions = self.log.revisions()
        newest = max(versions, default=-1)
        last = next((each for each in map(self.read, sorted(versions)[::-1]) if each.source == found.source), None)
        if last is not None and (last.batch_id >= found.batch_id or last.schema == found.schema):
            return
        body = {
            "batch": found.batch_id,
            "source": found.source,
            "schema": found.schema,
            "changes": [change_to_json(change) for change in found.changes],
        }
        try:
            self.log.add(newest + 1, body, epoch=epoch, attempt=attempt)
        except RecordExistsError:
            self.read(newest + 1)

    def read(self, version: int) -> SchemaVersion:
        """Return a version. Raises FileNotFoundError, CheckpointError."""
        body: dict[str, Any] = self.log.read(version).body
        changes = tuple(SchemaChange(**change) for change in body["changes"])
        return SchemaVersion(version, body["batch"], body["source"], body["schema"], changes)

    def all(self) -> list[SchemaVersion]:
        """Return every version, oldest first. Raises CheckpointError."""
        return [self.read(version) for version in self.log.revisions()]
