"""A reader of a Delta table, driven as a runner drives it: look, accept, survey, read."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etl.balance import Tally, check_balance
from etl.model import Offset, PlannedInput, ReadLimit
from etl.schema_contract import EVOLVE, SchemaContract, Survey
from etl.seam import Seam
from etl.sources.contract import SourceSite
from etl.sources.delta_options import DeltaSourceOptions
from etl.sources.delta_source import DeltaSource
from etl.storage import LocalStorage
from etl.testing import ManualClock

if TYPE_CHECKING:
    import polars as pl

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ORIGIN = ("_source_file", "_source_offset", "_source_modified_at")
NO_LIMIT = ReadLimit()


@dataclass
class Follower:
    """Follows ``root/table`` with the options that are given; goes on where it stood when it is opened again."""

    root: Path
    options: dict[str, Any] = field(default_factory=dict)
    contract: SchemaContract = EVOLVE
    seam: Seam = field(default_factory=ManualClock)
    after: Offset | None = None
    known: Survey | None = None
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        self.reopen()

    def reopen(self) -> None:
        """Begin a new run."""
        site = SourceSite("s", self.root, LocalStorage(self.root / "ledger", self.seam), self.seam)
        options = DeltaSourceOptions.model_validate({"path": "table", **self.options})
        self.source = DeltaSource(options, None, _with(site, self.contract))

    def plan(self, limit: ReadLimit = NO_LIMIT) -> PlannedInput | None:
        """Look for the next batch."""
        return self.source.latest(self.after, limit)

    def read(self, planned: PlannedInput, system: tuple[str, ...] = ()) -> pl.DataFrame:
        """Read a batch; its rows must balance."""
        self.known = self.source.survey(planned, self.known, NOW)
        self.tally = Tally()
        frame = self.source.read(planned, self.known, system, self.tally).rows.collect()
        self.tally.count("written", frame)
        check_balance(self.tally.counts(), where="test")
        return frame

    def take(self, limit: ReadLimit = NO_LIMIT, system: tuple[str, ...] = ()) -> pl.DataFrame | None:
        """Take the next batch, None where there is none."""
        planned = self.plan(limit)
        if planned is None:
            return None
        self.after = planned.span.end
        return self.read(planned, system)

    def rows(self, limit: ReadLimit = NO_LIMIT) -> list[list[tuple[Any, ...]]]:
        """Take all batches; return the rows of each, sorted."""
        found = []
        while (frame := self.take(limit)) is not None:
            found.append(sorted(frame.rows(), key=repr))
        return found


def _with(site: SourceSite, contract: SchemaContract) -> SourceSite:
    return SourceSite(site.name, site.folder, site.ledger, site.seam, contract=contract)
