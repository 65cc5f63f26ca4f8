"""Which columns a join compares and which it adds, for rows and a static table of given types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from etl.errors import ConfigError
from etl.options import parse_duration_s
from etl.transforms.columns import refuse_reserved, refuse_twice, require
from etl.transforms.join_asof import Nearness
from etl.transforms.join_keys import common_type, compared_types
from etl.transforms.join_options import JoinOptions
from etl.transforms.watermark import event_time
from etl.vocabulary import nearest

if TYPE_CHECKING:
    import polars as pl

_MICROSECONDS = 1_000_000


class JoinLayout:
    """Expressions over both sides; made before any row is read. Raises ConfigError."""

    def __init__(self, options: JoinOptions, given: pl.Schema, static: pl.Schema, where: str) -> None:
        import polars as pl

        self._options, self._where = options, where
        places = [] if options.places is None else [options.places]
        require([*options.keys, *(left for left, _ in places)], given, where)
        self._require_static([*options.keys.values(), *(right for _, right in places)], static)
        types = compared_types(options.keys, given, static, where)
        self.left = [pl.col(name).cast(kind) for name, kind in zip(options.keys, types, strict=True)]
        self.right = [pl.col(name).cast(kind) for name, kind in zip(options.keys.values(), types, strict=True)]
        names = self._names(given, static)
        self.added = [pl.col(name).alias(as_) for name, as_ in names.items()]
        self.added_from = {as_: name for name, as_ in names.items()}
        self.schema = pl.Schema({**given, **{as_: static[name] for name, as_ in names.items()}})
        self.at, self.near = self._nearness(given, static)

    def _require_static(self, names: list[str], static: pl.Schema) -> None:
        for name in names:
            if name not in static:
                raise ConfigError(
                    f"the static table has no column {name!r}{nearest(name, static)}",
                    where=self._where,
                    hint=f"its columns are {', '.join(static)}",
                )

    def _names(self, given: pl.Schema, static: pl.Schema) -> Mapping[str, str]:
        """Return what each column that is added is called. Raises ConfigError where the rows have one of that name."""
        chosen = self._options.chosen
        if chosen is None:
            left_out = {*self._options.keys.values(), *(name for name in self._options.places or () if name in given)}
            chosen = {name: name for name in static if name not in left_out}
        self._require_static(list(chosen), static)
        suffix = self._options.suffix or ""
        found = {name: f"{as_}{suffix}" if as_ in given else as_ for name, as_ in chosen.items()}
        clashing = [as_ for as_ in found.values() if as_ in given]
        if clashing:
            raise ConfigError(
                f"the rows have {', '.join(clashing)} already",
                where=self._where,
                hint=f"rename what is added, columns: {{{clashing[0]}: other_{clashing[0]}}}, or give a `suffix`",
            )
        refuse_twice(found.values(), self._where)
        refuse_reserved(found.values(), self._where)
        return found

    def _nearness(self, given: pl.Schema, static: pl.Schema) -> tuple[tuple[pl.Expr, ...], Nearness]:
        """Return what is compared on both sides, and how near it must be; moments are microseconds."""
        asof, places = self._options.asof, self._options.places
        if asof is None or places is None:
            return (), Nearness()
        left, right = given[places[0]], static[places[1]]
        if _is_moment(left) and _is_moment(right):
            at = event_time(places[0], left), event_time(places[1], right)
            return at, Nearness(asof.direction, self._tolerance_us(asof.tolerance))
        kind = common_type(left, right)
        if kind is None or not (kind.is_integer() or kind.is_float()) or str(kind) == "Int128":
            raise ConfigError(
                f"{places[0]!r} is {left}, {places[1]!r} of the static table is {right}: they cannot be compared",
                where=self._where,
                hint="`asof` takes two moments (timestamp, date) or two numbers; cast the rows before",
            )
        return tuple(_number(name, kind) for name in places), Nearness(asof.direction, self._tolerance(asof.tolerance))

    def _tolerance_us(self, given: str | float | None) -> int | None:
        if given is None:
            return None
        try:
            return round(parse_duration_s(given) * _MICROSECONDS)
        except ValueError as exc:
            raise ConfigError(f"tolerance: {exc}", where=self._where, hint="moments are compared") from exc

    def _tolerance(self, given: str | float | None) -> float | None:
        if isinstance(given, str):
            raise ConfigError("tolerance: not a number", where=self._where, hint="numbers are compared")
        return given


def _is_moment(kind: pl.DataType) -> bool:
    return kind.is_temporal() and not str(kind).startswith(("Time", "Duration"))


def _number(name: str, kind: pl.DataType) -> pl.Expr:
    """Return a number that is compared; one that is no number is null."""
    import polars as pl

    found = pl.col(name).cast(kind)
    return found.fill_nan(None) if kind.is_float() else found
