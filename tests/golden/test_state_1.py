"""This release reads state of format version 1, and goes on from it."""

from __future__ import annotations

import json
import shutil
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from etl.model import StateRef
from etl.seam import Seam
from etl.state.contract import StateTable
from etl.state.plain import PlainTable
from etl.state.reading import StateReader
from etl.state.store import StateStore
from etl.storage import LocalStorage
from tests.golden.make_state_1 import BATCHES, FOLDER, LAYOUTS, LIMITS, MADE_BY, START, changes
from tests.state_model import scanned

REFS = [StateRef(**each) for each in json.loads((FOLDER / "refs.json").read_text("utf-8"))]


def at(minute: int) -> datetime:
    return START + timedelta(minutes=minute)


COUNTS: list[tuple[Any, ...]] = [
    ("land 10", Decimal("2.50"), 410, at(10)),
    ("land 11", Decimal("2.75"), 411, at(11)),
    ("land 4", Decimal("1.00"), 204, None),
    ("land 5", Decimal("1.25"), 205, at(5)),
    ("land 6", Decimal("1.50"), 306, at(6)),
    ("land 7", Decimal("1.75"), 307, at(7)),
    ("land 8", Decimal("2.00"), 408, at(8)),
    ("land 9", Decimal("2.25"), 409, None),
    (None, Decimal("0.75"), 103, at(3)),
]
PAIRS: list[tuple[Any, ...]] = [
    (1, 0, ["a"]),
    (1, 1, None),
    (3, 2, ["b3", "é"]),
    (4, 2, ["b4", "é"]),
]


def sorted_rows(frames: Any) -> list[tuple[Any, ...]]:
    return sorted(pl.concat(list(frames)).rows(), key=repr)


def test_the_rows_of_the_newest_version_are_read() -> None:
    reader = StateReader(LocalStorage(FOLDER, Seam()), REFS[-1])
    assert (reader.batch_id, reader.fingerprint) == (4, MADE_BY)
    assert sorted_rows(reader.scan("counts")) == COUNTS
    assert sorted_rows(reader.scan("pairs")) == PAIRS


@pytest.mark.parametrize("number", [0, 1])
def test_both_versions_hold_what_a_plain_frame_would(number: int) -> None:
    store = StateStore(LocalStorage(FOLDER, Seam()), Seam(), 1 << 20, LIMITS)
    state = store.open(REFS[number], LAYOUTS, MADE_BY)
    for name, table in state.tables.items():
        assert scanned(table) == scanned(plain(name, BATCHES - 1 + number))


def plain(name: str, batches: int) -> StateTable:
    table = PlainTable(LAYOUTS[name])
    for batch_id in range(batches):
        table = table.changed(changes(batch_id)[name])
    return table


def test_the_next_batches_go_on_from_it(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(FOLDER, tmp_path / "copy"))
    store = StateStore(LocalStorage(folder, Seam()), Seam(), 1 << 20, LIMITS)
    ref = REFS[-1]
    for batch_id in range(BATCHES, BATCHES + 3):
        state = store.open(ref, LAYOUTS, MADE_BY)
        ref = store.stage(batch_id, "next", state, changes(batch_id))
        store.collect([ref])
    for name, table in store.open(ref, LAYOUTS, MADE_BY).tables.items():
        assert scanned(table) == scanned(plain(name, BATCHES + 3))


def test_it_has_what_a_later_release_must_still_read() -> None:
    store = StateStore(LocalStorage(FOLDER, Seam()), Seam(), 1 << 20, LIMITS)
    tables = store.version(REFS[-1]).tables
    assert all(table.runs and table.parts for table in tables.values())
    assert any(run.file.puts < run.file.rows for run in tables["pairs"].runs)
    assert any(part.former.file for table in tables.values() for part in table.parts)
    assert any(part.now.cut_us is not None for part in tables["counts"].parts)
