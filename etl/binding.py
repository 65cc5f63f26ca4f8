"""What the tables of a pipeline are told of the checkpoint whose batches they take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.checkpoint.commit_log import states_of
from etl.checkpoint.record import TornRecordError

if TYPE_CHECKING:
    from collections.abc import Callable

    from etl.checkpoint.folder import Checkpoint
    from etl.flow import Flow
    from etl.sinks.contract import Sink


def bind_sinks(checkpoint: Checkpoint, flow: Flow) -> None:
    """Tell every sink under which names its table remembers the batches of a checkpoint.

    And the own one where they go while a full refresh is under way.
    """
    for role, sink in flow.sinks.items():
        replaces = None if checkpoint.replaces is None else [f"{each}/{role}" for each in checkpoint.replaces]
        sink.bind(f"{checkpoint.identity}/{role}", claim_of(flow, role), replaces)
    build: Callable[[], None] | None = getattr(flow.sink, "build_beside", None)
    if build is not None and checkpoint.is_beside and not _has_arrived(checkpoint, flow):
        build()


def _has_arrived(checkpoint: Checkpoint, flow: Flow) -> bool:
    """Tell whether the newest commit entry knows a version of the own table; where it does not, the table may."""
    newest = max(checkpoint.commits.log.revisions(), default=-1)
    try:
        return newest >= 0 and "main" in states_of(checkpoint.commits.read(newest), flow.sink.table)
    except TornRecordError:
        return False


def claim_of(flow: Flow, role: str) -> str:
    """Return the name under which a table remembers batches of any checkpoint of the pipeline."""
    return flow.name if role == "main" else f"{flow.name}/{role}"


def clear_refreshes(flow: Flow) -> None:
    """Remove what full refreshes that are over leave beside the own table. By the holder of the lease."""
    clear: Callable[[], None] | None = getattr(flow.sink, "clear", None)
    if clear is not None:
        clear()


def is_beside(sink: Sink) -> bool:
    """Tell whether the next batch goes beside the table that readers see. Raises TableStateError."""
    return bool(getattr(sink, "is_beside", False))


def has_built_beside(sink: Sink) -> bool:
    """Tell whether there is something beside the table that readers see."""
    return is_beside(sink) and sink.table_id() is not None
