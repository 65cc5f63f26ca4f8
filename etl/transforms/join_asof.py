"""Joining rows with the nearest row of a static table, by time or another number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from etl.transforms.columns import MASK

if TYPE_CHECKING:
    import polars as pl

Direction: TypeAlias = Literal["backward", "forward", "nearest"]

_AT = f"{MASK}_at"
_ROW = f"{MASK}_row"
_FOUND = f"{MASK}_found"


@dataclass(frozen=True, slots=True)
class Nearness:
    """What nearest means: where to look from a row, and how far; ``tolerance`` is in the unit of what is compared."""

    direction: Direction = "backward"
    tolerance: float | None = None


class AsofSide:
    """The static side: ``added`` columns by their keys and by where each row stands; null matches nothing.

    Of rows with the same keys at the same place one is kept: the last in the order of its other columns.
    """

    def __init__(
        self, static: pl.DataFrame, keys: Sequence[pl.Expr], at: pl.Expr, added: Sequence[pl.Expr], near: Nearness
    ) -> None:
        import polars as pl

        self._near = near
        self._keys = [f"{MASK}_key_{number}" for number in range(len(keys))]
        placed = static.lazy().select(*self._named(keys, at), *added).drop_nulls([*self._keys, _AT])
        ties = [name for name, kind in placed.collect_schema().items() if not kind.is_nested() and name != _AT]
        rows = placed.sort(_AT, *ties).unique([*self._keys, _AT], keep="last", maintain_order=True).collect()
        self._values = rows.drop(*self._keys, _AT)
        self._places = rows.select(*self._keys, _AT, pl.int_range(pl.len(), dtype=pl.UInt32).alias(_FOUND))

    def _named(self, keys: Sequence[pl.Expr], at: pl.Expr) -> list[pl.Expr]:
        return [*(key.alias(name) for key, name in zip(keys, self._keys, strict=True)), at.alias(_AT)]

    def joined(self, rows: pl.LazyFrame, keys: Sequence[pl.Expr], at: pl.Expr) -> pl.LazyFrame:
        """Return every row, in its order, with the columns of the nearest one, nulls where there is none."""
        import polars as pl

        named = self._named(keys, at)
        schema = pl.Schema({**rows.collect_schema(), **self._values.schema})

        def look(frame: pl.DataFrame) -> pl.DataFrame:
            return frame.hstack(self._values.select(pl.all().gather(self._nearest(frame.select(named)))))

        return rows.map_batches(look, schema=schema, streamable=True)

    def _nearest(self, wanted: pl.DataFrame) -> pl.Series:
        """Return the number of the nearest static row of each row, null where there is none.

        Piece by piece: sorting is then that of a piece, and no batch is held as a whole. Eagerly: a query with a join
        panics in a thread of a query that runs already.
        """
        import polars as pl

        placed = wanted.with_row_index(_ROW).drop_nulls().sort(_AT)
        found = placed.join_asof(
            self._candidates(placed),
            on=_AT,
            by=self._keys or None,
            strategy=self._near.direction,
            tolerance=self._near.tolerance,
            check_sortedness=False,  # both are sorted; within keys Polars cannot tell
        )
        every = pl.int_range(wanted.height, dtype=pl.UInt32, eager=True).alias(_ROW).to_frame()
        return every.join(found, on=_ROW, how="left", maintain_order="left").get_column(_FOUND)

    def _candidates(self, placed: pl.DataFrame) -> pl.DataFrame:
        """Return the static rows that have a key of these rows: what Polars groups by keys, again for each piece."""
        if not self._keys:
            return self._places
        wanted = placed.select(self._keys).unique()
        return self._places.join(wanted, on=self._keys, how="semi", maintain_order="left")
