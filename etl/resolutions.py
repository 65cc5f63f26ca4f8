"""Batches that deal with rows of the quarantine: which may be, and what becomes of one that cannot be carried out."""

from __future__ import annotations

from dataclasses import replace

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
from etl.sources.again import again_units

_NOT_OF_THE_ROWS = (TransientError, StorageError, CheckpointError, TableStateError, LeaseHeldError, FencedError)


def is_refused(plan: BatchPlan, cause: EtlError) -> bool:
    """Tell whether a batch fails because of the rows that it reads again, so that it would fail for ever."""
    return plan.resolution is not None and bool(plan.resolution["rows"]) and not isinstance(cause, _NOT_OF_THE_ROWS)


def refuse_replacing(flow: Flow, write_mode: str) -> None:
    """Refuse to send rows again through a pipeline of whose table a batch takes the place. Raises ConfigError.

    Not where state makes the whole result of them.
    """
    if write_mode == "replace_partitions":
        raise ConfigError(
            "these rows would take the place of their partitions: `write_mode: replace_partitions`",
            where=flow.name,
            hint="read their files again, or give the rows up: etl quarantine discard",
        )
    if write_mode == "overwrite" and not any(getattr(step, "is_stateful", False) for step in flow.transforms):
        raise ConfigError(
            "these rows would take the place of all others in the table: `write_mode: overwrite`",
            where=flow.name,
            hint="read their files again, or give the rows up: etl quarantine discard",
        )


def withdrawn(plan: BatchPlan, cause: EtlError) -> BatchPlan:
    """Return the plan of a batch that leaves the rows as they are, and says why. The pipeline can go on behind it."""
    empty = {name: replace(part, units=again_units()) for name, part in plan.inputs.items() if part.units}
    return replace(
        plan,
        inputs={**plan.inputs, **empty},
        resolution={**(plan.resolution or {}), "rows": [], "refused": str(cause)},
    )
