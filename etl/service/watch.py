"""What is known of every pipeline of a service: its newest batch, and how far it is behind.

It is looked up in the background: nobody who asks waits for a source to be listed, and every answer says how old it is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

from etl.config.specification import SlaOptions
from etl.config.wiring import wire
from etl.errors import EtlError
from etl.operations.editing import Stamps, stamps_of_project
from etl.operations.status import Status, status_of
from etl.operations.workspace import Workspace

if TYPE_CHECKING:
    from etl.config.specification import PipelineSpec
    from etl.model import BatchResult
    from etl.seam import Seam
    from etl.service.attendants import Premises
    from etl.service.contract import Fleet, Happening
    from etl.service.outbox import Traffic

ROUND_S = 15.0
"""How long a round of looks at all pipelines takes at least."""
_REST = 99.0
"""How many times as long as a look it rests after it: looking costs a hundredth of a core, however many there are."""
_FIRST_REST = 4.0
"""The same as long as there are pipelines at which it has not looked, so that little is unknown for long."""
_SOON_S = 1.0
"""How long a round takes at least while that is so; a service knows no pipelines when it starts."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A pipeline as it was seen last. ``looked_s`` is when, on the monotonic clock; None before the first look.

    ``result`` is its newest batch and ``committed_at`` when that was, also where it is newer than the look. ``trouble``
    tells why a look failed; what the one before found stands.
    """

    since: datetime
    sla: SlaOptions = field(default_factory=SlaOptions)
    status: Status | None = None
    looked_s: float | None = None
    result: BatchResult | None = None
    committed_at: datetime | None = None
    trouble: str = ""


class Watch:
    """The looks at the pipelines of a fleet, one after the other, in a thread of their own once it is started."""

    def __init__(self, workspace: Workspace, fleet: Fleet, seam: Seam) -> None:
        self._workspace, self._fleet, self._seam = workspace, fleet, seam
        self._seen: dict[str, Seen] = {}
        self._specs: dict[str, PipelineSpec] = {}
        self._stamps: Stamps | None = None
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._go_round, name="etl-watch", daemon=True)
        self._leave = fleet.listen(self.hear)
        self.users = 0
        self.outboxes: list[Callable[[], Traffic]] = []

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._leave()
        self._is_over.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)

    def seen(self) -> Mapping[str, Seen]:
        """Return what is known of each pipeline that is served."""
        with self._lock:
            return {each.name: self._known(each.name) for each in self._fleet.served()}

    def traffic(self) -> list[Traffic]:
        """Return how it goes with everything that is sent to others."""
        return [traffic() for traffic in self.outboxes]

    def hear(self, happening: Happening) -> None:
        """Take note of a batch."""
        with self._lock:
            if happening.kind == "removed":
                self._seen.pop(happening.pipeline, None)
            elif happening.result is not None:
                known = self._known(happening.pipeline)
                at = happening.at
                self._seen[happening.pipeline] = replace(known, result=happening.result, committed_at=at)

    def look_at_all(self, rest: Callable[[float], bool] = lambda _: False) -> None:
        """Look at every pipeline, and after each let ``rest`` wait; it says whether that was enough."""
        self._read_specs()
        for served in self._fleet.served():
            started_s = self._seam.monotonic()
            self._look_at(served.name)
            if rest(self._seam.monotonic() - started_s):
                return

    def is_whole(self) -> bool:
        """Tell whether there are pipelines, and each was looked at, or could not be."""
        seen = self.seen().values()
        return bool(seen) and all(known.looked_s is not None or known.trouble for known in seen)

    def _known(self, name: str) -> Seen:
        return self._seen.setdefault(name, Seen(self._seam.now()))

    def _look_at(self, name: str) -> None:
        spec = self._specs.get(name)
        if spec is None:
            with self._lock:
                self._seen[name] = replace(self._known(name), trouble="its file cannot be read")
            return
        try:
            status, trouble = status_of(wire(spec, self._workspace.project, self._seam), self._seam), ""
        except Exception as exc:  # noqa: BLE001  whatever a source or a store raises ends no watch
            status, trouble = None, f"{type(exc).__name__}: {exc}"
        with self._lock:
            known = self._known(name)
            if status is None:
                self._seen[name] = replace(known, sla=spec.sla, trouble=trouble)
                return
            known = replace(known, sla=spec.sla, status=status, looked_s=self._seam.monotonic(), trouble="")
            entry = status.last_batch
            if entry is not None and (known.result is None or entry.result.batch_id != known.result.batch_id):
                at = datetime.fromisoformat(entry.committed_at)
                if known.committed_at is None or at > known.committed_at:
                    known = replace(known, result=entry.result, committed_at=at)
            self._seen[name] = known

    def _read_specs(self) -> None:
        """Read the pipeline files where any was edited; one that is faulty now stays as it was."""
        stamps = stamps_of_project(self._workspace.folder)
        if stamps == self._stamps:
            return
        self._stamps = stamps
        workspace = Workspace(self._workspace.folder, self._workspace.profile)
        try:
            found = workspace.specs()
        except EtlError:
            found = [spec for each in self._fleet.served() for spec in _specs_of(workspace, each.name)]
        self._specs.update({spec.name: spec for spec in found})

    def _go_round(self) -> None:
        while not self._is_over.is_set():
            factor, least_s = (_REST, ROUND_S) if self.is_whole() else (_FIRST_REST, _SOON_S)
            started_s = self._seam.monotonic()
            self.look_at_all(lambda took_s: self._is_over.wait(took_s * factor))  # noqa: B023  asked in this round alone
            left_s = (ROUND_S if self.is_whole() else least_s) - (self._seam.monotonic() - started_s)
            self._is_over.wait(max(left_s, 0.0))


def _specs_of(workspace: Workspace, name: str) -> list[PipelineSpec]:
    try:
        return workspace.specs([name])
    except EtlError:
        return []


_watches: dict[int, Watch] = {}


def join_watch(premises: Premises) -> Watch:
    """Return the watch of a fleet, which all that need it share; it looks until the last of them has left."""
    watch = _watches.get(id(premises.fleet))
    if watch is None:
        watch = _watches[id(premises.fleet)] = Watch(premises.workspace, premises.fleet, premises.seam)
        watch.start()
    watch.users += 1
    return watch


def leave_watch(premises: Premises) -> None:
    """Need it no longer."""
    watch = _watches.get(id(premises.fleet))
    if watch is not None:
        watch.users -= 1
        if watch.users == 0:
            del _watches[id(premises.fleet)]
            watch.close()
