"""The trigger ``continuous``: take what is there, commit, wait to be woken, for as long as nobody says stop."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from etl.engine import open_runner
from etl.model import Bounds

if TYPE_CHECKING:
    from etl.pipeline import Pipeline
    from etl.progress import Reporter
    from etl.seam import Seam
    from etl.waking import Waker
    from etl.walk import Runner

POLL_S = 1.0
"""How long a runner waits, at most, before it looks by itself."""

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
    Raises EtlError; whatever was committed before stays.
    """
    started_s = seam.monotonic()
    done = 0

    def is_over() -> bool:
        has_count = bounds.max_batches is not None and done >= bounds.max_batches
        has_time = bounds.max_seconds is not None and seam.monotonic() - started_s >= bounds.max_seconds
        return has_count or has_time or waker.is_stopped

    with open_runner(pipeline, seam, reporter) as runner:
        if runner.recover() is not None:
            done += 1
        while not is_over():
            if (runner.run_batch() or runner.run_due()) is not None:
                done += 1
                continue
            runner.idle()
            if waker.wait(POLL_S) and pipeline.max_latency_s:
                _gather(runner, pipeline.max_latency_s, waker, is_over)
        runner.idle()
    return done


def _gather(runner: Runner, most_s: float, waker: Waker, is_over: Callable[[], bool]) -> None:
    """Wait for more input, at most ``most_s``, until there is enough for a full batch."""
    seam = runner.seam
    until_s = seam.monotonic() + most_s
    while not is_over() and not runner.has_full_batch():
        left_s = until_s - seam.monotonic()
        if left_s <= 0:
            return
        waker.wait(left_s)
