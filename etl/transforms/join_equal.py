"""Joining rows with those of a static table that have the same keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

from etl.balance import FILE, Tally, observed
from etl.errors import TransformError
from etl.model import CHANGE
from etl.transforms.columns import MASK

if TYPE_CHECKING:
    import polars as pl

How: TypeAlias = Literal["left", "inner", "semi", "anti"]

_MATCH = f"{MASK}_match"
"""Of each joined row, which of the matches of its row it is, from 0; null where there is no match."""


class EqualSide:
    """The static side: ``added`` columns by their keys; a null in a key matches nothing."""

    def __init__(self, static: pl.DataFrame, keys: Sequence[pl.Expr], added: Sequence[pl.Expr], how: How) -> None:
        import polars as pl

        self.how = how
        self.keys = [f"{MASK}_key_{number}" for number in range(len(keys))]
        named = [key.alias(name) for key, name in zip(keys, self.keys, strict=True)]
        rows = static.lazy().select(*named, *(() if how in ("semi", "anti") else added)).drop_nulls(self.keys)
        if how in ("semi", "anti"):
            rows = rows.unique(self.keys)
        self.frame = rows.with_columns(pl.int_range(pl.len(), dtype=pl.UInt32).over(self.keys).alias(_MATCH)).collect()

    def joined(self, rows: pl.LazyFrame, keys: Sequence[pl.Expr], tally: Tally, where: str) -> pl.LazyFrame:
        """Return the rows that the join gives; counts what it drops and what it adds."""
        import polars as pl

        given = rows.collect_schema().names()
        if CHANGE in given:
            self._refuse_several(where)
        found = rows.join(
            self.frame.lazy(),
            left_on=list(keys),
            right_on=self.keys,
            how="left",
            coalesce=False,
            maintain_order="left",
            build_side="force_right",
        ).drop(self.keys)
        if self.how == "left":
            return observed(found, lambda frame: self._count(frame, tally)).drop(_MATCH)
        passes = pl.col(_MATCH).is_null() if self.how == "anti" else pl.col(_MATCH).is_not_null()
        masked = found.with_columns(passes.alias(MASK))
        masked = with_deletes(masked) if CHANGE in given else masked
        return observed(masked, lambda frame: self._count(frame, tally)).filter(pl.col(MASK)).drop(MASK, _MATCH)

    def _count(self, frame: pl.DataFrame, tally: Tally) -> None:
        """Count rows beyond the first match of each, and those that do not pass; their file alone is taken of them."""
        import polars as pl

        narrow = frame.select(name for name in (FILE, MASK, _MATCH) if name in frame.columns)
        if self.how != "left":
            tally.count("filtered", narrow.filter(~pl.col(MASK)))
        if self.how in ("left", "inner"):
            tally.count("added", narrow.filter(pl.col(_MATCH) > 0))

    def _refuse_several(self, where: str) -> None:
        """Refuse to make several rows of one row of a changing result, which has one row a key."""
        if (self.frame.get_column(_MATCH) > 0).any():
            raise TransformError(
                "the static table has several rows of one key, and the result changes: it has one row a key",
                where=where,
                hint="make the keys of the static table unique, or join before the group_by",
            )


def with_deletes(masked: pl.LazyFrame) -> pl.LazyFrame:
    """Return rows of a changing result, those that a mask drops as deletes: whether they were there is not known here.

    An insert that does not pass was never there; to delete what is not there changes nothing.
    """
    import polars as pl

    change, passes = pl.col(CHANGE), pl.col(MASK)
    return masked.with_columns(
        pl.when(~passes & (change == "update")).then(pl.lit("delete")).otherwise(change).alias(CHANGE),
        (passes | (change != "insert")).alias(MASK),
    )
