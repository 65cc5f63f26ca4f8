"""The write-ahead log: what each batch is, fixed before a row is read."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from etl.checkpoint.batch_log import BatchLog
from etl.model import BatchPlan, PlannedInput, Span


class OffsetLog:
    """The plans, ``offsets/``. A plan whose input changed before it was staged is amended by a further revision."""

    def __init__(self, log: BatchLog) -> None:
        self.log = log

    def add(self, plan: BatchPlan, *, epoch: int, attempt: str, revision: int = 1, reason: str = "") -> None:
        """Fix a plan. ``reason`` says why a further revision replaces an earlier one."""
        body = plan_to_json(plan)
        self.log.add(
            plan.batch_id,
            body | ({"reason": reason} if reason else {}),
            epoch=epoch,
            attempt=attempt,
            revision=revision,
        )

    def read(self, batch_id: int, revision: int = 1) -> BatchPlan:
        """Return a plan. Raises FileNotFoundError, CheckpointError."""
        return plan_from_json(batch_id, self.log.read(batch_id, revision).body)


def plan_to_json(plan: BatchPlan) -> dict[str, Any]:
    """Return the body of a plan record."""
    resolution = {} if plan.resolution is None else {"resolution": dict(plan.resolution)}
    return {
        "batch_at": plan.batch_at.isoformat(),
        "definition": plan.definition,
        "watermark": plan.watermark,
        **resolution,
        **({"clocks": dict(plan.clocks)} if plan.clocks else {}),
        **({"pins": dict(plan.pins)} if plan.pins else {}),
        **({"ends_refresh": True} if plan.ends_refresh else {}),
        "inputs": {
            name: {
                "start": planned.span.start,
                "end": planned.span.end,
                "files": planned.files,
                "size_bytes": planned.size_bytes,
                "schema": plan.schemas.get(name),
                "wide": plan.wide.get(name, []),
                "units": planned.units,
                **({"replaces": list(planned.replaces)} if planned.replaces else {}),
                **({} if planned.previous is None else {"previous": planned.previous}),
                **({"retired": True} if planned.is_retired else {}),
            }
            for name, planned in plan.inputs.items()
        },
    }


def plan_from_json(batch_id: int, body: dict[str, Any]) -> BatchPlan:
    """Return the plan in the body of a record; format 1 has fewer keys."""
    inputs = body["inputs"]
    return BatchPlan(
        batch_id=batch_id,
        batch_at=datetime.fromisoformat(body["batch_at"]),
        inputs={
            name: PlannedInput(
                Span(part["start"], part["end"]),
                part["units"],
                part["files"],
                part["size_bytes"],
                tuple(part.get("replaces", ())),
                part.get("previous"),
                part.get("retired", False),
            )
            for name, part in inputs.items()
        },
        schemas={name: part["schema"] for name, part in inputs.items()},
        definition=body["definition"],
        watermark=body["watermark"],
        wide={name: part.get("wide", []) for name, part in inputs.items()},
        resolution=body.get("resolution"),
        clocks=body.get("clocks", {}),
        pins=body.get("pins", {}),
        ends_refresh=body.get("ends_refresh", False),
    )
