"""Batches that read again, rows of the quarantine or files: which may be, and what becomes of one that cannot be."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from etl.chains import clock_rules, stateful_steps
from etl.errors import (
    CheckpointError,
    ConfigError,
    EtlError,
    FencedError,
    LeaseHeldError,
    StorageError,
    TableStateError,
    TransientError,
)
from etl.flow import Flow
from etl.model import BatchPlan
from etl.sinks.contract import Sink
from etl.sources.again import again_units

_NOT_OF_THE_ROWS = (TransientError, StorageError, CheckpointError, TableStateError, LeaseHeldError, FencedError)


def is_refused(plan: BatchPlan, cause: EtlError) -> bool:
    """Tell whether a batch fails because of the rows that it reads again, so that it would fail for ever."""
    resolution = plan.resolution or {}
    return bool(resolution.get("rows") or resolution.get("files")) and not isinstance(cause, _NOT_OF_THE_ROWS)


def refuse_backfill(flow: Flow, modes: Mapping[str, tuple[str, bool]]) -> None:
    """Refuse to read files again where what they had given before cannot be taken back exactly. Raises ConfigError.

    ``modes`` are the write mode of each sink, by role, and whether its rows say where they come from.
    """
    if remembering := [
        *stateful_steps(flow),
        *(f"watermark of {chain or 'the pipeline'}" for chain in clock_rules(flow)),
    ]:
        raise ConfigError(
            f"{', '.join(remembering)} remembers what came before, which cannot be taken back file by file",
            where=flow.name,
            hint=f"build the table anew: etl run {flow.name} --full-refresh, or go back: etl rewind {flow.name}",
        )
    if others := [sink.table for sink in flow.sinks.values() if not _takes_out(sink)]:
        raise ConfigError(
            "rows of single files cannot be taken out of it again",
            where=others[0],
            hint=f"build it anew: etl run {flow.name} --full-refresh",
        )
    hint = f"build the table anew: etl run {flow.name} --full-refresh"
    for role, (write_mode, has_provenance) in modes.items():
        sink = flow.sinks[role]
        why = _why_not_by_file(sink, write_mode, has_provenance=has_provenance)
        if why:
            raise ConfigError(why, where=sink.table, hint=hint)
    if len({mode for mode, _ in modes.values()}) > 1:
        told = "its sinks find rows in different ways: some by their file, others by key"
        raise ConfigError(told, where=flow.name, hint=hint)


def _takes_out(sink: Sink) -> bool:
    return hasattr(sink, "past") and not getattr(sink, "is_append_only", False)


def _why_not_by_file(sink: Sink, write_mode: str, *, has_provenance: bool) -> str:
    if write_mode == "append":
        return "" if has_provenance else "`provenance: false`: the table does not say which file a row came from"
    if write_mode == "merge":
        is_ordered = getattr(sink, "memory", None) is not None
        told = "without sequence_by the last row to arrive counts: older files would take the place of newer rows"
        return "" if is_ordered else f"`write_mode: merge` {told}"
    return {
        "insert_only": "`write_mode: insert_only` keeps the first row of each key, whatever the files hold now",
        "scd2": "`write_mode: scd2` has made versions of the rows, which cannot be taken back file by file",
        "replace_partitions": "the files would take the place of their partitions: `write_mode: replace_partitions`",
        "overwrite": "the files would take the place of all rows: `write_mode: overwrite`",
    }.get(write_mode, f"`write_mode: {write_mode}` cannot take back the rows of single files")


def refuse_replacing(flow: Flow, write_modes: Collection[str]) -> None:
    """Refuse to send rows again through a pipeline where a batch takes the place of a table. Raises ConfigError.

    Not where state makes the whole result of them.
    """
    if "replace_partitions" in write_modes:
        raise ConfigError(
            "these rows would take the place of their partitions: `write_mode: replace_partitions`",
            where=flow.name,
            hint="read their files again, or give the rows up: etl quarantine discard",
        )
    if "overwrite" in write_modes and not any(getattr(step, "is_stateful", False) for step in flow.transforms):
        raise ConfigError(
            "these rows would take the place of all others in the table: `write_mode: overwrite`",
            where=flow.name,
            hint="read their files again, or give the rows up: etl quarantine discard",
        )


def withdrawn(plan: BatchPlan, cause: EtlError) -> BatchPlan:
    """Return the plan of a batch that leaves the rows as they are, and says why. The pipeline can go on behind it."""
    empty = {
        name: replace(part, units=again_units(), files=0, size_bytes=0, replaces=())
        for name, part in plan.inputs.items()
        if part.units
    }
    none: dict[str, Any] = {"rows": [], **({"files": 0} if plan.is_backfill else {})}
    return replace(
        plan,
        inputs={**plan.inputs, **empty},
        resolution={**(plan.resolution or {}), **none, "refused": str(cause)},
    )
