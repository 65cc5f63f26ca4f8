"""What the stateful transforms and the sink of a runner remember: opened for a batch, staged with it, then swept."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from etl.chains import stateful_steps
from etl.errors import TableStateError
from etl.flow_schema import FlowColumns

if TYPE_CHECKING:
    from etl.flow import Flow
    from etl.model import Schema, StateRef
    from etl.seam import Seam
    from etl.sinks.contract import SinkMemory
    from etl.state.contract import State, StateChange, TableLayout
    from etl.state.store import OpenState, StateStore
    from etl.storage import Storage
    from etl.transforms.contract import Stateful


class States:
    """The states of a pipeline, one store each under the checkpoint's folder ``state/<name>``.

    ``names`` are those of ``state_names``. ``refs`` are those after the newest committed batch, by name. The states
    after the last ``kept_batches`` can still be read.
    """

    kept_batches = 20

    def __init__(self, names: Sequence[str], storage: Storage, seam: Seam, memory_bytes: int) -> None:
        self._stores = _stores(names, storage, seam, memory_bytes)
        self.names = tuple(names)
        self._where = storage.url
        self._opened: dict[str, OpenState] = {}
        self.refs: Mapping[str, StateRef] = {}
        self._kept: deque[Mapping[str, StateRef]] = deque(maxlen=self.kept_batches)

    def stand_at(self, refs: Mapping[str, StateRef]) -> None:
        """Take what a committed batch left, newer than any before.

        Raises TableStateError for the state of a transform that is gone.
        """
        gone = [name for name in refs if name not in self._stores]
        if gone:
            raise TableStateError(
                "definition_changed",
                f"there is state of transforms that the pipeline no longer has: {', '.join(gone)}",
                where=self._where,
                hint="put the transform back, or build the table anew: etl run --full-refresh",
            )
        self.refs = dict(refs)
        self._kept.append(self.refs)
        self._opened.clear()

    def opened(self, name: str, step: Stateful | SinkMemory, layouts: Mapping[str, TableLayout]) -> State:
        """Return the state of a transform, or of the sink, as it was before the batch. Raises StateError."""
        found = self._stores[name].open(self.refs.get(name), layouts, step.fingerprint())
        self._opened[name] = found
        return found.tables

    def check(self, flow: Flow, schemas: Mapping[str, Schema]) -> None:
        """Try the transforms on empty frames, the sinks, and open every state as the next batch would.

        Nothing while columns of a source are not known. Raises ConfigError, SinkError, and StateError for the state of
        other transforms.
        """
        if not all(schemas.values()):
            return
        columns = FlowColumns(flow, schemas)
        for outlet in flow.outlets:
            outlet.prepare(columns.result())
        for name, step in stateful_steps(flow).items():
            self.opened(name, step, step.layouts(*columns.inputs_of(step)))

    def stage(
        self, batch_id: int, attempt: str, changes: Mapping[str, Mapping[str, StateChange]]
    ) -> dict[str, StateRef]:
        """Write what a batch changes, durably and unreferenced; return where each state stands after it."""
        staged = {
            name: self._stores[name].stage(batch_id, attempt, self._opened[name], changed)
            for name, changed in changes.items()
        }
        return {**self.refs, **staged}

    def discard(self, batch_id: int, keep_attempt: str) -> None:
        """Remove what other attempts at a batch left."""
        for store in self._stores.values():
            store.discard(batch_id, keep_attempt)

    def collect(self) -> None:
        """Remove the files that no kept batch needs. Losing it loses nothing."""
        for name, store in self._stores.items():
            kept = [refs[name] for refs in self._kept if name in refs]
            if kept:
                store.collect(kept)


def _stores(names: Sequence[str], storage: Storage, seam: Seam, memory_bytes: int) -> dict[str, StateStore]:
    """Return a store for each name, with half of the memory shared among them."""
    if not names:
        return {}
    from etl.state.store import StateStore

    share = memory_bytes // (2 * len(names))
    return {name: StateStore(storage.at(name), seam, share) for name in names}
