"""A kit for tests of pipelines: a source and a sink in memory, a clock that is moved by hand, failures on demand."""

from __future__ import annotations

import errno
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from etl.checkpoint.generations import newest_generation
from etl.errors import FencedError, SchemaDriftError, SourceChangedError, TableStateError
from etl.model import Json, Manifest, Offset, PlannedInput, ReadLimit, Schema, Span, StagedFile
from etl.pipeline import Pipeline
from etl.project import default_project
from etl.schema import from_polars, to_polars
from etl.seam import Seam
from etl.sources.contract import Reading
from etl.staging import Flow
from etl.widening import merge

if TYPE_CHECKING:
    import polars as pl

    from etl.balance import Tally
    from etl.sinks.contract import Sink
    from etl.sources.contract import Source
    from etl.storage import Storage

T = TypeVar("T")
Failure = Literal["kill_before", "kill_after", "error_before", "error_after", "torn", "full"]


class ManualClock(Seam):
    """A seam whose time stands still until it is moved; sleeping moves it."""

    def __init__(self, at: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._at = at
        self._elapsed_s = 0.0

    def now(self) -> datetime:
        """Return the time that was set."""
        return self._at

    def monotonic(self) -> float:
        """Return the seconds moved so far."""
        return self._elapsed_s

    def sleep(self, delay_s: float) -> None:
        """Move the clock instead of waiting."""
        self.advance(delay_s)

    def advance(self, delay_s: float) -> None:
        """Move the clock."""
        self._at += timedelta(seconds=delay_s)
        self._elapsed_s += delay_s


class FailingSeam(Seam):
    """A seam that counts effects and fails at one of them.

    ``kill_*`` ends the process as ``kill -9`` does. ``error_after`` carries the effect out and loses the answer;
    ``torn`` leaves half of it; ``full`` is a full disk. With ``at`` 0 nothing fails, and ``names`` lists the effects.
    """

    def __init__(self, at: int | str = 0, failure: Failure = "kill_before") -> None:
        self._at = at
        self._failure = failure
        self.names: list[str] = []

    def effect(self, name: str, act: Callable[[], T], torn: Callable[[], object] | None = None) -> T:
        """Carry out ``act``, unless it is this one's turn to fail."""
        self.names.append(name)
        if self._at != len(self.names) and self._at != name:
            return act()
        self._at = 0
        return self._fail(name, act, torn)

    def _fail(self, name: str, act: Callable[[], T], torn: Callable[[], object] | None) -> T:
        if self._failure == "kill_before":
            os.kill(os.getpid(), signal.SIGKILL)
        if self._failure == "error_before":
            raise OSError(errno.EIO, f"{name} failed")
        if self._failure in ("torn", "full"):
            if torn is not None:
                torn()
            raise OSError(errno.ENOSPC, f"{name}: no space left on device")
        try:
            result = act()
        finally:
            if self._failure == "kill_after":
                os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(errno.EIO, f"the answer to {name} was lost after {result!r}")

    def sleep(self, delay_s: float) -> None:
        """Do not wait."""


def crash_at(effect: int | str, failure: Failure = "kill_before") -> FailingSeam:
    """Return a seam that fails at an effect: the k-th (from 1), or the first of a name (``table.commit.publish``)."""
    return FailingSeam(effect, failure)


class MemorySource:
    """Rows handed in by :meth:`add`, one unit a call. Keeps its rows through restarts of a pipeline that share it."""

    def __init__(self, schema: Schema | None = None) -> None:
        self._schema = schema
        self._frames: list[pl.DataFrame] = []
        self.acknowledged: list[int] = []

    def add(self, rows: Sequence[Mapping[str, Any]] | pl.DataFrame) -> None:
        """Add one unit of rows."""
        import polars as pl

        types = to_polars(self._schema) if self._schema else None
        self._frames.append(
            rows if isinstance(rows, pl.DataFrame) else pl.DataFrame(rows, schema=types, infer_schema_length=None)
        )

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

    def refresh(self, planned: PlannedInput, cause: SourceChangedError) -> PlannedInput:
        """Units never change. Raises ``cause``."""
        raise cause

    def infer(self, planned: PlannedInput, schema: Schema | None) -> Schema:
        """Return the columns of all units of the plan, in order of appearance. Raises RowError."""
        found = dict(schema or {})
        for frame in self._planned(planned):
            found = merge(found, from_polars(frame.schema), where="memory")
        return found

    def _planned(self, planned: PlannedInput) -> Iterable[pl.DataFrame]:
        return [self._frames[unit] for unit in cast("list[int]", planned.units["unit"])]

    def read(self, planned: PlannedInput, schema: Schema, system: tuple[str, ...], tally: Tally) -> Reading:
        """Return the rows; ``_source_file`` is ``memory:<unit>``, ``_source_offset`` the row's number in its unit."""
        import polars as pl

        self._refuse_drift(planned, schema)
        frames = []
        for unit, frame in zip(cast("list[int]", planned.units["unit"]), self._planned(planned), strict=True):
            tally.add("read", frame.height)
            frames.append(
                frame.with_columns(
                    _source_file=pl.lit(f"memory:{unit}"),
                    _source_offset=pl.int_range(pl.len(), dtype=pl.Int64),
                    _source_modified_at=pl.lit(None, dtype=pl.Datetime("us", "UTC")),
                )
            )
        carried = [name for name in system if name.startswith("_source")]
        rows = (
            pl.concat([pl.DataFrame(schema=to_polars(schema)), *frames], how="diagonal")
            .lazy()
            .select(*to_polars(schema), *carried)
        )
        return Reading(rows)

    def _refuse_drift(self, planned: PlannedInput, schema: Schema) -> None:
        found = self.infer(planned, schema)
        unknown = [name for name in found if found[name] != schema.get(name)]
        if unknown:
            raise SchemaDriftError(f"columns {unknown} are not in the schema", where="memory")

    def acknowledge(self, batch_id: int, planned: PlannedInput) -> None:
        """Remember the batch id."""
        self.acknowledged.append(batch_id)

    def check_replay(self) -> None:
        """Nothing to refuse: units are never lost."""

    def fold(self, upto: int) -> None:
        """Nothing to fold."""


class MemorySink:
    """A table in memory with the semantics of a real one: attempts are staged, one manifest per batch becomes rows."""

    def __init__(self, table: str = "memory") -> None:
        self.table = table
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

    def prepare(self, rows: pl.Schema) -> Schema:
        """Return the columns of ``rows``."""
        return from_polars(rows)

    def stage(self, batch_id: int, attempt: str, rows: pl.LazyFrame, tally: Tally) -> tuple[StagedFile, ...]:
        """Keep the rows under the attempt's name."""
        frame = rows.collect()
        tally.add("written", frame.height)
        self._staged[attempt] = frame
        return (StagedFile(attempt, 0, frame.height),)

    def missing(self, manifest: Manifest) -> list[str]:
        """Return the attempt where it was never staged here."""
        return [file.path for file in manifest.tables["main"] if file.path not in self._staged]

    def commit(self, manifest: Manifest, info: dict[str, Json]) -> int:
        """Add the staged rows, unless the batch is there already. Raises FencedError, TableStateError."""
        key = (self._app_id, manifest.batch_id)
        self._refuse_other_checkpoint()
        if key not in self._versions:
            if manifest.batch_id == 0 and self._replaces is not None:
                self._batches.clear()
                self._superseded.update(self._replaces)
            self._batches.append((manifest.batch_id, self._staged[manifest.attempt]))
            self._versions[key] = len(self._versions)
            if self._pipeline:
                self._claims[self._pipeline] = manifest.batch_id
        return self._versions[key]

    def _refuse_other_checkpoint(self) -> None:
        if self._app_id in self._superseded:
            raise FencedError("a full refresh took the place of this checkpoint's batches", where=self.table)
        if self._replaces is None and self.last_batch_id() is None and self.claimed_batch_id() is not None:
            raise TableStateError("table_ahead", "another checkpoint of this pipeline has written", where=self.table)

    def discard(self, batch_id: int, keep: str | None) -> None:
        """Forget other attempts."""
        self._staged = {name: frame for name, frame in self._staged.items() if name == keep}

    def tend(self) -> None:
        """Nothing to tend."""

    def rows(self) -> list[dict[str, Any]]:
        """Return everything committed, in order."""
        return [row for _, frame in self._batches for row in frame.to_dicts()]


def memory_pipeline(source: Source, sink: Sink, checkpoint: Storage, **changes: Any) -> Pipeline:  # noqa: ANN401
    """Return a pipeline wired by hand: no transforms, one unit a batch, unless ``changes`` say otherwise.

    ``changes``: ``transforms``, ``system``, ``limit``, ``definition``.
    """
    flow = Flow("test", "source", source, changes.get("transforms", ()), sink, changes.get("system", ()))
    limit = changes.get("limit", ReadLimit(max_files=1))
    return Pipeline(
        flow,
        checkpoint,
        limit,
        changes.get("definition", "test"),
        default_project(Path(checkpoint.url)),
        generation=newest_generation(checkpoint),
    )


def multiset(rows: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """Return how often each row occurs: what tests of exactly-once compare, never a set and never only a count."""
    return Counter(repr(sorted(row.items())) for row in rows)
