"""A folder of immutable records, one per batch: the shape that plans, manifests and commit entries share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from etl.checkpoint.record import Record, TornRecordError, decode_record, encode_record
from etl.errors import CheckpointError
from etl.seam import Seam
from etl.storage import Storage, put_if_absent

_NAME = re.compile(r"(\d{10})(?:\.(\d+))?\.json")


class BatchLog:
    """Records ``<batch id>.json``, and ``<batch id>.<n>.json`` where revision n replaces an earlier one.

    ``effect`` names its writes at the seam; ``kind`` stands in each record.
    """

    def __init__(self, storage: Storage, kind: str, pipeline: str, seam: Seam) -> None:
        self._storage = storage
        self.kind = kind
        self._pipeline = pipeline
        self._seam = seam

    def revisions(self) -> dict[int, int]:
        """Return the newest revision of each batch id, in ascending order; 1 is the first.

        Raises CheckpointError where a batch id is missing between the first and the last.
        """
        found: dict[int, int] = {}
        for name in self._storage.list():
            if parts := _NAME.fullmatch(name):
                batch_id, revision = int(parts[1]), int(parts[2] or 1)
                found[batch_id] = max(revision, found.get(batch_id, 0))
        self._refuse_gap(sorted(found))
        return dict(sorted(found.items()))

    def _refuse_gap(self, ids: Sequence[int]) -> None:
        for before, after in pairwise(ids):
            if after != before + 1:
                raise CheckpointError(
                    f"{self.kind} of batch {before + 1} is missing, but there is one of batch {after}",
                    where=self._storage.url,
                    hint=f"restore {_name(before + 1, 1)} from a backup",
                )

    def has(self, batch_id: int) -> bool:
        """Tell whether there is a record of a batch, whole or not: one small request."""
        return self._storage.size(_name(batch_id, 1)) is not None

    def read(self, batch_id: int, revision: int = 1) -> Record:
        """Return a record. Raises FileNotFoundError, TornRecordError, CheckpointError."""
        name = _name(batch_id, revision)
        where = f"{self._storage.url}/{name}"
        record = decode_record(self._storage.read(name), kind=self.kind, pipeline=self._pipeline, where=where)
        if record.batch_id != batch_id:
            raise CheckpointError(f"says that it is of batch {record.batch_id}", where=where)
        return record

    def add(self, batch_id: int, body: dict[str, Any], *, epoch: int, attempt: str, revision: int = 1) -> None:
        """Publish a record. *Repeat*: safe with the same attempt. Raises RecordExistsError."""
        record = Record(self.kind, self._pipeline, batch_id, epoch, attempt, body)
        content = encode_record(record)
        put_if_absent(self._storage, _name(batch_id, revision), content, effect=f"{self.kind}.put", seam=self._seam)

    def set_aside(self, batch_id: int, revision: int = 1) -> None:
        """Rename a torn record to ``….corrupt`` so that its batch can be written anew. *Repeat*: safe."""
        name = _name(batch_id, revision)
        content = self._storage.read(name)
        self._storage.replace(f"{name}.corrupt", content, effect=f"{self.kind}.set_aside")
        self._storage.remove(name, effect=f"{self.kind}.set_aside.remove")

    def newest_revision(self, batch_id: int) -> int:
        """Return the newest revision of a batch that has one; nothing is listed."""
        revision = 1
        while self._storage.size(_name(batch_id, revision + 1)) is not None:
            revision += 1
        return revision

    def is_torn(self, batch_id: int, revision: int) -> bool:
        """Tell whether a record fails its checksum."""
        try:
            self.read(batch_id, revision)
        except TornRecordError:
            return True
        return False


def _name(batch_id: int, revision: int) -> str:
    return f"{batch_id:010d}.json" if revision == 1 else f"{batch_id:010d}.{revision}.json"
