"""What the state of a transform is: keyed tables of a fixed layout, read as they were before a batch, then changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import polars as pl

    from etl.model import Json


@dataclass(frozen=True, slots=True)
class TableLayout:
    """The columns of one table of state.

    Rows are found by all of ``keys``; those and ``part`` together make a row unique (``part`` is empty where a key has
    one row). ``expires`` names the column (``Datetime("us", "UTC")``, among ``values``; null never expires) by which
    rows leave. ``bucket_us`` says how near moments are that a store may treat as one, chosen so that some tens of
    them are alive; ``etl.state.store`` has no need of it: its files know their own first and last moment.
    """

    keys: Mapping[str, pl.DataType]
    values: Mapping[str, pl.DataType]
    part: Mapping[str, pl.DataType] = field(default_factory=dict)
    expires: str | None = None
    bucket_us: int = 3_600_000_000

    @property
    def columns(self) -> dict[str, pl.DataType]:
        """All columns, in order."""
        return {**self.keys, **self.part, **self.values}


@dataclass(frozen=True, slots=True)
class StateChange:
    """What a batch does to a table, in this order: rows leave by their key or their time, then rows are put.

    ``remove``: the columns ``keys`` and ``part``. ``expire_upto_us``: rows whose time is at or before it leave (also
    those put, should there be any). ``put``: all columns, each key at most once; takes the place of the row with the
    same key. A row in ``put`` must not expire at or before ``expire_upto_us``.
    """

    put: pl.DataFrame | None = None
    remove: pl.DataFrame | None = None
    expire_upto_us: int | None = None


class StateTable(Protocol):
    """One table of state as it was before the batch. Reading changes nothing."""

    @property
    def layout(self) -> TableLayout:
        """Its columns."""

    @property
    def rows(self) -> int:
        """How many rows are alive, at most: rows that were replaced or have expired may still be counted."""

    def lookup(self, keys: pl.DataFrame) -> pl.DataFrame:
        """Return the rows with a key that occurs in ``keys``, once each, in no particular order.

        ``keys`` has the key columns (others are not looked at), any number of times. Null is a value like any other.
        """

    def expired(self, upto_us: int) -> pl.DataFrame:
        """Return the rows whose time is at or before ``upto_us``, in no particular order."""

    def scan(self) -> Iterator[pl.DataFrame]:
        """Return all rows that are alive, in parts that fit into memory, in no particular order."""


State = Mapping[str, StateTable]
"""The tables of one transform by name."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What the state of a transform was made by.

    ``fixed`` decides what the rows mean: state of another value is refused. Of ``parts`` (name to what it is), one may
    be added, which starts empty, or left out; one that is another thing under the same name is refused.
    """

    kind: str
    fixed: Mapping[str, Json] = field(default_factory=dict)
    parts: Mapping[str, Json] = field(default_factory=dict)
