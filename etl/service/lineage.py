"""Sending OpenLineage events of every batch, to where the client's own environment variables say."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from etl.config.wiring import wire
from etl.errors import EtlError
from etl.operations.lineage import lineage_of
from etl.operations.workspace import Workspace
from etl.secrets import register_environment, scrubbed
from etl.service.lineage_events import PRODUCER, Facts, events_of
from etl.service.outbox import Outbox
from etl.service.quiet import quieted
from etl.service.watch import join_watch, leave_watch

if TYPE_CHECKING:
    from etl.config.specification import PipelineSpec
    from etl.operations.lineage import Lineage
    from etl.service.attendants import Premises
    from etl.service.contract import Happening


def is_wanted(environment: Mapping[str, str]) -> bool:
    """Tell whether the variables of the OpenLineage client say where events go."""
    if environment.get("OPENLINEAGE_DISABLED", "").strip().lower() == "true":
        return False
    named = ("OPENLINEAGE_URL", "OPENLINEAGE_CONFIG")
    return any(
        value and (name in named or name.startswith("OPENLINEAGE__TRANSPORT")) for name, value in environment.items()
    )


class LineageTelling:
    """The attendant that sends events, in order, as often as it takes."""

    def __init__(self, premises: Premises, client: Any, namespace: str) -> None:  # noqa: ANN401  a library imported late
        self._premises, self._client, self._namespace = premises, client, namespace
        self._facts: dict[str, Facts] = {}
        self._lock = threading.Lock()
        self._outbox: Outbox[Happening] = Outbox("lineage", self._send, premises.seam, premises.tell, bound=1000)
        self._watch = join_watch(premises)
        self._watch.outboxes.append(self._outbox.traffic)
        self._outbox.start()
        self._leave = premises.fleet.listen(self.hear)

    def hear(self, happening: Happening) -> None:
        """Have a batch told, or a run that failed."""
        result = happening.result
        if happening.kind in ("taken", "removed") or (result is not None and result.schema_changes):
            with self._lock:
                self._facts.pop(happening.pipeline, None)
        if result is not None or happening.kind == "failed":
            self._outbox.put(happening)

    def close(self) -> None:
        """End it. *Repeat*: safe."""
        self._leave()
        self._outbox.close()
        leave_watch(self._premises)

    def _send(self, happening: Happening) -> None:
        for event in events_of(happening, self._known(happening.pipeline)):
            self._client.emit(event)

    def _known(self, name: str) -> Facts:
        with self._lock:
            known = self._facts.get(name)
        if known is not None:
            return known
        found = self._looked_up(name)
        if found.lineage is not None:
            with self._lock:
                self._facts[name] = found
        return found

    def _looked_up(self, name: str) -> Facts:
        """Return what the files and the checkpoint say now; nothing where they cannot be read."""
        place = self._premises.workspace
        try:
            (spec,) = Workspace(place.folder, place.profile).specs([name])
        except EtlError:
            return Facts(self._namespace, name, "", {}, {}, None)
        tables = dict(spec.tables.values())
        reads = {source.name: source.reads for source in spec.sources}
        return Facts(self._namespace, name, spec.description, reads, tables, self._lineage(spec))

    def _lineage(self, spec: PipelineSpec) -> Lineage | None:
        premises = self._premises
        try:
            return lineage_of(wire(spec, premises.workspace.project, premises.seam), premises.seam)
        except EtlError:
            return None


def start(premises: Premises) -> LineageTelling | None:
    """Begin to send; nothing where no variable says where to."""
    if not is_wanted(os.environ):
        return None
    from openlineage.client import OpenLineageClient
    from openlineage.client.facet_v2 import set_producer

    set_producer(PRODUCER)
    register_environment(os.environ)
    quieted("openlineage")
    quieted("urllib3")
    namespace = os.environ.get("OPENLINEAGE_NAMESPACE") or premises.workspace.project.folder.name
    return LineageTelling(premises, OpenLineageClient(), scrubbed(namespace))
