"""The service: the fleet of a project, what makes it tick, and what stands beside it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from etl.errors import ConfigError
from etl.service.attendants import Premises, attended
from etl.service.crew import Threads
from etl.service.declarations import Declarations
from etl.service.fleet import PipelineFleet
from etl.service.log_lines import note_line
from etl.service.lookout import Lookout, looking
from etl.service.record import Before, ServiceRecord
from etl.service.takeover import Takeover
from etl.service.upstreams import Upstreams

if TYPE_CHECKING:
    from etl.operations.workspace import Workspace
    from etl.seam import Seam
    from etl.serve_options import ServeOptions
    from etl.service.log_lines import LogFormat

_SLICE_S = 0.2
_LOADED = ("numpy", "polars", "pyarrow.parquet", "pyarrow.compute", "deltalake", "sqlglot.optimizer", "fsspec")
"""Libraries whose modules import one another in circles: two threads at once would meet them half made."""


@dataclass(frozen=True, slots=True)
class Serving:
    """What a service is to be. ``options`` are ``serve:`` of ``etl.yml`` with those of the command line over them.

    ``tell`` writes a line to the standard error stream.
    """

    workspace: Workspace
    seam: Seam
    options: ServeOptions
    tell: Callable[[str], None]
    log_format: LogFormat = "console"
    has_page: bool = True

    def note(self, text: str) -> None:
        """Say something in the log."""
        self.tell(note_line(self.seam.now(), text, self.log_format))


def serve(serving: Serving, is_over: threading.Event) -> bool:
    """Run the pipelines of a project until it is over; tell whether every run came to the end of its batch.

    Raises LeaseHeldError where another service runs the project, and ConfigError where ``etl.yml`` is wrong.
    """
    for library in _LOADED:
        import_module(library)
    project = serving.workspace.project
    record = ServiceRecord(project, serving.seam)
    with record.claimed() as before, _ticking(serving) as fleet:
        declarations = Declarations(serving.workspace.folder, serving.workspace.profile)
        with attended(_premises(serving, fleet)):
            takeover = Takeover(fleet, project.lake, before.alive_at)
            reading = declarations.look()
            if reading is None or reading.project_fault:
                raise ConfigError("" if reading is None else reading.project_fault)
            takeover.take(reading)
            _pause_again(fleet, before)
            with looking(
                Lookout(fleet, declarations, takeover, record, Upstreams(project, serving.seam)), serving.note
            ):
                is_over.wait()
            return _end(fleet, serving)


def _premises(serving: Serving, fleet: PipelineFleet) -> Premises:
    return Premises(
        serving.workspace,
        fleet,
        serving.seam,
        serving.options,
        serving.note,
        serving.log_format,
        serving.has_page,
        serving.tell,
    )


def _pause_again(fleet: PipelineFleet, before: Before) -> None:
    """Pause what a person had paused before the service was started anew."""
    for name, reason in before.paused.items():
        with suppress(ConfigError):
            fleet.pause(name, reason)


def _end(fleet: PipelineFleet, serving: Serving) -> bool:
    """Wait, in short slices so that a signal gets through, for runs to end with their batches."""
    until_s = serving.seam.monotonic() + serving.options.grace
    while not (is_done := fleet.end(_SLICE_S)) and serving.seam.monotonic() < until_s:
        pass
    fleet.close()
    return is_done


@contextmanager
def _ticking(serving: Serving) -> Iterator[PipelineFleet]:
    """Have a fleet that ticks for the length of the block."""
    woken, is_over = threading.Event(), threading.Event()
    fleet = PipelineFleet(serving.seam, Threads(serving.options.workers), serving.options.retries, woken.set)

    def tick() -> None:
        while not is_over.is_set():
            woken.clear()
            left_s = fleet.tick()
            woken.wait(left_s)

    ticker = threading.Thread(target=tick, name="etl-ticker", daemon=True)
    ticker.start()
    try:
        yield fleet
    finally:
        is_over.set()
        woken.set()
        ticker.join()
