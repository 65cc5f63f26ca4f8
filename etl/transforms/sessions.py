"""Sessions: windows that last as long as rows come, and end when none comes for a while."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.transforms.windows import END, START

if TYPE_CHECKING:
    import polars as pl

    from etl.model import Json

SESSION = "_etl_session"
"""The number of a session in a frame."""


@dataclass(frozen=True, slots=True)
class Sessions:
    """Sessions ``[first row, last row + gap)``, in microseconds; a row at the very end of one begins the next."""

    column: str
    gap_us: int

    def open_from(self, watermark_us: int) -> int:
        """Return the time from which on the session of a row alone is not closed.

        >>> Sessions("at", 10).open_from(25)
        16
        """
        return watermark_us - self.gap_us + 1

    def to_json(self) -> Json:
        """Return what decides the meaning of its state."""
        return {"column": self.column, "session_gap_us": self.gap_us}


def numbered(frame: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Return rows ``[START, END)`` with the number of the session that each is part of: those that overlap are one."""
    import polars as pl

    frame = frame.sort([*by, START])
    differs = [pl.col(name).ne_missing(pl.col(name).shift(1)) for name in by]
    frame = frame.with_columns((pl.any_horizontal(differs) if by else pl.lit(value=False)).alias("_etl_differs"))
    frame = frame.with_columns(pl.col("_etl_differs").cast(pl.UInt32).cum_sum().alias("_etl_group"))
    reach = pl.col(END).cum_max().shift(1).over("_etl_group")
    is_new = pl.col("_etl_differs") | (pl.col(START) >= reach).fill_null(value=True)
    return frame.with_columns(is_new.cast(pl.UInt32).cum_sum().alias(SESSION)).drop("_etl_differs", "_etl_group")
