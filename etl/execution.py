"""The walk of rows through the transforms of a pipeline, stateful ones among them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from etl.balance import Tally
from etl.chains import MAIN, clock_rules, delays, keeps_source_row, keys_after, keys_before, state_ids, steps_of_chain
from etl.errors import StateError
from etl.flow import Flow
from etl.model import SOURCE_ROW, BatchPlan
from etl.state.plain import PlainTable
from etl.transforms.contract import Moment, Stateful
from etl.transforms.source_rows import with_source_row
from etl.watermark import Watermarks, advance, clocks_from_json, earlier, from_text

if TYPE_CHECKING:
    import polars as pl

    from etl.state.contract import State, StateChange, TableLayout

Opener: TypeAlias = "Callable[[str, Stateful, Mapping[str, TableLayout]], State]"
"""Gives the state of a transform, by its id, as it was before the batch."""


class Passage:
    """One pass of the rows of an attempt through every transform.

    Rows stream lazily as far as they can; a stateful transform collects its input. ``changes`` is what each of those
    does to its state, by its id; ``watermarks`` where event time stands once all rows have flowed.
    """

    def __init__(self, flow: Flow, plan: BatchPlan, tally: Tally, opened: Opener | None = None) -> None:
        self._flow = flow
        self._plan = plan
        self._tally = tally
        self._opened = opened or _nothing_known
        self._ids = state_ids(flow)
        self._rules = clock_rules(flow)
        self._delays = delays(flow)
        self._sources: Mapping[str, pl.LazyFrame] = {}
        self._collected: dict[str, tuple[int, pl.LazyFrame, Tally]] = {}
        self._keys: dict[str, list[str] | None] = {}
        self._before = Watermarks(from_text(plan.watermark), clocks_from_json(plan.clocks))
        self.changes: dict[str, Mapping[str, StateChange]] = {}

    def rows(self, sources: Mapping[str, pl.LazyFrame]) -> pl.LazyFrame:
        """Return what reaches the sink of the rows of each source, to be consumed once."""
        self._sources = sources
        if self._ids and len(self._rules) > 1:
            for chain in sorted(self._rules, key=MAIN.__eq__):  # the main one takes the others in
                if self._source_of(chain) in sources:
                    self._collect_clock(chain)
        rows, tally = self._run(MAIN)
        if self._flow.expectations is not None:
            return self._flow.expectations.apply(rows, self._plan, tally)
        return rows.drop(SOURCE_ROW, strict=False) if keeps_source_row(self._flow) else rows

    def watermarks(self) -> Watermarks:
        """Return where event time stands after the batch. Only once all rows have flowed."""
        return advance(self._before, self._tally.event_times(), self._rules, self._plan.batch_at)

    def _collect_clock(self, chain: str) -> None:
        """Let the rows of a chain flow as far as its clock: what is final depends on every clock."""
        steps = steps_of_chain(self._flow, chain)
        upto = 1 + max(place for place, step in enumerate(steps) if step.label == "watermark")
        rows, tally = self._run(chain, upto)
        self._collected[chain] = (upto, rows.collect(engine="streaming").lazy(), tally)

    def _run(self, chain: str, upto: int | None = None) -> tuple[pl.LazyFrame, Tally]:
        """Return the rows of a chain after its first ``upto`` transforms, and the tally of what is behind them."""
        begin, rows, tally = self._collected.get(chain) or (0, self._begin(chain), self._tally)
        keys = self._keys[chain] if begin else keys_before(self._flow, chain)
        for step in steps_of_chain(self._flow, chain)[begin:upto]:
            taken = [self._run(name) for name in getattr(step, "inputs", ())]
            before = rows
            if keys is not None and hasattr(step, "take_keys"):
                step.take_keys(keys)
            rows = self._step(step, rows, tuple(others for others, _ in taken), tally)
            if keys is not None or hasattr(step, "result_keys"):
                keys = keys_after(step, before.collect_schema(), rows.collect_schema(), keys)
            is_of_parts = any(behind.is_of_parts for _, behind in taken)
            if is_of_parts or getattr(step, "adds_rows", False) or id(step) in self._ids:
                tally = tally.of_parts()
        self._keys[chain] = keys
        return rows, tally

    def _source_of(self, chain: str) -> str:
        return chain or self._flow.source_name

    def _begin(self, chain: str) -> pl.LazyFrame:
        source = self._source_of(chain)
        return with_batch(self._flow, self._sources[source], self._plan, source)

    def _step(self, step: Any, rows: pl.LazyFrame, others: tuple[pl.LazyFrame, ...], tally: Tally) -> pl.LazyFrame:  # noqa: ANN401  one of three kinds
        if hasattr(step, "combine"):
            combined: pl.LazyFrame = step.combine(rows, others)
            return combined
        if id(step) not in self._ids:
            applied: pl.LazyFrame = step.apply(rows, self._plan, tally)
            return applied
        return self._remembering_step(step, (rows, *others), tally)

    def _remembering_step(self, step: Stateful, rows: tuple[pl.LazyFrame, ...], tally: Tally) -> pl.LazyFrame:
        name = self._ids[id(step)]
        given = [each.collect_schema() for each in rows]
        step.output_schema(*given)
        try:
            state = self._opened(name, step, step.layouts(*given))
        except StateError as exc:
            raise StateError(exc.message, where=exc.where, hint=exc.hint.replace("NAME", self._flow.name)) from exc
        behind_us = self._delays[id(step)]
        before_us = earlier(self._before.at_us, behind_us)
        moment = Moment(self._plan, before_us, lambda: earlier(self.watermarks().at_us, behind_us), bool(self._rules))
        stepped = step.step(rows, state, moment, tally)
        self.changes[name] = stepped.changes
        made = stepped.rows.lazy().with_columns(**_of_batch(self._flow, self._plan, stepped.rows.columns))
        if keeps_source_row(self._flow) and SOURCE_ROW not in stepped.rows.columns:
            made = with_source_row(made, [name for name in stepped.rows.columns if not name.startswith("_")])
        return made


def _nothing_known(_: str, _step: Stateful, layouts: Mapping[str, TableLayout]) -> State:
    return {name: PlainTable(layout) for name, layout in layouts.items()}


def with_batch(flow: Flow, rows: pl.LazyFrame, plan: BatchPlan, source: str) -> pl.LazyFrame:
    """Return ``rows`` with the system columns that the batch gives, and the source's own row where one may need it."""
    given = rows.collect_schema().names()
    if keeps_source_row(flow):
        own = [name for name in given if name not in flow.system]
        rows = with_source_row(rows, own, source if flow.has_several else "")
    added = _of_batch(flow, plan, given)
    return rows.with_columns(**added) if added else rows


def _of_batch(flow: Flow, plan: BatchPlan, given: Sequence[str]) -> dict[str, pl.Expr]:
    """Return the system columns that say which batch a row is of, where they are wanted and not there."""
    import polars as pl

    values = {
        "_batch_id": pl.lit(plan.batch_id, dtype=pl.Int64),
        "_ingested_at": pl.lit(plan.batch_at, dtype=pl.Datetime("us", "UTC")),
    }
    return {name: value for name, value in values.items() if name in flow.system and name not in given}
