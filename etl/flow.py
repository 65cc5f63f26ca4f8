"""What the rows of a pipeline pass through, wired: sources, transforms, checks, tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.errors import ConfigError
from etl.model import CHANGE, SYSTEM_COLUMNS, ReadLimit
from etl.schema_contract import EVOLVE, SchemaContract
from etl.sinks.late import ROLE as LATE
from etl.sinks.quarantine import ROLE

if TYPE_CHECKING:
    import polars as pl

    from etl.model import Schema
    from etl.sinks.contract import Sink
    from etl.sinks.late import Late
    from etl.sinks.quarantine import Quarantine
    from etl.sources.contract import Source
    from etl.transforms.contract import Transform
    from etl.transforms.expectations import Expectations


_UNBOUNDED = ReadLimit()
MAIN_ROLE = "main"


@dataclass(frozen=True, slots=True)
class Branch:
    """A source, mostly one beside the main one, and what is its own.

    Its rows pass through transforms of its own before one of the pipeline's takes them in. ``limit`` is how much of it
    one batch takes.
    """

    name: str
    source: Source
    transforms: Sequence[Transform] = ()
    contract: SchemaContract = EVOLVE
    limit: ReadLimit = _UNBOUNDED

    def place_of(self, index: int) -> str:
        """Return the place of one of its transforms in the pipeline file."""
        return f"sources.{self.name}.transforms[{index}].{self.transforms[index].label}"


@dataclass(frozen=True, slots=True)
class Outlet:
    """A sink that takes the rows of every batch, by its role; of their ``columns`` these, None for all."""

    role: str
    sink: Sink
    columns: tuple[str, ...] | None = None

    def picked(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """Return rows with the columns that the sink takes; it drops system columns itself. Raises ConfigError."""
        if self.columns is None:
            return rows
        given = rows.collect_schema()
        missing = [name for name in self.columns if name not in given]
        if missing:
            raise ConfigError(
                f"`columns` names {', '.join(missing)}, which is not among the columns: {', '.join(given)}",
                where=self.sink.table,
                hint="name columns that come out of the last transform",
            )
        carried = [name for name in given if name in (*SYSTEM_COLUMNS, CHANGE) and name not in self.columns]
        return rows.select(*self.columns, *carried)

    def prepare(self, rows: pl.Schema, *, may_widen: bool = False) -> Schema:
        """Return the schema that the sink has after a batch of ``rows``. Raises SinkError, ConfigError."""
        if self.columns is not None:
            import polars as pl

            rows = self.picked(pl.LazyFrame(schema=rows)).collect_schema()
        return self.sink.prepare(rows, may_widen=may_widen)


@dataclass(frozen=True, slots=True)
class Flow:
    """What rows pass through. ``system`` are the system columns that they carry.

    Rows that are rejected go to the ``quarantine``; where there is none, a rejected row fails the batch. Late rows go
    to the ``late`` table; where there is none they are counted and not kept. ``branches`` are the sources beside the
    main one, whose rows a transform takes in by name. The first ``own`` of the transforms are the main source's own.
    The ``sink`` takes of every row the ``columns``, None for all; ``further`` ones take the same rows.
    """

    name: str
    source_name: str
    source: Source
    transforms: Sequence[Transform]
    sink: Sink
    system: tuple[str, ...]
    expectations: Expectations | None = None
    quarantine: Quarantine | None = None
    contract: SchemaContract = EVOLVE
    late: Late | None = None
    branches: tuple[Branch, ...] = ()
    own: int = 0
    columns: tuple[str, ...] | None = None
    further: tuple[Outlet, ...] = ()

    @property
    def sources(self) -> Mapping[str, Source]:
        """Where rows come from, by name, the main source first."""
        return {self.source_name: self.source, **{branch.name: branch.source for branch in self.branches}}

    @property
    def has_several(self) -> bool:
        """Whether the rows of one batch may come from several sources."""
        return bool(self.branches)

    def contract_of(self, name: str) -> SchemaContract:
        """Return the schema contract of a source."""
        return next((branch.contract for branch in self.branches if branch.name == name), self.contract)

    def block_of(self, index: int) -> str:
        """Return what stands before the place of a transform: nothing, or the source whose own it is."""
        return f"sources.{self.source_name}." if index < self.own else ""

    def place_of(self, index: int) -> str:
        """Return the place of a transform in the pipeline file."""
        number = index if index < self.own else index - self.own
        return f"{self.block_of(index)}transforms[{number}].{self.transforms[index].label}"

    @property
    def outlets(self) -> tuple[Outlet, ...]:
        """The sinks that take the rows of every batch, in the order in which they are committed: the own one last."""
        return (*self.further, Outlet(MAIN_ROLE, self.sink, self.columns))

    @property
    def sinks(self) -> Mapping[str, Sink]:
        """All that a batch may change, by role, in the order in which it is committed: the own sink last."""
        rejected = {} if self.quarantine is None else {ROLE: self.quarantine.sink}
        late = {} if self.late is None else {LATE: self.late.sink}
        return {**rejected, **late, **{outlet.role: outlet.sink for outlet in self.outlets}}
