"""What a ``group_by`` is once its input is known: groups, windows, aggregates, and the columns of its result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.balance import Tally
from etl.model import CHANGE
from etl.transforms.changes import changes_between
from etl.transforms.contract import Moment
from etl.transforms.group_by_intake import Intake, Lateness
from etl.transforms.group_by_partials import Partials
from etl.transforms.sessions import Sessions
from etl.transforms.windows import END, START, Window, in_type_of

if TYPE_CHECKING:
    import polars as pl

    from etl.transforms.group_by_intake import Test


@dataclass(frozen=True, slots=True)
class Shape:
    """A ``group_by`` over rows of known columns.

    ``is_final``: windows are given once, when they are over; else what changed is given, or, where it ``is_whole``, the
    whole result. ``is_closing``: the watermark closes windows, which then leave the state.
    """

    by: pl.Schema
    window: Window | Sessions | None
    intake: Intake
    partials: Partials
    time_kind: pl.DataType | None = None
    is_final: bool = False
    is_whole: bool = False
    is_closing: bool = False

    @property
    def windows(self) -> list[str]:
        """The columns of the window."""
        return [] if self.window is None else [START, END]

    def result_keys(self) -> list[str]:
        """Return what makes a row of the result unique: the groups, and where a window starts."""
        return [*self.by, *self.windows[:1]]

    def output_schema(self) -> pl.Schema:
        """Return the columns of the result."""
        import polars as pl

        windows = dict.fromkeys(self.windows, self.time_kind or pl.Null())
        values = {each.name: each.kind for each in self.partials.aggregates}
        changes = {} if self.is_final or self.is_whole else {CHANGE: pl.String()}
        return pl.Schema({**self.by, **windows, **values, **changes})

    def taken(self, rows: pl.LazyFrame, moment: Moment, tally: Tally, is_closed: Test | None = None) -> pl.LazyFrame:
        """Return what the rows that are on time give: groups, arguments, event time."""
        before_us = moment.before_us
        lateness = Lateness()
        if self.window is not None and self.time_kind is not None and before_us is not None:
            lateness = Lateness(before_us, self.window.open_from(before_us), is_closed)
        return self.intake.rows(rows, lateness, tally)

    def results(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the rows of the result of partial states."""
        found = self.partials.results(frame, [*self.by, *self.windows])
        if self.time_kind is not None:
            found = found.with_columns(in_type_of(self.time_kind, START, END))
        return found

    def changes(self, before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
        """Return what partial states became, as changes of the result."""
        return changes_between(self.results(before), self.results(after), self.result_keys())


def is_over(upto_us: int) -> pl.Expr:
    """Tell whether a window has ended at or before a moment."""
    import polars as pl

    return pl.col(END).dt.epoch("us") <= upto_us


def without(frame: pl.DataFrame, others: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """Return the rows of ``frame`` whose keys are not among ``others``; without keys, all are the same."""
    if not keys:
        return frame.clear() if others.height else frame
    return frame.join(others, on=keys, how="anti", nulls_equal=True)
