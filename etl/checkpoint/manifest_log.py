"""The staged results: whose result each batch is. One manifest per batch decides; only its files are referenced."""

from __future__ import annotations

from typing import Any

from etl.checkpoint.batch_log import BatchLog
from etl.errors import RecordExistsError
from etl.model import Manifest, Revision, SchemaChange, StagedFile, StateRef, as_fields, change_to_json


class ManifestLog:
    """The manifests, ``manifests/``."""

    def __init__(self, log: BatchLog) -> None:
        self.log = log

    def add(self, manifest: Manifest, *, epoch: int, revision: int = 1, reason: str = "") -> Manifest:
        """Publish a manifest and return the one that decides: ours, or the winner's where another runner was first.

        ``reason`` says why a further revision replaces a lost one.
        """
        body = manifest_to_json(manifest) | ({"reason": reason} if reason else {})
        try:
            self.log.add(manifest.batch_id, body, epoch=epoch, attempt=manifest.attempt, revision=revision)
        except RecordExistsError:
            return self.read(manifest.batch_id, revision)
        return manifest

    def read(self, batch_id: int, revision: int = 1) -> Manifest:
        """Return a manifest. Raises FileNotFoundError, CheckpointError."""
        record = self.log.read(batch_id, revision)
        return manifest_from_json(batch_id, record.attempt, record.body)


def manifest_to_json(manifest: Manifest) -> dict[str, Any]:
    """Return the body of a manifest record."""
    body = as_fields(manifest)
    del body["batch_id"], body["attempt"]
    tables = {role: [as_fields(file) for file in files] for role, files in manifest.tables.items()}
    revisions = {role: as_fields(revision) for role, revision in manifest.revisions.items()}
    changes = [change_to_json(change) for change in manifest.schema_changes]
    body |= {"tables": tables, "revisions": revisions, "schema_changes": changes}
    body["state"] = {name: as_fields(ref) for name, ref in manifest.state.items()}
    return {key: value for key, value in body.items() if value or key not in ("clocks", "state", "ends_refresh")}


def manifest_from_json(batch_id: int, attempt: str, body: dict[str, Any]) -> Manifest:
    """Return the manifest in the body of a record; format 1 has fewer keys."""
    return Manifest(
        batch_id=batch_id,
        attempt=attempt,
        tables={role: tuple(StagedFile(**file) for file in files) for role, files in body["tables"].items()},
        table_schemas=body["table_schemas"],
        source_schemas=body["source_schemas"],
        rows=body["rows"],
        units=body["units"],
        watermark=body["watermark"],
        bytes_read=body["bytes_read"],
        revisions={role: _revision(found) for role, found in body.get("revisions", {}).items()},
        wide=body.get("wide", {}),
        schema_changes=tuple(SchemaChange(**change) for change in body.get("schema_changes", ())),
        files=body.get("files", {}),
        checks=body.get("checks", {}),
        clocks=body.get("clocks", {}),
        state={name: StateRef(**ref) for name, ref in body.get("state", {}).items()},
        ends_refresh=body.get("ends_refresh", False),
    )


def _revision(body: dict[str, Any]) -> Revision:
    return Revision(**{**body, "removes": tuple(body["removes"])})
