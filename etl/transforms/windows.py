"""Windows of a fixed width over event time: tumbling, or sliding where they overlap."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

    from etl.model import Json

AT = "_etl_at"
"""The event time of a row, in microseconds since 1970 in UTC."""

PANE = "_etl_pane"
"""The start of the pane that a row falls into, in the same."""

START, END = "window_start", "window_end"


@dataclass(frozen=True, slots=True)
class Window:
    """Windows ``[start, start + period)`` with a start every ``every`` from ``offset`` on, in microseconds in UTC.

    Rows are grouped into panes, the widest pieces of time that no window cuts; windows are put together from panes.
    """

    column: str
    every_us: int
    period_us: int
    offset_us: int = 0

    @property
    def is_sliding(self) -> bool:
        """Whether a row falls into several windows."""
        return self.period_us > self.every_us

    @property
    def pane_us(self) -> int:
        """The width of a pane."""
        return gcd(self.every_us, self.period_us)

    def to_json(self) -> Json:
        """Return what decides the meaning of its state."""
        lengths = {"every_us": self.every_us, "period_us": self.period_us, "offset_us": self.offset_us}
        return {"column": self.column, **lengths}

    def open_from(self, watermark_us: int) -> int:
        """Return the time from which on rows fall into no window that the watermark has closed.

        >>> Window("at", 10, 10).open_from(25), Window("at", 10, 20).open_from(25)
        (20, 20)
        """
        before = (watermark_us - self.offset_us - self.period_us) // self.every_us
        return before * self.every_us + self.period_us + self.offset_us

    def pane(self) -> pl.Expr:
        """Return the start of the pane of a row with the time ``AT``."""
        import polars as pl

        shift_us, width_us = self.offset_us % self.pane_us, self.pane_us
        return ((pl.col(AT) - shift_us) // width_us * width_us + shift_us).alias(PANE)

    def opened(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return a row per window of each row of panes, with ``START`` and ``END`` in place of ``PANE``."""
        import polars as pl

        first = (pl.col(PANE) - self.offset_us) // self.every_us * self.every_us + self.offset_us
        if self.is_sliding:
            most = -(-self.period_us // self.every_us)
            steps = pl.DataFrame({"_etl_step": pl.int_range(0, most, eager=True) * self.every_us})
            frame = frame.join(steps, how="cross").with_columns((first - pl.col("_etl_step")).alias(START))
            frame = frame.filter(pl.col(START) + self.period_us > pl.col(PANE)).drop("_etl_step")
        else:
            frame = frame.with_columns(first.alias(START))
        ends = (pl.col(START) + self.period_us).alias(END)
        return frame.with_columns(ends).with_columns(moments(START, END)).drop(PANE)


def moments(*names: str) -> pl.Expr:
    """Return columns of microseconds as moments in UTC, the type that state keeps."""
    import polars as pl

    return pl.col(*names).cast(pl.Datetime("us", "UTC"))


def in_type_of(kind: pl.DataType, *names: str) -> pl.Expr:
    """Return moments in UTC in the type of the column of event time."""
    import polars as pl

    found = pl.col(*names)
    if kind == pl.Date:
        return found.dt.date()
    zone = getattr(kind, "time_zone", None)
    found = found.dt.replace_time_zone(None) if zone is None else found.dt.convert_time_zone(zone)
    return found.cast(kind)
