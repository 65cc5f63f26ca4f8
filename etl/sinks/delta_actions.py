"""The actions of one Delta version: what a batch adds to a table's log.

*Source*: Delta protocol, "Actions".
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from etl.delta_types import merge_fields, to_delta_fields
from etl.errors import SinkError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from etl.model import Json, Manifest, StagedFile
    from etl.sinks.delta_log import Action, Head
    from etl.sinks.delta_reading import LiveFile

_PLAIN_PROTOCOL = {"minReaderVersion": 1, "minWriterVersion": 2}
_RAISABLE_WRITERS = (1, 2, 7)


SUPERSEDED = 2**53
"""The batch id that a full refresh leaves under the app id of a checkpoint that it replaced: above every batch."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The names of our transactions, and what a table is made with where there is none yet.

    ``replaces`` are the app ids that a refresh supersedes, ``role`` is the table's word in manifests.
    """

    app_id: str
    new_table_id: str
    partition_by: tuple[str, ...]
    claim: str = ""
    replaces: tuple[str, ...] = ()
    role: str = "main"


def append_actions(
    head: Head | None, manifest: Manifest, info: dict[str, Json], identity: Identity, now_ms: int
) -> list[Action]:
    """Return the actions of a batch's version: metadata where the schema grows, our transactions, the files.

    ``head`` is None for the first version. Raises SinkError where the table cannot take the manifest's schema.
    """
    before = head.fields if head else []
    revision = manifest.revisions.get(identity.role)
    wanted = to_delta_fields(dict(manifest.table_schemas[identity.role]))
    fields = merge_fields(before, wanted, may_widen=revision is not None)
    files = manifest.tables[identity.role]
    _refuse_nulls(fields, files)
    actions = [_commit_info(now_ms, info, files, is_append=revision is None)]
    protocol = _needed_protocol(head, fields)
    if protocol is not None:
        actions.append({"protocol": protocol})
    if head is None or fields != before:
        actions.append({"metaData": _metadata(head, fields, identity, now_ms)})
    actions += _transactions(identity, manifest.batch_id)
    if revision is not None:
        actions += remove_actions(revision.removes, now_ms, is_data_change=revision.is_data_change)
    has_changes = revision is None or revision.is_data_change
    return actions + [_add(file, now_ms, is_data_change=has_changes or not file.is_rewrite) for file in files]


def replace_actions(
    head: Head, manifest: Manifest, info: dict[str, Json], identity: Identity, now_ms: int
) -> list[Action]:
    """Return the actions of a version that has nothing of the one before but its name and settings.

    The caller adds those that take the old files out. The columns and the partitioning are those of the batch alone.
    """
    fields = to_delta_fields(dict(manifest.table_schemas[identity.role]))
    files = manifest.tables[identity.role]
    actions = [_commit_info(now_ms, info, files, mode="Overwrite", is_append=False)]
    protocol = _needed_protocol(head, fields)
    if protocol is not None:
        actions.append({"protocol": protocol})
    metadata = _metadata(head, fields, identity, now_ms) | {"partitionColumns": list(identity.partition_by)}
    actions.append({"metaData": metadata})
    actions += _transactions(identity, manifest.batch_id)
    return actions + [_add(file, now_ms) for file in files]


def remove_actions(paths: Sequence[str], now_ms: int, *, is_data_change: bool = True) -> list[Action]:
    """Return the actions that take data files out of a table; ``paths`` as the log writes them."""
    return [{"remove": {"path": path, "deletionTimestamp": now_ms, "dataChange": is_data_change}} for path in paths]


def compaction_actions(
    taken: Sequence[LiveFile], written: Sequence[StagedFile], now_ms: int, parameters: Mapping[str, str]
) -> list[Action]:
    """Return the actions of a version that holds the rows of ``taken`` in other files, which readers need not read."""
    info: dict[str, Json] = {"etl.rows": str(sum(file.rows for file in written))}
    actions = [_commit_info(now_ms, info, written, is_append=False)]
    actions[0]["commitInfo"] |= {
        "operation": "OPTIMIZE",
        "operationParameters": dict(parameters),
        "operationMetrics": {"numFilesAdded": str(len(written)), "numFilesRemoved": str(len(taken))},
    }
    actions += remove_actions([file["path"] for file in taken], now_ms, is_data_change=False)
    return actions + [_add(file, now_ms, is_data_change=False) for file in written]


def _transactions(identity: Identity, batch_id: int) -> list[Action]:
    """Return what the table remembers: our batch, the pipeline's newest, and that replaced checkpoints are over."""
    versions = {identity.app_id: batch_id}
    if identity.claim:
        versions[identity.claim] = batch_id
    versions |= dict.fromkeys(identity.replaces, SUPERSEDED)
    return [{"txn": {"appId": app_id, "version": version}} for app_id, version in versions.items()]


def _metadata(head: Head | None, fields: list[Action], identity: Identity, now_ms: int) -> Action:
    schema = json.dumps({"type": "struct", "fields": fields}, ensure_ascii=False, separators=(",", ":"))
    if head is not None:
        known = {name: value for name, value in head.metadata.items() if value is not None}
        return known | {"schemaString": schema}
    return {
        "id": identity.new_table_id,
        "format": {"provider": "parquet", "options": {}},
        "schemaString": schema,
        "partitionColumns": list(identity.partition_by),
        "configuration": {},
        "createdTime": now_ms,
    }


def _refuse_nulls(fields: list[Action], files: Sequence[StagedFile]) -> None:
    """Refuse nulls in columns that the table declares without. Raises SinkError."""
    for field in fields:
        if field["nullable"]:
            continue
        for file in files:
            nulls = dict(file.statistics.get("nullCount") or {})  # type: ignore[arg-type]
            nulls |= {name: value is None for name, value in file.partition_values.items()}
            if nulls.get(field["name"], file.rows):
                raise SinkError("the table forbids nulls in this column", where=field["name"])


def _needed_protocol(head: Head | None, fields: list[Action]) -> Action | None:
    """Return the protocol that the table must be raised to, None where it has it."""
    needs_ntz = any(_has_ntz(field["type"]) for field in fields)
    if head is None and not needs_ntz:
        return dict(_PLAIN_PROTOCOL)
    has: Action = head.protocol if head else dict(_PLAIN_PROTOCOL)
    if not needs_ntz or "timestampNtz" in (has.get("writerFeatures") or ()):
        return None
    if head is not None and has.get("minWriterVersion") not in _RAISABLE_WRITERS:
        raise SinkError(
            "the table's protocol cannot take timestamps without zone",
            hint="cast them to timestamp(UTC) in the pipeline",
        )
    writer = [*(has.get("writerFeatures") or (["appendOnly", "invariants"] if head else [])), "timestampNtz"]
    reader = [*(has.get("readerFeatures") or []), "timestampNtz"]
    return {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": reader, "writerFeatures": writer}


def _has_ntz(part: object) -> bool:
    """Tell whether a type, or one inside it, is a timestamp without zone."""
    if isinstance(part, dict):
        return any(_has_ntz(inner) for inner in (part.get("elementType"), *(f["type"] for f in part.get("fields", ()))))
    return part == "timestamp_ntz"


def _commit_info(
    now_ms: int, info: dict[str, Json], files: Sequence[StagedFile], mode: str = "Append", *, is_append: bool = True
) -> Action:
    return {
        "commitInfo": {
            "timestamp": now_ms,
            "operation": "WRITE",
            "operationParameters": {"mode": mode},
            "isBlindAppend": is_append,
            "engineInfo": "lakehouse-etl",
            "operationMetrics": {
                "numFiles": str(len(files)),
                "numOutputRows": str(sum(file.rows for file in files)),
                "numOutputBytes": str(sum(file.size_bytes for file in files)),
            },
            **info,
        }
    }


def _add(file: StagedFile, now_ms: int, *, is_data_change: bool = True) -> dict[str, Any]:
    return {
        "add": {
            "path": quote(file.path, safe="/=-_.~"),
            "partitionValues": dict(file.partition_values),
            "size": file.size_bytes,
            "modificationTime": now_ms,
            "dataChange": is_data_change,
            "stats": json.dumps(file.statistics, ensure_ascii=False, separators=(",", ":")),
        }
    }
