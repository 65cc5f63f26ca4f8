"""Batches through a Delta sink that may take rows out of its table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from etl.balance import Tally, check_balance
from etl.model import Manifest, Revision, StagedFile
from etl.sinks.contract import Edit
from etl.sinks.delta import DeltaSink
from etl.state.plain import PlainTable
from tests.readers import table_rows
from tests.unit.sinks.tables import make_sink

KEY = ["id"]
AT = datetime(2026, 1, 1, tzinfo=UTC)

Remembered = dict[str, PlainTable]
"""What a sink remembers beside its table, as the engine keeps it from batch to batch."""


@dataclass(frozen=True, slots=True)
class Staged:
    """A batch that is staged, its counts balanced."""

    sink: DeltaSink
    manifest: Manifest
    remembered: Remembered = field(default_factory=dict)

    @property
    def files(self) -> tuple[StagedFile, ...]:
        return self.manifest.tables["main"]

    @property
    def revision(self) -> Revision | None:
        return self.manifest.revisions.get("main")

    @property
    def is_left_alone(self) -> bool:
        return self.sink.is_left_alone(self.files, self.manifest.table_schemas["main"], self.revision)

    def commit(self) -> int:
        if self.sink.memory is not None:
            for name, change in self.sink.memory.learned().items():
                self.remembered[name] = self.remembered[name].changed(change)
        return self.sink.commit(self.manifest, {})


def merging_sink(root: Path, keys: Sequence[str] = KEY, **options: Any) -> DeltaSink:
    return make_sink(root, write_mode="merge", primary_key=list(keys), **options)


def stage(
    sink: DeltaSink,
    batch_id: int,
    rows: pl.DataFrame | dict[str, list[Any]],
    name: str = "a",
    *,
    may_widen: bool = False,
    remembered: Remembered | None = None,
    at: datetime = AT,
) -> Staged:
    """Stage a batch as the engine does; what arrives is what leaves."""
    frame = rows if isinstance(rows, pl.DataFrame) else pl.DataFrame(rows)
    tally = Tally()
    tally.count("read", frame)
    schema = sink.prepare(frame.schema, may_widen=may_widen)
    kept: Remembered = {} if remembered is None else remembered
    if sink.memory is not None:
        for table, layout in sink.memory.layouts(schema).items():
            kept.setdefault(table, PlainTable(layout))
        sink.memory.begin(kept, at)
    new = sink.stage(batch_id, name * 32, frame.lazy(), tally)
    old, revision = sink.revise(batch_id, name * 32, Edit(schema))
    counts = tally.counts()
    check_balance(counts, where="test")
    for fates in tally.by_file().values():
        check_balance(fates, where="test")
    revisions = {} if revision is None else {"main": revision}
    manifest = Manifest(batch_id, name * 32, {"main": (*new, *old)}, {"main": schema}, {}, counts, revisions=revisions)
    return Staged(sink, manifest, kept)


def bring(sink: DeltaSink, batch_id: int, rows: pl.DataFrame | dict[str, list[Any]], **options: Any) -> dict[str, int]:
    """Stage and commit a batch; return its counts that are not 0."""
    staged = stage(sink, batch_id, rows, **options)
    staged.commit()
    return {fate: count for fate, count in staged.manifest.rows.items() if count and fate != "read"}


def held(root: Path, *names: str) -> Counter[tuple[Any, ...]]:
    """Return the multiset of what an independent reader finds in some columns."""
    return Counter(tuple(row.get(name) for name in names) for row in table_rows(root))
