"""Versions of keys: which changes of a key begin one, which end one, and which show nowhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

VALID_FROM, VALID_TO, IS_CURRENT = VALIDITY = ("valid_from", "valid_to", "is_current")
KEY = "_etl_key"
DELETED = "_etl_deleted"
IS_NEW = "_etl_is_new"
STARTS = "_etl_starts"
SHOWS = "_etl_shows"


@dataclass(frozen=True, slots=True)
class Timeline:
    """How changes of a key are put in order (``sequence_by``), and which columns make a new version of it."""

    keys: Sequence[str]
    sequence_by: str
    tracked: Sequence[str]

    def known(self, held: pl.DataFrame, hidden: pl.DataFrame) -> pl.DataFrame:
        """Return the changes that made the versions of a table, and those that are remembered beside it.

        Both have ``KEY``, a number of their key. Of what is ``hidden``, rows have the values of the version they fall
        into, in all columns that are tracked.
        """
        import polars as pl

        at = [KEY, self.sequence_by]
        puts = held.drop(VALIDITY).unique(at, keep="any").with_columns(pl.lit(value=False).alias(DELETED))
        ends = held.filter(pl.col(VALID_TO).is_not_null()).select(
            KEY, *self.keys, pl.col(VALID_TO).alias(self.sequence_by), pl.lit(value=True).alias(DELETED)
        )
        ends = ends.join(puts, on=at, how="anti").unique(at, keep="any")
        every = pl.concat([puts, ends, hidden.with_columns(_etl_hidden=True)], how="diagonal").sort(
            at, nulls_last=False
        )
        place = pl.when(pl.col("_etl_hidden").is_null()).then(pl.int_range(pl.len())).forward_fill()
        every = every.with_columns(place.alias("_etl_of"))
        is_own = pl.col(KEY).gather(pl.col("_etl_of")) == pl.col(KEY)
        is_lost = pl.col("_etl_hidden").is_not_null() & ~pl.col(DELETED) & ~is_own.fill_null(value=False)
        of_version = [pl.col(name).gather(pl.col("_etl_of")).alias(name) for name in self.tracked]
        return every.with_columns(*of_version, is_lost.alias("_etl_lost")).filter(~pl.col("_etl_lost"))

    def versions(self, known: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
        """Return all changes in order, the ``new`` ones in the place of known ones of the same moment.

        ``STARTS`` tells those that begin a version, which ends at ``VALID_TO``; ``SHOWS`` those that a table of these
        versions shows: as their begin or end.
        """
        import polars as pl

        at = [KEY, self.sequence_by]
        parts = [
            known.with_columns(pl.lit(value=False).alias(IS_NEW)),
            new.with_columns(pl.lit(value=True).alias(IS_NEW)),
        ]
        every = pl.concat(parts, how="diagonal").sort([*at, IS_NEW], nulls_last=False, maintain_order=True)
        every = every.unique(at, keep="last", maintain_order=True)
        is_behind_put = ((pl.col(KEY) == pl.col(KEY).shift(1)) & ~pl.col(DELETED).shift(1)).fill_null(value=False)
        same = [pl.col(name).eq_missing(pl.col(name).shift(1)) for name in self.tracked]
        is_same = pl.all_horizontal(is_behind_put, *same)
        starts = ~pl.col(DELETED) & ~is_same
        every = every.with_columns(starts.alias(STARTS), (pl.col(DELETED) & is_behind_put).alias(SHOWS))
        ends = pl.when(pl.col(KEY) == pl.col(KEY).shift(-1)).then(pl.col(self.sequence_by).shift(-1))
        borders = every.filter(pl.col(STARTS) | pl.col(DELETED)).with_columns(ends.alias(VALID_TO))
        rest = every.filter(~pl.col(STARTS) & ~pl.col(DELETED))
        return pl.concat([borders, rest], how="diagonal").with_columns(
            pl.col(self.sequence_by).alias(VALID_FROM),
            pl.col(VALID_TO).is_null().alias(IS_CURRENT),
            (pl.col(SHOWS) | pl.col(STARTS)).alias(SHOWS),
        )
