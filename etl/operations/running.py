"""Running one or several pipelines: in order of dependency, each failure kept and noted."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from etl.config.lineage import overlaps
from etl.config.wiring import wire
from etl.engine import run
from etl.errors import EtlError, FencedError, LeaseHeldError
from etl.following import follow
from etl.model import Bounds
from etl.operations.editing import Edits, stamps_of_project
from etl.operations.failures import clear_failure, record_failure
from etl.operations.refreshing import begin_refresh
from etl.waking import FolderWaker

if TYPE_CHECKING:
    from etl.config.specification import PipelineSpec
    from etl.model import BatchPlan, BatchResult
    from etl.operations.editing import Stamps
    from etl.operations.workspace import Workspace
    from etl.pipeline import Pipeline
    from etl.progress import Reporter
    from etl.seam import Seam


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a pipeline's run ended: ``results`` is what it committed, also before an ``error``.

    ``skipped_for`` names the failed pipeline whose table this one needs; it was not started then.
    """

    pipeline: str
    results: tuple[BatchResult, ...] = ()
    error: BaseException | None = None
    skipped_for: str | None = None

    @property
    def exit_code(self) -> int:
        """Return 0 for done, else the error's; 1 for one that was skipped or is not ours."""
        if self.error is None:
            return 0 if self.skipped_for is None else 1
        return self.error.exit_code if isinstance(self.error, EtlError) else 1


@dataclass(slots=True)
class Listener:
    """A reporter that keeps the results and passes everything on."""

    further: Reporter
    results: list[BatchResult] | deque[BatchResult] = field(default_factory=list)

    def planned(self, pipeline: str, plan: BatchPlan) -> None:
        """Pass on."""
        self.further.planned(pipeline, plan)

    def committed(self, result: BatchResult) -> None:
        """Keep and pass on."""
        self.results.append(result)
        self.further.committed(result)

    def noted(self, pipeline: str, message: str) -> None:
        """Pass on."""
        self.further.noted(pipeline, message)


@dataclass(frozen=True, slots=True)
class Running:
    """How runs are carried out: the world, who listens, how long, and who may end them between batches.

    With ``full_refresh`` each begins by building its table anew. With ``follows`` a pipeline whose trigger is
    ``continuous`` waits for further input instead of ending.
    """

    seam: Seam
    reporter: Reporter
    bounds: Bounds = field(default_factory=Bounds)
    should_stop: Callable[[], bool] = bool
    full_refresh: bool = False
    follows: bool = False


def run_pipelines(workspace: Workspace, names: Sequence[str] | None, running: Running) -> Iterator[Outcome]:
    """Run the named pipelines (None: all) one after the other, each after those whose tables it reads.

    One whose input failed is skipped; the others go on. One that is edited while it runs is taken as it is then.
    Raises ConfigError before the first is started.
    """
    seen = stamps_of_project(workspace.folder)
    specs = workspace.specs(names)
    failed: dict[str, PipelineSpec] = {}
    for spec in specs:
        if running.should_stop():
            return
        needed = next((name for name, other in failed.items() if _reads(spec, other)), None)
        outcome = Outcome(spec.name, skipped_for=needed) if needed else _run_spec(workspace, spec, running, seen)
        if outcome.exit_code:
            failed[spec.name] = spec
        yield outcome


def _reads(spec: PipelineSpec, other: PipelineSpec) -> bool:
    read = (*spec.reads, *(url for _, url in spec.joins))
    return any(overlaps(pattern, other.sink.url) for pattern in read)


def _run_spec(workspace: Workspace, spec: PipelineSpec, running: Running, seen: Stamps) -> Outcome:
    try:
        pipeline = wire(spec, workspace.project, running.seam)
        if running.full_refresh:
            pipeline = wire(spec, workspace.project, running.seam, begin_refresh(pipeline, running.seam))
    except EtlError as exc:
        return Outcome(spec.name, error=exc)
    if spec.trigger == "once":
        running = replace(running, bounds=_one_batch(running.bounds))
    edits = Edits(workspace, spec, pipeline, seen)
    return run_pipeline(replace(pipeline, edited=partial(edits.taken, running.seam)), running)


def _one_batch(bounds: Bounds) -> Bounds:
    return Bounds(1 if bounds.max_batches is None else min(1, bounds.max_batches), bounds.max_seconds)


def _follow(pipeline: Pipeline, running: Running, listener: Listener) -> None:
    with FolderWaker(running.should_stop) as waker:
        follow(pipeline, running.seam, listener, waker, running.bounds)


def run_pipeline(pipeline: Pipeline, running: Running) -> Outcome:
    """Run a wired pipeline and say how it ended; a failure is noted beside the checkpoint, a success clears the note.

    Only an interruption (KeyboardInterrupt, SystemExit) is raised.
    """
    listener = Listener(running.reporter)
    try:
        if running.follows and pipeline.trigger == "continuous":
            listener.results = deque(maxlen=1)
            _follow(pipeline, running, listener)
        else:
            run(pipeline, running.seam, listener, running.bounds, running.should_stop)
    except (KeyboardInterrupt, SystemExit):
        raise
    except (LeaseHeldError, FencedError) as exc:
        return Outcome(pipeline.name, tuple(listener.results), exc)
    except BaseException as exc:  # noqa: BLE001  a panic in Rust is no Exception
        record_failure(pipeline.checkpoint, exc, running.seam)
        return Outcome(pipeline.name, tuple(listener.results), exc)
    clear_failure(pipeline.checkpoint)
    return Outcome(pipeline.name, tuple(listener.results))
