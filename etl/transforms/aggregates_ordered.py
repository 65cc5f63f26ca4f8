"""Aggregates for which the order of rows counts: first, last, any value, all values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from etl.errors import ConfigError
from etl.transforms.aggregate_calls import CONDITION, Call
from etl.transforms.aggregates import Simple

if TYPE_CHECKING:
    import polars as pl

ORDER = "order:"
"""What the columns that rows are ordered by begin with."""

VALUE = "value"


class Ordered(Simple):
    """What these share: values travel in a struct with the columns they are ordered by.

    Rows that are equal in those are ordered by their value, so that the result never depends on how rows came. A null
    is a value, but not for ``ANY_VALUE``.
    """

    def __init__(self, call: Call, kind: pl.DataType, order: pl.Schema) -> None:
        import polars as pl

        if call.function in ("FIRST", "LAST") and not order:
            raise ConfigError(
                f"{call.function} needs an order, and these rows have none", hint="use MIN, MAX or ANY_VALUE"
            )
        fields = {name.removeprefix(ORDER): found for name, found in order.items()}
        self._order = dict(zip(order, (f"at:{name}" for name in fields), strict=True))
        self._is_last = call.function == "LAST"
        self._needs_value = call.function == "ANY_VALUE"
        self._is_list = call.function == "ARRAY_AGG"
        self._where = f"{CONDITION}{call.name}" if call.condition is not None else ""
        at = dict(zip(self._order.values(), fields.values(), strict=True))
        self._by = list(self._order.values()) if kind.is_nested() else [*self._order.values(), VALUE]
        struct = pl.Struct({**at, VALUE: kind})
        super().__init__(
            call,
            pl.List(kind) if self._is_list else kind,
            {"rows": pl.List(struct)} if self._is_list else {"row": struct},
        )

    def of_rows(self) -> Sequence[pl.Expr]:
        """Return the rows that count: all, or one."""
        import polars as pl

        fields = {field: pl.col(name) for name, field in self._order.items()} | {VALUE: self.value()}
        counts = [pl.col(self._where).fill_null(value=False)] if self._where else []
        if self._needs_value:
            counts.append(self.value().is_not_null())
        counted = pl.all_horizontal(counts) if counts else None
        (name,) = self.parts
        if self._is_list:
            rows = pl.struct([values.alias(field) for field, values in fields.items()])
            return [(rows if counted is None else pl.when(counted).then(rows)).alias(name)]
        # Field by field: to sort whole structs takes three times as long.
        row = pl.struct([self._one(values, fields, counted).alias(field) for field, values in fields.items()])
        return [(row if counted is None else pl.when(counted.any()).then(row)).alias(name)]

    def _one(self, values: pl.Expr, fields: dict[str, pl.Expr], counted: pl.Expr | None) -> pl.Expr:
        """Return the value of the first or the last row that counts.

        Rows that do not count are put last, and not filtered: Polars 2.1 mixes groups up where it sorts one that was
        left without rows.
        """
        by = [fields[field] for field in self._by]
        if self._is_last:
            return values.sort_by([*([] if counted is None else [counted]), *by]).last()
        return values.sort_by([*([] if counted is None else [~counted]), *by]).first()

    def of_parts(self) -> Sequence[pl.Expr]:
        """Return the same of what was chosen."""
        import polars as pl

        (name,) = self.parts
        row = pl.col(name)
        if self._is_list:
            return [row.list.explode(keep_nulls=False, empty_as_null=False)]
        fields = {field: row.struct.field(field) for field in self._by}
        return [self._one(row, fields, row.is_not_null()).alias(name)]

    def settled(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the rows of lists in order."""
        import polars as pl

        if self._is_list:
            (name,) = self.parts
            by = [pl.element().struct.field(field) for field in self._by]
            rows = pl.col(name).list.drop_nulls().list.eval(pl.element().sort_by(by))
            frame = frame.with_columns(rows.alias(name))
        return super().settled(frame)

    def result(self) -> pl.Expr:
        """Return the values, null where no row counts."""
        import polars as pl

        (name,) = self.parts
        if self._is_list:
            values = pl.col(name).list.eval(pl.element().struct.field(VALUE))
            return pl.when(pl.col(name).list.len() > 0).then(values)
        return pl.col(name).struct.field(VALUE)
