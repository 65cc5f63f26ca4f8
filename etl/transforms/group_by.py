"""``group_by``: aggregates over groups and windows of an endless input, kept up to date batch by batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from etl.balance import Tally
from etl.errors import ConfigError, TransformError
from etl.expressions import columns_in, compile_columns, parse
from etl.model import CHANGE
from etl.state.contract import Fingerprint, State, TableLayout
from etl.transforms.aggregate_calls import ARGUMENT, CONDITION, parse_call
from etl.transforms.aggregates_by_name import make_aggregate
from etl.transforms.aggregates_ordered import ORDER
from etl.transforms.columns import require
from etl.transforms.contract import Moment, Origins, Stepped, TransformSite
from etl.transforms.group_by_changing import ChangingFold
from etl.transforms.group_by_fold import Fold
from etl.transforms.group_by_intake import Intake, Wanted, make_intake
from etl.transforms.group_by_options import GroupByOptions, emits_final, groups_of, window_of
from etl.transforms.group_by_partials import Partials
from etl.transforms.group_by_sessions import SessionFold
from etl.transforms.group_by_shape import Shape
from etl.transforms.ordering import row_order
from etl.transforms.sessions import SESSION, Sessions
from etl.transforms.windows import AT, END, START, Window

if TYPE_CHECKING:
    import polars as pl

    from etl.model import Json

    Folding = Fold | SessionFold | ChangingFold

_DAY_US = 86_400_000_000


class GroupBy:
    """Folds rows into groups; stateful."""

    label = "group_by"
    is_stateful: ClassVar[bool] = True
    inputs: tuple[str, ...] = ()
    options_model: ClassVar[type[GroupByOptions]] = GroupByOptions

    def __init__(self, options: GroupByOptions, site: TransformSite) -> None:
        where = site.place(self.label)
        self._where = where
        self._by = groups_of(options, where)
        self._window = window_of(options.window, where)
        try:
            self._calls = [parse_call(name, text) for name, text in options.aggregate.items()]
        except ConfigError as exc:
            raise ConfigError(exc.message, where=where, hint=exc.hint) from exc
        has_window = self._window is not None
        self._is_final = emits_final(options.emit, site, where, has_window=has_window)
        self._is_closing = has_window and site.has_watermark and not site.is_whole
        self._is_whole = site.is_whole
        self._keys: list[str] | None = None
        self._made: tuple[pl.Schema, Folding] | None = None

    @property
    def behind_us(self) -> int:
        """How far behind the watermark a row of its result may lie: a window comes out at its end, not at its start.

        The start of a session has no bound.
        """
        return self._window.period_us if self._is_closing and isinstance(self._window, Window) else 0

    def warnings(self) -> list[str]:
        """Return what people should know of its state."""
        if self._is_closing or not (self._by or self._window):
            return []
        what = f"every group of {', '.join(self._by)}" if self._window is None else "every window"
        told = f"{self._where}: remembers {what} for ever, its state grows with each new one"
        if self._window is None or self._is_whole:
            return [told]
        return [f"{told}; behind a `watermark` a window leaves it when it is over"]

    def take_keys(self, keys: list[str]) -> None:
        """Take note of what makes a row of a changing input unique; called before ``output_schema``."""
        self._keys, self._made = keys, None

    def result_keys(self, _given: pl.Schema) -> list[str]:
        """Return what makes a row of the result unique: the groups, and where a window starts."""
        return list(self._by) if self._window is None else [*self._by, START]

    def output_schema(self, given: pl.Schema, *_others: pl.Schema) -> pl.Schema:
        """Return groups, window, aggregates, and ``_change`` where the result changes. Raises ConfigError."""
        return self._folding(given).shape.output_schema()

    def origins(self, given: pl.Schema) -> Origins:
        """Return what groups, windows and aggregates are computed from; COUNT(*) from no column."""
        made = self._folding(given).shape.output_schema()
        found = {name: columns_in(text) for name, text in self._by.items()}
        found |= {call.name: columns_in(call.argument) | columns_in(call.condition) for call in self._calls}
        time = frozenset() if self._window is None else frozenset((self._window.column,))
        return {**{name: time for name in (START, END) if name in made}, **found}

    def layouts(self, given: pl.Schema, *_others: pl.Schema) -> Mapping[str, TableLayout]:
        """Return the tables of its state."""
        return self._folding(given).layouts()

    def fingerprint(self) -> Fingerprint:
        """Return groups and window, which are fixed, and the aggregates, which may come and go."""
        by: dict[str, Json] = {name: str(parse(text)) for name, text in self._by.items()}
        window = None if self._window is None else self._window.to_json()
        fixed: dict[str, Json] = {"by": by, "window": window, "input": "rows" if self._keys is None else "changes"}
        return Fingerprint(self.label, fixed, {call.name: call.text for call in self._calls})

    def step(self, rows: tuple[pl.LazyFrame, ...], state: State, moment: Moment, tally: Tally) -> Stepped:
        """Return the groups that changed, or the windows that are over, and the changes of the state."""
        (only,) = rows
        folding = self._folding(only.collect_schema())
        try:
            stepped = folding.step(only, state, moment, tally)
        except TransformError as exc:
            raise TransformError(exc.message, where=exc.where or self._where, hint=exc.hint) from exc
        tally.add("added", stepped.rows.height)
        return stepped

    def next_due_us(self, _state: State, _moment: Moment) -> int | None:
        """Return None: groups change with rows, and windows end with the watermark."""
        return None

    def _folding(self, given: pl.Schema) -> Folding:
        if self._made is None or self._made[0] != given:
            self._made = (given, self._make(given))
        return self._made[1]

    def _make(self, given: pl.Schema) -> Folding:
        keys = self._input_keys(given)
        time = None if self._window is None else self._window.column
        if time is not None:
            self._check_time(time, given)
        wanted = Wanted(self._by, self._calls, time, row_order(given, time), keys)
        shape = self._shape(make_intake(wanted, given, self._where), given)
        if keys is not None:
            return ChangingFold(shape)
        if isinstance(self._window, Sessions):
            import polars as pl

            wide = pl.Schema({**given, AT: pl.Int64(), SESSION: pl.get_index_type()})
            groups = compile_columns({AT: None, SESSION: None, **self._by}, wide, where=self._where)
            return SessionFold(shape, self._window, groups)
        return Fold(shape)

    def _shape(self, intake: Intake, given: pl.Schema) -> Shape:
        import polars as pl

        columns = intake.columns.schema
        by = pl.Schema({name: columns[name] for name in self._by})
        for name, kind in by.items():
            if kind.is_nested() or kind == pl.Null:
                raise ConfigError(f"{name}: {kind} cannot make groups", where=self._where, hint="name a field of it")
        for call in self._calls:
            condition = columns.get(f"{CONDITION}{call.name}", pl.Boolean())
            if condition != pl.Boolean:
                raise ConfigError(
                    f"{call.name}: FILTER (WHERE …) takes a condition, not {condition}",
                    where=self._where,
                    hint="compare it to something",
                )
        order = pl.Schema({name: kind for name, kind in columns.items() if name.startswith(ORDER)})
        kinds = [columns.get(f"{ARGUMENT}{call.name}", pl.Int64()) for call in self._calls]
        try:
            is_endless = self._window is None and intake.wanted.keys is None
            made = [
                make_aggregate(call, kind, order, is_endless=is_endless)
                for call, kind in zip(self._calls, kinds, strict=True)
            ]
        except ConfigError as exc:
            raise ConfigError(exc.message, where=self._where, hint=exc.hint) from exc
        time_kind = None if self._window is None else given[self._window.column]
        return Shape(
            by, self._window, intake, Partials(made), time_kind, self._is_final, self._is_whole, self._is_closing
        )

    def _check_time(self, time: str, given: pl.Schema) -> None:
        """Refuse what is no moment, and days cut into hours. Raises ConfigError."""
        import polars as pl

        require([time], given, self._where)
        kind = given[time]
        if not isinstance(kind, pl.Date | pl.Datetime):
            raise ConfigError(
                f"{time}: {kind} is no moment in time",
                where=self._where,
                hint="make it one before: with_columns: {at: CAST(at AS TIMESTAMP)}",
            )
        window = self._window
        lengths = (
            (window.gap_us,)
            if isinstance(window, Sessions)
            else ()
            if window is None
            else (window.every_us, window.period_us, window.offset_us)
        )
        if kind == pl.Date and any(length % _DAY_US for length in lengths):
            raise ConfigError(
                f"{time} is a date, and windows of it are whole days",
                where=self._where,
                hint="write days (every: 1d), or use a timestamp",
            )

    def _input_keys(self, given: pl.Schema) -> list[str] | None:
        """Return the keys of a changing input. Raises ConfigError where it cannot be taken in."""
        if CHANGE not in given:
            return None
        hint = "let the transform before give final rows (emit: final)"
        if self._keys is None:
            raise ConfigError("the input changes, and does not say by which keys", where=self._where, hint=hint)
        require(self._keys, given, self._where)
        if isinstance(self._window, Sessions):
            raise ConfigError("sessions cannot be made of a result that changes", where=self._where, hint=hint)
        fixed = [*self._keys, END] if START in self._keys else self._keys  # a window's start says where it ends
        if self._window is not None and self._window.column not in fixed:
            raise ConfigError(
                f"the input changes, and {self._window.column!r} may change with it",
                where=self._where,
                hint=f"a window over one of its keys: {', '.join(self._keys)}; or {hint}",
            )
        return self._keys
