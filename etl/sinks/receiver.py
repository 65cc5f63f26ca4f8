"""Sinks that are no tables: what a batch has for them lies in the checkpoint until it is delivered."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

from etl.balance import rows_by_file
from etl.errors import FencedError, RecordExistsError, SinkError, StorageError, TableStateError
from etl.model import SYSTEM_COLUMNS, Manifest, Revision, Schema, StagedFile
from etl.schema import from_polars
from etl.storage import put_if_absent

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import polars as pl

    from etl.balance import Tally
    from etl.model import Json
    from etl.sinks.contract import Edit, SinkSite

STAGED, DELIVERED = "staged", "delivered"
_KEPT_RECORDS = 2
"""Records of deliveries that stay: the newest says where the receiver stands."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A batch that is handed to a receiver: whose it is, which it is, and its rows.

    ``attempt`` names the manifest, and is the same however often the batch is delivered. ``replaces_all``: it is the
    first batch of a full refresh, and takes the place of all that earlier ones brought.
    """

    pipeline: str
    batch_id: int
    attempt: str
    frame: pl.DataFrame
    replaces_all: bool = False


class Receiver(ABC):
    """A sink whose batches are staged as immutable files in the checkpoint, from which they are delivered.

    A batch is delivered from its file until a record of its delivery is there: after a crash exactly those rows once
    more, never others. A subclass says what rows it takes (``refuse``, ``arranged``) and delivers them (``deliver``);
    one that knows by itself which batch it holds says so (``held``, ``claimed``, ``deliver`` and the id in one
    transaction), and needs no record.
    """

    memory = None

    def __init__(self, site: SinkSite) -> None:
        self._site = site
        self._seam = site.seam
        self._storage = site.storage
        self.table = site.table
        self.app_id = self.pipeline = ""
        self.replaces: tuple[str, ...] | None = None

    def refuse(self, rows: pl.Schema) -> None:
        """Refuse columns that cannot be delivered; here none. Raises ConfigError, SinkError."""
        del rows

    def arranged(self, rows: pl.LazyFrame, tally: Tally) -> pl.DataFrame:
        """Return the rows as they are to be delivered; count those that are not."""
        del tally
        return rows.collect(engine="streaming")

    @abstractmethod
    def deliver(self, delivery: Delivery) -> None:
        """Deliver a batch. *Repeat*: may be called again with the same batch where the process ended in it."""

    def held(self) -> int | None:
        """Return the newest batch that was delivered, None for none."""
        found = [name for name in self._storage.list(DELIVERED) if name.endswith(".json")]
        return int(found[-1].removesuffix(".json")) if found else None

    def claimed(self) -> int | None:
        """Return the newest batch of any checkpoint of this pipeline; the receiver cannot tell."""
        return None

    def identity(self) -> str:
        """Return what the receiver is known by."""
        return self._site.table

    def bind(self, app_id: str, pipeline: str = "", replaces: Sequence[str] | None = None) -> None:
        """Take the names under which batches are remembered."""
        self.app_id, self.pipeline = app_id, pipeline
        self.replaces = None if replaces is None else tuple(replaces)

    def last_batch_id(self, expected: tuple[int, int] | None = None) -> int | None:
        """Return the newest batch that was delivered from this checkpoint, None for none."""
        del expected
        return self.held()

    def claimed_batch_id(self) -> int | None:
        """Return the newest batch that was delivered from any checkpoint of this pipeline, None for none or unknown."""
        return self.claimed()

    @property
    def is_to_be_replaced(self) -> bool:
        """Whether the next batch is the first of a full refresh."""
        return self.replaces is not None and self.held() is None

    def table_id(self) -> str | None:
        """Return what the receiver is known by, None before the first batch."""
        return None if self.held() is None else self.identity()

    def kept(self, rows: pl.Schema) -> list[str]:
        """Return the columns that are delivered: all but system columns that are not asked for."""
        dropped = set(SYSTEM_COLUMNS) - set(self._site.provenance)
        return [name for name in rows if name not in dropped]

    def prepare(self, rows: pl.Schema, *, may_widen: bool = False) -> Schema:
        """Return the columns that a batch of ``rows`` is delivered with. Raises ConfigError, SinkError."""
        del may_widen
        kept = self.kept(rows)
        schema = rows.__class__({name: rows[name] for name in kept})
        self.refuse(schema)
        return from_polars(schema)

    def stage(self, batch_id: int, attempt: str, rows: pl.LazyFrame, tally: Tally) -> tuple[StagedFile, ...]:
        """Write the rows into the checkpoint, durably, under a name of this attempt; count ``written``."""
        frame = self.arranged(rows, tally)
        tally.add("written", frame.height)
        tally.add_of_files("written", rows_by_file(frame))
        frame = frame.select(self.kept(frame.schema))
        if not frame.height:
            return ()
        content = BytesIO()
        frame.write_parquet(content)
        path = f"{STAGED}/{batch_id:010d}-{attempt}.parquet"
        put_if_absent(self._storage, path, content.getvalue(), effect="receiver.stage", seam=self._seam)
        return (StagedFile(path, len(content.getvalue()), frame.height),)

    def revise(self, batch_id: int, attempt: str, edit: Edit) -> tuple[tuple[StagedFile, ...], Revision | None]:
        """Change nothing. Raises SinkError for rows of files, which cannot be taken back."""
        del batch_id, attempt
        if edit.files:
            raise SinkError("rows that were delivered cannot be taken back by their file", where=self.table)
        return (), None

    def is_left_alone(self, files: Sequence[StagedFile], schema: Schema, revision: Revision | None) -> bool:
        """Tell whether there is nothing to deliver, nor to replace."""
        del schema, revision
        return not files and not self.is_to_be_replaced

    def missing(self, manifest: Manifest) -> list[str]:
        """Return the staged files of the manifest that are not there with their size."""
        files = manifest.tables.get(self._site.role, ())
        return [file.path for file in files if self._storage.size(file.path) != file.size_bytes]

    def commit(self, manifest: Manifest, info: dict[str, Json]) -> int:
        """Deliver the manifest's rows, unless that was done; return the batch as the version. *Repeat*: safe."""
        del info
        held = self.held()
        if held is not None and held >= manifest.batch_id:
            return manifest.batch_id
        if held is None and self.replaces is None and (claimed := self.claimed()) is not None:
            raise TableStateError(
                "table_ahead",
                f"it holds batch {claimed} of another checkpoint of this pipeline",
                where=self.table,
                hint=f"put the checkpoint folder back, or build all anew: etl run {self._site.pipeline} --full-refresh",
            )
        is_first = self.replaces is not None and held is None
        self.deliver(Delivery(self._site.pipeline, manifest.batch_id, manifest.attempt, self._rows(manifest), is_first))
        self.record(manifest)
        self.drop_before(manifest.batch_id)
        return manifest.batch_id

    def record(self, manifest: Manifest) -> None:
        """Keep in mind that a batch was delivered."""
        body = json.dumps({"version": 1, "batch_id": manifest.batch_id, "attempt": manifest.attempt}).encode()
        try:
            path = f"{DELIVERED}/{manifest.batch_id:010d}.json"
            put_if_absent(self._storage, path, body, effect="receiver.delivered", seam=self._seam)
        except RecordExistsError as exc:
            raise FencedError("another runner delivered the batch", where=self.table) from exc

    def _rows(self, manifest: Manifest) -> pl.DataFrame:
        """Return the staged rows. Raises StorageError."""
        import polars as pl

        files = manifest.tables[self._site.role]
        try:
            frames = [pl.read_parquet(BytesIO(self._storage.read(file.path)), glob=False) for file in files]
        except FileNotFoundError as exc:
            raise StorageError(
                "the staged rows of a batch are gone", where=f"{self._storage.url}/{exc.filename or ''}"
            ) from exc
        return pl.concat(frames) if frames else pl.DataFrame(schema=self._types(manifest))

    def _types(self, manifest: Manifest) -> Any:  # noqa: ANN401  a Polars schema
        from etl.schema import to_polars

        return to_polars(manifest.table_schemas[self._site.role])

    def discard(self, batch_id: int, keep: Collection[str]) -> None:
        """Remove staged files of the batch but those to keep."""
        for name in self._storage.list(STAGED):
            path = f"{STAGED}/{name}"
            if name.startswith(f"{batch_id:010d}-") and path not in keep:
                self._storage.remove(path, effect="receiver.discard")

    def tend(self) -> None:
        """Remove what earlier batches left: their staged files, all records of deliveries but the newest ones."""
        held = self.held()
        if held is None:
            return
        self._storage.sweep(STAGED, older_than_s=0.0, effect="receiver.sweep")
        self._storage.sweep(DELIVERED, older_than_s=0.0, effect="receiver.sweep")
        self.drop_before(held + 1)

    def drop_before(self, batch_id: int) -> None:
        """Remove staged files of earlier batches, all of which have their commit entry, and records but the newest."""
        for name in self._storage.list(STAGED):
            if name[:10].isdecimal() and int(name[:10]) < batch_id:
                self._storage.remove(f"{STAGED}/{name}", effect="receiver.tend")
        records = [name for name in self._storage.list(DELIVERED) if name.endswith(".json")]
        for name in records[:-_KEPT_RECORDS]:
            self._storage.remove(f"{DELIVERED}/{name}", effect="receiver.tend")
