from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from etl.balance import Tally
from etl.chains import clock_rules, delays, state_ids, stateful_steps
from etl.errors import ConfigError
from etl.execution import Passage
from etl.flow import Branch, Flow
from etl.flow_schema import FlowColumns, check_flow
from etl.model import BatchPlan
from etl.state.contract import Fingerprint, State, StateChange, TableLayout
from etl.state.plain import PlainTable
from etl.testing import MemorySink, MemorySource
from etl.transforms.contract import Moment, Stepped, TransformSite
from etl.transforms.watermark import Watermark, WatermarkOptions
from etl.watermark import micros, moment

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
PLAN = BatchPlan(3, AT, {}, {}, "definition")
SCHEMA: Any = {"id": "int64", "ts": "timestamp(UTC)"}


class Total:
    """Keeps the sum of ``id`` and gives it once a batch, with what it was told of time."""

    is_stateful = True

    def __init__(self, inputs: tuple[str, ...] = (), label: str = "total") -> None:
        self.label = label
        self.inputs = inputs
        self.moments: list[tuple[int | None, int | None]] = []

    def output_schema(self, given: pl.Schema, *others: pl.Schema) -> pl.Schema:
        return pl.Schema({"sum": pl.Int64()})

    def layouts(self, given: pl.Schema, *others: pl.Schema) -> Mapping[str, TableLayout]:
        return {"total": TableLayout({}, {"sum": pl.Int64()})}

    def fingerprint(self) -> Fingerprint:
        return Fingerprint("total")

    def step(self, rows: tuple[pl.LazyFrame, ...], state: State, moment: Moment, tally: Tally) -> Stepped:
        frames = [each.collect() for each in rows]
        self.moments.append((moment.before_us, moment.after_us()))
        tally.add("folded", sum(frame.height for frame in frames))
        known = [frame["sum"] for frame in state["total"].scan()]
        made = pl.DataFrame({"sum": [sum(int(each.sum()) for each in (*known, *(frame[:, 0] for frame in frames)))]})
        tally.add("added", 1)
        return Stepped(made, {"total": StateChange(put=made)})

    def next_due_us(self, state: State, moment: Moment) -> int | None:
        return None


def clock(source: str = "", delay: str = "0s") -> Watermark:
    return Watermark(
        WatermarkOptions.model_validate({"column": "ts", "delay": delay}), TransformSite(Path(), 0, source)
    )


def flow_of(*transforms: Any, branches: tuple[Branch, ...] = (), system: tuple[str, ...] = ()) -> Flow:
    return Flow("test", "source", MemorySource(), transforms, MemorySink(), system, branches=branches)


def rows(*hours: int) -> pl.LazyFrame:
    times = [datetime(2026, 1, 1, hour, tzinfo=UTC) for hour in hours]
    return pl.LazyFrame(
        {"id": pl.Series(hours, dtype=pl.Int64), "ts": pl.Series(times, dtype=pl.Datetime("us", "UTC"))}
    )


def hour(at_us: int | None) -> int | None:
    return None if at_us is None else moment(at_us).hour


def test_a_stateful_step_sees_its_state_and_gives_its_changes() -> None:
    step = Total()

    def opened(name: str, _: Any, layouts: Mapping[str, TableLayout]) -> State:
        assert name == "total"
        return {"total": PlainTable(layouts["total"], pl.DataFrame({"sum": [100]}))}

    passage = Passage(flow_of(step), PLAN, Tally(), opened)

    assert passage.rows({"source": rows(1, 2)}).collect().rows() == [(103,)]
    assert passage.changes["total"]["total"].put is not None


def test_the_watermark_after_the_batch_is_known_once_a_step_has_collected_its_input() -> None:
    step = Total()
    passage = Passage(flow_of(clock(), step), PLAN, Tally())

    passage.rows({"source": rows(9, 10)})

    assert [(before, hour(after)) for before, after in step.moments] == [(None, 10)]
    assert hour(passage.watermarks().at_us) == 10


def test_the_watermark_before_the_batch_is_that_of_the_plan() -> None:
    step = Total()
    plan = BatchPlan(3, AT, {}, {}, "definition", watermark="2026-01-01T08:00:00+00:00")

    Passage(flow_of(clock(), step), plan, Tally()).rows({"source": rows(7)})

    assert [(hour(before), hour(after)) for before, after in step.moments] == [(8, 8)]


def test_with_two_clocks_every_step_knows_the_slower_one() -> None:
    first, last = Total(label="first"), Total(("refunds",), "last")
    refunds = Branch("refunds", MemorySource(), [clock("refunds")])

    Passage(flow_of(clock(), first, last, branches=(refunds,)), PLAN, Tally()).rows(
        {"source": rows(9, 10), "refunds": rows(8)}
    )

    assert hour(first.moments[0][1]) == 8
    assert hour(last.moments[0][1]) == 8


def test_a_step_takes_in_the_rows_of_a_branch_behind_its_own_transforms() -> None:
    inner: Any = Total(label="inner")
    branch = Branch("refunds", MemorySource(), [inner])
    flow = flow_of(Total(("refunds",)), branches=(branch,))
    passage = Passage(flow, PLAN, Tally())

    assert passage.rows({"source": rows(1), "refunds": rows(2, 3)}).collect().rows() == [(6,)]
    assert set(passage.changes) == {"total", "refunds.inner"}


def test_rows_that_a_step_makes_are_of_the_batch() -> None:
    flow = flow_of(Total(), system=("_source_file", "_batch_id", "_ingested_at"))
    found = Passage(flow, PLAN, Tally()).rows({"source": rows(1)}).collect()

    assert found.to_dicts() == [{"sum": 1, "_batch_id": 3, "_ingested_at": AT}]
    assert check_flow(flow, {"source": SCHEMA}) == found.schema


def test_states_are_named_by_label_and_number_whatever_stands_between() -> None:
    one, two = Total(), Total()
    three: Any = Total()
    flow = flow_of(one, clock(), two, branches=(Branch("refunds", MemorySource(), [three]),))

    assert state_ids(flow) == {id(one): "total", id(two): "total-2", id(three): "refunds.total"}
    assert stateful_steps(flow) == {"total": one, "total-2": two, "refunds.total": three}


def test_clocks_are_named_by_their_chain() -> None:
    flow = flow_of(clock(delay="1s"), branches=(Branch("refunds", MemorySource(), [clock("refunds")]),))

    assert {name: rule.delay_us for name, rule in clock_rules(flow).items()} == {"": 1_000_000, "refunds": 0}


def test_columns_before_a_step_are_found_without_rows() -> None:
    step = Total(("refunds",))
    flow = flow_of(clock(), step, branches=(Branch("refunds", MemorySource()),))
    schemas: Any = {"source": SCHEMA, "refunds": {"other": "string"}}

    given = FlowColumns(flow, schemas).inputs_of(step)

    assert [list(each) for each in given] == [["id", "ts"], ["other"]]


def test_a_fault_in_a_branch_is_told_with_its_place() -> None:
    flow = flow_of(Total(("refunds",)), branches=(Branch("refunds", MemorySource(), [clock("refunds")]),))

    with pytest.raises(ConfigError) as caught:
        check_flow(flow, {"source": SCHEMA, "refunds": {"other": "string"}})
    assert caught.value.where == "sources.refunds.transforms[0].watermark"


def test_a_batch_without_rows_still_steps() -> None:
    step = Total()

    assert Passage(flow_of(clock(), step), PLAN, Tally()).rows({"source": rows()}).collect().rows() == [(0,)]
    assert step.moments == [(None, None)]
    assert micros(AT) > 0


def test_behind_a_step_that_holds_rows_back_the_watermark_is_so_much_earlier() -> None:
    first, second = Total(label="first"), Total(("refunds",), "second")
    setattr(first, "behind_us", 60_000_000)  # noqa: B010  only this one has it
    inner: Any = Total(label="inner")
    inner.behind_us = 90_000_000
    branch = Branch("refunds", MemorySource(), [inner])
    last = Total(label="last")
    flow = flow_of(clock(), first, second, last, branches=(branch,))

    found = delays(flow)

    assert [found[id(step)] for step in (first, inner, second, last)] == [0, 0, 90_000_000, 90_000_000]
    Passage(flow, PLAN, Tally()).rows({"source": rows(10), "refunds": rows(9)})
    assert [hour(first.moments[0][1]), moment(last.moments[0][1] or 0).minute] == [10, 58]
