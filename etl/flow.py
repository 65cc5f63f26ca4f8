"""What the rows of a pipeline pass through, wired: sources, transforms, checks, tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

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


@dataclass(frozen=True, slots=True)
class Branch:
    """A source beside the main one: its rows pass through transforms of its own before another takes them in."""

    name: str
    source: Source
    transforms: Sequence[Transform] = ()
    contract: SchemaContract = EVOLVE


@dataclass(frozen=True, slots=True)
class Flow:
    """What rows pass through. ``system`` are the system columns that they carry.

    Rows that are rejected go to the ``quarantine``; where there is none, a rejected row fails the batch. Late rows go
    to the ``late`` table; where there is none they are counted and not kept. ``branches`` are the sources beside the
    main one, whose rows a transform takes in by name.
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

    @property
    def sinks(self) -> Mapping[str, Sink]:
        """The tables that a batch may change, by role, in the order in which they are committed: the own one last."""
        rejected = {} if self.quarantine is None else {ROLE: self.quarantine.sink}
        late = {} if self.late is None else {LATE: self.late.sink}
        return {**rejected, **late, "main": self.sink}
