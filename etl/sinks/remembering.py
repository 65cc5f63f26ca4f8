"""What a sink remembers beside its table, because the table cannot show it: one table of state."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from etl.delta_types import stored
from etl.schema import to_polars
from etl.state.contract import Fingerprint, StateChange, TableLayout
from etl.state.plain import PlainTable

if TYPE_CHECKING:
    import polars as pl

    from etl.model import Schema
    from etl.state.contract import State, StateTable

AT = "_etl_remembered_at"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class MemoryColumns:
    """Columns of what is remembered: some of the table's, by name, and ``more`` of fixed types."""

    keys: Sequence[str]
    part: Sequence[str] = ()
    values: Sequence[str] = ()
    more: Mapping[str, pl.DataType] = field(default_factory=dict)


class Memory:
    """Rows that a sink remembers from batch to batch, for ``remember_for_s`` after their batch, None for ever."""

    def __init__(
        self, name: str, made_by: Fingerprint, columns: Callable[[Schema], MemoryColumns], remember_for_s: float | None
    ) -> None:
        self._name = name
        self._made_by = made_by
        self._columns = columns
        self._remember_for_s = remember_for_s
        self._begun: tuple[StateTable, datetime] | None = None
        self._learned: dict[str, StateChange] = {}

    def fingerprint(self) -> Fingerprint:
        """Return what it was made by."""
        return self._made_by

    def layouts(self, schema: Schema) -> dict[str, TableLayout]:
        """Return its table, in the types that the sink's table of ``schema`` has."""
        import polars as pl

        types, columns = to_polars(stored(schema)), self._columns(schema)
        keys, part, values = (
            {name: types[name] for name in names if name in types}
            for names in (columns.keys, columns.part, columns.values)
        )
        moment = {AT: pl.Datetime("us", "UTC")}
        return {self._name: TableLayout(keys, {**values, **columns.more, **moment}, part, expires=AT)}

    def begin(self, state: State, at: datetime) -> None:
        """Take what was remembered before a batch that began ``at``."""
        self._begun, self._learned = (state[self._name], at), {}

    def learned(self) -> Mapping[str, StateChange]:
        """Return what the batch changes."""
        return self._learned

    def known(self, keys: pl.DataFrame, schema: Schema) -> pl.DataFrame:
        """Return what is remembered of keys, in all columns; ``schema`` is the table's after the batch."""
        if self._begun is None:
            self._begun = PlainTable(self.layouts(schema)[self._name]), _EPOCH
        return self._begun[0].lookup(keys)

    def learn(self, put: pl.DataFrame, remove: pl.DataFrame) -> None:
        """Remember rows, and forget others by their key. Only after :meth:`known`."""
        import polars as pl

        if self._begun is None:
            return
        table, at = self._begun
        types = table.layout.columns
        made = put.with_columns(pl.lit(at, types[AT]).alias(AT))
        unique = [*table.layout.keys, *table.layout.part]
        upto_us = None
        if self._remember_for_s is not None:
            upto_us = round((at.timestamp() - self._remember_for_s) * 1_000_000)
        change = StateChange(
            made.select(pl.col(name).cast(types[name]) for name in types),
            remove.select(pl.col(name).cast(types[name]) for name in unique),
            upto_us,
        )
        self._learned = {self._name: change}
