"""A folder of logs and a source that tails it, driven step by step."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etl.balance import Tally
from etl.errors import SourceChangedError
from etl.model import PlannedInput, ReadLimit
from etl.seam import Seam
from etl.sources.contract import SourceSite
from etl.sources.log_options import LogOptions
from etl.sources.log_positions import SnapshotAt
from etl.sources.log_source import LogSource
from etl.storage import LocalStorage

if TYPE_CHECKING:
    import polars as pl


class ShiftedClock(Seam):
    """The real world, its clock put forward by so many seconds."""

    shift_s = 0.0

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self.shift_s)


class Watch:
    """Plans, accepts and reads like a runner; a restart keeps the plans and forgets everything else."""

    def __init__(self, root: Path, *, snapshot_at: SnapshotAt | None = None, **options: Any) -> None:
        self.root = root
        self.options = {"path": "app.log"} | options if "include" not in options else options
        self.snapshot_at = snapshot_at
        self.plans: list[PlannedInput] = []
        self.lines: list[str] = []
        self.rejected: list[dict[str, Any]] = []
        self.later: list[Callable[[], object]] = []
        self.seam = ShiftedClock()
        self.source = self._opened()

    def _opened(self) -> LogSource:
        site = SourceSite("source", self.root, LocalStorage(self.root.parent / f"{self.root.name}-ledger", self.seam),
                          self.seam)  # fmt: skip
        return LogSource(LogOptions.model_validate(self.options), None, site, self.snapshot_at)

    def plan(self, **limit: int) -> PlannedInput | None:
        """Plan and accept the next batch."""
        after = self.plans[-1].span.end if self.plans else None
        planned = self.source.latest(after, ReadLimit(**limit))
        if planned is not None:
            self.source.accept(len(self.plans), planned)
            self.plans.append(planned)
        return planned

    def frame(self, planned: PlannedInput, *system: str) -> pl.DataFrame:
        """Read a plan."""
        known = self.source.survey(planned, None, self.seam.now())
        tally = Tally()
        rows = self.source.read(planned, known, system, tally).rows.collect()
        rejects = tally.rejected.take()
        assert tally.counts()["read"] == rows.height + rejects.height
        assert tally.counts()["quarantined"] == rejects.height
        self.rejected += rejects.to_dicts()
        return rows

    def amend(self, cause: SourceChangedError) -> PlannedInput:
        """Amend the newest plan as a runner does when its bytes are gone."""
        self.plans[-1] = self.source.refresh(self.plans[-1], cause)
        return self.plans[-1]

    def take(self, **limit: int) -> list[str]:
        """Take one batch and return its lines."""
        planned = self.plan(**limit)
        lines = [] if planned is None else self.frame(planned)["line"].to_list()
        self.lines += lines
        return lines

    def drain(self, **limit: int) -> list[str]:
        """Take batches until nothing is left."""
        taken: list[str] = []
        before = -1
        while len(self.plans) != before:
            before = len(self.plans)
            taken += self.take(**limit)
        return taken

    no_limit = ReadLimit()

    def told(self) -> set[Any]:
        """Return every loss that a plan or the source tells of."""
        planned = {str(loss) for plan in self.plans for loss in plan.units.get("lost", [])}  # type: ignore[union-attr]
        return planned | {str(loss.to_json()) for loss in self.lost}

    def restart(self) -> None:
        """Go on as a new process does."""
        folded = self.source.folded_upto
        del self.source
        gc.collect()
        self.source = self._opened()
        for batch_id, planned in enumerate(self.plans):
            if folded is None or batch_id > folded:
                self.source.restore([(batch_id, planned)])

    def renew(self) -> None:
        """Go on as an edited pipeline does within its run."""
        former = self.source
        self.source = self._opened()
        folded = self.source.folded_upto
        for batch_id, planned in enumerate(self.plans):
            if folded is None or batch_id > folded:
                self.source.restore([(batch_id, planned)])
        self.source.take_over(former)
        former.close()

    @property
    def lost(self) -> list[Any]:
        return self.source._positions.losses

    def path(self, name: str) -> Path:
        return self.root / name

    def write(self, text: str, name: str = "app.log") -> None:
        """Append to a log."""
        with open(self.path(name), "ab") as file:
            file.write(text.encode())

    def rename(self, name: str, to: str) -> None:
        os.rename(self.path(name), self.path(to))

    def copytruncate(self, name: str = "app.log", to: str = "app.log.1") -> None:
        self.path(to).write_bytes(self.path(name).read_bytes())
        os.truncate(self.path(name), 0)

    def age(self, name: str, by_s: float = 60) -> None:
        """Make the last write of a log older."""
        status = os.stat(self.path(name))
        os.utime(self.path(name), ns=(status.st_atime_ns, status.st_mtime_ns - int(by_s * 1e9)))
