"""``stateful``: a function of the project's own over key groups, with state of its own for each key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, cast

from pydantic import Field, model_validator

from etl.balance import Tally
from etl.errors import ConfigError, TransformError
from etl.model import CHANGE, SOURCE_ROW, SYSTEM_COLUMNS, Json
from etl.options import DurationS, Options
from etl.schema import format_type, to_polars
from etl.state.contract import Fingerprint, State, StateTable, TableLayout
from etl.transforms.columns import refuse_reserved, refuse_twice, require
from etl.transforms.contract import Moment, Stepped, TransformSite
from etl.transforms.keyed_call import ORIGIN, Batch, KeyedCall, Returned
from etl.transforms.keyed_state import DUE, NEWEST, PART, KeyedState
from etl.transforms.ordering import row_order
from etl.transforms.watermark import event_time
from etl.type_text import parse_type
from etl.user_functions import UserFunction
from etl.watermark import EPOCH, micros
from etl.watermark import moment as moment_of

if TYPE_CHECKING:
    import polars as pl

TABLE = "state"
_MICROSECONDS = 1_000_000
_BUCKETS = 24
"""How many time partitions of state are alive: a timeout's length in them."""


class StatefulOptions(Options):
    """A function, the keys of its groups, and what it remembers of each."""

    python: str = Field(description="module:function in the project's transforms/ folder")
    keys: Annotated[list[str], Field(min_length=1)]
    state_schema: Annotated[dict[str, str], Field(min_length=1)] = Field(description="column to type")
    rows_per_key: Literal["one", "many"] = Field(default="one", description="how many rows of state a key may have")
    timeout: Annotated[DurationS, Field(gt=0)] | None = Field(
        default=None, description="how long after its last row a key expires"
    )
    timeout_by: Literal["event_time", "processing_time"] = "event_time"
    time: str | None = Field(default=None, description="the column of event time; default: the watermark's")
    output: Annotated[dict[str, str], Field(min_length=1)] | None = Field(
        default=None, description="column to type of the rows that it returns; default: what it returns for no rows"
    )
    per_key: bool = Field(default=False, description="call the function once for each key, which is slow")

    @model_validator(mode="after")
    def _has_what_it_times(self) -> StatefulOptions:
        if self.timeout is None and "timeout_by" in self.model_fields_set:
            raise ValueError("'timeout_by' needs 'timeout'")
        return self


class KeyedFunction:
    """Calls the function with the rows and the state of the keys that occur; what it returns is their state after."""

    label = "stateful"
    is_stateful: ClassVar[bool] = True
    inputs: tuple[str, ...] = ()
    options_model: ClassVar[type[StatefulOptions]] = StatefulOptions

    def __init__(self, options: StatefulOptions, site: TransformSite) -> None:
        self._options = options
        self._where = site.place(self.label)
        self._site = site
        self._keys = options.keys
        refuse_twice(self._keys, self._where)
        refuse_twice([*self._keys, *options.state_schema], self._where)
        _refuse_underscores(options.state_schema, self._where)
        self._trees = {name: parse_type(text, where=self._where) for name, text in options.state_schema.items()}
        self._output = _declared(options.output or {}, self._where)
        self._function = UserFunction(options.python, site.folder, self._where)
        self._timeout_us = None if options.timeout is None else round(options.timeout * _MICROSECONDS)
        self._found: tuple[pl.Schema, pl.Schema] | None = None

    def output_schema(self, given: pl.Schema, *_others: pl.Schema) -> pl.Schema:
        """Return the columns that the function gives: the declared ones, else those that it gives for no rows.

        Raises ConfigError.
        """
        if self._found is None or self._found[0] != given:
            self._check_given(given)
            self._found = (given, self._found_output(given))
        return self._found[1]

    def _check_given(self, given: pl.Schema) -> None:
        if CHANGE in given:
            raise ConfigError(
                "it cannot take a result that changes", where=self._where, hint="say `emit: final` before it"
            )
        require(self._keys, given, self._where)
        for name in self._keys:
            if given[name].is_nested():
                raise ConfigError(f"{name}: {given[name]} cannot be a key", where=self._where, hint="unnest it before")
        if self._options.time is not None:
            require([self._options.time], given, self._where)
        if self._is_by_event_time and (not self._site.has_watermark or self._time(given) is None):
            lacks = "the watermark's column is gone" if self._site.has_watermark else "there is no watermark before it"
            raise ConfigError(
                f"a timeout by event time, and {lacks}",
                where=self._where,
                hint="keep the column or name another one as `time`"
                if self._site.has_watermark
                else "put `watermark` before it, or say `timeout_by: processing_time`",
            )

    @property
    def has_timeouts(self) -> bool:
        """Whether the clock of batches alone may make it give something."""
        return self._timeout_us is not None and not self._is_by_event_time

    @property
    def behind_us(self) -> int:
        """How far behind the watermark the newest row of a key lies, at most, when its state expires."""
        return cast("int", self._timeout_us) if self._is_by_event_time else 0

    @property
    def _is_by_event_time(self) -> bool:
        return self._timeout_us is not None and self._options.timeout_by == "event_time"

    def _time(self, given: pl.Schema) -> str | None:
        """Return the column of event time, None where there is none."""
        name = self._options.time or self._site.time_column
        return name if name in given else None

    def _found_output(self, given: pl.Schema) -> pl.Schema:
        import polars as pl

        if self._output is not None:
            return self._output
        rows, keys = _handed(pl.DataFrame(schema=given)), pl.DataFrame(schema={k: given[k] for k in self._keys})
        state = pl.DataFrame(schema=self._state_types(given))
        try:
            found = self._call(given, None)(rows, state, Batch(0, EPOCH, None, keys)).rows.schema
        except TransformError as exc:
            hint = f"{exc.hint}; it was called without rows: where it cannot do that, declare `output`"
            raise ConfigError(exc.message, where=self._where, hint=hint) from exc
        _check_names(found, self._where)
        for name, kind in found.items():
            if kind == pl.Null:
                raise ConfigError(
                    f"{name}: its type cannot be told without rows", where=self._where, hint="declare `output`"
                )
        return found

    def _call(self, given: pl.Schema, output: Mapping[str, pl.DataType] | None) -> KeyedCall:
        return KeyedCall(
            self._function,
            tuple(self._keys),
            self._state_types(given),
            output,
            is_per_key=self._options.per_key,
            is_many=self._options.rows_per_key == "many",
            where=self._where,
        )

    def _state_types(self, given: pl.Schema) -> dict[str, pl.DataType]:
        """Return the columns of state as the function sees them."""
        return {**{name: given[name] for name in self._keys}, **to_polars(self._trees)}

    def layouts(self, given: pl.Schema, *_others: pl.Schema) -> Mapping[str, TableLayout]:
        """Return one table: the columns of the function, and when each key is due (null: never).

        That column is there without a timeout too, so that one can be added and taken away.
        """
        import polars as pl

        return {
            TABLE: TableLayout(
                keys={name: given[name] for name in self._keys},
                values={**to_polars(self._trees), DUE: pl.Datetime("us", "UTC")},
                part={PART: pl.Int64()} if self._options.rows_per_key == "many" else {},
                expires=DUE,
                bucket_us=max((self._timeout_us or 0) // _BUCKETS, _MICROSECONDS),
            )
        }

    def fingerprint(self) -> Fingerprint:
        """Return keys and columns. The function may change freely; so may how long a timeout is."""
        timed = {} if self._timeout_us is None else {DUE: self._options.timeout_by}
        fixed: dict[str, Json] = {"keys": list(self._keys), "rows_per_key": self._options.rows_per_key}
        return Fingerprint(
            "stateful", fixed, {**{name: format_type(tree) for name, tree in self._trees.items()}, **timed}
        )

    def step(self, rows: tuple[pl.LazyFrame, ...], state: State, moment: Moment, tally: Tally) -> Stepped:
        """Return what the function gives: called with the rows, then with keys that are due in the same batch."""
        import polars as pl

        given = rows[0].collect_schema()
        output = self.output_schema(given)
        frame = rows[0].collect(engine="streaming")
        after_us = moment.after_us() if moment.has_watermark else None
        time = self._time(given)
        frame = self._in_time(frame, time, moment, tally)
        tally.count("folded", frame)
        handed = _handed(frame.sort(self._order(frame, time), maintain_order=True))
        now_us = after_us if self._is_by_event_time else micros(moment.plan.batch_at)
        keeping = KeyedState(state[TABLE], self._timeout_us, now_us)
        call, plan = self._call(given, output), moment.plan
        watermark = None if after_us is None else moment_of(after_us)

        def ask(asked: pl.DataFrame, known: pl.DataFrame, expired: pl.DataFrame) -> Returned:
            return call(asked, known, Batch(plan.batch_id, plan.batch_at, watermark, expired))

        made = keeping.turn(handed, self._newest(handed, time), ask)
        out = pl.concat([pl.DataFrame(schema=output), *made])
        tally.count("added", out)
        return Stepped(out, {TABLE: keeping.change()})

    def _in_time(self, frame: pl.DataFrame, time: str | None, moment: Moment, tally: Tally) -> pl.DataFrame:
        """Return the rows that are not late; those that are, and those without event time, are set aside."""
        if time is None or not self._site.has_watermark:
            return frame
        at_us = frame.select(event_time(time, frame.schema[time])).to_series()
        tally.set_late(frame.filter(at_us.is_null()), None)
        if moment.before_us is not None:
            tally.set_late(frame.filter(at_us <= moment.before_us), moment.before_us)
            return frame.filter(at_us > moment.before_us)
        return frame.filter(at_us.is_not_null())

    def _order(self, frame: pl.DataFrame, time: str | None) -> list[str]:
        """Return the columns to sort by: event time and origin; all where the origin is gone."""
        order = row_order(frame.columns, time)
        if ORIGIN[1] in order:
            return order
        return [*order, *(name for name, kind in frame.schema.items() if not kind.is_nested() and name not in order)]

    def _newest(self, frame: pl.DataFrame, time: str | None) -> pl.DataFrame | None:
        """Return the newest event time of each key, where timeouts go by it."""
        if not self._is_by_event_time:
            return None
        at_us = event_time(cast("str", time), frame.schema[cast("str", time)])
        return frame.group_by(self._keys).agg(at_us.max().alias(NEWEST))

    def next_due_us(self, state: State, moment: Moment) -> int | None:
        """Return when the next key is due, where timeouts go by the clock."""
        if not self.has_timeouts:
            return None
        table: StateTable = state[TABLE]
        first_us = micros(moment.plan.batch_at)
        step_us = table.layout.bucket_us
        while step_us < 2 * _BUCKETS * table.layout.bucket_us:
            due = table.expired(first_us + step_us)
            if due.height:
                return cast("int", due[DUE].dt.epoch("us").min())
            step_us *= 2
        return None


def _handed(frame: pl.DataFrame) -> pl.DataFrame:
    """Return rows as the function sees them: of the system columns only their origin."""
    return frame.drop(SOURCE_ROW, *(name for name in SYSTEM_COLUMNS if name not in ORIGIN), strict=False)


def _declared(output: Mapping[str, str], where: str) -> pl.Schema | None:
    _check_names(output, where)
    trees = {name: parse_type(text, where=where) for name, text in output.items()}
    return to_polars(trees) if trees else None


def _check_names(names: Mapping[str, Any], where: str) -> None:
    refuse_reserved((name for name in names if name not in ORIGIN), where)
    if CHANGE in names:
        raise ConfigError(f"{CHANGE!r} is the name of a system column", where=where, hint="use another name")


def _refuse_underscores(names: Mapping[str, Any], where: str) -> None:
    for name in names:
        if name.startswith("_"):
            raise ConfigError(f"a column of state named {name!r}", where=where, hint="begin its name with a letter")
