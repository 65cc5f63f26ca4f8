"""The pairs of ``join_stream``: which rows belong together, and the columns that they come out with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.transforms.join_stream_side import BATCH, ROW, Held
from etl.transforms.lateness import AT

if TYPE_CHECKING:
    import polars as pl

_OTHER = "_of_other"


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far apart the event times of a pair may be: ``left - before <= right <= left + after``."""

    before_us: int
    after_us: int


@dataclass(frozen=True, slots=True)
class Pairing:
    """What makes a pair, and which columns it has: equal columns by name (``on``), and bounds in time.

    ``left`` are the columns of the left side that come out, ``right`` those of the other by name, with the name that
    they get.
    """

    on: dict[str, str]
    bounds: Bounds | None
    left: tuple[str, ...]
    right: dict[str, str]

    def pairs(self, left: Held, right: Held) -> pl.DataFrame:
        """Return the pairs that are complete since this batch, with the marks of both rows.

        Each comes once: a new left row finds old and new ones, an old left row new ones only.
        """
        import polars as pl

        return pl.concat(
            [
                self._matching(left.new, right.rows()),
                self._matching(left.old.select(left.new.columns), right.new),
            ]
        )

    def _matching(self, left: pl.DataFrame, right: pl.DataFrame) -> pl.DataFrame:
        import polars as pl

        times = [] if self.bounds is None else [AT]
        own = left.lazy().select(*dict.fromkeys([*self.on, *self.left, *times, BATCH, ROW]))
        marks = [pl.col(name).alias(name + _OTHER) for name in (*times, BATCH, ROW)]
        theirs = right.lazy().select(*self.renamed(), *marks)
        found = own.join(theirs, on=list(self.on), how="inner")
        if self.bounds is not None:
            distance = pl.col(AT + _OTHER) - pl.col(AT)
            found = found.filter(distance.is_between(-self.bounds.before_us, self.bounds.after_us))
        # Lazily, so that pairs too far apart go morsel by morsel and are never all in memory.
        return found.drop(name for pair in times for name in (pair, pair + _OTHER)).collect(engine="streaming")

    def renamed(self) -> list[pl.Expr]:
        """Return the columns of the other side under the names that they come out with."""
        import polars as pl

        names = {theirs: own for own, theirs in self.on.items()} | self.right
        return [pl.col(theirs).alias(name) for theirs, name in names.items()]


def partners(pairs: pl.DataFrame, *, of_left: bool) -> pl.DataFrame:
    """Return the marks of the rows of one side that are in ``pairs``, once each."""
    import polars as pl

    end = "" if of_left else _OTHER
    return pairs.select(pl.col(BATCH + end).alias(BATCH), pl.col(ROW + end).alias(ROW)).unique()


def result_names(own: Sequence[str], other: Sequence[str], keys: Sequence[str], name: str) -> dict[str, str]:
    """Return the columns of the other side that come out, and their names; keys are there already.

    >>> result_names(["id", "at"], ["order", "at", "amount"], ["order"], "refunds")
    {'at': 'at_refunds', 'amount': 'amount'}
    """
    return {each: f"{each}_{name}" if each in own else each for each in other if each not in keys}
