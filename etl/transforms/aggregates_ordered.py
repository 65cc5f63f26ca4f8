"""Aggregates for which the order of rows counts: first, last, any value, all values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from etl.errors import ConfigError
from etl.transforms.aggregate_calls import Call
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
        self._where = f"where:{call.name}" if call.condition is not None else ""
        at = dict(zip(self._order.values(), fields.values(), strict=True))
        self._by = list(self._order.values()) if kind.is_nested() else [*self._order.values(), VALUE]
        struct = pl.Struct({**at, VALUE: kind})
        super().__init__(
            call,
            pl.List(kind) if self._is_list else kind,
            {"rows": pl.List(struct)} if self._is_list else {"row": struct},
        )

    def of_rows(self) -> Sequence[pl.Expr]:
        """Return the rows that count, in order: all, or one."""
        import polars as pl

        fields = [pl.col(name).alias(field) for name, field in self._order.items()]
        rows = pl.struct(*fields, self.value().alias(VALUE))
        if self._where:
            rows = rows.filter(pl.col(self._where))
        return [self._chosen(rows)]

    def of_parts(self) -> Sequence[pl.Expr]:
        """Return the same of what was chosen."""
        import polars as pl

        (name,) = self.parts
        if self._is_list:
            return [self._chosen(pl.col(name).list.explode(keep_nulls=False, empty_as_null=False))]
        return [self._chosen(pl.col(name))]

    def _chosen(self, rows: pl.Expr) -> pl.Expr:
        (name,) = self.parts
        rows = rows.filter(rows.is_not_null())
        if self._needs_value:
            rows = rows.filter(rows.struct.field(VALUE).is_not_null())
        rows = rows.sort_by([rows.struct.field(field) for field in self._by])
        if self._is_list:
            return rows.implode().alias(name)
        return (rows.last() if self._is_last else rows.first()).alias(name)

    def result(self) -> pl.Expr:
        """Return the values, null where no row counts."""
        import polars as pl

        (name,) = self.parts
        if self._is_list:
            values = pl.col(name).list.eval(pl.element().struct.field(VALUE))
            return pl.when(pl.col(name).list.len() > 0).then(values)
        return pl.col(name).struct.field(VALUE)
