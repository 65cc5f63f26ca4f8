"""A source and a sink in memory, with the semantics of real ones: for tests of pipelines, and shipped to users."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from etl.errors import FencedError, SchemaDriftError, SourceChangedError, TableStateError
from etl.formats.contract import Format
from etl.formats.ndjson import Ndjson
from etl.model import CHANGE, Json, Manifest, Offset, PlannedInput, ReadLimit, Revision, Schema, Span, StagedFile
from etl.rejects import rejects
from etl.schema import from_polars, to_polars
from etl.schema_contract import EVOLVE, Survey
from etl.sinks.changes import changes_of, refuse_changes, refuse_keys
from etl.sources.again import Rereader, is_again
from etl.sources.contract import Reading
from etl.widening import merge

if TYPE_CHECKING:
    from datetime import datetime

    import polars as pl

    from etl.balance import Tally
    from etl.sinks.contract import Edit


class MemorySource:
    """Rows handed in by :meth:`add`, one unit a call. Keeps its rows through restarts of a pipeline that share it.

    ``format_`` (NDJSON by default) is that of rejected rows, should they be read again.
    """

    def __init__(self, schema: Schema | None = None, format_: Format | None = None) -> None:
        self._schema = schema
        self._rereader = Rereader(lambda _: format_ or Ndjson(), EVOLVE)
        self._frames: list[pl.DataFrame] = []
        self._rejected: list[Sequence[Mapping[str, Any]]] = []
        self.acknowledged: list[int] = []

    def add(self, rows: Sequence[Mapping[str, Any]] | pl.DataFrame, rejected: Sequence[Mapping[str, Any]] = ()) -> None:
        """Add one unit of rows, and beside them rows that are rejected (keys of ``etl.rejects.reject_schema``)."""
        import polars as pl

        types = to_polars(self._schema) if self._schema else None
        self._frames.append(
            rows if isinstance(rows, pl.DataFrame) else pl.DataFrame(rows, schema=types, infer_schema_length=None)
        )
        self._rejected.append(rejected)

    @property
    def declared_schema(self) -> Schema | None:
        """The schema that was handed in."""
        return self._schema

    @property
    def folded_upto(self) -> int | None:
        """None: there is no ledger."""
        return None

    def restore(self, committed: list[tuple[int, PlannedInput]]) -> None:
        """Nothing to remember: the offset says it all."""

    def latest(self, after: Offset | None, limit: ReadLimit) -> PlannedInput | None:
        """Return the units after ``after``, at most ``limit.max_files`` of them."""
        start = int(str(after["units"])) if after else 0
        end = min(len(self._frames), start + (limit.max_files or len(self._frames)))
        if end == start:
            return None
        return PlannedInput(Span(after, {"units": end}), {"unit": list(range(start, end))}, files=end - start)

    def accept(self, batch_id: int, planned: PlannedInput) -> None:
        """Nothing to remember."""

    def watched(self) -> tuple[str, ...]:
        """None: rows are handed in."""
        return ()

    def refresh(self, planned: PlannedInput, cause: SourceChangedError) -> PlannedInput:
        """Units never change. Raises ``cause``."""
        raise cause

    def survey(self, planned: PlannedInput, known: Survey | None, now: datetime) -> Survey:
        """Return the columns of all units of the plan, in order of appearance. Raises RowError."""
        if is_again(planned.units):
            return self._rereader.survey(planned.units, known)
        return Survey(self._evolved(planned, {} if known is None else known.schema))

    def _evolved(self, planned: PlannedInput, known: Schema) -> Schema:
        found = dict(known)
        for frame in self._planned(planned):
            found = merge(found, from_polars(frame.schema), where="memory", widen_numbers=True)
        return found

    def _planned(self, planned: PlannedInput) -> Iterable[pl.DataFrame]:
        return [self._frames[unit] for unit in cast("list[int]", planned.units["unit"])]

    def read(self, planned: PlannedInput, known: Survey, system: tuple[str, ...], tally: Tally) -> Reading:
        """Return the rows; ``_source_file`` is ``memory:<unit>``, ``_source_offset`` the row's number in its unit."""
        import polars as pl

        if is_again(planned.units):
            return self._rereader.read(planned.units, known, system, tally)
        schema = known.schema
        self._refuse_drift(planned, known)
        frames = []
        for unit, frame in zip(cast("list[int]", planned.units["unit"]), self._planned(planned), strict=True):
            placed = frame.with_columns(
                _source_file=pl.lit(f"memory:{unit}"),
                _source_offset=pl.int_range(pl.len(), dtype=pl.Int64),
                _source_modified_at=pl.lit(None, dtype=pl.Datetime("us", "UTC")),
            )
            tally.count("read", placed)
            frames.append(placed)
            refused = rejects(self._rejected[unit]).with_columns(_source_file=pl.lit(f"memory:{unit}"))
            tally.count("read", refused)
            tally.quarantine(refused)
        origin = {
            "_source_file": pl.String(),
            "_source_offset": pl.Int64(),
            "_source_modified_at": pl.Datetime("us", "UTC"),
        }
        types = {**to_polars(schema), **{name: kind for name, kind in origin.items() if name in system}}
        rows = pl.concat([pl.DataFrame(schema=types), *frames], how="diagonal")
        return Reading(rows.lazy().select(list(types)))

    def _refuse_drift(self, planned: PlannedInput, known: Survey) -> None:
        found = self._evolved(planned, known.schema)
        unknown = [name for name in found if found[name] != known.schema.get(name)]
        if unknown:
            raise SchemaDriftError(f"columns {unknown} are not in the schema", where="memory")

    def acknowledge(self, batch_id: int, planned: PlannedInput) -> None:
        """Remember the batch id."""
        self.acknowledged.append(batch_id)

    def close(self) -> None:
        """Nothing to let go of."""

    def check_replay(self) -> None:
        """Nothing to refuse: units are never lost."""

    def fold(self, upto: int) -> None:
        """Nothing to fold."""


class MemorySink:
    """A table in memory with the semantics of a real one: attempts are staged, one manifest per batch becomes rows.

    With a ``primary_key``, batches insert, update and delete by it (``write_mode: merge``), else they add rows.
    """

    def __init__(self, table: str = "memory", primary_key: Sequence[str] = ()) -> None:
        self.table = table
        self._keys = list(primary_key)
        self._staged: dict[str, pl.DataFrame] = {}
        self._batches: list[tuple[int, pl.DataFrame]] = []
        self._versions: dict[tuple[str, int], int] = {}
        self._claims: dict[str, int] = {}
        self._superseded: set[str] = set()
        self._app_id = self._pipeline = ""
        self._replaces: tuple[str, ...] | None = None

    def bind(self, app_id: str, pipeline: str = "", replaces: Sequence[str] | None = None) -> None:
        """Take the names of this run's batches, which differ from one checkpoint to the next."""
        self._app_id, self._pipeline = app_id, pipeline
        self._replaces = None if replaces is None else tuple(replaces)

    def last_batch_id(self, expected: tuple[int, int] | None = None) -> int | None:
        """Return the newest batch of this checkpoint, None for none."""
        return max((batch_id for app_id, batch_id in self._versions if app_id == self._app_id), default=None)

    def claimed_batch_id(self) -> int | None:
        """Return the newest batch of the pipeline under any checkpoint, None for none."""
        return self._claims.get(self._pipeline)

    def table_id(self) -> str | None:
        """Return the table's name once it has a batch."""
        return self.table if self._batches else None

    @property
    def is_to_be_replaced(self) -> bool:
        """Whether the next batch is the first of a full refresh."""
        return self._replaces is not None and self.last_batch_id() is None and bool(self._batches)

    def prepare(self, rows: pl.Schema, *, may_widen: bool = False) -> Schema:
        """Return the columns of ``rows``. Raises ConfigError where they do not fit the primary key."""
        kept = [name for name in rows if name != CHANGE]
        if self._keys:
            refuse_keys(rows, kept, self._keys, self.table)
        else:
            refuse_changes(rows, self.table)
        return from_polars(rows.__class__({name: rows[name] for name in kept}))

    def revise(self, batch_id: int, attempt: str, edit: Edit) -> tuple[tuple[StagedFile, ...], Revision | None]:
        """Change nothing: rows stay as they were committed."""
        return (), None

    def stage(self, batch_id: int, attempt: str, rows: pl.LazyFrame, tally: Tally) -> tuple[StagedFile, ...]:
        """Keep the rows under the attempt's name, with a primary key one of each key."""
        frame = rows.collect()
        if self._keys:
            changes = changes_of(frame, self._keys, where=self.table)
            tally.count("deduplicated", changes.superseded)
            frame = changes.upserts.vstack(changes.deletes)
        tally.count("written", frame)
        self._staged[attempt] = frame
        return (StagedFile(attempt, 0, frame.height),)

    def is_left_alone(self, files: Sequence[StagedFile], schema: Schema, revision: Revision | None) -> bool:
        """Tell whether there are no rows, for a table that has batches of this checkpoint."""
        return not any(file.rows for file in files) and self.last_batch_id() is not None

    def missing(self, manifest: Manifest) -> list[str]:
        """Return the attempt where it was never staged here."""
        return [file.path for file in manifest.tables.get("main", ()) if file.path not in self._staged]

    def commit(self, manifest: Manifest, info: dict[str, Json]) -> int:
        """Add the staged rows, unless the batch is there already. Raises FencedError, TableStateError."""
        key = (self._app_id, manifest.batch_id)
        self._refuse_other_checkpoint()
        if key not in self._versions:
            if manifest.batch_id == 0 and self._replaces is not None:
                self._batches.clear()
                self._superseded.update(self._replaces)
            self._bring(manifest.batch_id, self._staged[manifest.attempt])
            self._versions[key] = len(self._versions)
            if self._pipeline:
                self._claims[self._pipeline] = manifest.batch_id
        return self._versions[key]

    def _bring(self, batch_id: int, staged: pl.DataFrame) -> None:
        """Add the rows of a batch; those of its keys that are there already go."""
        import polars as pl

        if not self._keys:
            self._batches.append((batch_id, staged))
            return
        self._batches = [(number, self._without(frame, staged.select(self._keys))) for number, frame in self._batches]
        rows = staged.filter(pl.col(CHANGE) != "delete").drop(CHANGE) if CHANGE in staged.columns else staged
        self._batches.append((batch_id, rows))

    def _without(self, frame: pl.DataFrame, keys: pl.DataFrame) -> pl.DataFrame:
        """Return the rows that have none of the keys, which may be of another type."""
        import polars as pl

        types = pl.concat([frame.select(self._keys).clear(), keys.clear()], how="vertical_relaxed").schema
        is_there = frame.select(self._keys).cast(types).with_row_index("_etl_row")
        kept = is_there.join(keys.cast(types), on=self._keys, how="anti", nulls_equal=True)["_etl_row"]
        return frame[kept.sort().to_list()]

    def _refuse_other_checkpoint(self) -> None:
        if self._app_id in self._superseded:
            raise FencedError("a full refresh took the place of this checkpoint's batches", where=self.table)
        if self._replaces is None and self.last_batch_id() is None and self.claimed_batch_id() is not None:
            raise TableStateError("table_ahead", "another checkpoint of this pipeline has written", where=self.table)

    def discard(self, batch_id: int, keep: Collection[str]) -> None:
        """Forget other attempts."""
        self._staged = {name: frame for name, frame in self._staged.items() if name in keep}

    def tend(self) -> None:
        """Nothing to tend."""

    def rows(self) -> list[dict[str, Any]]:
        """Return everything committed, in order."""
        return [row for _, frame in self._batches for row in frame.to_dicts()]
