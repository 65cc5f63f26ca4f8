"""Sinks whose server does not answer, taken to stand where the checkpoint says: for looking, never for writing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from etl.errors import SinkError

if TYPE_CHECKING:
    from etl.flow import Flow
    from etl.sinks.contract import Sink


class Unreached:
    """A sink of which only what needs no answer is asked."""

    is_to_be_replaced = False

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def last_batch_id(self, expected: tuple[int, int] | None = None) -> int | None:
        """Return the batch that the newest commit entry says, None where it says none."""
        return None if expected is None else expected[0]

    def claimed_batch_id(self) -> int | None:
        """Return None: nobody can tell."""
        return None

    def table_id(self) -> str:
        """Return what names no table: nobody can tell."""
        return ""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  whatever the sink has
        """Return anything else as the sink has it."""
        return getattr(self._sink, name)


def with_reached(flow: Flow) -> tuple[Flow, tuple[str, ...]]:
    """Return a flow, its sinks bound, without those that cannot be asked, and which these are and why."""
    notes: list[str] = []

    def asked(sink: Sink) -> Sink:
        if getattr(sink, "past", None) is not None:  # a table of files: where it cannot be read, there is no looking
            return sink
        try:
            if sink.last_batch_id() is None:
                sink.claimed_batch_id()
        except SinkError as exc:
            notes.append(f"{sink.table} does not answer, taken to be where the checkpoint says: {exc.message}")
            return cast("Sink", Unreached(sink))
        return sink

    further = tuple(replace(outlet, sink=asked(outlet.sink)) for outlet in flow.further)
    return replace(flow, sink=asked(flow.sink), further=further), tuple(notes)
