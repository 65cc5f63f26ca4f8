"""Batches that deal with rows of the quarantine: what becomes of one that cannot be carried out."""

from __future__ import annotations

from dataclasses import replace

from etl.errors import (
    CheckpointError,
    EtlError,
    FencedError,
    LeaseHeldError,
    StorageError,
    TableStateError,
    TransientError,
)
from etl.model import BatchPlan
from etl.sources.again import again_units

_NOT_OF_THE_ROWS = (TransientError, StorageError, CheckpointError, TableStateError, LeaseHeldError, FencedError)


def is_refused(plan: BatchPlan, cause: EtlError) -> bool:
    """Tell whether a batch fails because of the rows that it reads again, so that it would fail for ever."""
    return plan.resolution is not None and bool(plan.resolution["rows"]) and not isinstance(cause, _NOT_OF_THE_ROWS)


def withdrawn(plan: BatchPlan, cause: EtlError) -> BatchPlan:
    """Return the plan of a batch that leaves the rows as they are, and says why. The pipeline can go on behind it."""
    empty = {name: replace(part, units=again_units()) for name, part in plan.inputs.items() if part.units}
    return replace(
        plan,
        inputs={**plan.inputs, **empty},
        resolution={**(plan.resolution or {}), "rows": [], "refused": str(cause)},
    )
