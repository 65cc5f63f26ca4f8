"""How ``group_by`` takes rows in: late ones set aside, the others counted and cut down to what is asked of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from etl.balance import Tally
from etl.errors import ConfigError
from etl.expressions import Columns, compile_columns, parse
from etl.model import CHANGE
from etl.sql_writer import SqlWriter, quoted
from etl.transforms.aggregate_calls import ARGUMENT, CONDITION, Call
from etl.transforms.aggregates_ordered import ORDER
from etl.transforms.watermark import event_time
from etl.transforms.windows import AT

if TYPE_CHECKING:
    import polars as pl

    from etl.expressions import Formula

    Test = Callable[[pl.DataFrame], pl.Series]
    """Tells of each row whether it is late."""

KEY = "key:"
"""What the columns that make a row of a changing result unique begin with."""

_ANY = "_etl_row"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What ``group_by`` wants of its rows: ``by`` name to expression, ``calls`` the aggregates, ``time`` event time.

    ``order`` are the columns that tell the order of rows, ``keys`` those that make a row of a changing input unique.
    """

    by: Mapping[str, str]
    calls: Sequence[Call]
    time: str | None = None
    order: Sequence[str] = ()
    keys: Sequence[str] | None = None

    def formulas(self) -> dict[str, Formula]:
        """Return all columns that are computed: groups, arguments, conditions, order, keys."""
        found: dict[str, Formula] = {}
        for name, text in self.by.items():
            found[name] = parse(text)
        for call in self.calls:
            if call.argument is not None:
                found[f"{ARGUMENT}{call.name}"] = call.argument
            if call.condition is not None:
                found[f"{CONDITION}{call.name}"] = call.condition
        for name in self.order:
            found[f"{ORDER}{name}"] = parse(quoted(name))
        for name in self.keys or ():
            found[f"{KEY}{name}"] = parse(quoted(name))
        return found


@dataclass(frozen=True, slots=True)
class Lateness:
    """Which rows are late: those with a time before ``open_from``, and those of which ``is_closed`` says so."""

    watermark_us: int | None = None
    open_from: int | None = None
    is_closed: Test | None = None


@dataclass(frozen=True, slots=True)
class Intake:
    """The way of rows into ``group_by``; :func:`make_intake` makes it."""

    wanted: Wanted
    given: Any
    needed: Sequence[str]
    columns: Columns
    conditions: Mapping[str, str] = field(default_factory=dict)

    def rows(self, rows: pl.LazyFrame, lateness: Lateness, tally: Tally) -> pl.LazyFrame:
        """Return the computed columns (and ``AT``) of the rows that are on time, which count as ``folded``."""
        import polars as pl

        time = self.wanted.time
        if time is not None:
            rows = rows.with_columns(event_time(time, self.given[time]).alias(AT))

        def sift(frame: pl.DataFrame) -> pl.DataFrame:
            if time is not None:
                frame = _on_time(frame, lateness, tally)
            tally.count("folded", frame)
            return frame.select(self.needed)

        schema = {name: pl.Int64() if name == AT else self.given[name] for name in self.needed}
        return self.computed(rows.map_batches(sift, schema=pl.Schema(schema), streamable=True))

    def computed(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """Return the computed columns of rows that have the needed ones."""
        import polars as pl

        rows = self.columns.apply(rows)
        met = [pl.when(pl.col(where)).then(pl.col(name)).alias(name) for name, where in self.conditions.items()]
        return rows.with_columns(met) if met else rows


def make_intake(wanted: Wanted, given: pl.Schema, where: str) -> Intake:
    """Return the way of rows of ``given`` into ``group_by``. Raises ConfigError for an expression that is none."""
    import polars as pl

    formulas = wanted.formulas()
    needed = _columns_of(formulas, given, where)
    if wanted.time is not None:
        needed.append(AT)
    if wanted.keys is not None:
        needed.append(CHANGE)
    if not needed:
        needed.append(next(iter(given)))
    narrow = pl.Schema({name: pl.Int64() if name == AT else given[name] for name in needed})
    passed = [name for name in (AT, CHANGE) if name in needed]
    through: dict[str, Formula | None] = dict.fromkeys(passed) if passed else {_ANY: parse(quoted(needed[0]))}
    conditions: dict[str, str] = {}
    for call in wanted.calls:
        if call.condition is None:
            continue
        if call.argument is None:  # COUNT(*): the rows for which the condition is true
            formulas[f"{ARGUMENT}{call.name}"] = call.condition
        conditions[f"{ARGUMENT}{call.name}"] = f"{CONDITION}{call.name}"
    try:
        columns = compile_columns({**through, **formulas}, narrow, where=where)
    except ConfigError as exc:
        raise ConfigError(_in_their_words(exc.message), where=where, hint=exc.hint) from exc
    return Intake(wanted, given, needed, columns, conditions)


def _columns_of(formulas: Mapping[str, Any], given: pl.Schema, where: str) -> list[str]:
    """Return the columns that expressions name. Raises ConfigError for one that there is not."""
    writer, found = SqlWriter(given), dict[str, None]()
    for name, tree in formulas.items():
        for node in tree.walk():
            if node.key == "column" and node.this.key != "star":
                try:
                    found[writer.column(node)[0]] = None
                except ConfigError as exc:
                    message = _in_their_words(f"{name}: {exc.message}")
                    raise ConfigError(message, where=where, hint=exc.hint) from exc
    return list(found)


def _in_their_words(message: str) -> str:
    """Return a message that begins with a column of ours with that of the aggregate."""
    return message.removeprefix(ARGUMENT).removeprefix(CONDITION)


def _on_time(frame: pl.DataFrame, lateness: Lateness, tally: Tally) -> pl.DataFrame:
    """Return the rows that are on time; those that are late, or have no time, are set aside with all their columns."""
    import polars as pl

    times = frame[AT]
    if times.null_count():
        tally.set_late(frame.filter(times.is_null()).drop(AT), None)
        frame = frame.filter(times.is_not_null())
    oldest: Any = frame[AT].min()
    if lateness.open_from is not None and oldest is not None and oldest < lateness.open_from:
        is_late = pl.col(AT) < lateness.open_from
        tally.set_late(frame.filter(is_late).drop(AT), lateness.watermark_us)
        frame = frame.filter(~is_late)
    if lateness.is_closed is not None and frame.height:
        closed = lateness.is_closed(frame)
        if closed.any():
            tally.set_late(frame.filter(closed).drop(AT), lateness.watermark_us)
            frame = frame.filter(~closed)
    return frame
