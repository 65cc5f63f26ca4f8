"""What the page knows of pipelines: the checkpoints' newest records, and lags that are asked for in the background."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING

from etl.config.wiring import wire
from etl.errors import ConfigError, EtlError
from etl.operations.declared import Declared, DeclaredWorkspace
from etl.operations.failures import read_failure
from etl.operations.graph import graph_of
from etl.operations.looking import Onlooker
from etl.operations.recent import Position, Recent, position_of
from etl.operations.status import status_of
from etl.service.web.charts import spark

if TYPE_CHECKING:
    from collections.abc import Mapping

    from etl.checkpoint.commit_log import CommitEntry
    from etl.config.specification import PipelineSpec
    from etl.operations.failures import Failure
    from etl.operations.graph import Graph, Layout
    from etl.operations.status import Status
    from etl.operations.workspace import Workspace
    from etl.seam import Seam
    from etl.service.contract import Fleet, Served
    from etl.service.web.streams import Streams

SPARK_BATCHES = 40
LAG_KEPT_S = 15.0
_WATCHED_S = 30.0
_LOOK_S = 0.5


@dataclass(frozen=True, slots=True)
class Glance:
    """A pipeline in the list of all: what the service says of it, its newest batch, and how far it is behind.

    ``status`` is None until the source was asked the first time, and where that failed: ``unasked`` tells why.
    """

    served: Served
    spec: PipelineSpec | None
    newest: CommitEntry | None
    spark: str
    failure: Failure | None
    status: Status | None
    trouble: str = ""
    unasked: str = ""

    @property
    def table(self) -> str:
        """The table that it writes."""
        return "" if self.spec is None else self.spec.sink.table

    @property
    def open_rows(self) -> int:
        """How many rejected rows wait."""
        side = None if self.newest is None else self.newest.sides.get("quarantine")
        return 0 if side is None else side.open_rows or 0


@dataclass(frozen=True, slots=True)
class Asked:
    """What the source of a pipeline said of what waits, when, and where the pipeline stood; or why it said nothing."""

    at_s: float
    position: Position | None
    status: Status | None
    trouble: str = ""

    @property
    def told(self) -> tuple[object, ...]:
        """What a page shows of it."""
        status = self.status
        if status is None:
            return (self.trouble,)
        return status.lag_files, status.lag_bytes, status.lag_versions, status.note, status.state


@dataclass(frozen=True, slots=True)
class Drawn:
    """A graph, its drawing, and what it was made of."""

    specs: tuple[PipelineSpec, ...]
    graph: Graph
    layout: Layout


class Reading:
    """The read model of the page. Every method may be called from any thread."""

    def __init__(self, workspace: Workspace, fleet: Fleet, seam: Seam, streams: Streams) -> None:
        self._workspace = workspace
        self._fleet = fleet
        self._seam = seam
        self._streams = streams
        self._declared = Declared(workspace)
        self._lock = Lock()
        self._recent: dict[str, Recent] = {}
        self._sparks: dict[str, tuple[Position, str]] = {}
        self._lags: dict[str, Asked] = {}
        self._positions: dict[str, Position | None] = {}
        self._drawn: Drawn | None = None
        self._asked_at = float("-inf")
        self._is_closed = Event()

    def start(self) -> None:
        """Begin to look for what changes, while somebody watches."""
        Thread(target=self._watch, name="etl-page-watch", daemon=True).start()

    def close(self) -> None:
        """End that."""
        self._is_closed.set()

    def glances(self) -> list[Glance]:
        """Return every pipeline of the service."""
        self._asked_at = self._seam.monotonic()
        specs = self._specs()
        return [self._glance(served, specs) for served in self._fleet.served()]

    def glance(self, name: str) -> Glance:
        """Return one. Raises ConfigError for a name that is not served."""
        self._asked_at = self._seam.monotonic()
        return self._glance(self._fleet.find(name), self._specs())

    def recent(self, name: str) -> Recent:
        """Return the newest batches of a pipeline that is served."""
        with self._lock:
            if name not in self._recent:
                self._recent[name] = Recent(self._workspace.project, name, Onlooker())
            return self._recent[name]

    def specs(self) -> Mapping[str, PipelineSpec]:
        """Return what the files of the pipelines declare, by name."""
        return self._specs()

    def workspace(self) -> Workspace:
        """Return the project for looking: its files are not read again for every question."""
        self._specs()
        return DeclaredWorkspace(self._workspace.folder, self._workspace.profile, self._declared)

    def graph(self) -> Drawn:
        """Return the graph of the pipelines, drawn anew only where their files were read again."""
        specs = tuple(self._specs().values())
        if self._drawn is None or self._drawn.specs != specs:
            graph = graph_of(specs, self._workspace.project)
            self._drawn = Drawn(specs, graph, graph.layout())
        return self._drawn

    def spec(self, name: str) -> PipelineSpec:
        """Return one. Raises ConfigError where its file is faulty."""
        found = self._specs().get(name)
        if found is None:
            raise ConfigError("its file is faulty: etl validate tells what is wrong", where=name)
        return found

    def _specs(self) -> Mapping[str, PipelineSpec]:
        return self._declared.specs([served.name for served in self._fleet.served() if served.phase != "faulty"])

    def _glance(self, served: Served, specs: Mapping[str, PipelineSpec]) -> Glance:
        recent = self.recent(served.name)
        spec = specs.get(served.name)
        kept = self._lags.get(served.name)
        status, unasked = (None, "") if kept is None else (kept.status, kept.trouble)
        failure = read_failure(recent.folder)
        try:
            entries = recent.entries(1)
            drawn = self._spark(served.name, recent)
        except (EtlError, OSError) as exc:
            return Glance(served, spec, None, "", failure, status, str(exc), unasked)
        return Glance(served, spec, entries[0] if entries else None, drawn, failure, status, "", unasked)

    def _spark(self, name: str, recent: Recent) -> str:
        position = recent.position()
        kept = self._sparks.get(name)
        if kept is not None and kept[0] == position:
            return kept[1]
        entries = recent.entries(SPARK_BATCHES)
        drawn = spark([entry.result.rows.get("read", 0) for entry in entries[::-1]], SPARK_BATCHES)
        self._sparks[name] = (position, drawn)
        return drawn

    def _watch(self) -> None:
        """Look, twice a second while pages are open, for batches that others committed, and ask for old lags."""
        is_warm = False
        while not self._is_closed.wait(_LOOK_S):
            is_watched = self._streams.count or self._seam.monotonic() - self._asked_at < _WATCHED_S
            try:
                is_warm = is_warm or self._warm()
                if is_watched:
                    self._look()
            except Exception:  # noqa: BLE001, S112  a page that shows old lags is better than none
                continue

    def _warm(self) -> bool:
        """Read the newest batches once, so that nobody waits for them later; tell whether there was a pipeline."""
        served = self._fleet.served()
        specs = self._specs()
        for each in served:
            self._glance(each, specs)
        return bool(served)

    def _look(self) -> None:
        specs = self._specs()
        for name in [served.name for served in self._fleet.served()]:
            position = position_of(self.recent(name))
            is_moved = self._positions.get(name) != position
            if is_moved and name in self._positions:
                self._streams.tell(name, "moved")
            self._positions[name] = position
            if name in specs and self._is_old(name, position):
                self._ask(specs[name], position)
            if self._is_closed.is_set():
                return

    def _is_old(self, name: str, position: Position | None) -> bool:
        kept = self._lags.get(name)
        if kept is None:
            return True
        age_s = self._seam.monotonic() - kept.at_s
        return age_s > LAG_KEPT_S or (kept.position != position and age_s > 1)

    def _ask(self, spec: PipelineSpec, position: Position | None) -> None:
        """Ask the source of a pipeline how much waits. That may take its time, which no page waits for."""
        seam = Onlooker()
        before = self._lags.get(spec.name)
        status, trouble = None, ""
        try:
            status = status_of(wire(spec, self._workspace.project, seam), seam)
        except (EtlError, OSError) as exc:
            trouble = str(exc)
        now = Asked(self._seam.monotonic(), position, status, trouble)
        self._lags[spec.name] = now
        if before is None or before.told != now.told:
            self._streams.tell(spec.name, "lag")
