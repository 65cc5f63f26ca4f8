"""What the commits of a table keep of the checkpoint: enough to make its records again where they are lost."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etl.checkpoint.manifest_log import manifest_from_json, manifest_to_json
from etl.checkpoint.offset_log import plan_from_json, plan_to_json
from etl.errors import CheckpointError

if TYPE_CHECKING:
    from etl.checkpoint.folder import Checkpoint
    from etl.model import BatchPlan, Json, Manifest

_KEY = "etl.records"
_MAX_TEXT = 4_000_000
_MAX_BATCHES = 100
_LEVEL = 3


@dataclass(frozen=True, slots=True)
class KeptBatch:
    """A batch as a table's commit keeps it: its plan and the manifest that decided."""

    plan: BatchPlan
    manifest: Manifest


class TableRecords:
    """What the commits of one pipeline keep: each its own batch, and those since the last that changed no table."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self._unseen: list[KeptBatch] = []
        self._next = -1

    def told(self, plan: BatchPlan, manifest: Manifest) -> dict[str, Json]:
        """Return what a batch writes into the commits of its tables; nothing where that is too much for a log."""
        if self._next != plan.batch_id:
            self._unseen = self._read_unseen(plan.batch_id)
        batches = [
            {
                "batch": each.plan.batch_id,
                "attempt": each.manifest.attempt,
                "plan": plan_to_json(each.plan),
                "manifest": manifest_to_json(each.manifest),
            }
            for each in (*self._unseen, KeptBatch(plan, manifest))
        ]
        text = json.dumps(batches, ensure_ascii=False, separators=(",", ":"))
        packed = base64.b64encode(zlib.compress(text.encode(), _LEVEL)).decode()
        return {_KEY: packed} if len(packed) <= _MAX_TEXT else {}

    def settle(self, plan: BatchPlan, manifest: Manifest, *, is_seen: bool) -> None:
        """Take note of a batch that is committed, and of whether a table has it."""
        if is_seen:
            self._unseen = []
        elif self._next == plan.batch_id:
            self._unseen = [*self._unseen, KeptBatch(plan, manifest)][-_MAX_BATCHES:]
        else:
            return
        self._next = plan.batch_id + 1

    def _read_unseen(self, before: int) -> list[KeptBatch]:
        """Return the batches right before one that changed no table, oldest first; the newest hundred of them."""
        logs = self._checkpoint
        plans, manifests = logs.plans.log.revisions(), logs.manifests.log.revisions()
        found: list[KeptBatch] = []
        for batch in range(before - 1, max(-1, before - 1 - _MAX_BATCHES), -1):
            if batch not in plans or batch not in manifests or logs.commits.read(batch).result.tables:
                break
            plan, manifest = logs.plans.read(batch, plans[batch]), logs.manifests.read(batch, manifests[batch])
            found.insert(0, KeptBatch(plan, manifest))
        return found


def kept_batches(info: Mapping[str, Any], *, where: str) -> list[KeptBatch]:
    """Return the batches that a commit keeps, oldest first; none for one that keeps none. Raises CheckpointError."""
    packed = info.get(_KEY)
    if packed is None:
        return []
    try:
        batches = json.loads(zlib.decompress(base64.b64decode(packed, validate=True)))
        return [
            KeptBatch(
                plan_from_json(each["batch"], each["plan"]),
                manifest_from_json(each["batch"], each["attempt"], each["manifest"]),
            )
            for each in batches
        ]
    except (ValueError, TypeError, KeyError, AttributeError, zlib.error) as exc:
        raise CheckpointError(f"what the commit keeps of the checkpoint cannot be read: {exc}", where=where) from exc
