"""When time alone has something to give: a source that has become idle, a timeout that is due."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from etl.chains import clock_rules, delays, stateful_steps
from etl.flow_schema import FlowColumns
from etl.transforms.contract import Moment
from etl.watermark import Watermarks, advance, earlier, micros

if TYPE_CHECKING:
    from etl.flow import Flow
    from etl.model import BatchPlan, Schema
    from etl.states import States
    from etl.transforms.contract import Stateful


class Timers:
    """The moments at which a batch without rows gives something, as the newest committed batch left them."""

    def __init__(self, flow: Flow, states: States) -> None:
        self._flow = flow
        self._states = states
        self._rules = clock_rules(flow)
        self._steps = stateful_steps(flow)
        self._delays = delays(flow)
        self._due: tuple[int, int | None] = (-1, None)

    def is_due(self, plan: BatchPlan, watermarks: Watermarks, schemas: Mapping[str, Schema]) -> bool:
        """Tell whether the batch without rows that ``plan`` would be gives something.

        ``watermarks`` and ``schemas`` are those after the batch before it. State is looked at once a batch.
        """
        if not self._steps or plan.batch_id == 0:
            return False
        after = advance(watermarks, {}, self._rules, plan.batch_at)
        if after.at_us != watermarks.at_us:
            return True
        if self._due[0] != plan.batch_id:
            self._due = (plan.batch_id, self._next_due_us(plan, watermarks, schemas))
        return self._due[1] is not None and self._due[1] <= micros(plan.batch_at)

    def _next_due_us(self, plan: BatchPlan, watermarks: Watermarks, schemas: Mapping[str, Schema]) -> int | None:
        columns = FlowColumns(self._flow, schemas)
        found = []
        for name, step in self._steps.items():
            if step_waits(step):
                state = self._states.opened(name, step, step.layouts(*columns.inputs_of(step)))
                found.append(step.next_due_us(state, self._moment(step, plan, watermarks)))
        return min((due_us for due_us in found if due_us is not None), default=None)

    def _moment(self, step: Stateful, plan: BatchPlan, watermarks: Watermarks) -> Moment:
        at_us = earlier(watermarks.at_us, self._delays[id(step)])
        return Moment(plan, at_us, lambda: at_us, bool(self._rules))


def step_waits(step: Stateful) -> bool:
    """Tell whether the clock alone may make a transform give something: its attribute ``has_timeouts``."""
    return bool(getattr(step, "has_timeouts", False))
