"""Aggregates whose partial states can be merged: counts, sums, extremes, means, variances, truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from etl.errors import ConfigError, TransformError
from etl.transforms.aggregate_calls import ARGUMENT, Call

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl


NO_FIT = "sum CAST(… AS DOUBLE), which rounds, or smaller groups"


class Aggregate(Protocol):
    """One aggregate over groups of rows, by way of partial states.

    ``argument`` is the column with its values; ``parts`` are the columns of a partial state, which may all be null:
    nothing was seen. ``kind`` is the type of its result.
    """

    name: str
    argument: str
    parts: dict[str, pl.DataType]
    kind: pl.DataType

    def of_rows(self) -> Sequence[pl.Expr]:
        """Return the parts over the rows of a group."""

    def of_parts(self) -> Sequence[pl.Expr]:
        """Return the parts over the partial states of a group."""

    def settled(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return what was aggregated with parts as state keeps them. Raises TransformError for what cannot be kept."""

    def result(self) -> pl.Expr:
        """Return its value from the parts of one group."""


class Simple:
    """What most aggregates share: names, and parts that are kept as they come."""

    def __init__(self, call: Call, kind: pl.DataType, parts: dict[str, pl.DataType]) -> None:
        self.name = call.name
        self.argument = f"{ARGUMENT}{call.name}"
        self.kind = kind
        self.parts = {self.part(name): part for name, part in parts.items()}

    def part(self, name: str) -> str:
        """Return the column of a part."""
        return f"{self.name}:{name}"

    def value(self) -> pl.Expr:
        """Return the argument."""
        import polars as pl

        return pl.col(self.argument)

    def settled(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the parts in their types."""
        import polars as pl

        return frame.with_columns(pl.col(name).cast(kind) for name, kind in self.parts.items())


class Count(Simple):
    """Rows, or values that are not null."""

    def __init__(self, call: Call, _kind: pl.DataType) -> None:
        import polars as pl

        super().__init__(call, pl.Int64(), {"count": pl.Int64()})
        self._is_of_rows = call.argument is None and call.condition is None

    def of_rows(self) -> list[pl.Expr]:
        """Count."""
        import polars as pl

        counted = pl.len() if self._is_of_rows else self.value().count()
        return [counted.alias(self.part("count"))]

    def of_parts(self) -> list[pl.Expr]:
        """Add the counts."""
        import polars as pl

        return [pl.col(self.part("count")).sum()]

    def result(self) -> pl.Expr:
        """Return the count."""
        import polars as pl

        return pl.col(self.part("count")).fill_null(0)


class Sum(Simple):
    """A sum: of integers exact in 128 bits and kept in 64, of decimals exact, of floats up to its last bits."""

    def __init__(self, call: Call, kind: pl.DataType) -> None:
        import polars as pl

        require_number("SUM", kind)
        if kind.is_decimal():
            found: pl.DataType = pl.Decimal(38, kind.scale or 0)  # type: ignore[attr-defined]
            super().__init__(call, found, {"sum": found, "size": pl.Float64()})
        else:
            found = pl.Float64() if kind.is_float() else pl.UInt64() if kind == pl.UInt64 else pl.Int64()
            super().__init__(call, found, {"sum": found})
        self._wide = pl.Int128() if found.is_integer() else found
        self._most = 10.0 ** (38 - kind.scale) if kind.is_decimal() else 0.0  # type: ignore[attr-defined]

    def of_rows(self) -> list[pl.Expr]:
        """Add the values; of decimals also their sizes, since their sum wraps without an error."""
        import polars as pl

        found = [self._sum(self.value())]
        if self._most:
            found.append(self.value().cast(pl.Float64).abs().sum().alias(self.part("size")))
        return found

    def of_parts(self) -> list[pl.Expr]:
        """Add the sums."""
        import polars as pl

        found = [self._sum(pl.col(self.part("sum")))]
        return [*found, pl.col(self.part("size")).sum()] if self._most else found

    def _sum(self, values: pl.Expr) -> pl.Expr:
        import polars as pl

        return pl.when(values.count() > 0).then(values.cast(self._wide).sum()).alias(self.part("sum"))

    def settled(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return sums in their own type. Raises TransformError where one does not fit."""
        name = self.part("sum")
        found = frame[name].cast(self.kind, strict=False)
        is_lost = found.null_count() > frame[name].null_count()
        if is_lost or (self._most and (frame[self.part("size")] >= self._most).any()):
            raise TransformError(
                f"{self.name}: the sum of a group does not fit into {self.kind}",
                hint=NO_FIT,
            )
        return frame.with_columns(found)

    def result(self) -> pl.Expr:
        """Return the sum, null where there was no value."""
        import polars as pl

        return pl.col(self.part("sum"))


class Extreme(Simple):
    """The least or the greatest value; NaN is greater than all numbers. ``BOOL_AND`` and ``BOOL_OR`` are these, too."""

    def __init__(self, call: Call, kind: pl.DataType) -> None:
        import polars as pl

        if kind.is_nested() or (call.function.startswith("BOOL") and kind != pl.Boolean):
            raise ConfigError(f"{call.function} cannot take {kind}", hint="give it a condition, or a plain value")
        self._is_least = call.function in ("MIN", "BOOL_AND")
        super().__init__(call, kind, {"value": kind})

    def of_rows(self) -> list[pl.Expr]:
        """Return the extreme value."""
        return [self._extreme(self.value()).alias(self.part("value"))]

    def of_parts(self) -> list[pl.Expr]:
        """Return the most extreme one."""
        import polars as pl

        return [self._extreme(pl.col(self.part("value")))]

    def _extreme(self, values: pl.Expr) -> pl.Expr:
        if self._is_least:
            return values.min()
        return values.nan_max() if self.kind.is_float() else values.max()

    def result(self) -> pl.Expr:
        """Return the value, null where there was none."""
        import polars as pl

        return pl.col(self.part("value"))


class Mean(Simple):
    """The arithmetic mean, a float."""

    def __init__(self, call: Call, kind: pl.DataType) -> None:
        import polars as pl

        require_number("AVG", kind)
        super().__init__(call, pl.Float64(), {"sum": pl.Float64(), "count": pl.Int64()})

    def of_rows(self) -> list[pl.Expr]:
        """Add and count the values."""
        import polars as pl

        value = self.value().cast(pl.Float64)
        return [value.sum().alias(self.part("sum")), value.count().alias(self.part("count"))]

    def of_parts(self) -> list[pl.Expr]:
        """Add both."""
        import polars as pl

        return [pl.col(*self.parts).sum()]

    def result(self) -> pl.Expr:
        """Return the mean, null where there was no value."""
        import polars as pl

        count = pl.col(self.part("count"))
        return pl.when(count > 0).then(pl.col(self.part("sum")) / count)


class Spread(Simple):
    """Variance or standard deviation of a sample; merging loses no digits.

    *Source*: Chan, Golub, LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances" (1979).
    """

    def __init__(self, call: Call, kind: pl.DataType) -> None:
        import polars as pl

        require_number(call.function, kind)
        self._is_root = call.function == "STDDEV"
        super().__init__(call, pl.Float64(), {"count": pl.Int64(), "mean": pl.Float64(), "squares": pl.Float64()})

    def of_rows(self) -> list[pl.Expr]:
        """Return how many, their mean, and the sum of the squares of the distances from it."""
        import polars as pl

        value = self.value().cast(pl.Float64)
        squares = value.var(ddof=0) * value.count()
        found = zip(self.parts, (value.count(), value.mean(), squares), strict=True)
        return [expression.alias(name) for name, expression in found]

    def of_parts(self) -> list[pl.Expr]:
        """Return the same of all: distances within each, and of each mean from the common one."""
        import polars as pl

        count, mean, squares = (pl.col(name) for name in self.parts)
        common = (count * mean).sum() / count.sum()
        found = (count.sum(), pl.when(count.sum() > 0).then(common), (squares + count * (mean - common) ** 2).sum())
        return [expression.alias(name) for name, expression in zip(self.parts, found, strict=True)]

    def result(self) -> pl.Expr:
        """Return the value, null where there were less than two."""
        import polars as pl

        count = pl.col(self.part("count"))
        variance = pl.when(count > 1).then(pl.col(self.part("squares")) / (count - 1))
        return variance.sqrt() if self._is_root else variance


def require_number(function: str, kind: pl.DataType) -> None:
    """Refuse what cannot be calculated with. Raises ConfigError."""
    if not kind.is_numeric():
        raise ConfigError(f"{function} cannot take {kind}", hint="CAST it to a number")
