"""Reading chosen files again: what they gave before goes, what they give now comes, in batches of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from etl.checkpoint.backfill_log import ABANDONED, DONE, OPEN, Backfill, files_done
from etl.checkpoint.folder import find_checkpoint
from etl.engine import open_tenure
from etl.errors import ConfigError, SourceError
from etl.model import BACKFILL, ReadLimit
from etl.operations.looking import look
from etl.operations.quarantining import Listening
from etl.operations.tables import scan_url
from etl.resolutions import refuse_backfill
from etl.sources.again import chosen_files
from etl.sources.file_choosing import Choice, Chosen
from etl.storage import open_storage

if TYPE_CHECKING:
    from etl.checkpoint.folder import Checkpoint
    from etl.engine import Tenure
    from etl.model import BatchResult, Json
    from etl.operations.workspace import Workspace
    from etl.pipeline import Pipeline
    from etl.seam import Seam

_RESUME = "go on with it: etl backfill {name} --resume; or give it up: etl backfill {name} --abandon"


@dataclass(frozen=True, slots=True)
class Wish:
    """Which files are to be read again, and the words in which it was said."""

    choice: Choice
    words: str


@dataclass(frozen=True, slots=True)
class Intended:
    """What a backfill would read. ``unread`` and ``repeated`` files are left out: see ``Chosen``.

    ``by`` is what finds the rows that go: the ``file`` that they came from, or their ``key``.
    """

    pipeline: str
    by: str
    files: Mapping[str, tuple[str, ...]]
    size_bytes: int
    unread: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """Return how many files there are."""
        return sum(len(paths) for paths in self.files.values())


@dataclass(frozen=True, slots=True)
class Backfilled:
    """What a backfill did. ``done`` of its ``files`` are read again, now or before it was interrupted."""

    pipeline: str
    files: int
    done: int
    unread: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()
    rows: Mapping[str, int] = field(default_factory=dict)
    batches: tuple[BatchResult, ...] = ()


def look_at_backfill(workspace: Workspace, name: str, wish: Wish, seam: Seam) -> Intended:
    """Return what a backfill would do; changes nothing. Raises as ``backfill`` does, but for the lease."""
    pipeline, by = _ready(workspace, name, seam)
    sight = look(pipeline, seam)
    if sight.is_unfinished:
        raise ConfigError("a batch is not finished", where=name, hint=f"finish it first: etl run {name}")
    if sight.checkpoint is not None:
        _refuse_open(sight.checkpoint, name)
    return _intended(pipeline, by, wish.choice)


def backfill(workspace: Workspace, name: str, wish: Wish, listening: Listening) -> Backfilled:
    """Read chosen files again: rows that they gave before go, in the same version in which the new ones come.

    Nothing is read that was never read. Interrupted at any moment, every file is as it was or as it is now, and
    ``resume`` goes on. Raises LeaseHeldError, ConfigError where the pipeline cannot do so exactly or another backfill
    is not finished, SourceError where files are gone or refused.
    """
    pipeline, by = _ready(workspace, name, listening.seam)
    with open_tenure(pipeline, listening.seam, listening.reporter) as tenure:
        _recover(tenure)
        _refuse_open(tenure.checkpoint, name)
        intended = _intended(pipeline, by, wish.choice)
        if not intended.count:
            return Backfilled(name, 0, 0, intended.unread, intended.repeated)
        files = {source: list(paths) for source, paths in intended.files.items()}
        number = tenure.checkpoint.backfills.next_number()
        begun = Backfill(number, files, tenure.runner.next_id, wish.words)
        _record(tenure, begun, listening.seam)
        done = _Carrying(tenure, begun, by, listening).carried_out(0)
        return replace(done, unread=intended.unread, repeated=intended.repeated)


def resume(workspace: Workspace, name: str, listening: Listening) -> Backfilled:
    """Go on with a backfill that was interrupted, its files as they are now. Raises as ``backfill`` does."""
    pipeline, by = _ready(workspace, name, listening.seam)
    with open_tenure(pipeline, listening.seam, listening.reporter) as tenure:
        _recover(tenure)
        found = _open(tenure.checkpoint, name)
        lost = found.files.keys() - pipeline.sources.keys()
        if lost:
            raise ConfigError(f"the pipeline no longer has its source '{min(lost)}'", where=name)
        return _Carrying(tenure, found, by, listening).carried_out(files_done(found, tenure.checkpoint.commits))


def abandon(workspace: Workspace, name: str, listening: Listening) -> Backfilled:
    """Give an interrupted backfill up: what it read again stays, the other files are as they were."""
    pipeline = workspace.wired(name, listening.seam)
    refuse_unrun(pipeline, listening.seam)
    with open_tenure(pipeline, listening.seam, listening.reporter) as tenure:
        _recover(tenure)
        found = _open(tenure.checkpoint, name)
        _record(tenure, replace(found, state=ABANDONED), listening.seam)
        return Backfilled(name, found.count, files_done(found, tenure.checkpoint.commits))


def _ready(workspace: Workspace, name: str, seam: Seam) -> tuple[Pipeline, str]:
    """Return a pipeline that can read files again, and what finds their rows. Raises ConfigError."""
    pipeline, options = workspace.wired(name, seam), workspace.spec(name).sink.options
    refuse_unrun(pipeline, seam)
    write_mode = getattr(options, "write_mode", "")
    refuse_backfill(pipeline.flow, write_mode, has_provenance=getattr(options, "provenance", True))
    if write_mode == "append":
        _refuse_unknown_origin(workspace, name, seam)
    return pipeline, "file" if write_mode == "append" else "key"


def refuse_unrun(pipeline: Pipeline, seam: Seam) -> None:
    """Refuse a pipeline that has no checkpoint. Raises ConfigError."""
    if find_checkpoint(pipeline.checkpoint, seam, pipeline.generation) is None:
        raise ConfigError(
            "never ran: nothing was read yet", where=pipeline.name, hint=f"read it: etl run {pipeline.name}"
        )


def _refuse_unknown_origin(workspace: Workspace, name: str, seam: Seam) -> None:
    """Refuse a table with rows of which nobody knows the file: they may be those that would come again."""
    import polars as pl

    sink, project = workspace.spec(name).sink, workspace.project
    if not open_storage(sink.url, seam, project.storage_options).list("_delta_log"):
        return
    rows = scan_url(project, sink.url, seam, name=sink.table)
    unknown = None
    if "_source_file" in rows.collect_schema():
        unknown = rows.select(pl.col("_source_file").null_count()).collect().item()
    if unknown != 0:
        told = "the table has no column _source_file" if unknown is None else f"{unknown:,} rows do not say their file"
        raise ConfigError(
            f"{told}: they may be of these files, and would be there twice",
            where=sink.table,
            hint=f"build the table anew: etl run {name} --full-refresh",
        )


def _intended(pipeline: Pipeline, by: str, choice: Choice) -> Intended:
    """Return what is chosen of every source that can read again. Raises ConfigError, SourceError where none can."""
    chosen: dict[str, Chosen] = {}
    refusals: list[SourceError] = []
    for name, source in pipeline.sources.items():
        choose: Callable[[Choice], Chosen] | None = getattr(source, "choose", None)
        if choose is None:
            continue
        try:
            chosen[name] = choose(choice)
        except SourceError as exc:
            refusals.append(exc)
    if not chosen:
        raise (
            refusals[0]
            if refusals
            else ConfigError(
                "has no source of files: what it read cannot be read again piece by piece",
                where=pipeline.name,
                hint=f"go back: etl rewind {pipeline.name} --to-batch N",
            )
        )
    _refuse_shared(pipeline, chosen)
    return Intended(
        pipeline.name,
        by,
        {name: found.paths for name, found in chosen.items() if found.paths},
        sum(found.size_bytes for found in chosen.values()),
        tuple(path for found in chosen.values() for path in found.unread),
        tuple(path for found in chosen.values() for path in found.repeated),
    )


def _refuse_shared(pipeline: Pipeline, chosen: Mapping[str, Chosen]) -> None:
    """Refuse files that several sources read: rows go by their file, and those of the others would not come again."""
    paths = Counter(path for found in chosen.values() for path in found.paths)
    shared = sorted(path for path, sources in paths.items() if sources > 1)
    if shared:
        raise ConfigError(
            f"{shared[0]} is read by several sources, whose rows cannot be told apart",
            where=pipeline.name,
            hint=f"build the table anew: etl run {pipeline.name} --full-refresh",
        )


def _recover(tenure: Tenure) -> None:
    tenure.runner.recover()
    if tenure.runner.awaits_refresh:
        name = tenure.pipeline.name
        raise ConfigError("a full refresh has begun", where=name, hint=f"finish it first: etl run {name}")


def _open(checkpoint: Checkpoint, name: str) -> Backfill:
    """Return the backfill that was interrupted. Raises ConfigError where there is none."""
    found = checkpoint.backfills.newest()
    if found is None or found.state != OPEN:
        raise ConfigError("no backfill was interrupted: there is nothing to go on with", where=name)
    return found


def _refuse_open(checkpoint: Checkpoint, name: str) -> None:
    found = checkpoint.backfills.newest()
    if found is not None and found.state == OPEN:
        done = files_done(found, checkpoint.commits)
        raise ConfigError(
            f"a backfill ({found.selection}) stopped after {done:,} of {found.count:,} files",
            where=name,
            hint=_RESUME.format(name=name),
        )


def _record(tenure: Tenure, found: Backfill, seam: Seam) -> None:
    epochs = tenure.checkpoint.epochs
    epochs.check()
    tenure.checkpoint.backfills.add(found, epoch=epochs.current, attempt=seam.new_id())


@dataclass(frozen=True, slots=True)
class _Carrying:
    """A backfill on its way, by the holder of the lease."""

    tenure: Tenure
    begun: Backfill
    by: str
    listening: Listening

    def carried_out(self, upto: int) -> Backfilled:
        """Read what lies behind the first ``upto`` files, batch by batch, until it is done or is to stop."""
        results: list[BatchResult] = []
        for name, units in self._portions(upto):
            if self.listening.should_stop():
                break
            upto += len(chosen_files(units))
            results.append(self._batch(name, units, upto))
        if upto == self.begun.count:
            _record(self.tenure, replace(self.begun, state=DONE), self.listening.seam)
        if results:
            self.tenure.runner.idle()
        rows: Counter[str] = Counter()
        for result in results:
            rows.update(result.rows)
        return Backfilled(self.tenure.pipeline.name, self.begun.count, upto, rows=dict(rows), batches=tuple(results))

    def _portions(self, upto: int) -> Iterator[tuple[str, dict[str, Json]]]:
        """Yield the units of each batch, with the source that they are of."""
        pipeline, skipped = self.tenure.pipeline, upto
        for name, paths in self.begun.files.items():
            source: Any = pipeline.sources[name]
            limit: ReadLimit = pipeline.limits[name]
            for units in source.portions(paths[skipped:], limit):
                yield name, units
            skipped = max(0, skipped - len(paths))

    def _batch(self, name: str, units: dict[str, Json], upto: int) -> BatchResult:
        """Carry out one batch. Raises SourceError where it was refused, and withdrawn."""
        about: dict[str, Json] = {
            "action": BACKFILL,
            "rows": [],
            "files": len(chosen_files(units)),
            "backfill": self.begun.number,
            "upto": upto,
            "of": self.begun.count,
            "by": self.by,
        }
        result = self.tenure.runner.run_resolution(about, {name: units})
        refused = (result.resolution or {}).get("refused")
        if refused is not None:
            pipeline = self.tenure.pipeline.name
            raise SourceError(
                f"the files were not read again: {refused}",
                where=pipeline,
                hint=f"their rows stay as they are; mend the cause, then {_RESUME.format(name=pipeline)}",
            )
        return result
