"""Histories of pipelines that remember: what comes when, where runs end and fail; and what must be there afterwards."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import strategies as st

from etl.checkpoint.folder import Checkpoint, find_checkpoint
from etl.engine import run
from etl.errors import EtlError
from etl.model import Bounds, ReadLimit
from etl.operations.workspace import Workspace
from etl.pipeline import Pipeline
from etl.progress import Silent
from etl.seam import Seam
from etl.sinks.late import Late
from etl.storage import LocalStorage
from etl.testing import FailingSeam, Failure, MemorySink, MemorySource
from tests.readers import table_rows
from tests.stateful_chains import FUNCTIONS, START, Chain

SCHEMA = {"k": "string", "at": "timestamp", "x": "int64", "id": "int64", "n": "int64"}
TYPES: dict[str, Any] = {"k": pl.String, "at": pl.Datetime("us"), "x": pl.Int64, "id": pl.Int64, "n": pl.Int64}
CLOSING = START + timedelta(days=10)
"""The time of the last rows, one of each source: the watermark passes everything before."""
NEVER = START + timedelta(days=400)
"""Beyond ``max_ahead``: moves no watermark."""

Event = tuple[str | None, int | None, int | None]
"""Key, minute (-1 for a far future), value."""
Row = dict[str, Any]

EVENTS: st.SearchStrategy[Event] = st.tuples(
    st.sampled_from(["a", "b", None]),
    st.one_of(st.integers(0, 9).map(lambda five: 5 * five), st.integers(0, 60), st.sampled_from([None, -1])),
    st.sampled_from([None, 0, 1, 2, 3]),
)
"""Mostly at multiples of 5 minutes, as what the steps are told: then moments are often equal to a bound."""


class FailingClock(FailingSeam):
    """A clock that stands still for a run, in a world where one effect fails."""

    def __init__(self, now: datetime, at: int, failure: Failure) -> None:
        super().__init__(at, failure)
        self._now = now.replace(tzinfo=UTC)

    def now(self) -> datetime:
        """Return the time of every batch."""
        return self._now


@dataclass(frozen=True)
class Run:
    """One run: how many minutes after the one before, how many units more of each source, and where it ends."""

    units: int
    max_files: int = 1
    max_batches: int | None = None
    fails_at: int = 0
    failure: Failure = "error_before"
    wait: int = 0


@dataclass(frozen=True)
class History:
    """A chain, the units of each source, and the runs over them.

    After ``idle`` minutes without rows a source does not hold the others back; 0: it always does.
    """

    chain: Chain
    units: dict[str, list[list[Row]]]
    runs: Sequence[Run]
    idle: int = 0


RUNS = st.builds(
    Run,
    st.integers(0, 3),
    st.integers(1, 3),
    st.sampled_from([None, None, 1, 2]),
    st.one_of(st.just(0), st.integers(1, 45)),
    st.sampled_from(["error_before", "error_after", "torn"]),
    st.sampled_from([0, 0, 15]),
)


@st.composite
def histories(draw: st.DrawFn, chains: st.SearchStrategy[Chain]) -> History:
    """Draw a chain and what comes, at most eight units a source, some events twice."""
    chain = draw(chains)
    units = {}
    for place, source in enumerate(chain.sources):
        events = draw(st.lists(st.one_of(EVENTS, EVENTS, st.none()), min_size=1, max_size=16))
        cuts = sorted(draw(st.lists(st.integers(0, len(events)), max_size=7)))
        units[source] = _units(_rows(events, 1000 * place), cuts)
    return History(chain, units, draw(st.lists(RUNS, max_size=3)), draw(st.sampled_from([0, 10])))


def _rows(events: Sequence[Event | None], first: int) -> list[Row]:
    """Return events as rows, each with a number; None is the event three before once more."""
    found: list[Row] = []
    for number, event in enumerate(events, first):
        if event is None:
            found.append({**found[-3 if len(found) > 2 else -1], "n": number} if found else _row(("a", 0, 1), number))
        else:
            found.append(_row(event, number))
    return found


def _row(event: Event, number: int) -> Row:
    key, minute, value = event
    at = None if minute is None else NEVER if minute < 0 else START + timedelta(minutes=minute)
    return {"k": key, "at": at, "x": value, "id": number % 1000, "n": number}


def _units(rows: list[Row], cuts: list[int]) -> list[list[Row]]:
    ends = [*cuts, len(rows)]
    return [rows[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def closing(source: str) -> Row:
    """Return the last row of a source, with a key that no other has."""
    return {"k": f"closing {source}", "at": CLOSING, "x": 0, "id": 999, "n": -1}


class Home:
    """A pipeline in a folder, its sources and tables in memory unless ``is_real``; all but those is made anew each run.

    Every unit is a batch or part of one.
    """

    def __init__(self, folder: Path, history: History, *, is_real: bool = False) -> None:
        self.folder = folder
        self.history = history
        self.is_real = is_real
        self.now = START
        chain = history.chain
        self.sources = {name: MemorySource({**SCHEMA}) for name in chain.sources}
        self.sink = MemorySink("t", chain.keys)
        self.late = MemorySink("t__late")
        self.given: dict[str, list[list[Row]]] = {name: [] for name in chain.sources}
        (folder / "pipelines").mkdir(parents=True)
        (folder / "transforms").mkdir()
        (folder / "transforms" / "users.py").write_text(FUNCTIONS)
        (folder / "pipelines" / "p.yml").write_text(text_of(history))
        for name in chain.sources:
            (folder / "in" / name).mkdir(parents=True)

    def give(self, source: str, rows: list[Row]) -> None:
        """Let one more unit of a source be there."""
        number = len(self.given[source])
        self.given[source].append(rows)
        if not self.is_real:
            self.sources[source].add(pl.DataFrame(rows, schema=TYPES))
            return
        lines = [json.dumps({**row, "at": row["at"] and row["at"].isoformat()}) + "\n" for row in rows]
        (self.folder / "in" / source / f"{number}.ndjson").write_text("".join(lines))

    def wired(self, seam: Seam, max_files: int) -> Pipeline:
        """Return the pipeline as its file says it."""
        made = Workspace(self.folder).wired("p", seam)
        limit = ReadLimit(max_files=max_files)
        flow = made.flow
        branches = tuple(replace(each, limit=limit) for each in flow.branches)
        if not self.is_real:
            branches = tuple(replace(each, source=self.sources[each.name]) for each in branches)
            flow = replace(flow, source=self.sources["main"], sink=self.sink, late=Late(self.late), quarantine=None)
        return replace(made, flow=replace(flow, branches=branches), limit=limit)

    def run(self, told: Run) -> None:
        """Run once, to an end or a failure."""
        self.now += timedelta(minutes=told.wait)
        seam = FailingClock(self.now, told.fails_at, told.failure)
        with suppress(EtlError) if told.fails_at else nullcontext():
            run(self.wired(seam, told.max_files), seam, Silent(), Bounds(told.max_batches))

    def play(self) -> None:
        """Play the history to its end: all units, then the rows that close all windows."""
        waiting = {name: list(units) for name, units in self.history.units.items()}
        for told in self.history.runs:
            for name, units in waiting.items():
                for rows in units[: told.units]:
                    self.give(name, rows)
                del units[: told.units]
            self.run(told)
        for name, units in waiting.items():
            for rows in [*units, [closing(name)]]:
                self.give(name, rows)
        self.run(Run(0))

    def table(self) -> pl.DataFrame:
        """Return the rows of the table."""
        rows = table_rows(self.folder / "lake" / "p") if self.is_real else self.sink.rows()
        return pl.DataFrame(rows, infer_schema_length=None)

    def late_rows(self) -> list[Row]:
        """Return the rows of the late table."""
        if not self.is_real:
            return self.late.rows()
        table = self.folder / "lake" / "p__late"
        return table_rows(table) if (table / "_delta_log").exists() else []

    def checkpoint(self) -> Checkpoint:
        """Return the pipeline's checkpoint."""
        found = find_checkpoint(LocalStorage(self.folder / "lake" / "_checkpoints" / "p", Seam()), Seam())
        assert found is not None
        return found

    def batches(self) -> list[tuple[datetime, dict[str, list[Row]]]]:
        """Return when each batch was, and its rows by source, as its plan says."""
        plans = self.checkpoint().plans
        found = []
        for batch_id in sorted(plans.log.revisions()):
            plan = plans.read(batch_id)
            rows = {name: self._rows_of(name, planned.units) for name, planned in plan.inputs.items()}
            found.append((plan.batch_at.replace(tzinfo=None), rows))
        return found

    def _rows_of(self, source: str, units: Mapping[str, Any]) -> list[Row]:
        numbers = units.get("unit", ())
        if self.is_real:
            numbers = sorted({int(number) for number in re.findall(rf"in/{source}/(\d+)\.ndjson", json.dumps(units))})
        return [row for number in numbers for row in self.given[source][number]]

    def counts(self) -> Counter[str]:
        """Return the rows of all batches by their fate, of each batch once."""
        commits = self.checkpoint().commits
        entries = [commits.read(batch_id).result.rows for batch_id in sorted(commits.log.revisions())]
        return sum((Counter(rows) for rows in entries), Counter())


def text_of(history: History) -> str:
    """Return the pipeline file."""
    chain = history.chain
    watermark = f"column: at, delay: {chain.delay}m, max_ahead: 30d"
    watermark += f", idle_timeout: {history.idle}m" if history.idle else ""
    schema = json.dumps(SCHEMA)
    lines = ["version: 1", "name: p", "sources:"]
    for name in chain.sources:
        lines += [
            f"  {name}:",
            "    type: files",
            f"    path: in/{name}/*.ndjson",
            "    format: ndjson",
            "    order: name",
            f"    schema: {schema}",
            f"    transforms: [{{watermark: {{{watermark}}}}}]",
        ]
    lines.append("transforms:")
    lines += ["  - union: {with: [more]}"] if chain.has_more else []
    lines += [f"  - {entry}" for step in chain.steps for entry in step.yaml]
    merge = f", write_mode: merge, primary_key: [{', '.join(chain.keys)}]" if chain.keys else ""
    return "\n".join([*lines, f"sink: {{type: delta, path: lake/p{merge}}}", ""])
