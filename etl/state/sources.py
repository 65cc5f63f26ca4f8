"""Rows of many files as one frame, in the columns of a layout, whatever columns each file has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.state.contract import TableLayout
from etl.state.segment import GONE, HASH, Segment

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl
    import pyarrow as pa

    Rows = npt.NDArray[np.int64] | slice

ALWAYS = 2**62
"""The batch of a source that has every column."""


@dataclass(frozen=True, slots=True)
class Source:
    """An opened file: which batch wrote it, and the time up to which its rows have left."""

    segment: Segment
    batch_id: int
    cut_us: int | None

    def arrow(self, names: Sequence[str], rows: Rows) -> pa.RecordBatch:
        """Return columns of some rows as they lie in the file."""
        return self.segment.take(names, rows)


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a table as they are wanted; ``since`` names the batch from which on files hold one."""

    layout: TableLayout
    since: Mapping[str, int]

    def read(self, wanted: Iterable[tuple[Source, Rows]], *, with_hash: bool = False) -> pl.DataFrame:
        """Return rows of files, one after the other; those that have left are ``GONE``.

        A column that a file lacks is null, a narrower type is cast. Files of one kind are read together.
        """
        import polars as pl

        inner = [HASH, GONE] if with_hash else [GONE]
        kinds: list[tuple[_Kind, list[pa.RecordBatch]]] = []
        for source, rows in wanted:
            held = self._held(source)
            batch = source.arrow([*inner, *held], rows)
            kind = _Kind(held, source.cut_us, batch.schema)
            if not kinds or kinds[-1][0] != kind:
                kinds.append((kind, []))
            kinds[-1][1].append(batch)
        frames = [self._frame(kind, batches, inner) for kind, batches in kinds]
        if not frames:
            types = {HASH: pl.UInt64(), GONE: pl.Boolean()}
            return pl.DataFrame(schema={**{name: types[name] for name in inner}, **self.layout.columns})
        return pl.concat(frames, rechunk=True)

    def _held(self, source: Source) -> tuple[str, ...]:
        in_file = source.segment.columns
        return tuple(
            name for name in self.layout.columns if name in in_file and self.since.get(name, -1) <= source.batch_id
        )

    def _frame(self, kind: _Kind, batches: list[pa.RecordBatch], inner: list[str]) -> pl.DataFrame:
        import polars as pl
        import pyarrow as pa

        frame = pl.DataFrame(pl.from_arrow(pa.Table.from_batches(batches)))
        columns = {name: frame.get_column(name) for name in [*inner, *kind.held]}
        for name, dtype in self.layout.columns.items():
            if name not in columns:
                columns[name] = pl.Series(name, [None], dtype).new_from_index(0, frame.height)
            elif columns[name].dtype != dtype:
                columns[name] = columns[name].cast(dtype)
        if kind.cut_us is not None and self.layout.expires is not None:
            columns[GONE] = columns[GONE] | _have_left(columns[self.layout.expires], kind.cut_us)
        return pl.DataFrame([columns[name] for name in [*inner, *self.layout.columns]])


@dataclass(frozen=True)
class _Kind:
    """What files have in common whose rows are read together."""

    held: tuple[str, ...]
    cut_us: int | None
    schema: pa.Schema


def _have_left(times: pl.Series, cut_us: int) -> pl.Series:
    """Tell of which rows the time is at or before a moment; null never is."""
    import numpy as np
    import polars as pl

    values = times.to_numpy().astype("datetime64[us]")
    cut = np.datetime64(cut_us, "us")
    return pl.Series(GONE, (values <= cut) & ~np.isnat(values))
