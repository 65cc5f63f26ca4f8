"""The seat of one pipeline: it takes the lease for a run, keeps it while the next run is near, and lets it go."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

from etl.engine import open_tenure, take_available
from etl.errors import EtlError, FencedError, LeaseHeldError
from etl.following import follow
from etl.operations.failures import clear_failure, record_failure
from etl.waking import FolderWaker

if TYPE_CHECKING:
    from etl.engine import Tenure
    from etl.model import BatchResult
    from etl.pipeline import Pipeline
    from etl.seam import Seam
    from etl.service.edition import Definition, Edition

REFUSED = (2, 4)
"""The exit codes of what no further try cures: only a person does."""
_SLICE_S = 1.0
"""How soon, at the latest, a run that waits for input ends when it is asked to."""


class Seat(Protocol):
    """What runs one pipeline. One thread at a time calls it."""

    def run(self, should_stop: Callable[[], bool]) -> BaseException | None:
        """Take what is there, until nothing is left or somebody wants it to stop; return what went wrong."""

    def rest(self) -> None:
        """Let go of the lease. *Repeat*: safe."""


class HouseSeat:
    """A pipeline in a thread of the service."""

    def __init__(self, edition: Edition, seam: Seam) -> None:
        self._edition = edition
        self._seam = seam
        self._stack: ExitStack | None = None
        self._tenure: Tenure | None = None
        self._pipeline: Pipeline | None = None

    def run(self, should_stop: Callable[[], bool]) -> BaseException | None:
        """Take what is there, until nothing is left or somebody wants it to stop; return what went wrong."""
        try:
            if self._tenure is None:
                self._begin(should_stop)
            if self._tenure is not None:
                self._take(self._tenure, should_stop)
        except BaseException as exc:  # noqa: BLE001  a panic in Rust is no Exception
            return self._failed(exc)
        if self._pipeline is not None:
            clear_failure(self._pipeline.checkpoint)
        return None

    def _begin(self, should_stop: Callable[[], bool]) -> None:
        """Take the seat by what is proposed, and where that is refused by the definition in force."""
        proposed = self._edition.due()
        if proposed is not None:
            try:
                self._enter(proposed, should_stop)
            except EtlError as exc:
                told = self._leave(exc)
                if not isinstance(told, EtlError) or told.exit_code not in REFUSED:
                    self._edition.propose(proposed)
                    raise told from None
                self._edition.judge(proposed, str(told))
            else:
                return
        self._enter(self._edition.current, should_stop)

    def _enter(self, definition: Definition, should_stop: Callable[[], bool]) -> None:
        self._pipeline = pipeline = self._edition.wired(definition)
        if definition.spec.trigger == "continuous":
            if definition is not self._edition.current:
                self._edition.judge(definition, "")
            with FolderWaker(should_stop, _SLICE_S) as waker:
                follow(pipeline, self._seam, self._edition.reporter, waker)
            return
        self._stack = ExitStack()
        tenure = self._stack.enter_context(open_tenure(pipeline, self._seam, self._edition.reporter))
        tenure.runner.recover()
        if definition is not self._edition.current:
            tenure.runner.check()
            self._edition.judge(definition, "")
        self._tenure = tenure

    def _take(self, tenure: Tenure, should_stop: Callable[[], bool]) -> None:
        results: list[BatchResult] = []
        is_once = self._edition.current.spec.trigger == "once"
        take_available(tenure, results, lambda: should_stop() or (is_once and bool(results)))
        self._edition.settle(is_taken=self._edition.is_run_by(tenure.pipeline))
        self._pipeline = tenure.pipeline

    def _failed(self, exc: BaseException) -> BaseException:
        told = self._leave(exc)
        if self._pipeline is not None and not isinstance(told, LeaseHeldError | FencedError):
            record_failure(self._pipeline.checkpoint, told, self._seam)
        return told

    def _leave(self, exc: BaseException) -> BaseException:
        """Let go after an error; return it as the lease tells it: being fenced where somebody took over."""
        stack, self._stack, self._tenure = self._stack, None, None
        if stack is None:
            return exc
        try:
            stack.__exit__(type(exc), exc, exc.__traceback__)
        except BaseException as translated:  # noqa: BLE001  it takes the place of the error
            return translated
        return exc

    def rest(self) -> None:
        """Let go of the lease. *Repeat*: safe."""
        stack, self._stack, self._tenure = self._stack, None, None
        if stack is not None:
            stack.close()
