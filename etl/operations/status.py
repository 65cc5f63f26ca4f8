"""Where pipelines stand: state, lag, newest batch, last error. From the checkpoint, the table and the source alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from etl.checkpoint.folder import choose_lease, find_checkpoint
from etl.checkpoint.record import TornRecordError
from etl.checkpoint.rewinding import UnfinishedRewindError
from etl.errors import CheckpointError, ConfigError, EtlError, SinkError, TableStateError
from etl.model import ReadLimit
from etl.operations.failures import Failure, failure_of, read_failure
from etl.operations.looking import look, upcoming
from etl.operations.tables import scan_url
from etl.sinks.quarantine import OPEN, ROLE

if TYPE_CHECKING:
    from etl.checkpoint.commit_log import CommitEntry
    from etl.model import PlannedInput
    from etl.operations.looking import Sight
    from etl.pipeline import Pipeline
    from etl.seam import Seam
    from etl.sinks.delta_health import TableHealth
    from etl.sinks.delta_upkeep import TableUpkeep
    from etl.sources.log_explanation import Lag


@dataclass(frozen=True, slots=True)
class Status:
    """A pipeline at a glance.

    ``state``: ``never run``, ``idle``, ``waiting`` (there is something to read), ``unfinished`` (a batch or a full
    refresh waits for the next run), ``running``, ``failed`` (the newest run did), ``refused`` (the next run would be),
    or ``unknown`` (the source cannot be listed). ``lag_files`` and ``lag_bytes`` are None where they are not known.
    ``open_rows`` is how many rejected rows wait in the quarantine, None where that is not known. ``lags`` is how far
    each log is behind, None for a source that reads no logs; ``lag_versions`` by how many versions readers of Delta
    tables are, None where there are none. ``health`` is how the files of the table stand, None where it has none.
    """

    pipeline: str
    state: str
    table: str
    lag_files: int | None
    lag_bytes: int | None
    note: str
    last_batch: CommitEntry | None
    last_error: Failure | None
    open_rows: int | None = None
    lags: tuple[Lag, ...] | None = None
    lag_versions: int | None = None
    health: TableHealth | None = None

    @property
    def watermark(self) -> str | None:
        """Where event time stands after the newest batch."""
        return None if self.last_batch is None else self.last_batch.result.watermark

    @property
    def remembered(self) -> tuple[int, int]:
        """The rows and bytes that all transforms together remember after the newest batch, rows at most."""
        states = [] if self.last_batch is None else self.last_batch.result.state.values()
        return sum(each["rows"] for each in states), sum(each["bytes"] for each in states)

    @property
    def lag_s(self) -> float | None:
        """How long ago the log that is furthest behind was written to, 0 where nothing waits, None without logs."""
        return None if self.lags is None else max((lag.behind_s for lag in self.lags), default=0.0)


@dataclass(frozen=True, slots=True)
class Batch:
    """A committed batch in full: its entry, and what became of the rows of each input file."""

    entry: CommitEntry
    files: Mapping[str, Mapping[str, int]]


def status_of(pipeline: Pipeline, seam: Seam) -> Status:
    """Return where a pipeline stands; changes nothing."""
    failure = read_failure(pipeline.checkpoint)
    try:
        sight = look(pipeline, seam)
    except TornRecordError as exc:
        return _without_sight(pipeline, seam, "unfinished", f"{exc.message}; the next run looks into it", failure)
    except UnfinishedRewindError as exc:
        return _without_sight(pipeline, seam, "unfinished", f"{exc.message}; the next run finishes it", failure)
    except SinkError as exc:  # a server that is down
        return _without_sight(pipeline, seam, "unknown" if failure is None else "failed", exc.message, failure)
    except (CheckpointError, TableStateError) as exc:
        return _without_sight(pipeline, seam, "refused", "", failure_of(exc, seam.now().isoformat()))
    files, size_bytes, trouble = _lag(sight, seam)
    is_held = choose_lease(pipeline.records, seam).is_held()
    state, note = _state(sight, is_held=is_held, failure=failure, lag_files=files)
    is_told = failure is not None and failure.message in trouble
    note = note or ("" if is_told else trouble)
    last = _last_batch(sight)
    waiting = _open_rows(pipeline, last, seam)
    lags = None if files is None else _lags_of_logs(sight, seam)
    behind = None if files is None else _versions_behind(sight)
    note = note or (f"{behind} version{'s' * (behind != 1)} behind" if behind and state == "waiting" else "")
    note = "; ".join(each for each in (note, *_undelivered(pipeline)) if each)
    table = pipeline.sink.table
    health = _health(pipeline)
    return Status(pipeline.name, state, table, files, size_bytes, note, last, failure, waiting, lags, behind, health)


def _health(pipeline: Pipeline) -> TableHealth | None:
    """Return how the pipeline's own table stands, None where its log cannot be read or it has no files."""
    upkeep: TableUpkeep | None = getattr(pipeline.sink, "upkeep", None)
    try:
        return None if upkeep is None else upkeep.health()
    except EtlError:
        return None


def _undelivered(pipeline: Pipeline) -> list[str]:
    """Return what sinks say of what they could not deliver yet."""
    sinks = (outlet.sink for outlet in pipeline.flow.outlets)
    return [sink.backlog() for sink in sinks if hasattr(sink, "backlog")]


def _versions_behind(sight: Sight) -> int | None:
    """Return how many versions of their tables are not planned yet, None where no source follows a table."""
    plan = None if sight.standing is None else sight.standing.plan
    inputs = {} if plan is None else plan.inputs
    found = [
        source.versions_behind(inputs[name].span.end or None if name in inputs else None)
        for name, source in sight.pipeline.sources.items()
        if hasattr(source, "versions_behind")
    ]
    return sum(found) if found else None


def _lags_of_logs(sight: Sight, seam: Seam) -> tuple[Lag, ...] | None:
    """Return how far each log is behind the newest plan, None where no source reads logs."""
    following = [source for source in sight.pipeline.sources.values() if hasattr(source, "lags")]
    return tuple(lag for source in following for lag in source.lags(seam.now())) if following else None


def _unfinished(sight: Sight) -> list[PlannedInput]:
    plan = None if sight.standing is None else sight.standing.plan
    return list(plan.inputs.values()) if sight.is_unfinished and plan is not None else []


def _open_rows(pipeline: Pipeline, last: CommitEntry | None, seam: Seam) -> int | None:
    """Return how many rejected rows wait: from the newest entry, or where that does not know it, from their table."""
    side = None if last is None else last.sides.get(ROLE)
    quarantine = pipeline.flow.quarantine
    if side is None or quarantine is None or side.open_rows is not None:
        return 0 if side is None else side.open_rows
    import polars as pl

    name = quarantine.sink.table
    url = name if "/" in name else pipeline.project.table_url(name)
    try:
        rows = scan_url(pipeline.project, url, seam, name=name)
        return int(rows.filter(pl.col("status") == OPEN).select(pl.len()).collect().item())
    except EtlError:
        return None


def _without_sight(pipeline: Pipeline, seam: Seam, state: str, note: str, failure: Failure | None) -> Status:
    if choose_lease(pipeline.records, seam).is_held():
        state = "running"
    return Status(pipeline.name, state, pipeline.sink.table, None, None, note, None, failure)


def _lag(sight: Sight, seam: Seam) -> tuple[int | None, int | None, str]:
    """Return the files and bytes that no committed batch holds, and why they are not known.

    Of logs the bytes are those that they are behind, of other sources those that the next batch could take.
    """
    sources = sight.pipeline.sources
    try:
        waiting = upcoming(sight, dict.fromkeys(sources, ReadLimit()))
    except EtlError as exc:
        return None, None, str(exc)
    unfinished = _unfinished(sight)
    files = sum(part.files for part in (*waiting.values(), *unfinished))
    size_bytes = sum(part.size_bytes for part in unfinished)
    for name, source in sources.items():
        if hasattr(source, "lags"):
            size_bytes += sum(lag.behind_bytes for lag in source.lags(seam.now()))
        elif name in waiting:
            size_bytes += waiting[name].size_bytes
    return files, size_bytes, ""


def _state(sight: Sight, *, is_held: bool, failure: Failure | None, lag_files: int | None) -> tuple[str, str]:
    """Return the state and what there is to say about it."""
    standing = sight.standing
    if is_held and sight.checkpoint is not None:
        return "running", sight.checkpoint.epochs.describe(sight.checkpoint.epochs.newest())
    if failure is not None:
        return "failed", ""
    unfinished = _unfinished_work(sight)
    if unfinished:
        return "unfinished", unfinished
    if lag_files is None:
        return "unknown", ""
    if standing is None or standing.committed < 0:
        return "never run", ""
    return ("waiting" if lag_files else "idle"), ""


def _unfinished_work(sight: Sight) -> str:
    """Return what the next run has to finish first, empty for nothing."""
    if sight.standing is not None and sight.is_beside:
        return "full refresh under way: the table stays as it is until one version has all of the new one"
    if sight.standing is not None and sight.is_replacing:
        return "full refresh: its first batch takes the place of all that the table holds"
    standing = sight.standing
    return f"batch {standing.planned}: {standing.step.value}" if standing is not None and sight.is_unfinished else ""


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


def batch_of(pipeline: Pipeline, seam: Seam, batch_id: int) -> Batch:
    """Return a committed batch. Raises ConfigError where it is none, CheckpointError."""
    checkpoint = find_checkpoint(pipeline.checkpoint, seam, pipeline.generation)
    if checkpoint is None or batch_id not in checkpoint.commits.log.revisions():
        raise ConfigError(f"batch {batch_id} is not committed", where=pipeline.name)
    manifest = checkpoint.manifests.read(batch_id, checkpoint.manifests.log.revisions()[batch_id])
    return Batch(checkpoint.commits.read(batch_id), manifest.files)


def status_to_json(status: Status) -> dict[str, Any]:
    """Return a status as plain values, its last batch as ``etl history --json`` has it."""
    last = status.last_batch
    return {
        "pipeline": status.pipeline,
        "state": status.state,
        "table": status.table,
        "lag": {"files": status.lag_files, "bytes": status.lag_bytes} | _lags_to_json(status),
        "note": status.note,
        "watermark": status.watermark,
        "remembered": dict(zip(("rows", "bytes"), status.remembered, strict=True)),
        "quarantine": {"open": status.open_rows},
        "health": None if status.health is None else asdict(status.health),
        "last_batch": None if last is None else {**asdict(last.result), "committed_at": last.committed_at},
        "last_error": None if status.last_error is None else asdict(status.last_error),
    }


def _lags_to_json(status: Status) -> dict[str, Any]:
    """Return the seconds and the logs, and the versions of tables; nothing where none are read."""
    versions = {} if status.lag_versions is None else {"versions": status.lag_versions}
    if status.lags is None:
        return versions
    return versions | {"seconds": status.lag_s, "logs": [asdict(lag) for lag in status.lags]}
