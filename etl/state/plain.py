"""State in one frame: the meaning of a state table, said plainly; what the store must equal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from etl.state.contract import StateChange, TableLayout

if TYPE_CHECKING:
    import polars as pl


class PlainTable:
    """A table of state in memory; :meth:`changed` gives the next one."""

    def __init__(self, layout: TableLayout, frame: pl.DataFrame | None = None) -> None:
        import polars as pl

        self.layout = layout
        self._frame = pl.DataFrame(schema=layout.columns) if frame is None else frame

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return self._frame.height

    def lookup(self, keys: pl.DataFrame) -> pl.DataFrame:
        """Return the rows with a key in ``keys``."""
        names = list(self.layout.keys)
        if not names:
            return self._frame if keys.height else self._frame.clear()
        return self._frame.join(keys.select(names).unique(), on=names, how="semi", nulls_equal=True)

    def expired(self, upto_us: int) -> pl.DataFrame:
        """Return the rows whose time is at or before ``upto_us``."""
        import polars as pl

        if self.layout.expires is None:
            return self._frame.clear()
        return self._frame.filter(pl.col(self.layout.expires).dt.epoch("us") <= upto_us)

    def scan(self) -> Iterator[pl.DataFrame]:
        """Return all rows."""
        yield self._frame

    def changed(self, change: StateChange) -> PlainTable:
        """Return the table after a batch."""
        import polars as pl

        unique = [*self.layout.keys, *self.layout.part]
        frame = self._frame
        for leaving in (change.remove, change.put):
            if leaving is not None and unique:
                frame = frame.join(leaving.select(unique), on=unique, how="anti", nulls_equal=True)
            elif leaving is not None and leaving.height:
                frame = frame.clear()
        if change.put is not None:
            frame = pl.concat([frame, change.put.select(frame.columns)])
        if change.expire_upto_us is not None and self.layout.expires is not None:
            is_alive = pl.col(self.layout.expires).dt.epoch("us") > change.expire_upto_us
            frame = frame.filter(is_alive.fill_null(value=True))
        return PlainTable(self.layout, frame)
