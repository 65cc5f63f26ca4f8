"""A state store beside the plain table that it must equal, and histories of changes for both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import strategies as st

from etl.model import StateRef
from etl.seam import Seam
from etl.state.contract import Fingerprint, StateChange, StateTable, TableLayout
from etl.state.limits import Limits
from etl.state.plain import PlainTable
from etl.state.store import OpenState, StateStore
from etl.storage import LocalStorage, Storage

MADE_BY = Fingerprint("model")
MOMENT = pl.Datetime("us", "UTC")
START = datetime(2026, 1, 1, tzinfo=UTC)
START_US = int(START.timestamp()) * 1_000_000
KEYS: list[dict[str, pl.DataType]] = [
    {},
    {"k": pl.String()},
    {"n": pl.Int32(), "f": pl.Float64()},
    {"d": pl.Decimal(10, 2), "k": pl.String(), "b": pl.Boolean()},
]
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "k": st.sampled_from([None, "", "a", "b", "cc", "a longer text than eight", "ü" * 200]),
    "n": st.sampled_from([None, 0, 1, -1, 2**31 - 1]),
    "f": st.sampled_from([None, 0.0, -0.0, float("nan"), 1.5]),
    "d": st.sampled_from([None, "1.50", "0.00", "-3.00"]),
    "b": st.sampled_from([None, True, False]),
    "p": st.sampled_from([None, 1, 2, 3]),
    "v": st.integers(-5, 5) | st.none(),
    "at": st.none() | st.integers(0, 30),
}


@st.composite
def layouts(draw: st.DrawFn) -> TableLayout:
    keys = draw(st.sampled_from(KEYS))
    part: dict[str, pl.DataType] = draw(st.sampled_from([{}, {"p": pl.Int8()}]))
    has_time = draw(st.booleans())
    values: dict[str, pl.DataType] = {"v": pl.Int64(), **({"at": MOMENT} if has_time else {})}
    return TableLayout(keys, values, part, "at" if has_time else None)


@st.composite
def limits(draw: st.DrawFn) -> Limits:
    return Limits(
        part_rows=draw(st.integers(1, 12)),
        fold_factor=draw(st.sampled_from([0.5, 3.0, 100.0])),
        fold_bytes=draw(st.sampled_from([0, 3_000])),
        max_runs=draw(st.integers(0, 4)),
        fan_in=draw(st.integers(2, 5)),
        small_rows=draw(st.sampled_from([0, 4, 100])),
        hash_bits=draw(st.sampled_from([0, 1, 3, 64])),
    )


def frame(rows: list[dict[str, Any]], columns: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """Return rows as a frame; moments are minutes, decimals are text."""
    if not columns:
        return pl.DataFrame(height=len(rows))
    data = {name: [row[name] for row in rows] for name in columns}
    if "at" in data:
        data["at"] = [None if each is None else START + timedelta(minutes=each) for each in data["at"]]
    plain = {name: pl.String() if isinstance(dtype, pl.Decimal) else dtype for name, dtype in columns.items()}
    found = pl.DataFrame(data, schema=plain)
    return found.with_columns(pl.col(name).cast(dtype) for name, dtype in columns.items())


def once(found: pl.DataFrame, unique: list[str]) -> pl.DataFrame:
    return found.unique(unique, keep="last", maintain_order=True) if unique else found.head(1)


@st.composite
def changes(draw: st.DrawFn, layout: TableLayout) -> StateChange:
    unique = {**layout.keys, **layout.part}
    rows = st.lists(st.fixed_dictionaries({name: VALUES[name] for name in layout.columns}), max_size=8)
    leaving = st.lists(st.fixed_dictionaries({name: VALUES[name] for name in unique}), max_size=4)
    put = once(frame(draw(rows), layout.columns), list(unique))
    removed = draw(leaving) if unique else [{}] * draw(st.integers(0, 1))
    minutes = draw(st.none() | st.integers(0, 30))
    return StateChange(
        put=draw(st.sampled_from([put, put, None])),
        remove=draw(st.sampled_from([frame(removed, unique), None])),
        expire_upto_us=None if minutes is None else at_us(minutes),
    )


def at_us(minutes: int) -> int:
    return START_US + minutes * 60_000_000


def rows_of(found: pl.DataFrame) -> Counter[str]:
    """Return the multiset of rows; the two zeros are one."""
    return Counter(
        repr([0.0 if each == 0.0 and isinstance(each, float) else each for each in row]) for row in found.rows()
    )


def scanned(table: StateTable) -> Counter[str]:
    return sum((rows_of(each) for each in table.scan()), Counter())


@dataclass
class Both:
    """A store and the plain table that it must equal, with all versions that are kept."""

    layout: TableLayout
    limits: Limits
    storage: Storage
    plain: list[PlainTable] = field(default_factory=list)
    refs: list[StateRef | None] = field(default_factory=lambda: [None])

    def __post_init__(self) -> None:
        self.plain.append(PlainTable(self.layout))
        self.reopen()

    def reopen(self) -> None:
        """Go on as another process would."""
        self.store = StateStore(self.storage, Seam(), 1 << 20, self.limits)

    def open(self, version: int = -1) -> OpenState:
        return self.store.open(self.refs[version], {"t": self.layout}, MADE_BY)

    def table(self, version: int = -1) -> StateTable:
        return self.open(version).tables["t"]

    def change(self, change: StateChange, attempt: str = "a") -> None:
        self.refs.append(self.store.stage(len(self.refs) - 1, attempt, self.open(), {"t": change}))
        self.plain.append(self.plain[-1].changed(change))

    def collect(self, versions: int = 2) -> None:
        self.store.collect([ref for ref in self.refs[-versions:] if ref is not None])

    def check(self, keys: pl.DataFrame, upto_us: int, version: int = -1) -> None:
        """Compare everything that can be read of a version."""
        table, plain = self.table(version), self.plain[version]
        assert rows_of(table.lookup(keys)) == rows_of(plain.lookup(keys))
        assert rows_of(table.expired(upto_us)) == rows_of(plain.expired(upto_us))
        assert scanned(table) == scanned(plain)
        assert table.rows >= plain.rows
        assert {repr(each.schema) for each in table.scan()} <= {repr(pl.Schema(self.layout.columns))}


def local(folder: Path) -> Storage:
    return LocalStorage(folder, Seam())
