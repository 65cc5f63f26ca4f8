"""``join_stream``: the rows of two sources that belong together, as far apart as their event times may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from etl.balance import Tally
from etl.errors import ConfigError
from etl.model import Json
from etl.options import DurationS, Options
from etl.state.contract import Fingerprint, State, TableLayout
from etl.transforms.columns import refuse_reserved, refuse_twice, require
from etl.transforms.contract import Moment, Stepped, TransformSite
from etl.transforms.join_stream_pairs import Bounds, Pairing, partners, result_names
from etl.transforms.join_stream_side import Side
from etl.transforms.lateness import micros_of, refuse_changes, refuse_nested, require_moment

if TYPE_CHECKING:
    import polars as pl

_LEFT, _RIGHT = "left", "right"


class WithinOptions(Options):
    """How far apart the event times of a pair may be: ``column - before <= other <= column + after``."""

    column: str = Field(min_length=1, description="the column of event time of the rows that come in")
    other: str = Field(min_length=1, description="that of the source joined to them")
    before: DurationS = Field(default=0.0, description="how much earlier the other may be")
    after: DurationS = Field(default=0.0, description="how much later the other may be")


class JoinStreamOptions(Options):
    """Which source, by which columns, and which rows come out."""

    with_: str = Field(alias="with", min_length=1, description="the name of the source joined to the rows that come in")
    on: Annotated[list[str], Field(min_length=1)] | Annotated[dict[str, str], Field(min_length=1)] = Field(
        description="columns that are equal in a pair; where their names differ: {own: other}"
    )
    how: Literal["inner", "left", "right", "full", "semi"] = Field(default="inner", description="which rows come out")
    within: WithinOptions | None = Field(default=None, description="the bounds in time, which bound the state too")
    columns: list[str] | dict[str, str] | None = Field(
        default=None,
        description="which columns of the source come out: names, or {name: as}; default: all but its keys",
    )


class JoinStream:
    """Gives every pair of matching rows once, in the batch that brings the second of them.

    Each side remembers its rows until the watermark tells that no partner can come; ``left``, ``right`` and ``full``
    give rows without a partner then.
    """

    label = "join_stream"
    is_stateful: ClassVar[bool] = True
    options_model: ClassVar[type[JoinStreamOptions]] = JoinStreamOptions

    def __init__(self, options: JoinStreamOptions, site: TransformSite) -> None:
        self._where = site.place(self.label)
        self._how, self._other = options.how, options.with_
        chosen = options.columns
        self._columns = dict(zip(chosen, chosen, strict=True)) if isinstance(chosen, list) else chosen
        self.inputs: tuple[str, ...] = (options.with_,)
        self._on = dict(options.on) if isinstance(options.on, dict) else dict(zip(options.on, options.on, strict=True))
        if isinstance(options.on, list):
            refuse_twice(options.on, self._where)
        refuse_twice(self._on.values(), self._where)
        within = options.within
        self._bounds = None if within is None else Bounds(micros_of(within.before), micros_of(within.after))
        self._times = ("", "") if within is None else (within.column, within.other)
        self._is_bounded = self._bounds is not None and site.has_watermark
        refuse_reserved([*self._on, *self._on.values(), *filter(None, self._times)], self._where)
        self._refuse_unbounded(site)
        holds = (self._bounds.after_us, self._bounds.before_us) if self._bounds and self._is_bounded else (None, None)
        self._left = Side(
            tuple(self._on),
            self._times[0],
            holds[0],
            is_outer=self._how in ("left", "full"),
            is_once=self._how == "semi",
        )
        self._right = Side(tuple(self._on.values()), self._times[1], holds[1], is_outer=self._how in ("right", "full"))

    def _refuse_unbounded(self, site: TransformSite) -> None:
        if site.is_whole:
            raise ConfigError(
                "`write_mode: overwrite` takes the whole result with every batch, and join_stream gives new pairs only",
                where=self._where,
                hint="write_mode: append",
            )
        if self._how != "inner" and not self._is_bounded:
            missing = "no `within`" if self._bounds is None else "no watermark"
            raise ConfigError(
                f"`how: {self._how}` needs to know when no partner can come any more, and there is {missing}",
                where=self._where,
                hint="give both: `within: {column: …, other: …, after: …}`, and a `watermark` in each of the sources; "
                "or how: inner",
            )

    @property
    def behind_us(self) -> int:
        """How far behind the watermark the rows that it gives out may lie."""
        return max(self._bounds.before_us, self._bounds.after_us) if self._bounds else 0

    def warnings(self) -> list[str]:
        """Return what people should know of its state."""
        if self._is_bounded:
            return []
        missing = "`within`" if self._bounds is None else "a watermark"
        return [f"{self._where}: remembers the rows of both sides for ever: without {missing} any may find a partner"]

    def output_schema(self, given: pl.Schema, *others: pl.Schema) -> pl.Schema:
        """Return the columns of the left side, then those of the right one; no system columns. Raises ConfigError."""
        import polars as pl

        other = others[0]
        for side, schema in ((self._left, given), (self._right, other)):
            refuse_changes(self.label, schema, self._where)
            require(side.keys, schema, self._where)
            refuse_nested(side.keys, schema, self._where)
            if side.time:
                require_moment(side.time, schema, self._where)
        for own, theirs in self._on.items():
            self._require_equal(own, given[own], theirs, other[theirs])
        return pl.Schema(self._kinds(self._pairing(given, other), given, other))

    def _require_equal(self, own: str, kind: pl.DataType, theirs: str, other: pl.DataType) -> None:
        if kind != other:
            raise ConfigError(
                f"{own} is {kind}, {theirs} of {self._other} is {other}",
                where=self._where,
                hint="cast one of them before, in its source's transforms",
            )

    def _pairing(self, given: pl.Schema, other: pl.Schema) -> Pairing:
        """Return what a pair is over these columns. Raises ConfigError where two would have one name."""
        own = self._left.columns(given)
        names = {} if self._how == "semi" else self._added(own, other)
        refuse_twice([*own, *names.values()], self._where)
        return Pairing(self._on, self._bounds, tuple(own), names)

    def _added(self, own: list[str], other: pl.Schema) -> dict[str, str]:
        """Return the columns of the other side that come out, by their names there. Raises ConfigError."""
        if self._columns is None:
            return result_names(own, self._right.columns(other), self._right.keys, self._other)
        require(self._columns, other, self._where)
        for name in self._columns:
            if name in self._right.keys:
                raise ConfigError(
                    f"{name} of {self._other} is in `columns`",
                    where=self._where,
                    hint="a column of `on` comes out once, under the own name; leave it out",
                )
        refuse_reserved([*self._columns, *self._columns.values()], self._where)
        return self._columns

    def _kinds(self, pairing: Pairing, given: pl.Schema, other: pl.Schema) -> dict[str, pl.DataType]:
        theirs = {name: other[origin] for origin, name in pairing.right.items()}
        return {**{name: given[name] for name in pairing.left}, **theirs}

    def other_origins(self, given: pl.Schema, other: pl.Schema) -> Mapping[str, str]:
        """Return the columns of the other source that come out, with what they are called there."""
        return {name: origin for origin, name in self._pairing(given, other).right.items()}

    def layouts(self, given: pl.Schema, *others: pl.Schema) -> Mapping[str, TableLayout]:
        """Return a table for each side."""
        return {_LEFT: self._left.layout(given), _RIGHT: self._right.layout(others[0])}

    def fingerprint(self) -> Fingerprint:
        """Return which rows are pairs, and which come out."""
        bounds: Json = None if self._bounds is None else [self._bounds.before_us, self._bounds.after_us]
        fixed: dict[str, Json] = {
            "on": [[own, theirs] for own, theirs in self._on.items()],
            "how": self._how,
            "times": list(self._times),
            "within_us": bounds,
            "is_bounded": self._is_bounded,
        }
        return Fingerprint(self.label, fixed)

    def step(self, rows: tuple[pl.LazyFrame, ...], state: State, moment: Moment, tally: Tally) -> Stepped:
        """Return the pairs that the batch completes, and the rows that are now known to have no partner."""
        import polars as pl

        given, other = rows[0].collect_schema(), rows[1].collect_schema()
        pairing = self._pairing(given, other)
        new = self._left.arrived(rows[0], moment, tally), self._right.arrived(rows[1], moment, tally)
        after_us = moment.after_us() if self._is_bounded else None
        left = self._left.held(state[_LEFT], new[0], self._keys_of(new[1], theirs=True))
        right = self._right.held(state[_RIGHT], new[1], self._keys_of(new[0], theirs=False))

        pairs = pairing.pairs(left, right)
        partnered = self._partners(pairs)
        parts = [pl.DataFrame(schema=self._kinds(pairing, given, other))]
        if self._left.is_once:
            parts.append(left.with_partner(partnered[0]).select(pairing.left))
        else:
            parts.append(pairs.select(parts[0].columns))
        if self._left.is_outer:
            parts.append(left.unmatched(partnered[0], after_us).select(pairing.left))
        if self._right.is_outer:
            parts.append(right.unmatched(partnered[1], after_us).select(pairing.renamed()))
        found = pl.concat(parts, how="diagonal")
        tally.add("added", found.height)
        return Stepped(
            found, {_LEFT: left.change(partnered[0], after_us), _RIGHT: right.change(partnered[1], after_us)}
        )

    def _keys_of(self, rows: pl.DataFrame, *, theirs: bool) -> pl.DataFrame:
        """Return the keys of rows of one side under the names of the other."""
        names = {other: own for own, other in self._on.items()} if theirs else self._on
        return rows.select(list(names)).rename(names)

    def _partners(self, pairs: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the rows of each side that are in ``pairs``, for the sides that need to know."""
        tracked = self._left.is_outer or self._left.is_once, self._right.is_outer
        return (
            partners(pairs if tracked[0] else pairs.clear(), of_left=True),
            partners(pairs if tracked[1] else pairs.clear(), of_left=False),
        )

    def next_due_us(self, _state: State, _moment: Moment) -> int | None:
        """Return None: it goes by event time alone."""
        return None
