"""``deduplicate``: one row per key, for ever or as far as event time tells that the key may come again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from etl.balance import Tally
from etl.errors import ConfigError
from etl.model import CHANGE, Json
from etl.options import DurationS, Options
from etl.state.contract import Fingerprint, State, TableLayout
from etl.transforms.columns import refuse_twice, require
from etl.transforms.contract import Moment, Stepped, TransformSite
from etl.transforms.deduplicate_first import Sameness, keep_first
from etl.transforms.deduplicate_last import keep_last, keep_newest
from etl.transforms.lateness import collected, micros_of, on_time, refuse_changes, refuse_nested, require_moment

if TYPE_CHECKING:
    import polars as pl


class DeduplicateOptions(Options):
    """Which rows are the same, and which of them stays."""

    keys: Annotated[list[str], Field(min_length=1)] = Field(description="columns whose values are equal in duplicates")
    keep: Literal["first", "last"] = Field(default="first", description="which row of a key stays")
    within: DurationS | None = Field(
        default=None, description="rows of a key are duplicates when their event times are no further apart"
    )


class Deduplicate:
    """Drops rows whose key was there before; with a watermark it forgets a key when that has passed its row."""

    label = "deduplicate"
    is_stateful: ClassVar[bool] = True
    inputs: tuple[str, ...] = ()
    options_model: ClassVar[type[DeduplicateOptions]] = DeduplicateOptions

    def __init__(self, options: DeduplicateOptions, site: TransformSite) -> None:
        self._where = site.place(self.label)
        refuse_twice(options.keys, self._where)
        self._is_first = options.keep == "first"
        within_us = None if options.within is None else micros_of(options.within)
        self._same = Sameness(tuple(options.keys), site.time_column if site.has_watermark else "", within_us)
        self._refuse_without_time(site)

    def _refuse_without_time(self, site: TransformSite) -> None:
        if site.is_whole:
            raise ConfigError(
                "`write_mode: overwrite` takes the whole result with every batch, and deduplicate gives new rows only",
                where=self._where,
                hint="write_mode: append, or merge with the keys as primary_key",
            )
        if self._same.within_us is not None and not self._same.time:
            raise ConfigError(
                "`within` goes by event time, and no watermark says which column that is",
                where=self._where,
                hint="put `watermark: {column: …, delay: …}` before it, or leave `within` out: keys are kept for ever",
            )

    @property
    def behind_us(self) -> int:
        """How far behind the watermark the rows that it gives out may lie."""
        return 0 if self._is_first else self._same.hold_us

    def warnings(self) -> list[str]:
        """Return what people should know of its state."""
        if self._same.time:
            return []
        keys = ", ".join(self._same.keys)
        told = f"{self._where}: remembers every value of {keys} for ever, its state grows with each new one"
        return [f"{told}; behind a `watermark` a key is forgotten when event time has passed its row"]

    def output_schema(self, given: pl.Schema) -> pl.Schema:
        """Return ``given``, with ``_change`` for ``keep: last`` without a watermark. Raises ConfigError."""
        import polars as pl

        refuse_changes(self.label, given, self._where)
        require(self._same.keys, given, self._where)
        refuse_nested(self._same.keys, given, self._where)
        if self._same.time:
            self._require_time(given)
        return given if self._same.time or self._is_first else pl.Schema({**given, CHANGE: pl.String()})

    def _require_time(self, given: pl.Schema) -> None:
        time = self._same.time
        if time not in given:
            raise ConfigError(
                f"the column of event time, {time!r}, is no longer there",
                where=self._where,
                hint=f"drop it after deduplicate; behind a window: with_columns: {{{time}: window_end}}",
            )
        require_moment(time, given, self._where)

    def result_keys(self, _given: pl.Schema) -> list[str]:
        """Return the keys of a changing result."""
        return list(self._same.keys)

    def layouts(self, given: pl.Schema, *_others: pl.Schema) -> Mapping[str, TableLayout]:
        """Return its one table: ``seen`` keys; rows ``held`` until they are final; the marks of the ``last`` row."""
        keys = self._same.keys
        if self._is_first:
            return {"seen": self._same.layout(given)}
        if self._same.time:
            return {"held": self._same.layout(given, [name for name in given if name not in keys])}
        return {"last": self._same.layout(given, [name for name in self._same.order(given) if name not in keys])}

    def fingerprint(self) -> Fingerprint:
        """Return its options, and the column of event time."""
        same = self._same
        keep = "first" if self._is_first else "last"
        fixed: dict[str, Json] = {"keys": list(same.keys), "keep": keep, "within_us": same.within_us, "time": same.time}
        return Fingerprint(self.label, fixed)

    def step(self, rows: tuple[pl.LazyFrame, ...], state: State, moment: Moment, tally: Tally) -> Stepped:
        """Return the rows that stay; duplicates are counted ``deduplicated``, rows that wait ``folded``."""
        same = self._same
        frame = collected(rows[0], same.time)
        if not same.time:
            return (
                keep_first(same, frame, state["seen"], None, tally)
                if self._is_first
                else keep_newest(same, frame, state["last"], tally)
            )
        after_us = moment.after_us()
        frame = on_time(frame, moment.before_us, tally)
        if self._is_first:
            return keep_first(same, frame, state["seen"], after_us, tally)
        return keep_last(same, frame, state["held"], after_us, tally)

    def next_due_us(self, _state: State, _moment: Moment) -> int | None:
        """Return None: it goes by event time alone."""
        return None
