"""Going back: table, state and offsets of a pipeline as they were after an earlier batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etl.binding import bind_sinks
from etl.checkpoint.folder import Checkpoint, choose_lease, find_checkpoint, held
from etl.checkpoint.rewinding import Rewind, begin_rewind, refuse_unfinished
from etl.engine import open_runner
from etl.errors import ConfigError, SourceError, StorageError
from etl.progress import Silent
from etl.rewinding import finish_rewind, plan_rewind

if TYPE_CHECKING:
    from etl.operations.workspace import Workspace
    from etl.pipeline import Pipeline
    from etl.seam import Seam


@dataclass(frozen=True, slots=True)
class Target:
    """Where to go back to: the end of a batch, or of the batch that the table had in a version."""

    batch: int | None = None
    version: int | None = None


@dataclass(frozen=True, slots=True)
class TableBack:
    """A table that goes back from its version ``head`` to what it held in ``version`` (-1: nothing)."""

    table: str
    head: int
    version: int
    files_out: int
    files_back: int


@dataclass(frozen=True, slots=True)
class GoingBack:
    """What a rewind does, or did: ``undone`` batches are read again by the next run."""

    pipeline: str
    batch_id: int
    undone: int
    tables: tuple[TableBack, ...]


def look_at_rewind(workspace: Workspace, name: str, target: Target, seam: Seam) -> GoingBack:
    """Return what a rewind would do; changes nothing. Raises as ``rewind`` does, but for the lease."""
    pipeline = workspace.wired(name, seam)
    checkpoint = _checkpoint(pipeline, seam)
    refuse_unfinished(checkpoint, name)
    bind_sinks(checkpoint, pipeline.flow)
    return _told(pipeline, checkpoint, _planned(pipeline, checkpoint, target))


def rewind(workspace: Workspace, name: str, target: Target, seam: Seam) -> GoingBack:
    """Bring tables, state and offsets back together; the next run goes on behind that batch.

    Nothing has changed until the next generation of the checkpoint is published; from then on every start finishes the
    rewind first. Raises LeaseHeldError, ConfigError, SourceError where what is undone could not be read again,
    TableStateError where a table cannot be brought back.
    """
    pipeline = workspace.wired(name, seam)
    with _storage_errors(pipeline.url):
        checkpoint = _checkpoint(pipeline, seam)
        with held(checkpoint, choose_lease(checkpoint.storage, seam)):
            bind_sinks(checkpoint, pipeline.flow)
            finish_rewind(checkpoint, pipeline.flow, seam)
            planned = _planned(pipeline, checkpoint, target)
            told = _told(pipeline, checkpoint, planned)
            begin_rewind(checkpoint, name, planned, seam)
    with open_runner(workspace.wired(name, seam), seam, Silent()):
        return told


@contextmanager
def _storage_errors(url: str) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise StorageError(exc.strerror or str(exc), where=str(exc.filename or url), hint="run it again") from exc


def _checkpoint(pipeline: Pipeline, seam: Seam) -> Checkpoint:
    found = find_checkpoint(pipeline.checkpoint, seam, pipeline.generation)
    if found is None:
        raise ConfigError("never ran: there is nothing to go back to", where=pipeline.name)
    return found


def _planned(pipeline: Pipeline, checkpoint: Checkpoint, target: Target) -> Rewind:
    batch = _batch_of(pipeline, checkpoint, target)
    for source in pipeline.sources.values():
        try:
            source.check_replay()
        except SourceError as exc:
            raise SourceError(
                f"what came after batch {batch} could not be read again: {exc.message}", where=exc.where, hint=exc.hint
            ) from exc
    return plan_rewind(checkpoint, pipeline.flow, batch)


def _batch_of(pipeline: Pipeline, checkpoint: Checkpoint, target: Target) -> int:
    """Return the batch that is meant: of a version, the newest that the table held then. Raises ConfigError."""
    if target.batch is not None:
        return target.batch
    for batch in reversed(checkpoint.commits.log.revisions()):
        version = checkpoint.commits.read(batch).result.tables.get(pipeline.sink.table)
        if version is not None and target.version is not None and version <= target.version:
            return batch
    raise ConfigError(f"the table held no batch in version {target.version}", where=pipeline.sink.table)


def _told(pipeline: Pipeline, checkpoint: Checkpoint, planned: Rewind) -> GoingBack:
    sinks = pipeline.flow.sinks
    moves: Mapping[str, Mapping[str, Any]] = planned.moves
    tables = tuple(
        TableBack(sinks[role].table, move["head"], move["version"], len(move["removes"]), len(move["adds"]))
        for role, move in moves.items()
    )
    committed = max(checkpoint.commits.log.revisions(), default=-1)
    return GoingBack(pipeline.name, planned.upto, committed - planned.upto, tables)
