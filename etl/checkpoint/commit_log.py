"""The outcomes: which table version each batch became, with its counts and timings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from etl.checkpoint.batch_log import BatchLog
from etl.errors import RecordExistsError
from etl.model import BatchPlan, BatchResult, Json, Manifest, as_fields

_MAX_LISTED_UNITS = 100
_MAX_PINS_TEXT = 10_000
_AGAIN = "again"
BESIDE = "main:beside"
"""The role of the own table among those that an entry tells of while a full refresh builds it beside what readers see.

Its version is one of the log beside."""


@dataclass(frozen=True, slots=True)
class SideState:
    """A side table as a batch left it. ``open_rows`` is how many rejected rows wait, None where the table must tell."""

    table_id: str
    batch_id: int
    version: int
    open_rows: int | None = None


@dataclass(frozen=True, slots=True)
class CommitEntry:
    """An outcome and what the next start compares it with: the attempt that won, the identity of the table.

    ``sides`` are the tables of the pipeline by their role: which batch changed each last, and what it is now.
    """

    result: BatchResult
    attempt: str
    table_id: str
    committed_at: str
    definition: str
    sides: Mapping[str, SideState] = field(default_factory=dict)


def states_of(entry: CommitEntry, own: str) -> dict[str, SideState]:
    """Return the tables as an entry left them, by role; in format 1 the pipeline's ``own`` stands in the result."""
    version = entry.result.tables.get(own)
    if "main" in entry.sides or version is None:
        return dict(entry.sides)
    return {**entry.sides, "main": SideState(entry.table_id, entry.result.batch_id, version)}


class CommitLog:
    """The commit entries, ``commits/``."""

    def __init__(self, log: BatchLog) -> None:
        self.log = log

    def add(self, entry: CommitEntry, *, epoch: int) -> None:
        """Publish an entry. *Repeat*: safe; where another runner recorded the same batch, its entry stands."""
        sides = {role: as_fields(side) for role, side in entry.sides.items()}
        body = as_fields(entry) | {"result": as_fields(entry.result), "sides": sides}
        try:
            self.log.add(entry.result.batch_id, body, epoch=epoch, attempt=entry.attempt)
        except RecordExistsError:
            self.read(entry.result.batch_id)

    def read(self, batch_id: int) -> CommitEntry:
        """Return an entry. Raises FileNotFoundError, CheckpointError."""
        return entry_from_json(self.log.read(batch_id).body)


def entry_from_json(body: dict[str, Any]) -> CommitEntry:
    """Return the entry in the body of a record; format 1 has fewer keys."""
    sides = {role: SideState(**side) for role, side in body.get("sides", {}).items()}
    changes = tuple(body["result"].get("schema_changes", ()))
    result = BatchResult(**{**body["result"], "schema_changes": changes})
    return CommitEntry(**{**body, "result": result, "sides": sides})


def commit_info(name: str, identity: str, plan: BatchPlan, manifest: Manifest) -> dict[str, Json]:
    """Return what a batch writes into the table's own commit, all text: which offsets made which version."""
    offsets = {source: _brief(part.units, plan.batch_id) for source, part in plan.inputs.items()}
    return {
        "etl.pipeline": name,
        "etl.pipeline_id": identity,
        "etl.batch_id": str(plan.batch_id),
        "etl.attempt": manifest.attempt,
        "etl.offsets": json.dumps(offsets, ensure_ascii=False, separators=(",", ":")),
        "etl.rows": json.dumps(dict(manifest.rows), separators=(",", ":")),
        "etl.definition": plan.definition,
        **({"etl.pins": json.dumps(_brief_pins(plan), separators=(",", ":"))} if plan.pins else {}),
    }


def _brief_pins(plan: BatchPlan) -> Json:
    """Return the pins, or where they list many files their digest and the plan record that has them."""
    text = json.dumps(dict(plan.pins), ensure_ascii=False, sort_keys=True)
    if len(text) <= _MAX_PINS_TEXT:
        return dict(plan.pins)
    return {"digest": _digest(text), "plan": f"offsets/{plan.batch_id:010d}.json"}


def _brief(units: dict[str, Any], batch_id: int) -> Json:
    """Return the units, or where they are many their count, digest and the plan record that lists them."""
    again = units.get(_AGAIN)
    if isinstance(again, dict) and again.get("files") == "chosen":  # whole files, which the units list like any others
        units, again = {name: column for name, column in units.items() if name != _AGAIN}, None
    count = max((len(column) for column in units.values() if isinstance(column, list)), default=0)
    if isinstance(again, dict):  # what was kept of rows may be large, and is in the quarantine table already
        return {"again": len(again["form"]), "plan": f"offsets/{batch_id:010d}.json"}
    if count <= _MAX_LISTED_UNITS:
        return units
    text = json.dumps(units, ensure_ascii=False, sort_keys=True)
    return {"count": count, "digest": _digest(text), "plan": f"offsets/{batch_id:010d}.json"}


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
