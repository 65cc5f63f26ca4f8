"""The walk of rows through the transforms of a pipeline, stateful ones among them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from etl.balance import Tally
from etl.flow import Flow
from etl.model import CHANGE, SOURCE_ROW, BatchPlan
from etl.state.plain import PlainTable
from etl.transforms.columns import kept_keys
from etl.transforms.contract import Moment, Stateful
from etl.transforms.source_rows import with_source_row
from etl.watermark import Rule, Watermarks, advance, clocks_from_json, from_text

if TYPE_CHECKING:
    import polars as pl

    from etl.state.contract import State, StateChange, TableLayout
    from etl.transforms.contract import Transform

Opener: TypeAlias = "Callable[[str, Stateful, Mapping[str, TableLayout]], State]"
"""Gives the state of a transform, by its id, as it was before the batch."""

MAIN = ""
"""The name of the chain that the pipeline's own list of transforms is; others have the name of their source."""


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
        self._sources: Mapping[str, pl.LazyFrame] = {}
        self._collected: dict[str, tuple[int, pl.LazyFrame, Tally]] = {}
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
        keys: list[str] | None = None
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
        state = self._opened(name, step, step.layouts(*given))
        moment = Moment(self._plan, self._before.at_us, lambda: self.watermarks().at_us, bool(self._rules))
        stepped = step.step(rows, state, moment, tally)
        self.changes[name] = stepped.changes
        made = stepped.rows.lazy().with_columns(**_of_batch(self._flow, self._plan, stepped.rows.columns))
        if keeps_source_row(self._flow) and SOURCE_ROW not in stepped.rows.columns:
            made = with_source_row(made, [name for name in stepped.rows.columns if not name.startswith("_")])
        return made


def _nothing_known(_: str, _step: Stateful, layouts: Mapping[str, TableLayout]) -> State:
    return {name: PlainTable(layout) for name, layout in layouts.items()}


def keys_after(step: Any, given: pl.Schema, found: pl.Schema, keys: list[str] | None) -> list[str] | None:  # noqa: ANN401  a transform
    """Return the keys of a changing result behind a transform, None where the rows are no such result.

    Raises ConfigError where the transform loses one.
    """
    if CHANGE not in found:
        return None
    if hasattr(step, "result_keys"):
        return list(step.result_keys(given))
    if keys is None or hasattr(step, "kept_keys"):
        return None if keys is None else list(step.kept_keys(keys))
    return kept_keys(keys, {name: name for name in keys if name in found}, "")


def steps_of_chain(flow: Flow, chain: str) -> Sequence[Transform]:
    """Return the transforms of a chain, in order."""
    if chain == MAIN:
        return flow.transforms
    return next(branch.transforms for branch in flow.branches if branch.name == chain)


def chains(flow: Flow) -> list[str]:
    """Return the names of all chains, the pipeline's own first."""
    return [MAIN, *(branch.name for branch in flow.branches)]


def state_ids(flow: Flow) -> dict[int, str]:
    """Return the name that the state of each stateful transform lies under, by the transform's ``id()``.

    It is the label, with its number among those of the same label in its chain, and the source's name where the chain
    is a source's own: adding a filter changes no name.
    """
    found: dict[int, str] = {}
    for chain in chains(flow):
        seen: Counter[str] = Counter()
        for step in steps_of_chain(flow, chain):
            if getattr(step, "is_stateful", False):
                seen[step.label] += 1
                number = f"-{seen[step.label]}" if seen[step.label] > 1 else ""
                found[id(step)] = f"{chain}.{step.label}{number}" if chain else f"{step.label}{number}"
    return found


def stateful_steps(flow: Flow) -> dict[str, Stateful]:
    """Return the stateful transforms by the name of their state."""
    names = state_ids(flow)
    steps: Iterable[Any] = (step for chain in chains(flow) for step in steps_of_chain(flow, chain))
    return {names[id(step)]: step for step in steps if id(step) in names}


def clock_rules(flow: Flow) -> dict[str, Rule]:
    """Return the rule of each clock, by its chain; the last ``watermark`` of a chain counts."""
    found: dict[str, Rule] = {}
    for chain in chains(flow):
        for step in steps_of_chain(flow, chain):
            rule = getattr(step, "rule", None)
            if isinstance(rule, Rule):
                found[chain] = rule
    return found


def steps_of(flow: Flow) -> Sequence[Transform]:
    """Return everything that the main rows pass through, in order: the transforms, then what they must satisfy."""
    return flow.transforms if flow.expectations is None else [*flow.transforms, flow.expectations]


def keeps_source_row(flow: Flow) -> bool:
    """Tell whether a row may have to be kept as it came from its source."""
    own = [step for branch in flow.branches for step in branch.transforms]
    return any(getattr(step, "keeps_rows", False) for step in (*steps_of(flow), *own))


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
