"""Where pipelines stand: state, lag, newest batch, last error. From the checkpoint, the table and the source alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from etl.checkpoint.folder import choose_lease, find_checkpoint
from etl.checkpoint.record import TornRecordError
from etl.errors import CheckpointError, EtlError, TableStateError
from etl.model import ReadLimit
from etl.operations.failures import Failure, failure_of, read_failure
from etl.operations.looking import look, upcoming

if TYPE_CHECKING:
    from etl.checkpoint.commit_log import CommitEntry
    from etl.operations.looking import Sight
    from etl.pipeline import Pipeline
    from etl.seam import Seam


@dataclass(frozen=True, slots=True)
class Status:
    """A pipeline at a glance.

    ``state``: ``never run``, ``idle``, ``waiting`` (there is something to read), ``unfinished`` (a batch or a full
    refresh waits for the next run), ``running``, ``failed`` (the newest run did), ``refused`` (the next run would be),
    or ``unknown`` (the source cannot be listed). ``lag_files`` and ``lag_bytes`` are None where they are not known.
    """

    pipeline: str
    state: str
    table: str
    lag_files: int | None
    lag_bytes: int | None
    note: str
    last_batch: CommitEntry | None
    last_error: Failure | None


def status_of(pipeline: Pipeline, seam: Seam) -> Status:
    """Return where a pipeline stands; changes nothing."""
    failure = read_failure(pipeline.checkpoint)
    try:
        sight = look(pipeline, seam)
    except TornRecordError as exc:
        return _without_sight(pipeline, seam, "unfinished", f"{exc.message}; the next run looks into it", failure)
    except (CheckpointError, TableStateError) as exc:
        return _without_sight(pipeline, seam, "refused", "", failure_of(exc, seam.now().isoformat()))
    files, size_bytes, trouble = _lag(sight)
    is_held = choose_lease(pipeline.records, seam).is_held()
    state, note = _state(sight, is_held=is_held, failure=failure, lag_files=files)
    is_told = failure is not None and failure.message in trouble
    note = note or ("" if is_told else trouble)
    return Status(pipeline.name, state, pipeline.sink.table, files, size_bytes, note, _last_batch(sight), failure)


def _without_sight(pipeline: Pipeline, seam: Seam, state: str, note: str, failure: Failure | None) -> Status:
    if choose_lease(pipeline.records, seam).is_held():
        state = "running"
    return Status(pipeline.name, state, pipeline.sink.table, None, None, note, None, failure)


def _lag(sight: Sight) -> tuple[int | None, int | None, str]:
    """Return the files and bytes that no committed batch holds, and why they are not known."""
    try:
        waiting = upcoming(sight, ReadLimit())
    except EtlError as exc:
        return None, None, str(exc)
    planned = [waiting] if waiting else []
    if sight.is_unfinished and sight.standing is not None and sight.standing.plan is not None:
        planned += sight.standing.plan.inputs.values()
    return sum(part.files for part in planned), sum(part.size_bytes for part in planned), ""


def _state(sight: Sight, *, is_held: bool, failure: Failure | None, lag_files: int | None) -> tuple[str, str]:
    """Return the state and what there is to say about it."""
    standing = sight.standing
    if is_held and sight.checkpoint is not None:
        return "running", sight.checkpoint.epochs.describe(sight.checkpoint.epochs.newest())
    if failure is not None:
        return "failed", ""
    if standing is not None and (sight.is_unfinished or sight.is_replacing):
        refresh = "full refresh: its first batch takes the place of all that the table holds"
        return "unfinished", refresh if sight.is_replacing else f"batch {standing.planned}: {standing.step.value}"
    if lag_files is None:
        return "unknown", ""
    if standing is None or standing.committed < 0:
        return "never run", ""
    return ("waiting" if lag_files else "idle"), ""


def _last_batch(sight: Sight) -> CommitEntry | None:
    if sight.checkpoint is None or sight.standing is None or sight.standing.committed < 0:
        return None
    return sight.checkpoint.commits.read(sight.standing.committed)


def history(pipeline: Pipeline, seam: Seam) -> list[CommitEntry]:
    """Return every committed batch, oldest first; none before the first run. Raises CheckpointError."""
    checkpoint = find_checkpoint(pipeline.checkpoint, seam, pipeline.generation)
    if checkpoint is None:
        return []
    return [checkpoint.commits.read(batch_id) for batch_id in checkpoint.commits.log.revisions()]


def status_to_json(status: Status) -> dict[str, Any]:
    """Return a status as plain values, its last batch as ``etl history --json`` has it."""
    last = status.last_batch
    return {
        "pipeline": status.pipeline,
        "state": status.state,
        "table": status.table,
        "lag": {"files": status.lag_files, "bytes": status.lag_bytes},
        "note": status.note,
        "last_batch": None if last is None else {**asdict(last.result), "committed_at": last.committed_at},
        "last_error": None if status.last_error is None else asdict(status.last_error),
    }
