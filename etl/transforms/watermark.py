"""``watermark``: which column tells event time, and how late rows may come."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, cast

from pydantic import Field

from etl.balance import Tally, observed
from etl.errors import ConfigError
from etl.model import BatchPlan
from etl.options import DurationS, Options
from etl.transforms.columns import require
from etl.transforms.contract import TransformSite
from etl.watermark import Rule, micros

if TYPE_CHECKING:
    import polars as pl

_MICROSECONDS = 1_000_000


class WatermarkOptions(Options):
    """Event time and its bounds."""

    column: str = Field(min_length=1, description="the column of event time: a timestamp or a date")
    delay: DurationS = Field(default=0.0, description="how much later than the newest row a row may come")
    idle_timeout: DurationS | None = Field(
        default=None, description="after how long without rows this source does not hold the others back"
    )
    max_ahead: DurationS = Field(
        default=3600.0, description="a row dated further in the future never moves the watermark"
    )
    late: Literal["table", "drop", "count"] = Field(
        default="table", description="late rows: kept in <table>__late, or only counted"
    )


class Watermark:
    """Notes the newest event time of the rows that pass; changes none of them."""

    label = "watermark"
    options_model: ClassVar[type[WatermarkOptions]] = WatermarkOptions

    def __init__(self, options: WatermarkOptions, site: TransformSite) -> None:
        self.column = options.column
        self.clock = "" if site.is_main else site.source
        self.keeps_late = options.late == "table"
        self.rule = Rule(
            round(options.delay * _MICROSECONDS),
            None if options.idle_timeout is None else round(options.idle_timeout * _MICROSECONDS),
            round(options.max_ahead * _MICROSECONDS),
        )
        self._where = site.place(self.label)

    def output_schema(self, given: pl.Schema) -> pl.Schema:
        """Return ``given``. Raises ConfigError where the column is no moment."""
        require([self.column], given, self._where)
        kind = given[self.column]
        if not kind.is_temporal() or str(kind).startswith(("Time", "Duration")):
            raise ConfigError(
                f"{self.column}: {kind} is no moment in time",
                where=self._where,
                hint="make it one before: with_columns: {at: CAST(at AS TIMESTAMP)}",
            )
        return given

    def apply(self, rows: pl.LazyFrame, plan: BatchPlan, tally: Tally) -> pl.LazyFrame:
        """Return ``rows``; their newest event time that is not too far ahead is noted in the tally."""
        self.output_schema(rows.collect_schema())
        most_us = micros(plan.batch_at) + self.rule.max_ahead_us

        def see(frame: pl.DataFrame) -> None:
            newest = _newest(event_micros(frame[self.column]), most_us)
            if newest is not None:
                tally.see_event_time(self.clock, newest)

        return observed(rows, see)


def _newest(times: pl.Series, most_us: int) -> int | None:
    """Return the newest moment that is not beyond ``most_us``, None where there is none."""
    newest = cast("int | None", times.max())
    if newest is not None and newest > most_us:  # a second look only where a row lies in the future
        newest = cast("int | None", times.filter(times <= most_us).max())
    return newest


def event_micros(times: pl.Series) -> pl.Series:
    """Return moments (timestamps with or without a zone, dates) as microseconds since 1970 in UTC; null stays null."""
    import polars as pl

    return times.cast(pl.Datetime("us")).to_physical() if times.dtype == pl.Date else times.dt.epoch("us")


def event_time(column: str, kind: pl.DataType) -> pl.Expr:
    """Return the same as an expression over ``column``."""
    import polars as pl

    found = pl.col(column)
    return (found.cast(pl.Datetime("us")) if kind == pl.Date else found).dt.epoch("us")
