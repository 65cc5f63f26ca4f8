"""Running a pipeline: hold its lease, recover, take what is available, let go."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING

from etl.binding import bind_sinks, claim_of
from etl.checkpoint.folder import choose_lease, find_checkpoint, held, open_checkpoint
from etl.errors import CheckpointError, ConfigError, SinkError, StateError, StorageError, TableStateError
from etl.maintenance import BUDGET_S, Upkeep, Upkept, never, work_off
from etl.model import BatchResult, Bounds
from etl.resumption import refuse_lost_checkpoint
from etl.rewinding import finish_rewind
from etl.walk import Runner

if TYPE_CHECKING:
    from etl.checkpoint.folder import Checkpoint
    from etl.checkpoint.lease import Lease
    from etl.pipeline import Pipeline
    from etl.progress import Reporter
    from etl.seam import Seam

_UNBOUNDED = Bounds()
_NOTHING_TO_BEGIN_WITH = "full refresh: nothing to read yet; until then the table stays as it is"
_UNDER_WAY = "full refresh under way: the table stays as it is until a run has read all that there is"
_REFUSALS = (ConfigError, CheckpointError, TableStateError, StateError, SinkError)
_AGAIN = "what was committed stays; mend the cause and run again"


class Tenure:
    """A pipeline whose lease is held, and its runner: another takes its place where the pipeline is edited."""

    def __init__(self, pipeline: Pipeline, checkpoint: Checkpoint, seam: Seam, reporter: Reporter) -> None:
        self.pipeline = pipeline
        self._checkpoint = checkpoint
        self._seam = seam
        self._reporter = reporter
        self.runner = self._runner_of(pipeline)
        self._upkeep = Upkeep(pipeline, checkpoint, seam)
        self._kept_for = -1

    @property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint that is held."""
        return self._checkpoint

    def _runner_of(self, pipeline: Pipeline) -> Runner:
        bind_sinks(self._checkpoint, pipeline.flow)
        finish_rewind(self._checkpoint, pipeline.flow, self._seam)
        return Runner(pipeline, self._checkpoint, self._seam, self._reporter)

    def renew(self) -> bool:
        """Take the pipeline as its files declare it now, where they were edited; tell whether another runner goes on.

        Only between batches. The new runner begins like one that is started anew, under the same lease and epoch. What
        it cannot go on with is told, and the pipeline stays as it was.
        """
        try:
            edited = self.pipeline.edited()
            if edited is None:
                return False
            self.runner.idle()  # the ledgers are whole, and what is read again of them is little
            self._hand_over(edited)
        except _REFUSALS as exc:
            self._reporter.noted(self.pipeline.name, f"edited, and not taken: it goes on as it was\n{exc}")
            return False
        return True

    def _hand_over(self, edited: Pipeline) -> None:
        with ExitStack() as unless_taken:
            unless_taken.callback(_close, edited)
            runner = self._runner_of(edited)
            runner.recover()
            runner.check()
            unless_taken.pop_all()
        former, self.pipeline, self.runner = self.pipeline, edited, runner
        self._upkeep = Upkeep(edited, self._checkpoint, self._seam)
        _pass_on(former, edited)
        _close(former)
        is_other = former.definition != edited.definition
        what = "another definition holds" if is_other else "the definition is the same, its limits hold"
        self._reporter.noted(edited.name, f"edited: {what} from batch {runner.next_id} on")

    def note(self, message: str) -> None:
        """Tell something of the pipeline."""
        self._reporter.noted(self.pipeline.name, message)

    def idle(self, budget_s: float = 0.0, is_over: Callable[[], bool] = never) -> None:
        """Do upkeep that is off the hot path; of the tables' maintenance a step, or more within ``budget_s``."""
        self.runner.idle()
        if self._kept_for == self.runner.next_id:
            return
        done = work_off(self._upkeep, self._seam, Upkept(self.pipeline.name), budget_s, is_over)
        if done.is_done or done.failure:
            self._kept_for = self.runner.next_id
        for note in done.notes:
            self.note(note)

    def close(self) -> None:
        """Let go of the sources."""
        _close(self.pipeline)


def _pass_on(former: Pipeline, edited: Pipeline) -> None:
    """Give sources what they can only have from the one of their name that they take the place of: open handles."""
    for name, source in edited.sources.items():
        take_over: Callable[[object], None] | None = getattr(source, "take_over", None)
        if take_over is not None and name in former.sources:
            take_over(former.sources[name])


def _close(pipeline: Pipeline) -> None:
    with ExitStack() as open_sources:
        for source in pipeline.sources.values():
            open_sources.enter_context(closing(source))


@contextmanager
def open_tenure(pipeline: Pipeline, seam: Seam, reporter: Reporter, lease: Lease | None = None) -> Iterator[Tenure]:
    """Hold the lease of a pipeline for the length of the block. Raises LeaseHeldError."""
    with _storage_errors(pipeline.url):
        refuse_unknown_table(pipeline, seam)
        checkpoint = open_checkpoint(pipeline.checkpoint, pipeline.name, seam, pipeline.generation)
        with (
            held(checkpoint, lease or choose_lease(checkpoint.storage, seam)),
            closing(Tenure(pipeline, checkpoint, seam, reporter)) as tenure,
        ):
            yield tenure


def refuse_unknown_table(pipeline: Pipeline, seam: Seam) -> None:
    """Refuse to begin a checkpoint where the table has batches of one that was lost. Raises TableStateError."""
    if pipeline.generation > 1 or find_checkpoint(pipeline.checkpoint, seam) is not None:
        return
    for role, sink in pipeline.flow.sinks.items():
        sink.bind("", claim_of(pipeline.flow, role))
    refuse_lost_checkpoint(pipeline.flow)


@contextmanager
def open_runner(pipeline: Pipeline, seam: Seam, reporter: Reporter, lease: Lease | None = None) -> Iterator[Runner]:
    """Become the runner of a pipeline, as it is now, for the length of the block. Raises LeaseHeldError."""
    with open_tenure(pipeline, seam, reporter, lease) as tenure:
        yield tenure.runner


@contextmanager
def _storage_errors(url: str) -> Iterator[None]:
    """Turn what a disk or an object store raises into a StorageError."""
    try:
        yield
    except OSError as exc:
        if exc.errno == errno.EPIPE:  # nobody reads what the reporter prints: no store says so
            raise
        raise StorageError(exc.strerror or str(exc), where=str(exc.filename or url), hint=_AGAIN) from exc


def run(
    pipeline: Pipeline,
    seam: Seam,
    reporter: Reporter,
    bounds: Bounds = _UNBOUNDED,
    should_stop: Callable[[], bool] = bool,
) -> list[BatchResult]:
    """Take what is available in micro-batches, then stop; return the results.

    ``should_stop`` is asked between batches. Raises EtlError; whatever was committed before stays.
    """
    results: list[BatchResult] = []
    started_s = seam.monotonic()

    def is_over() -> bool:
        has_count = bounds.max_batches is not None and len(results) >= bounds.max_batches
        has_time = bounds.max_seconds is not None and seam.monotonic() - started_s >= bounds.max_seconds
        return has_count or has_time or should_stop()

    with open_tenure(pipeline, seam, reporter) as tenure:
        recovered = tenure.runner.recover()
        if recovered is not None:
            results.append(recovered)
        take_available(tenure, results, is_over)
    return results


def take_available(tenure: Tenure, results: list[BatchResult], is_over: Callable[[], bool]) -> None:
    """Take batches until nothing is left or it is over, and add them to ``results``; the lease goes on being held.

    A full refresh that has read all that there is ends, also where it is over. Raises EtlError: then the tenure has to
    end.
    """
    while not is_over():
        tenure.renew()
        result = tenure.runner.run_batch() or tenure.runner.run_due()
        if result is None:
            break
        results.append(result)
    ended = tenure.runner.end_refresh()
    if ended is not None:
        results.append(ended)
    elif tenure.runner.awaits_refresh and (tenure.runner.next_id or not is_over()):
        tenure.note(_UNDER_WAY if tenure.runner.next_id else _NOTHING_TO_BEGIN_WITH)
    if results:
        tenure.idle(BUDGET_S, is_over)
