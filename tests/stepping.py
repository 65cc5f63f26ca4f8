"""A stateful transform, or a chain of them, driven over batches as the engine would; its state in plain tables.

Every step of every batch is checked on the way: announced columns, keys put once, a repeat gives the same, the balance.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
from polars.testing import assert_frame_equal

from etl.balance import Tally, observed
from etl.model import CHANGE, BatchPlan
from etl.state.plain import PlainTable
from etl.transforms.contract import Moment, Stepped
from etl.transforms.watermark import event_micros
from etl.watermark import Rule, Watermarks, advance, earlier, to_text

Batch = pl.DataFrame | tuple[pl.DataFrame, ...]
State = dict[str, PlainTable]

FIRST_AT = datetime(2024, 3, 5, tzinfo=UTC)


@dataclass(frozen=True)
class Clock:
    """Which column tells event time, in the main input and in each further one, and how late rows may come."""

    times: tuple[str, ...] = ("at",)
    delay_us: int = 0

    def rules(self) -> dict[str, Rule]:
        return {str(place): Rule(self.delay_us) for place in range(len(self.times))}


@dataclass
class Walk:
    """What came of it, batch by batch; ``late`` holds all late rows, of every step."""

    emitted: list[pl.DataFrame] = field(default_factory=list)
    late: list[pl.DataFrame] = field(default_factory=list)
    counts: list[dict[str, int]] = field(default_factory=list)
    states: list[list[State]] = field(default_factory=list)
    watermarks: list[int | None] = field(default_factory=list)

    def rows(self) -> pl.DataFrame:
        """Return everything that was emitted."""
        return pl.concat(self.emitted)

    def result(self, keys: Sequence[str]) -> pl.DataFrame:
        """Return a changing result after the last batch; a change that does not fit the result before it fails."""
        result = self.emitted[0].drop(CHANGE).clear()
        for changes in self.emitted:
            result = changed(result, changes, keys)
        return result


def walk(
    steps: Sequence[Any],
    batches: Sequence[Batch],
    clock: Clock | None = None,
    *,
    every: timedelta = timedelta(minutes=1),
    start: Mapping[str, pl.DataFrame] | None = None,
) -> Walk:
    """Drive ``steps``, each fed by the one before, over ``batches``; without a clock there is no watermark.

    A batch is a frame, or a tuple with a frame for the input of the first step and one for each of its ``inputs``.
    Batch n is at ``FIRST_AT`` + n times ``every``. ``start`` is what tables of the first step hold before.
    """
    frames = [batch if isinstance(batch, tuple) else (batch,) for batch in batches]
    givens = wired(steps, [frame.schema for frame in frames[0]])
    states = [
        {name: PlainTable(layout) for name, layout in step.layouts(*given).items()}
        for step, given in zip(steps, givens, strict=False)
    ]
    for name, frame in (start or {}).items():
        layout = states[0][name].layout
        states[0][name] = PlainTable(layout, frame.select(list(layout.columns)))
    walked, marks = Walk(), Watermarks()
    for batch_id, inputs in enumerate(frames):
        plan = BatchPlan(batch_id, FIRST_AT + batch_id * every, {}, {}, "definition", to_text(marks.at_us))
        outcome = _batch(steps, states, inputs, plan, (clock, marks))
        again = _batch(steps, states, inputs, plan, (clock, marks))
        assert_same(outcome.rows, again.rows)
        assert outcome.counts == again.counts
        assert outcome.rows.schema == givens[-1][0]
        states, marks = outcome.states, outcome.marks
        walked.emitted.append(outcome.rows)
        walked.late.extend(outcome.late)
        walked.counts.append(outcome.counts)
        walked.states.append(states)
        walked.watermarks.append(marks.at_us)
    return walked


def wired(steps: Sequence[Any], schemas: list[pl.Schema]) -> list[list[pl.Schema]]:
    """Return the columns that each step is given, then those of the result; tells steps the keys of their input."""
    givens, keys = [schemas], None
    for step in steps:
        if keys is not None and hasattr(step, "take_keys"):
            step.take_keys(keys)
        result = step.output_schema(*givens[-1])
        keys = step.result_keys(givens[-1][0]) if CHANGE in result else None
        givens.append([result])
    return givens


@dataclass
class _Outcome:
    rows: pl.DataFrame
    states: list[State]
    marks: Watermarks
    counts: dict[str, int]
    late: list[pl.DataFrame]


def _batch(
    steps: Sequence[Any],
    states: Sequence[State],
    inputs: tuple[pl.DataFrame, ...],
    plan: BatchPlan,
    time: tuple[Clock | None, Watermarks],
) -> _Outcome:
    clock, before = time
    tally, seen = Tally(), dict[str, int]()
    rows = tuple(_seen(frame, str(place), clock, seen) for place, frame in enumerate(inputs))
    rules = clock.rules() if clock else {}

    def after() -> Watermarks:
        return advance(before, seen, rules, plan.batch_at)

    read, found, behind_us = sum(frame.height for frame in inputs), [], 0
    for step, state in zip(steps, states, strict=True):
        moment = _moment(plan, clock, before, after, behind_us)
        stepped = step.step(rows, state, moment, tally)
        behind_us += getattr(step, "behind_us", 0)
        found.append(after_batch(state, stepped))
        rows = (stepped.rows.lazy(),)
    counts = Counter({**tally.counts(), "read": read, "written": stepped.rows.height})
    arrived = counts["read"] + counts["added"]
    assert arrived == sum(counts[fate] for fate in ("written", "filtered", "deduplicated", "late", "folded")), counts
    return _Outcome(stepped.rows, found, after(), {k: v for k, v in counts.items() if v}, tally.late.take())


def _moment(
    plan: BatchPlan, clock: Clock | None, before: Watermarks, after: Callable[[], Watermarks], behind_us: int
) -> Moment:
    """Return what a step knows of time: its watermark is as much earlier as its input may lie behind that."""
    before_us = earlier(before.at_us, behind_us)
    return Moment(plan, before_us, lambda: earlier(after().at_us, behind_us), has_watermark=clock is not None)


def _seen(frame: pl.DataFrame, place: str, clock: Clock | None, seen: dict[str, int]) -> pl.LazyFrame:
    def see(part: pl.DataFrame) -> None:
        newest: Any = event_micros(part[clock.times[int(place)]]).max() if clock else None
        if newest is not None:
            seen[place] = max(newest, seen.get(place, newest))

    return observed(frame.lazy(), see)


def after_batch(state: Mapping[str, PlainTable], stepped: Stepped) -> State:
    """Return the state after a batch. Fails where the changes are not what the contract allows."""
    found = dict(state)
    for name, change in stepped.changes.items():
        layout = state[name].layout
        unique = [*layout.keys, *layout.part]
        if change.put is not None:
            assert dict(change.put.select(list(layout.columns)).schema) == layout.columns
            assert not unique or not change.put.select(unique).is_duplicated().any()
            if change.expire_upto_us is not None and layout.expires:
                ends = change.put[layout.expires].dt.epoch("us")
                assert not (ends <= change.expire_upto_us).any()
        if change.remove is not None:
            assert set(unique) <= set(change.remove.columns)
        found[name] = state[name].changed(change)
    return found


def changed(result: pl.DataFrame, changes: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """Return a result after a batch of changes. Fails where a change does not fit: insert what is there, and so on."""
    assert not changes.select(keys).is_duplicated().any(), "two changes of one key"
    assert changes[CHANGE].is_in(["insert", "update", "delete"]).all()
    was_there = changes.join(result, on=list(keys), how="semi", nulls_equal=True)
    assert_same(was_there, changes.filter(pl.col(CHANGE) != "insert"))
    kept = result.join(changes, on=list(keys), how="anti", nulls_equal=True)
    return pl.concat([kept, changes.filter(pl.col(CHANGE) != "delete").drop(CHANGE)])


def assert_same(left: pl.DataFrame, right: pl.DataFrame) -> None:
    """Compare two frames as multisets of rows."""
    assert_frame_equal(left, right, check_row_order=False, rel_tol=1e-9, abs_tol=1e-9)


def cut(frame: pl.DataFrame, places: Sequence[int]) -> list[pl.DataFrame]:
    """Return ``frame`` in batches that end before each of ``places``; a place twice gives a batch without rows."""
    ends = [*sorted(min(place, frame.height) for place in places), frame.height]
    return [frame[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def assert_ahead(walked: Walk, column: str, behind_us: int) -> None:
    """Fail where a row came out further behind the watermark before its batch than ``behind_us``."""
    for frame, before_us in zip(walked.emitted, [None, *walked.watermarks], strict=False):
        earliest: Any = event_micros(frame[column]).min()
        assert before_us is None or earliest is None or earliest > before_us - behind_us
