"""What a service looks at beside its ticks: files that declare pipelines, and what other runners commit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.errors import EtlError
from etl.service.timing import instant

if TYPE_CHECKING:
    from etl.service.contract import Happening
    from etl.service.declarations import Declarations
    from etl.service.fleet import PipelineFleet
    from etl.service.record import ServiceRecord
    from etl.service.takeover import Takeover
    from etl.service.upstreams import Upstreams

LOOK_S = 1.0
"""How often it looks."""
BEAT_S = 30.0
"""How often the service writes that it is there."""


@dataclass(slots=True)
class Lookout:
    """Everything outside of the service that may change while it runs. ``look`` is one look at all of it."""

    fleet: PipelineFleet
    declarations: Declarations
    takeover: Takeover
    record: ServiceRecord
    upstreams: Upstreams
    kept_s: float | None = None

    def look(self) -> None:
        """Take over what was edited, follow up what others committed, write that the service is there when it is due.

        Raises EtlError, OSError: then the next look makes up for it.
        """
        now_s = instant(self.fleet.seam).s
        if self.kept_s is None or now_s - self.kept_s >= BEAT_S:
            self.keep()
        reading = self.declarations.look()
        if reading is not None:
            self.takeover.take(reading)
        for name in self.upstreams.changed(self.fleet.upstreams()):
            self.fleet.follow_up(name)

    def keep(self) -> None:
        """Write that the service is there, and what is paused."""
        self.kept_s = instant(self.fleet.seam).s
        self.record.keep(self.fleet.paused_by_people())

    def hear(self, happening: Happening) -> None:
        """Take note of what concerns it."""
        if happening.kind in ("paused", "resumed", "removed"):
            self.kept_s = None
        if happening.result is not None:
            self.upstreams.note(happening.pipeline, happening.result.batch_id)


@contextmanager
def looking(lookout: Lookout, tell: Callable[[str], None]) -> Iterator[None]:
    """Look again and again for the length of the block, and write down at its end how things stand."""
    is_over = threading.Event()

    def careful(act: Callable[[], None]) -> None:
        try:
            act()
        except (EtlError, OSError) as exc:
            tell(f"the service could not look at its files: {exc}")

    def look_on() -> None:
        while not is_over.is_set():
            careful(lookout.look)
            is_over.wait(LOOK_S)

    thread = threading.Thread(target=look_on, name="etl-lookout", daemon=True)
    leave = lookout.fleet.listen(lookout.hear)
    thread.start()
    try:
        yield
    finally:
        leave()
        is_over.set()
        thread.join()
        careful(lookout.keep)
