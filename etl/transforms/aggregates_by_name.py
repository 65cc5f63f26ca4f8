"""Name of an aggregate to what computes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from etl.errors import ConfigError
from etl.transforms.aggregate_calls import Call
from etl.transforms.aggregates import Aggregate, Count, Extreme, Mean, Spread, Sum
from etl.transforms.aggregates_distinct import ApproximateDistinct, ApproximateQuantile, Distinct, DistinctRows
from etl.transforms.aggregates_ordered import Ordered

if TYPE_CHECKING:
    import polars as pl

_MADE_BY: dict[str, Callable[[Call, pl.DataType], Aggregate]] = {
    "COUNT": Count,
    "SUM": Sum,
    "AVG": Mean,
    "VAR": Spread,
    "STDDEV": Spread,
    "APPROX_COUNT_DISTINCT": ApproximateDistinct,
    "APPROX_QUANTILE": ApproximateQuantile,
    **dict.fromkeys(("MIN", "MAX", "BOOL_AND", "BOOL_OR"), Extreme),
}
_ORDERED = ("FIRST", "LAST", "ANY_VALUE", "ARRAY_AGG")


def make_aggregate(call: Call, kind: pl.DataType, order: pl.Schema, *, is_endless: bool = False) -> Aggregate:
    """Return what computes ``call`` over values of ``kind``. Raises ConfigError for a type that it cannot take.

    ``order`` are the columns that tell the order of rows. ``is_endless``: a group lives for ever, and may grow large.
    """
    import polars as pl

    if kind == pl.Null:
        raise ConfigError(f"{call.name}: {call.text} has no type", hint="CAST its argument")
    try:
        if call.function in _ORDERED:
            return Ordered(call, kind, order)
        if call.is_distinct:
            return DistinctRows(call, kind) if is_endless else Distinct(call, kind)
        return _MADE_BY[call.function](call, kind)
    except ConfigError as exc:
        raise ConfigError(f"{call.name}: {exc.message}", hint=exc.hint) from exc
