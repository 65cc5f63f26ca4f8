"""What the rows of a pipeline pass through, wired: sources, transforms, checks, tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.model import ReadLimit
from etl.schema_contract import EVOLVE, SchemaContract
from etl.sinks.late import ROLE as LATE
from etl.sinks.quarantine import ROLE

if TYPE_CHECKING:
    from etl.sinks.contract import Sink
    from etl.sinks.late import Late
    from etl.sinks.quarantine import Quarantine
    from etl.sources.contract import Source
    from etl.transforms.contract import Transform
    from etl.transforms.expectations import Expectations


_UNBOUNDED = ReadLimit()


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
class Flow:
    """What rows pass through. ``system`` are the system columns that they carry.

    Rows that are rejected go to the ``quarantine``; where there is none, a rejected row fails the batch. Late rows go
    to the ``late`` table; where there is none they are counted and not kept. ``branches`` are the sources beside the
    main one, whose rows a transform takes in by name. The first ``own`` of the transforms are the main source's own.
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
    def sinks(self) -> Mapping[str, Sink]:
        """The tables that a batch may change, by role, in the order in which they are committed: the own one last."""
        rejected = {} if self.quarantine is None else {ROLE: self.quarantine.sink}
        late = {} if self.late is None else {LATE: self.late.sink}
        return {**rejected, **late, "main": self.sink}
