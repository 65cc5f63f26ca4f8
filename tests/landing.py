"""A project folder with files that land in it, and a runner that walks a file source as the engine does."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etl.balance import Tally
from etl.model import PlannedInput, ReadLimit, Schema
from etl.schema_contract import Survey
from etl.seam import Seam
from etl.sources.contract import SourceSite
from etl.sources.file_ledger import FoldAt
from etl.sources.files import FileSource
from etl.storage import LocalStorage

if TYPE_CHECKING:
    import polars as pl

NO_LIMIT = ReadLimit()


class Landing:
    """The folder. Files hold one NDJSON row ``{"id": …}`` for each id."""

    def __init__(
        self,
        root: Path,
        seam: Seam | None = None,
        storage: dict[str, dict[str, str]] | None = None,
        fold_at: FoldAt | None = None,
    ) -> None:
        self.root = root
        self.fold_at = fold_at
        self.seam = seam or Seam()
        self.storage = storage or {}
        (root / "in").mkdir(exist_ok=True)

    def put(self, name: str, *ids: int, modified_s: float | None = None) -> Path:
        """Write ``in/<name>`` with one row for each id."""
        content = "".join(json.dumps({"id": number}) + "\n" for number in ids)
        return self.put_bytes(name, content.encode(), modified_s=modified_s)

    def put_bytes(self, name: str, content: bytes, modified_s: float | None = None) -> Path:
        """Write ``in/<name>``."""
        path = self.root / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        if modified_s is not None:
            os.utime(path, (modified_s, modified_s))
        return path

    def source(self, **options: Any) -> FileSource:
        """Return a new source, by default over all of ``in/``."""
        wanted: dict[str, Any] = {"format": "ndjson", **options}
        if "include" not in options:
            wanted.setdefault("path", "in")
        ledger = LocalStorage(self.root / "ledger", self.seam)
        site = SourceSite("files", self.root, ledger, self.seam, self.storage)
        return FileSource(FileSource.options_model.model_validate(wanted), None, site, self.fold_at)

    def run(self, **options: Any) -> Walk:
        """Return a walk over a new source."""
        return Walk(self, options)


class Walk:
    """What the engine does with a source: plans are durable at once, every batch is committed."""

    def __init__(self, landing: Landing, options: dict[str, Any]) -> None:
        self._landing = landing
        self._options = options
        self.seam = landing.seam
        self.plans: list[PlannedInput] = []
        self.restart()

    def restart(self, **options: Any) -> None:
        """Begin again in a new process: a new source, restored from the plans that its ledger lacks."""
        self._options |= options
        self.source = self._landing.source(**self._options)
        folded = self.source.folded_upto
        for batch_id, planned in enumerate(self.plans):
            if folded is None or batch_id > folded:
                self.source.restore([(batch_id, planned)])

    def plan(self, limit: ReadLimit = NO_LIMIT) -> PlannedInput | None:
        """Plan the next batch and accept it."""
        after = self.plans[-1].span.end if self.plans else None
        planned = self.source.latest(after, limit)
        if planned is not None:
            planned = through_json(planned)
            self.plans.append(planned)
            self.source.accept(len(self.plans) - 1, planned)
        return planned

    def take(self, limit: ReadLimit = NO_LIMIT) -> list[str]:
        """Plan the next batch and return its paths; none when nothing is new."""
        planned = self.plan(limit)
        return [] if planned is None else paths(planned)

    def rows(self, planned: PlannedInput | None = None, system: Sequence[str] = ()) -> list[dict[str, Any]]:
        """Return the rows of a plan, the last by default."""
        planned = planned or self.plans[-1]
        known = survey(self, planned)
        return self.source.read(planned, known, tuple(system), Tally()).rows.collect(engine="streaming").to_dicts()


def paths(planned: PlannedInput) -> list[str]:
    """Return the paths of a plan's units."""
    found = planned.units["path"]
    assert isinstance(found, list)
    return [str(path) for path in found]


def through_json(planned: PlannedInput) -> PlannedInput:
    """Return the plan as a record gives it back."""
    units = json.loads(json.dumps(planned.units, ensure_ascii=False).encode())
    return replace(planned, units=units)


def planned(walk: Walk) -> PlannedInput:
    """Plan the next batch, which must have something to read."""
    plan = walk.plan()
    assert plan is not None
    return plan


def survey(walk: Walk, plan: PlannedInput, known: Schema | None = None) -> Survey:
    """Look at everything that a plan holds, now."""
    return walk.source.survey(plan, None if known is None else Survey(known), walk.seam.now())


def read(walk: Walk, plan: PlannedInput, schema: Schema | None = None) -> pl.DataFrame:
    """Read a plan to its end."""
    rows = walk.source.read(plan, Survey(schema or {"id": "int64"}), (), Tally()).rows
    return rows.collect(engine="streaming")
