"""Rejected rows of a pipeline: counted, shown, sent through again, given up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from etl.engine import open_runner
from etl.errors import ConfigError, QuarantineError
from etl.operations.looking import Onlooker
from etl.operations.replaying import NOT_KEPT_HINT, units_again
from etl.operations.tables import scan_url
from etl.rejects import PART, TAIL
from etl.resolutions import refuse_replacing
from etl.sinks.quarantine import OPEN
from etl.sources.again import again_units
from etl.storage import open_storage

if TYPE_CHECKING:
    import polars as pl

    from etl.model import BatchResult, Json
    from etl.operations.workspace import Workspace
    from etl.pipeline import Pipeline
    from etl.progress import Reporter
    from etl.seam import Seam
    from etl.walk import Runner

Action: TypeAlias = Literal["replay", "discard"]


@dataclass(frozen=True, slots=True)
class Selection:
    """Rows of a quarantine: those that satisfy all that is given. ``row_ids`` are as ``show`` tells them."""

    rule: str | None = None
    file: str | None = None
    batch_id: int | None = None
    row_ids: tuple[str, ...] = ()
    status: str | None = None

    def of(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """Return the selected rows of a quarantine table."""
        import polars as pl

        wanted = {"rule": self.rule, "_source_file": self.file, "_batch_id": self.batch_id, "status": self.status}
        for column, value in wanted.items():
            if value is not None:
                rows = rows.filter(pl.col(column) == value)
        return rows.filter(pl.col("row_id").is_in(self.row_ids)) if self.row_ids else rows


@dataclass(frozen=True, slots=True)
class Portion:
    """What one batch reads again at most: the rows are written into its plan. At least one row is taken."""

    max_rows: int = 10_000
    max_bytes: int = 16_000_000

    def parts(self, chosen: pl.DataFrame) -> Iterator[list[str]]:
        """Return the ids of rows in parts that one batch each takes. ``chosen``: ``row_id`` and ``size_bytes``."""
        part: list[str] = []
        part_bytes = 0
        for row_id, size_bytes in chosen.select("row_id", "size_bytes").iter_rows():
            if part and (len(part) == self.max_rows or part_bytes + size_bytes > self.max_bytes):
                yield part
                part, part_bytes = [], 0
            part.append(row_id)
            part_bytes += size_bytes
        if part:
            yield part


@dataclass(frozen=True, slots=True)
class RuleCount:
    """How many rows of one status broke a rule, and the batches in which they first and last did."""

    rule: str
    status: str
    rows: int
    first_batch: int
    last_batch: int


@dataclass(frozen=True, slots=True)
class Intention:
    """What a replay or a discard would do. ``not_kept`` are rows that cannot be replayed: they were not kept whole."""

    rules: Mapping[str, int]
    rows: int
    batches: int
    not_kept: int


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a replay or a discard did: ``fates`` are the counts of its batches, ``not_kept`` as in an Intention."""

    pipeline: str
    action: Action
    rows: int = 0
    not_kept: int = 0
    fates: Mapping[str, int] = field(default_factory=dict)
    batches: tuple[BatchResult, ...] = ()

    @property
    def written(self) -> int:
        """How many rows the pipeline's own table took."""
        return self.fates.get("written", 0)

    @property
    def rejected_again(self) -> int:
        """How many rows went back into the quarantine, as new ones."""
        return self.fates.get("quarantined", 0)


class PipelineQuarantine:
    """The quarantine of one pipeline of a project."""

    def __init__(self, workspace: Workspace, name: str, portion: Portion = Portion()) -> None:
        self._workspace = workspace
        self._portion = portion
        self._spec = workspace.spec(name)

    @property
    def name(self) -> str:
        """The pipeline's name."""
        return self._spec.name

    @property
    def table(self) -> str:
        """The table's name."""
        return self._spec.sink.quarantine

    def rows(self, selection: Selection = Selection()) -> pl.LazyFrame | None:
        """Return the selected rows, None where nothing was ever rejected."""
        url, seam, project = self._spec.sink.quarantine_url, Onlooker(), self._workspace.project
        if not open_storage(url, seam, project.storage_options).list("_delta_log"):
            return None
        return selection.of(scan_url(project, url, seam, name=self.table))

    def file_text(self, path: str) -> str:
        """Return how the table names a file."""
        pipeline = self._workspace.wired(self.name, Onlooker())
        explain = next((each.explain for each in pipeline.sources.values() if hasattr(each, "explain")), None)
        return str(explain(self._workspace.project.url(path))["path"]) if explain else path

    def counts(self, selection: Selection) -> list[RuleCount]:
        """Return the selected rows by rule and status."""
        import polars as pl

        rows = self.rows(selection)
        if rows is None:
            return []
        batch = pl.col("_batch_id")
        found = rows.group_by("rule", "status").agg(rows=pl.len(), first=batch.min(), last=batch.max())
        return [RuleCount(*row) for row in found.sort("rule", "status").collect().iter_rows()]

    def shown(self, selection: Selection, most: int) -> pl.DataFrame | None:
        """Return the first of the selected rows, in the order in which they were rejected."""
        rows = self.rows(selection)
        return None if rows is None else rows.sort(_order()).head(most).collect()

    def intention(self, action: Action, selection: Selection) -> Intention:
        """Return what a replay or discard would do. Raises ConfigError as they do."""
        found = self._selected(action, selection)
        if found is None:
            return Intention({}, 0, 0, 0)
        chosen, not_kept = found
        rules = Counter(chosen["rule"].to_list())
        return Intention(dict(rules), chosen.height, len(list(self._portion.parts(chosen))), not_kept)

    def resolve(self, action: Action, selection: Selection, listening: Listening) -> Resolved:
        """Deal with the selected open rows, in batches of their own, each row exactly once.

        ``replay`` sends them through the pipeline as it is now; those that fail again are new rows of the quarantine.
        ``discard`` gives them up. An unfinished batch is brought to its end first. Raises LeaseHeldError, ConfigError
        where rows are not open or were not kept, QuarantineError where the pipeline refuses a batch: its rows stay.
        """
        if self.rows() is None:
            return Resolved(self.name, action)
        pipeline = self._workspace.wired(self.name, listening.seam)
        if action == "replay":
            modes = {getattr(sink.options, "write_mode", "append") for sink in self._spec.sinks}
            refuse_replacing(pipeline.flow, modes)
        with open_runner(pipeline, listening.seam, listening.reporter) as runner:
            runner.recover()
            if runner.awaits_refresh:
                raise ConfigError(
                    "a full refresh has begun", where=self.name, hint=f"finish it first: etl run {self.name}"
                )
            chosen, not_kept = self._selected(action, selection) or _nothing()
            results: list[BatchResult] = []
            rows = 0
            for row_ids in self._portion.parts(chosen):
                if listening.should_stop():
                    break
                results.append(self._resolve(runner, pipeline, action, row_ids))
                rows += len(row_ids)
            if results:
                runner.idle()
        fates: Counter[str] = Counter()
        for result in results:
            fates.update(result.rows)
        return Resolved(self.name, action, rows, not_kept, dict(fates), tuple(results))

    def _resolve(self, runner: Runner, pipeline: Pipeline, action: Action, row_ids: Sequence[str]) -> BatchResult:
        """Carry out one batch. Raises QuarantineError where it was refused, and withdrawn."""
        result = runner.run_resolution(
            {"action": action, "rows": list(row_ids)}, self._units(pipeline, action, row_ids)
        )
        refused = (result.resolution or {}).get("refused")
        if refused is not None:
            raise QuarantineError(
                f"the rows were not replayed: {refused}",
                where=self.name,
                hint=f"they stay in the quarantine as they are; batch {result.batch_id} is empty",
            )
        return result

    def _units(self, pipeline: Pipeline, action: Action, row_ids: Sequence[str]) -> dict[str, dict[str, Json]]:
        rows = self.rows(Selection(row_ids=tuple(row_ids)))
        if action == "discard" or rows is None:
            return {pipeline.flow.source_name: again_units()}
        return units_again(pipeline, rows.sort(_order()).collect())

    def _selected(self, action: Action, selection: Selection) -> tuple[pl.DataFrame, int] | None:
        """Return the open rows that are meant, without what was kept of them, and how many cannot be replayed.

        None where nothing was ever rejected. Raises ConfigError for a row that is named and is not open, and where none
        of the rows can be replayed.
        """
        import polars as pl

        rows = self.rows(selection)
        if rows is None:
            return None
        is_kept = (pl.col("form") == "file") | (pl.col("raw").is_not_null() & (pl.col("rule") != "too_long"))
        is_whole = is_kept & ~pl.col("context").is_in([PART, TAIL]).fill_null(value=False)
        size_bytes = pl.coalesce(pl.col("raw_bytes").bin.size() * 4 // 3, pl.col("raw").str.len_bytes(), 0)
        found = (
            rows.sort(_order()).select("row_id", "rule", "status", is_whole=is_whole, size_bytes=size_bytes).collect()
        )
        self._refuse_settled(found, selection)
        is_open = found.filter(pl.col("status") == OPEN)
        if action == "discard":
            return is_open, 0
        kept = is_open.filter("is_whole")
        if is_open.height and not kept.height:
            raise ConfigError(
                f"none of the {is_open.height:,} rows can be replayed: they were not kept as a whole",
                where=self.table,
                hint=NOT_KEPT_HINT,
            )
        return kept, is_open.height - kept.height

    def _refuse_settled(self, found: pl.DataFrame, selection: Selection) -> None:
        statuses = dict(found.select("row_id", "status").iter_rows())
        for row_id in selection.row_ids:
            status = statuses.get(row_id)
            if status is None:
                raise ConfigError(
                    f"there is no row {row_id} among them", where=self.table, hint=f"etl quarantine show {self.name}"
                )
            if status != OPEN:
                raise ConfigError(f"row {row_id} was {status} already", where=self.table)


@dataclass(frozen=True, slots=True)
class Listening:
    """How a resolution is carried out: the world, who listens, and who may end it between batches."""

    seam: Seam
    reporter: Reporter
    should_stop: Callable[[], bool] = bool


def _nothing() -> tuple[pl.DataFrame, int]:
    import polars as pl

    return pl.DataFrame(schema={"row_id": pl.String, "rule": pl.String, "size_bytes": pl.Int64}), 0


def _order() -> list[pl.Expr]:
    """Return what brings rows into the order in which they were rejected."""
    import polars as pl

    return [pl.col("_batch_id"), pl.col("row_id").str.extract(r"(\d+)$", 1).cast(pl.Int64)]
