"""Reading chosen files again: what they gave before goes, what they give now comes, in batches of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from etl.checkpoint.backfill_log import ABANDONED, DONE, OPEN, Backfill, files_done
from etl.engine import open_tenure
from etl.errors import ConfigError, SourceError
from etl.model import BACKFILL, ReadLimit
from etl.operations.choosing import Intended, Wish, intended, ready, refuse_unrun
from etl.operations.looking import look
from etl.operations.quarantining import Listening
from etl.sources.again import chosen_files

if TYPE_CHECKING:
    from etl.checkpoint.folder import Checkpoint
    from etl.engine import Tenure
    from etl.model import BatchResult, Json
    from etl.operations.workspace import Workspace
    from etl.seam import Seam

_RESUME = "go on with it: etl backfill {name} --resume; or give it up: etl backfill {name} --abandon"


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
    pipeline, by = ready(workspace, name, seam)
    sight = look(pipeline, seam)
    if sight.is_unfinished:
        raise ConfigError("a batch is not finished", where=name, hint=f"finish it first: etl run {name}")
    if sight.checkpoint is not None:
        _refuse_open(sight.checkpoint, name)
    return intended(pipeline, by, wish.choice)


def backfill(workspace: Workspace, name: str, wish: Wish, listening: Listening) -> Backfilled:
    """Read chosen files again: rows that they gave before go, in the same version in which the new ones come.

    Nothing is read that was never read. Interrupted at any moment, every file is as it was or as it is now, and
    ``resume`` goes on. Raises LeaseHeldError, ConfigError where the pipeline cannot do so exactly or another backfill
    is not finished, SourceError where files are gone or refused.
    """
    pipeline, by = ready(workspace, name, listening.seam)
    with open_tenure(pipeline, listening.seam, listening.reporter) as tenure:
        _recover(tenure)
        _refuse_open(tenure.checkpoint, name)
        found = intended(pipeline, by, wish.choice)
        if not found.count:
            return Backfilled(name, 0, 0, found.unread, found.repeated)
        files = {source: list(paths) for source, paths in found.files.items()}
        number = tenure.checkpoint.backfills.next_number()
        begun = Backfill(number, files, tenure.runner.next_id, wish.words)
        _record(tenure, begun, listening.seam)
        done = _Carrying(tenure, begun, by, listening).carried_out(0)
        return replace(done, unread=found.unread, repeated=found.repeated)


def resume(workspace: Workspace, name: str, listening: Listening) -> Backfilled:
    """Go on with a backfill that was interrupted, its files as they are now. Raises as ``backfill`` does."""
    pipeline, by = ready(workspace, name, listening.seam)
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
