"""Transforms as a pipeline has them, driven over batches by the engine's own passage; their state in plain tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from etl.balance import Tally, check_balance
from etl.execution import Passage
from etl.flow import Branch, Flow
from etl.flow_schema import FlowColumns
from etl.model import CHANGE, BatchPlan
from etl.schema import from_polars
from etl.state.plain import PlainTable
from etl.testing import MemorySink, MemorySource
from etl.transforms import TRANSFORMS
from etl.transforms.contract import TransformSite
from etl.transforms.sql_expansion import expanded
from etl.transforms.sql_planning_parts import Scope
from etl.watermark import Watermarks, clocks_to_json, to_text

FIRST_AT = datetime(2024, 3, 5, tzinfo=UTC)
MAIN = "source"

Batch = Mapping[str, pl.DataFrame]
"""The rows of each source by its name."""


@dataclass
class Flowed:
    """What came of it: the rows of each batch, all late rows, the counts of each batch, and where event time stands."""

    batches: list[pl.DataFrame] = field(default_factory=list)
    late: list[pl.DataFrame] = field(default_factory=list)
    counts: list[dict[str, int]] = field(default_factory=list)
    watermark_us: int | None = None
    keys: list[str] | None = None

    def result(self) -> pl.DataFrame:
        """Return all rows that came; of a changing result, what the changes have made of it."""
        if CHANGE not in self.batches[0].columns:
            return pl.concat(self.batches)
        found = self.batches[0].drop(CHANGE).clear()
        for changes in self.batches:
            found = after_changes(found, changes, self.keys or [])
        return found


def after_changes(result: pl.DataFrame, changes: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """Return a result after the changes of a batch, as a table takes them: by key, each key once."""
    added = changes.filter(pl.col(CHANGE) != "delete").drop(CHANGE)
    if not keys:
        return added if changes.height else result
    assert not changes.select(keys).is_duplicated().any(), "two changes of one key"
    return pl.concat([result.join(changes, on=list(keys), how="anti", nulls_equal=True), added])


def planned_steps(
    text: str, *, clock: str = "", delay: str = "0s", sources: Sequence[str] = (), main: str = MAIN
) -> list[Any]:
    """Return the transforms of a query, behind a watermark on the column ``clock`` where there is one.

    ``main`` is the name of the main source, ``sources`` are those beside it.
    """
    site = TransformSite(Path(), 1 if clock else 0, has_watermark=bool(clock), time_column=clock)
    scope = Scope((main,), tuple(sources), clock)
    return [*([watermark(clock, delay)] if clock else []), *expanded(text, site, scope, lambda key: TRANSFORMS[key])]


def watermark(column: str, delay: str = "0s", source: str = "") -> Any:
    kind = TRANSFORMS["watermark"]
    options = kind.options_model.model_validate({"column": column, "delay": delay, "max_ahead": "36500d"})
    return kind(options, TransformSite(Path(), 0, source))


def flow(steps: Sequence[Any], batches: Sequence[Batch], branches: Mapping[str, Sequence[Any]] | None = None) -> Flowed:
    """Drive ``steps`` over ``batches``; ``branches`` are the transforms of the sources beside the main one."""
    beside = tuple(Branch(name, MemorySource(), own) for name, own in (branches or {}).items())
    walked = Flow("test", MAIN, MemorySource(), steps, MemorySink(), (), branches=beside)
    columns = FlowColumns(walked, {name: from_polars(frame.schema) for name, frame in batches[0].items()})
    announced = columns.result()
    found, marks = Flowed(keys=columns.keys), Watermarks()
    tables: dict[str, dict[str, PlainTable]] = {}
    for batch_id, batch in enumerate(batches):
        tally = Tally()
        plan = _plan(batch_id, marks)
        passage = Passage(walked, plan, tally, lambda name, _, layouts: _opened(tables, name, layouts))
        rows = passage.rows({name: frame.lazy() for name, frame in batch.items()}).collect()
        assert rows.schema == announced
        tally.add("read", sum(frame.height for frame in batch.values()))
        tally.add("written", rows.height)
        check_balance(tally.counts(), where=f"batch {batch_id}")
        for name, changes in passage.changes.items():
            tables[name].update({part: tables[name][part].changed(change) for part, change in changes.items()})
        marks = passage.watermarks()
        found.batches.append(rows)
        found.late += tally.late.take()
        found.counts.append({fate: count for fate, count in tally.counts().items() if count})
    found.watermark_us = marks.at_us
    return found


def _plan(batch_id: int, marks: Watermarks) -> BatchPlan:
    at = FIRST_AT + timedelta(minutes=batch_id)
    return BatchPlan(batch_id, at, {}, {}, "d", to_text(marks.at_us), clocks=clocks_to_json(marks.clocks))


def _opened(tables: dict[str, dict[str, PlainTable]], name: str, layouts: Mapping[str, Any]) -> dict[str, PlainTable]:
    return tables.setdefault(name, {part: PlainTable(layout) for part, layout in layouts.items()})
