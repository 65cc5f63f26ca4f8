"""Reading planned files of a Delta table into rows: as they are, or as what they change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from etl.model import CHANGE, Json
from etl.sources.contract import Reading
from etl.sources.delta_changes import as_events, netted
from etl.sources.delta_options import DeltaSourceOptions
from etl.sources.delta_rows import DeltaRows
from etl.sources.delta_units import DeltaUnits, TableFile
from etl.sources.delta_upstream import Upstream
from etl.sources.parallel import in_order

if TYPE_CHECKING:
    import polars as pl

    from etl.balance import Tally
    from etl.schema_contract import Survey

WORKERS = 2
_GROUPED_FILES = 64
_GROUPED_BYTES = 16_000_000


class DeltaReader:
    """Reads the units of plans."""

    def __init__(self, options: DeltaSourceOptions, upstream: Upstream) -> None:
        self._keys = options.primary_key
        self._upstream = upstream

    def read(self, units: DeltaUnits, known: Survey, system: tuple[str, ...], tally: Tally) -> Reading:
        """Return the rows of the units. *Repeat*: the same rows, or an error."""
        if self._keys:
            return self._changes(units, known, system, tally)
        return self._appends(units, known, system, tally)

    def _appends(self, units: DeltaUnits, known: Survey, system: tuple[str, ...], tally: Tally) -> Reading:
        from polars.io.plugins import register_io_source

        rows = DeltaRows(self._upstream, known.schema, system)
        counts: list[Json] = [0] * len(units.files)

        def stream(
            wanted: list[str] | None, predicate: pl.Expr | None, most: int | None, _: int | None
        ) -> Iterator[pl.DataFrame]:
            asked = list(rows.schema) if wanted is None or predicate is not None else wanted
            with closing(in_order(_jobs(units, rows, asked), WORKERS)) as found:
                for index, frame in found:
                    _count(index, frame.height, units, counts, tally)
                    kept = frame if predicate is None else frame.filter(predicate)
                    kept = (kept if wanted is None else kept.select(wanted)).head(kept.height if most is None else most)
                    yield kept
                    most = None if most is None else most - kept.height
                    if most == 0:
                        return

        return Reading(register_io_source(stream, schema=rows.schema), {"rows": counts}, units.size_bytes)

    def _changes(self, units: DeltaUnits, known: Survey, system: tuple[str, ...], tally: Tally) -> Reading:
        import polars as pl

        rows = DeltaRows(self._upstream, known.schema, system)
        asked = list(rows.schema)
        counts: list[Json] = [0] * len(units.files)
        events = [pl.DataFrame(schema=rows.schema).pipe(_no_events)]
        with closing(in_order(_jobs(units, rows, asked), WORKERS)) as found:
            for index, frame in found:
                _count(index, frame.height, units, counts, tally)
                events.append(as_events(frame, units.files[index]))
        values = [name for name in known.schema if name not in (CHANGE, *self._keys)]
        kept, others = netted(events, self._keys, values)
        tally.count("deduplicated", others)
        order = [*known.schema, *(name for name in asked if name not in known.schema)]
        return Reading(kept.select(order).lazy(), {"rows": counts}, units.size_bytes)


def _no_events(frame: pl.DataFrame) -> pl.DataFrame:
    return as_events(frame, TableFile("", 0, 0, 0))


def _jobs(
    units: DeltaUnits, rows: DeltaRows, asked: list[str]
) -> Iterator[partial[Iterator[tuple[int, pl.DataFrame]]]]:
    """Return work for one thread at a time: a large file, or several small ones."""
    group: list[tuple[int, TableFile]] = []
    for index, file in enumerate(units.files):
        group.append((index, file))
        if len(group) == _GROUPED_FILES or sum(each.size_bytes for _, each in group) >= _GROUPED_BYTES:
            yield partial(_work, tuple(group), rows, asked)
            group.clear()
    if group:
        yield partial(_work, tuple(group), rows, asked)


def _work(
    group: tuple[tuple[int, TableFile], ...], rows: DeltaRows, asked: list[str]
) -> Iterator[tuple[int, pl.DataFrame]]:
    for index, file in group:
        for frame in rows.frames(file, asked):
            yield index, frame


def _count(index: int, rows: int, units: DeltaUnits, counts: list[Json], tally: Tally) -> None:
    tally.add("read", rows)
    tally.add_of_files("read", {units.files[index].path: rows})
    before = counts[index]
    counts[index] = rows + (before if isinstance(before, int) else 0)
