"""The commit records of a plain Parquet table: which files are in it, batch by batch.

``_commits/<pipeline>-<checkpoint>-<batch>.json`` is created only if absent, and has the manifest that it came from.
The table is what the records name, less those of app ids that another record says it ``replaces``: so a refresh and a
rewind are one record too. Each has a ``version`` above that of every record that its writer saw.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from etl.checkpoint.manifest_log import manifest_from_json, manifest_to_json
from etl.checkpoint.record import Record, TornRecordError, decode_record, encode_record
from etl.delta_types import from_delta_fields, merge_fields, to_delta_fields
from etl.errors import CheckpointError, RecordExistsError, SinkError, TableStateError
from etl.project import PLAIN_RECORDS
from etl.sinks.delta_actions import SUPERSEDED
from etl.storage import put_if_absent

if TYPE_CHECKING:
    from etl.model import Json, Manifest, Schema, StagedFile
    from etl.seam import Seam
    from etl.storage import Storage

FOLDER = PLAIN_RECORDS
_IDENTITY = f"{FOLDER}/table.json"
_KIND = "parquet.commit"
_ENDING = ".json"
_NAME_LENGTH = 150
"""Of the name of a pipeline and its sink, so that a record has a name that every filesystem takes."""
NOTHING = -1
"""The batch id of a record that leaves none of a pipeline's batches in the table."""


@dataclass(frozen=True, slots=True)
class Commit:
    """What one batch gave the table, or a rewind left it with.

    ``files`` are with the types of ``schema``, where it has them; ``replaces`` are the app ids whose batches it takes
    the place of.
    """

    app_id: str
    pipeline: str
    batch_id: int
    version: int
    manifest: Manifest
    role: str = "main"
    partition_by: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()
    info: Mapping[str, Json] = field(default_factory=dict)
    kept: tuple[Commit, ...] = ()
    is_rewind: bool = False

    @property
    def files(self) -> tuple[StagedFile, ...]:
        """The data files, by their final paths; those of earlier batches that a rewind kept are not among them."""
        return self.manifest.tables.get(self.role, ())

    @property
    def schema(self) -> Schema:
        """The columns that the batch left the table with."""
        return dict(self.manifest.table_schemas.get(self.role, {}))

    @property
    def batches(self) -> tuple[Commit, ...]:
        """The batches that it stands for: those that a rewind kept, or itself."""
        return self.kept if self.is_rewind else (self,)

    @property
    def name(self) -> str:
        """The path of its record."""
        return record_name(self.pipeline, self.app_id, self.batch_id)


@dataclass(frozen=True)
class Standing:
    """A table as its records tell it: ``every`` one of them, by path, and the table's identity."""

    table_id: str
    every: Mapping[str, Commit]

    @cached_property
    def superseded(self) -> frozenset[str]:
        """The app ids whose batches others took the place of."""
        return frozenset(app_id for commit in self.every.values() for app_id in commit.replaces)

    @cached_property
    def live(self) -> tuple[Commit, ...]:
        """The batches whose rows are in the table, in order of their versions."""
        found = (commit for commit in self.every.values() if commit.app_id not in self.superseded)
        ordered = sorted(found, key=lambda commit: (commit.version, commit.pipeline, commit.batch_id))
        return tuple(batch for commit in ordered for batch in commit.batches)

    @cached_property
    def version(self) -> int:
        """The newest version, -1 for none."""
        return max((commit.version for commit in self.every.values()), default=-1)

    @cached_property
    def schema(self) -> Schema:
        """The columns of the table."""
        return merged(commit.schema for commit in self.live)

    def at(self, version: int) -> Standing:
        """Return the table as it was in an earlier version."""
        return Standing(self.table_id, {name: each for name, each in self.every.items() if each.version <= version})

    def of_pipeline(self, pipeline: str) -> Standing:
        """Return what one of the pipelines that write the table has given it."""
        return Standing(self.table_id, {name: each for name, each in self.every.items() if each.pipeline == pipeline})

    def of(self, app_id: str) -> list[Commit]:
        """Return what was committed under an app id, oldest first."""
        found = (commit for commit in self.every.values() if commit.app_id == app_id)
        return sorted(found, key=lambda commit: commit.batch_id)

    def batch_id(self, app_id: str) -> int | None:
        """Return the newest batch of an app id, None for none; SUPERSEDED where others took the place of them."""
        if app_id in self.superseded:
            return SUPERSEDED
        found = max((commit.batch_id for commit in self.of(app_id)), default=NOTHING)
        return None if found == NOTHING else found


def merged(schemas: Iterable[Schema]) -> Schema:
    """Return the columns that hold the rows of all schemas, in whatever order they came.

    Raises SinkError where there are none such.
    """
    fields: dict[str, dict[str, Any]] = {}
    seen: list[Schema] = []
    for schema in schemas:
        if schema not in seen:
            seen.append(schema)
            for field_ in to_delta_fields(schema):
                known = [fields[field_["name"]]] if field_["name"] in fields else []
                fields[field_["name"]] = _merged_field(known, field_)
    return from_delta_fields(list(fields.values()))


def _merged_field(known: list[dict[str, Any]], other: dict[str, Any]) -> dict[str, Any]:
    try:
        return merge_fields(known, [other], may_widen=True)[0]
    except SinkError:
        return merge_fields([other], known, may_widen=True)[0]


def record_name(pipeline: str, app_id: str, batch_id: int) -> str:
    """Return the path of the record of a batch; a further sink's pipeline is known as ``<pipeline>/<role>``."""
    named = pipeline.replace("/", ".")[:_NAME_LENGTH] or "pipeline"
    return f"{FOLDER}/{named}-{app_id[:8]}-{batch_id:010d}{_ENDING}"


class Commits:
    """The records of one table, read once each."""

    def __init__(self, storage: Storage, seam: Seam) -> None:
        self.storage = storage
        self._seam = seam
        self._known: dict[str, Commit] = {}
        self._table_id = ""
        self._standing: Standing | None = None

    def standing(self) -> Standing | None:
        """Return what the records tell now, None where there is no table. Raises TableStateError for a torn one."""
        while True:
            names = [f"{FOLDER}/{name}" for name in self.names()]
            if not names:
                self._known, self._standing = {}, None
                return None
            if self._standing is not None and names == list(self._known):
                return self._standing
            try:
                self._known = {name: self._known.get(name) or self.read(name) for name in names}
            except FileNotFoundError:  # its pipeline has removed it since: another record takes its place
                continue
            self._standing = Standing(self._identity(), self._known)

    def names(self) -> list[str]:
        """Return the names of the records, sorted."""
        found = self.storage.list(FOLDER)
        return [name for name in found if name.endswith(_ENDING) and name[0] not in "._" and name != "table.json"]

    def read(self, name: str) -> Commit:
        """Return a record. Raises TableStateError where it is torn, FileNotFoundError."""
        try:
            return _decoded(self.storage.read(name), f"{self.storage.url}/{name}")
        except (TornRecordError, KeyError, TypeError) as exc:
            raise TableStateError(
                "table_torn",
                f"{name} is torn or altered: its checksum does not hold",
                where=self.storage.url,
                hint="nothing was changed; restore the file from a copy, or: etl repair PIPELINE",
            ) from exc
        except CheckpointError as exc:
            raise TableStateError("table_torn", f"{name}: {exc.message}", where=self.storage.url) from exc

    def is_whole(self, name: str) -> bool:
        """Tell whether a record can be read."""
        try:
            self.read(name)
        except TableStateError:
            return False
        return True

    def _identity(self) -> str:
        if not self._table_id:
            try:
                content = self.storage.read(_IDENTITY)
            except FileNotFoundError:
                raise TableStateError(
                    "table_torn", f"{_IDENTITY} is gone", where=self.storage.url, hint="restore it from a copy"
                ) from None
            self._table_id = _identity_in(content, f"{self.storage.url}/{_IDENTITY}")
        return self._table_id

    def identify(self) -> str:
        """Return the table's identity; give it one where it has none. *Repeat*: safe."""
        table_id = self._seam.new_id()
        content = encode_record(Record("parquet.table", "", None, 0, table_id, {"table_id": table_id}))
        try:
            put_if_absent(self.storage, _IDENTITY, content, effect="table.identity", seam=self._seam)
        except RecordExistsError as exc:
            return _identity_in(exc.content, f"{self.storage.url}/{_IDENTITY}")
        return table_id

    def add(self, commit: Commit) -> Commit:
        """Publish a record and return the one that has its name: this, or another's that was there before."""
        try:
            put_if_absent(self.storage, commit.name, encoded(commit), effect="table.commit", seam=self._seam)
        except RecordExistsError as exc:
            return _decoded(exc.content, f"{self.storage.url}/{commit.name}")
        return commit


def _identity_in(content: bytes, where: str) -> str:
    return str(decode_record(content, kind="parquet.table", pipeline=None, where=where).body["table_id"])


def encoded(commit: Commit) -> bytes:
    """Return the bytes of a record."""
    attempt = commit.manifest.attempt
    return encode_record(Record(_KIND, commit.pipeline, commit.batch_id, 0, attempt, _to_json(commit)))


def _to_json(commit: Commit) -> dict[str, Any]:
    body = {
        "app_id": commit.app_id,
        "version": commit.version,
        "role": commit.role,
        "partition_by": list(commit.partition_by),
        "replaces": list(commit.replaces),
        "info": dict(commit.info),
        **manifest_to_json(commit.manifest),
    }
    if commit.is_rewind:
        body["kept"] = [
            {"pipeline": each.pipeline, "batch_id": each.batch_id, "attempt": each.manifest.attempt, **_to_json(each)}
            for each in commit.kept
        ]
    return body


def _decoded(content: bytes, where: str) -> Commit:
    record = decode_record(content, kind=_KIND, pipeline=None, where=where)
    return _from_json(record.pipeline, record.batch_id or 0, record.attempt, record.body)


def _from_json(pipeline: str, batch_id: int, attempt: str, body: dict[str, Any]) -> Commit:
    return Commit(
        body["app_id"],
        pipeline,
        batch_id,
        body["version"],
        manifest_from_json(batch_id, attempt, body),
        body["role"],
        tuple(body["partition_by"]),
        tuple(body["replaces"]),
        body["info"],
        tuple(_from_json(each["pipeline"], each["batch_id"], each["attempt"], each) for each in body.get("kept", ())),
        "kept" in body,
    )
