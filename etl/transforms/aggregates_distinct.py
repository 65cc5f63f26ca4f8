"""Aggregates that keep the values of a group: distinct counts and quantiles, exact while few, then a sketch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from etl.errors import ConfigError
from etl.transforms.aggregate_calls import Call
from etl.transforms.aggregates import Simple, require_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

MOST_VALUES = 1024
"""How many values of a group are kept as they are before a sketch takes their place."""

_LOG2_REGISTERS = 12
_COMPRESSION = 400


class Distinct(Simple):
    """How many different values there are, exact; all of them are kept, in a list."""

    def __init__(self, call: Call, kind: pl.DataType) -> None:
        import polars as pl

        if kind.is_nested():
            raise ConfigError(f"distinct values of {kind} cannot be counted", hint="name a field of it")
        super().__init__(call, pl.Int64(), {"values": pl.List(kind)})

    def of_rows(self) -> Sequence[pl.Expr]:
        """Return the values."""
        return [self.value().alias(self.part("values"))]

    def of_parts(self) -> Sequence[pl.Expr]:
        """Return the values of all lists."""
        return [_joined(self.part("values"))]

    def settled(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return each value once, without null."""
        return frame.with_columns(_different(frame[self.part("values")]))

    def result(self) -> pl.Expr:
        """Return how many there are."""
        import polars as pl

        return pl.col(self.part("values")).list.len().cast(pl.Int64).fill_null(0)


class DistinctRows(Simple):
    """The same where a group lives for ever: each value is a row of state, and the group knows how many there are.

    ``of_rows`` gives the values, as a list that is no part; ``group_by_distinct`` finds those that are new.
    """

    def __init__(self, call: Call, kind: pl.DataType) -> None:
        import polars as pl

        if kind.is_nested():
            raise ConfigError(f"distinct values of {kind} cannot be counted", hint="name a field of it")
        super().__init__(call, pl.Int64(), {"count": pl.Int64()})
        self.values, self.value_kind = self.part("value"), kind

    def of_rows(self) -> Sequence[pl.Expr]:
        """Return the values."""
        return [self.value().alias(self.values)]

    def of_parts(self) -> Sequence[pl.Expr]:
        """Add the counts."""
        import polars as pl

        return [pl.col(self.part("count")).sum()]

    def settled(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return each value once, or the counts."""
        if self.values in frame.columns:
            return frame.with_columns(_different(frame[self.values]))
        return super().settled(frame)

    def result(self) -> pl.Expr:
        """Return the count."""
        import polars as pl

        return pl.col(self.part("count")).fill_null(0)


class Sketched(Simple, ABC):
    """What keeps at most ``MOST_VALUES`` values of a group, and a sketch in place of more.

    ``number`` has the estimate where there is a sketch. All values of a group are in one or the other, never in both.
    """

    def __init__(self, call: Call, kind: pl.DataType, result: pl.DataType) -> None:
        import polars as pl

        parts = {"values": pl.List(kind), "sketch": pl.Binary(), "number": pl.Float64()}
        super().__init__(call, result, parts)

    def of_rows(self) -> Sequence[pl.Expr]:
        """Return the values."""
        return [self.value().alias(self.part("values"))]

    def of_parts(self) -> Sequence[pl.Expr]:
        """Return the values of all lists, and all sketches."""
        import polars as pl

        sketches = pl.col(self.part("sketch"))
        return [
            _joined(self.part("values")),
            sketches.filter(sketches.is_not_null()).implode().alias(self.part("sketch")),
            pl.col(self.part("number")).max(),
        ]

    def settled(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return parts in which many values, and several sketches, have become one sketch."""
        import polars as pl

        values, sketch, number = self.parts
        if sketch not in frame.columns:
            frame = frame.with_columns(pl.lit(None, pl.List(pl.Binary)).alias(sketch), pl.lit(None).alias(number))
        frame = frame.with_columns(self._clean(frame[values]), pl.col(number).cast(pl.Float64))
        is_many = (pl.col(values).list.len() > MOST_VALUES) | (pl.col(sketch).list.len() > 0)
        many = frame.select(is_many.fill_null(value=False)).to_series()
        if not many.any():
            return frame.with_columns(pl.lit(None, pl.Binary).alias(sketch))
        few, large = frame.filter(~many), frame.filter(many)
        made = [self._sketched(*row) for row in large.select(sketch, self._for_sketch(pl.col(values))).iter_rows()]
        large = large.with_columns(
            pl.lit(None, self.parts[values]).alias(values),
            pl.Series(sketch, [data for data, _ in made], pl.Binary),
            pl.Series(number, [found for _, found in made], pl.Float64),
        )
        return pl.concat([few.with_columns(pl.lit(None, pl.Binary).alias(sketch)), large])

    @abstractmethod
    def _clean(self, values: pl.Series) -> pl.Series:
        """Return the values of each group that count."""

    def _for_sketch(self, values: pl.Expr) -> pl.Expr:
        return values

    @abstractmethod
    def _sketched(self, sketches: list[bytes] | None, values: list[Any] | None) -> tuple[bytes, float]:
        """Return one sketch of sketches and values, and its estimate."""


class ApproximateDistinct(Sketched):
    """How many different values there are: exact while few, then by HyperLogLog, within 1.7 % in two of three cases.

    The estimate depends on the values alone, not on their order.
    """

    def __init__(self, call: Call, kind: pl.DataType) -> None:
        import polars as pl

        if kind.is_nested():
            raise ConfigError(f"distinct values of {kind} cannot be counted", hint="name a field of it")
        self._given = kind
        super().__init__(call, kind, pl.Int64())

    def _clean(self, values: pl.Series) -> pl.Series:
        return _different(values)

    def _for_sketch(self, values: pl.Expr) -> pl.Expr:
        """Return the values as numbers or text, of which a sketch has hashes that are the same everywhere."""
        import polars as pl

        if self._given.is_float() or self._given == pl.String:
            return values
        if self._given == pl.UInt64 or self._given.is_decimal():
            return values.cast(pl.List(pl.String))
        if self._given == pl.Binary:
            return values.list.eval(pl.element().bin.encode("hex"))
        return values.list.eval(pl.element().to_physical().cast(pl.Int64))

    def _sketched(self, sketches: list[bytes] | None, values: list[Any] | None) -> tuple[bytes, float]:
        from datasketches import hll_sketch, hll_union

        fresh, union = hll_sketch(_LOG2_REGISTERS), hll_union(_LOG2_REGISTERS)
        for value in values or ():
            fresh.update(value)
        for known in (*map(hll_sketch.deserialize, sketches or ()), fresh):
            union.update(known)
        found = union.get_result()
        # A sketch that was fed value by value has another estimate, which depends on their order; one that was merged
        # has that of its registers.
        union.update(found)
        return found.serialize_compact(), union.get_estimate()

    def result(self) -> pl.Expr:
        """Return how many, rounded where it is an estimate."""
        import polars as pl

        values, _, number = (pl.col(name) for name in self.parts)
        estimate = number.round().cast(pl.Int64)
        return pl.coalesce(estimate, values.list.len().cast(pl.Int64), pl.lit(0, pl.Int64))


class ApproximateQuantile(Sketched):
    """A quantile: exact while there are few values, then by a t-digest, off by less than 1 % of the rows.

    Between two values it is interpolated. NaN is left out. The same batches give the same digest, which a KLL sketch,
    smaller for the same error, does not: it draws lots.
    """

    def __init__(self, call: Call, kind: pl.DataType) -> None:
        import polars as pl

        require_number(call.function, kind)
        self._fraction = call.fraction or 0.0
        super().__init__(call, pl.Float64(), pl.Float64())

    def value(self) -> pl.Expr:
        """Return the argument as a float."""
        import polars as pl

        return super().value().cast(pl.Float64)

    def _clean(self, values: pl.Series) -> pl.Series:
        import polars as pl

        inner = values.list.explode(keep_nulls=False, empty_as_null=False)
        if not inner.null_count() and not inner.is_nan().any():
            return values
        return values.list.filter(pl.element().is_not_null() & pl.element().is_not_nan())

    def _for_sketch(self, values: pl.Expr) -> pl.Expr:
        return values.list.sort()

    def _sketched(self, sketches: list[bytes] | None, values: list[Any] | None) -> tuple[bytes, float]:
        import numpy as np
        from datasketches import tdigest_double

        digest = tdigest_double(_COMPRESSION)
        for known in sorted(sketches or ()):
            digest.merge(tdigest_double.deserialize(known))
        digest.update(np.asarray(values or (), dtype=np.float64))
        return digest.serialize(), digest.get_quantile(self._fraction)

    def result(self) -> pl.Expr:
        """Return the quantile, null where there was no value."""
        import polars as pl

        values, _, number = (pl.col(name) for name in self.parts)
        return pl.coalesce(number, values.list.agg(pl.element().quantile(self._fraction, "linear")))


def _joined(name: str) -> pl.Expr:
    """Return the elements of the lists of a group."""
    import polars as pl

    return pl.col(name).list.explode(keep_nulls=False, empty_as_null=False)


def _different(lists: pl.Series) -> pl.Series:
    """Return each value of a list once, without null; several times faster than in the aggregation."""
    found = lists.list.unique()
    return found.list.drop_nulls() if found.list.explode(keep_nulls=False, empty_as_null=False).null_count() else found
