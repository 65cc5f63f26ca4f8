"""Bounds in time between the rows of two sources: conditions of ON as ``within`` of ``join_stream``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from etl.errors import ConfigError
from etl.expressions import column_name
from etl.transforms.sql_planning_parts import Rows, resolved
from etl.transforms.sql_planning_windows import as_duration, interval_us

_AT_LEAST = {"gte", "gt"}
_ORDERED = {"gte", "gt", "lte", "lt"}


@dataclass(frozen=True, slots=True)
class Bounds:
    """``own + least_us <= other <= own + most_us``; None is no bound. ``own`` and ``other`` are columns.

    ``is_exact``: it says all that the condition says.
    """

    own: str = ""
    other: str = ""
    least_us: int | None = None
    most_us: int | None = None
    is_exact: bool = True

    def within(self, more: Bounds) -> Bounds:
        """Return both bounds together. Raises ConfigError where they are of other columns."""
        if self.own and (self.own, self.other) != (more.own, more.other):
            raise ConfigError(
                f"bounds in time between {self.own} and {self.other}, and between {more.own} and {more.other}",
                hint="give them for one pair of columns",
            )
        least = max((each for each in (self.least_us, more.least_us) if each is not None), default=None)
        most = min((each for each in (self.most_us, more.most_us) if each is not None), default=None)
        return Bounds(more.own, more.other, least, most)

    def options(self, source: str) -> dict[str, str] | None:
        """Return ``within``, None where there are no bounds at all. Raises ConfigError for one without the other."""
        if not self.own:
            return None
        if self.least_us is None or self.most_us is None:
            raise ConfigError(
                f"one bound in time only for {source}.{self.other}",
                hint=f"give both, or state grows for ever: {source}.{self.other} BETWEEN {self.own} AND {self.own} + "
                "INTERVAL '7 days'",
            )
        before, after = as_duration(max(-self.least_us, 0)), as_duration(max(self.most_us, 0))
        return {"column": self.own, "other": self.other, "before": before, "after": after}


def bound_of(tree: Any, other_column: Callable[[Any], str | None], rows: Rows) -> Bounds | None:  # noqa: ANN401
    """Return the bound in time that a condition is, None where it is another one."""
    if tree.key == "between":
        low = _bound("gte", tree.this, tree.args["low"], other_column, rows)
        high = _bound("lte", tree.this, tree.args["high"], other_column, rows)
        if low is None or high is None:
            return None
        both = low.within(high)
        return Bounds(both.own, both.other, both.least_us, both.most_us, low.is_exact and high.is_exact)
    if tree.key in _ORDERED:
        return _bound(tree.key, tree.this, tree.expression, other_column, rows)
    return None


def _bound(key: str, left: Any, right: Any, other_column: Callable[[Any], str | None], rows: Rows) -> Bounds | None:  # noqa: ANN401
    """Return the bound that ``left >= right`` and the like are, each side a column plus or minus an interval."""
    (one, one_us), (two, two_us) = _shifted(left), _shifted(right)
    is_least = key in _AT_LEAST
    theirs, mine = other_column(one), _own_column(two, other_column, rows)
    shift_us = two_us - one_us
    if theirs is None or mine is None:
        theirs, mine = other_column(two), _own_column(one, other_column, rows)
        shift_us, is_least = -shift_us, not is_least
    if theirs is None or mine is None:
        return None
    is_kept = shift_us <= 0 if is_least else shift_us >= 0
    is_exact = is_kept and key in ("gte", "lte")
    return (
        Bounds(mine, theirs, shift_us, None, is_exact) if is_least else Bounds(mine, theirs, None, shift_us, is_exact)
    )


def _own_column(node: Any, other_column: Callable[[Any], str | None], rows: Rows) -> str | None:  # noqa: ANN401
    if node.key != "column" or other_column(node) is not None:
        return None
    return column_name(resolved(node, rows))


def _shifted(node: Any) -> tuple[Any, int]:  # noqa: ANN401
    """Return what an interval is added to or taken from, and that interval in microseconds."""
    while node.key == "paren":
        node = node.this
    if node.key in ("add", "sub") and node.expression.key == "interval":
        inner, inner_us = _shifted(node.this)
        span_us = interval_us(node.expression)
        return inner, inner_us + (span_us if node.key == "add" else -span_us)
    return node, 0
