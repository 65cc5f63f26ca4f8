"""The trigger ``continuous``: take what is there, commit, wait to be woken, for as long as nobody says stop."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from etl.chains import stateful_steps
from etl.engine import open_tenure
from etl.model import Bounds

if TYPE_CHECKING:
    from etl.engine import Tenure
    from etl.pipeline import Pipeline
    from etl.progress import Reporter
    from etl.seam import Seam
    from etl.waking import Waker

POLL_S = 1.0
"""How long a runner waits, at most, before it looks by itself."""

_QUIET_AFTER, _QUIET_EVERY = 30, 15
"""Where folders give events: after how many vain looks it looks by itself only every so many times."""

_UNBOUNDED = Bounds()


def follow(
    pipeline: Pipeline,
    seam: Seam,
    reporter: Reporter,
    waker: Waker,
    bounds: Bounds = _UNBOUNDED,
) -> int:
    """Run batches as input comes, until stopped or a bound is reached; return how many were committed.

    A batch begins when the one before is committed: input that comes faster than the table takes it waits where it is,
    in files. With ``max_latency`` a batch waits so long for more, unless the limits of a batch are reached before.
    Where the pipeline is edited, the next batch is of the new definition.
    Raises EtlError; whatever was committed before stays.
    """
    started_s = seam.monotonic()
    done = vain = 0

    def is_over() -> bool:
        has_count = bounds.max_batches is not None and done >= bounds.max_batches
        has_time = bounds.max_seconds is not None and seam.monotonic() - started_s >= bounds.max_seconds
        return has_count or has_time or waker.is_stopped

    with open_tenure(pipeline, seam, reporter) as tenure:
        waker.watch(_folders(tenure.pipeline))
        if tenure.runner.recover() is not None:
            done += 1
        while not is_over():
            if tenure.renew():
                waker.watch(_folders(tenure.pipeline))
                vain = 0
            if vain < _QUIET_AFTER or vain % _QUIET_EVERY == 0 or not _may_wait(tenure.pipeline, waker):
                runner = tenure.runner
                if (runner.run_batch() or runner.run_due() or runner.end_refresh()) is not None:
                    done, vain = done + 1, 0
                    continue
                tenure.idle()
            vain += 1
            if waker.wait(POLL_S):
                vain = 0
                if tenure.pipeline.max_latency_s:
                    _gather(tenure, seam, waker, is_over)
        tenure.runner.idle()
    return done


def _may_wait(pipeline: Pipeline, waker: Waker) -> bool:
    """Tell whether events alone say when there is something to do: of every source, and time has nothing to give."""
    if not waker.has_events or stateful_steps(pipeline.flow):
        return False
    return all(source.watched() for source in pipeline.sources.values())


def _folders(pipeline: Pipeline) -> list[str]:
    return [folder for source in pipeline.sources.values() for folder in source.watched()]


def _gather(tenure: Tenure, seam: Seam, waker: Waker, is_over: Callable[[], bool]) -> None:
    """Wait for more input, at most the pipeline's ``max_latency_s``, until there is enough for a full batch."""
    until_s = seam.monotonic() + tenure.pipeline.max_latency_s
    while not is_over() and not tenure.runner.has_full_batch():
        left_s = until_s - seam.monotonic()
        if left_s <= 0:
            return
        waker.wait(left_s)
