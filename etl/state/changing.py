"""What a batch does to a table: one more run of changes, moments at which rows leave, and what need not be kept."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from etl.state.contract import StateChange, TableLayout
from etl.state.key_hash import hash_keys, order_of
from etl.state.merging import fitted
from etl.state.segment import GONE, HASH, Encoded, encode_segment
from etl.state.version import Part, Snapshot, TableVersion

if TYPE_CHECKING:
    import polars as pl


def encode_change(layout: TableLayout, change: StateChange, hash_bits: int) -> Encoded | None:
    """Return the file of what is put and removed, None for nothing: tombstones stand for what leaves by its key."""
    import polars as pl

    frames = [frame for frame in (_put(layout, change), _removed(layout, change)) if frame is not None]
    if not frames:
        return None
    frame = pl.concat(frames)
    hashes = hash_keys(frame, list(layout.keys), hash_bits)
    order = order_of(hashes)
    return encode_segment(frame.insert_column(0, pl.Series(HASH, hashes))[order], layout.expires, is_indexed=False)


def _put(layout: TableLayout, change: StateChange) -> pl.DataFrame | None:
    import numpy as np
    import polars as pl

    if change.put is None or not change.put.height:
        return None
    frame = fitted(change.put, layout.columns)
    return frame.insert_column(0, pl.Series(GONE, np.zeros(frame.height, np.bool_)))


def _removed(layout: TableLayout, change: StateChange) -> pl.DataFrame | None:
    import polars as pl

    if change.remove is None or not change.remove.height:
        return None
    unique = {**layout.keys, **layout.part}
    if unique:
        keys = fitted(change.remove, unique).unique()
        if change.put is not None:
            keys = keys.join(fitted(change.put, unique), on=list(unique), how="anti", nulls_equal=True)
    else:
        keys = pl.DataFrame(height=0 if change.put is not None and change.put.height else 1)
    values = [pl.lit(None, dtype).alias(name) for name, dtype in layout.values.items()]
    frame = keys.with_columns(*values, pl.lit(value=True).alias(GONE)).select(GONE, *layout.columns)
    return frame if frame.height else None


def cut(table: TableVersion, upto_us: int | None) -> TableVersion:
    """Return a table whose rows with a time at or before ``upto_us`` have left. The same where there are none."""
    if upto_us is None or table.layout.expires is None:
        return table
    if all(file.min_us is None or file.min_us > upto_us for file in table.files()):
        return table
    runs = tuple(replace(run, cut_us=_later(run.cut_us, upto_us)) for run in table.runs)
    parts = tuple(
        replace(part, now=_cut_snapshot(part.now, upto_us), former=_cut_snapshot(part.former, upto_us))
        for part in table.parts
    )
    return replace(table, runs=runs, parts=parts)


def _cut_snapshot(shot: Snapshot, upto_us: int) -> Snapshot:
    return replace(shot, cut_us=_later(shot.cut_us, upto_us))


def _later(known_us: int | None, upto_us: int) -> int:
    return upto_us if known_us is None else max(known_us, upto_us)


def without_dead(table: TableVersion) -> TableVersion:
    """Return a table without files all of whose rows have left, where older ones do not come to light by that."""
    parts: tuple[Part, ...] = tuple(_without_dead_snapshot(part) for part in table.parts)
    runs = table.runs
    if all(part.now.file is None for part in parts):
        runs, parts = table.live, ()
        while runs and runs[0].file.is_dead(runs[0].cut_us):
            runs = runs[1:]
    needed_after = min((part.former.upto for part in parts), default=-1)
    return replace(table, parts=parts, runs=tuple(run for run in runs if run.last > needed_after))


def _without_dead_snapshot(part: Part) -> Part:
    shot = part.now
    if shot.file is None or not shot.file.is_dead(shot.cut_us):
        return part
    empty = Snapshot(None, shot.upto)
    return replace(part, now=empty, former=empty)
