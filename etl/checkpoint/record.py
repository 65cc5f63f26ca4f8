"""One record: an envelope that names its pipeline, batch, epoch and attempt, a body, and a checksum over the bytes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from etl.errors import CheckpointError
from etl.model import Json

FORMAT_VERSION = 4
BESIDE_VERSION = 5
"""The version of the identity of a full refresh that builds its table beside the present one, and of it alone: a
release that does not know of this would take the table that is there for the new one."""
READABLE_VERSIONS = (1, 2, 3, 4, 5)
_RESTORE = "restore it from a copy of the checkpoint folder; nothing was changed"


@dataclass(frozen=True, slots=True)
class Record:
    """What a record says. ``batch_id`` is None for records that belong to no batch."""

    kind: str
    pipeline: str
    batch_id: int | None
    epoch: int
    attempt: str
    body: dict[str, Any]


def encode_record(record: Record, version: int = FORMAT_VERSION) -> bytes:
    """Return the bytes of a record: JSON with a line for each key, for people; the checksum last."""
    head: dict[str, Json] = {
        "version": version,
        "kind": record.kind,
        "pipeline": record.pipeline,
        "batch_id": record.batch_id,
        "epoch": record.epoch,
        "attempt": record.attempt,
    }
    body = ",\n  ".join(_lines(record.body))
    text = "{\n " + ",\n ".join([*_lines(head), f'"body": {{\n  {body}}}'])
    return f'{text},\n "checksum": "{_digest(text)}"}}\n'.encode()


def _lines(values: dict[str, Json]) -> list[str]:
    """Return ``"key": value`` for each key. One call a value: an indented dump would be ten times slower."""
    encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
    return [f"{encode(name)}: {encode(value)}" for name, value in values.items()]


def decode_record(content: bytes, *, kind: str, pipeline: str | None, where: str) -> Record:
    """Return the record in ``content``.

    ``pipeline`` None accepts any. Raises CheckpointError for a torn record, a wrong checksum, another
    kind, an unknown version or a foreign pipeline.
    """
    try:
        text = content.decode()
        envelope = json.loads(text)
        body, _, tail = text.rpartition(',\n "checksum": "')
        is_whole = tail == f'{_digest(body)}"}}\n'
    except ValueError:
        is_whole = False
    if not is_whole or not isinstance(envelope, dict):
        raise TornRecordError("torn or altered: its checksum does not hold", where=where, hint=_RESTORE)
    if envelope.get("version") not in READABLE_VERSIONS:
        known = ", ".join(map(str, READABLE_VERSIONS))
        raise CheckpointError(
            f"written by format version {envelope.get('version')}; this release reads {known}",
            where=where,
            hint="run a release that knows this format",
        )
    if envelope["kind"] != kind:
        raise CheckpointError(f"is a {envelope['kind']}, not a {kind}", where=where)
    if pipeline is not None and envelope["pipeline"] != pipeline:
        raise CheckpointError(
            f"belongs to another pipeline ({envelope['pipeline']}, not {pipeline})",
            where=where,
            hint="two pipelines share this checkpoint folder, or records were copied into it; give each its own",
        )
    return Record(
        kind, envelope["pipeline"], envelope["batch_id"], envelope["epoch"], envelope["attempt"], envelope["body"]
    )


class TornRecordError(CheckpointError):
    """A record whose bytes are not those that were written."""


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
