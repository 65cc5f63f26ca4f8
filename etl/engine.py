"""Running a pipeline: hold its lease, recover, take what is available, let go."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING

from etl.checkpoint.folder import choose_lease, held, open_checkpoint
from etl.errors import StorageError
from etl.model import BatchResult, Bounds
from etl.resumption import bind_sinks
from etl.rewinding import finish_rewind
from etl.walk import Runner

if TYPE_CHECKING:
    from etl.checkpoint.lease import Lease
    from etl.pipeline import Pipeline
    from etl.progress import Reporter
    from etl.seam import Seam

_UNBOUNDED = Bounds()
_NOTHING_TO_BEGIN_WITH = "full refresh: nothing to read yet; until then the table stays as it is"
_AGAIN = "what was committed stays; mend the cause and run again"


@contextmanager
def open_runner(pipeline: Pipeline, seam: Seam, reporter: Reporter, lease: Lease | None = None) -> Iterator[Runner]:
    """Become the runner of a pipeline for the length of the block. Raises LeaseHeldError."""
    with _storage_errors(pipeline.url):
        checkpoint = open_checkpoint(pipeline.checkpoint, pipeline.name, seam, pipeline.generation)
        with held(checkpoint, lease or choose_lease(checkpoint.storage, seam)):
            bind_sinks(checkpoint, pipeline.flow)
            finish_rewind(checkpoint, pipeline.flow, seam)
            with ExitStack() as open_sources:
                for source in pipeline.sources.values():
                    open_sources.enter_context(closing(source))
                yield Runner(pipeline, checkpoint, seam, reporter)


@contextmanager
def _storage_errors(url: str) -> Iterator[None]:
    """Turn what a disk or an object store raises into a StorageError."""
    try:
        yield
    except OSError as exc:
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

    with open_runner(pipeline, seam, reporter) as runner:
        recovered = runner.recover()
        if recovered is not None:
            results.append(recovered)
        while not is_over():
            result = runner.run_batch() or runner.run_due()
            if result is None:
                if runner.awaits_refresh:
                    reporter.noted(pipeline.name, _NOTHING_TO_BEGIN_WITH)
                break
            results.append(result)
        if results:
            runner.idle()
    return results
