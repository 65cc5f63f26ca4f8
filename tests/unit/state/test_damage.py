"""A file of state that is flipped, cut or missing: the same rows from an older file, or a refusal. Never other rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from etl.errors import StateError
from etl.seam import Seam
from etl.state.contract import StateChange, TableLayout
from etl.state.limits import Limits
from etl.state.store import StateStore
from tests.state_model import MADE_BY, MOMENT, START, Both, at_us, local, rows_of, scanned

LAYOUT = TableLayout({"k": pl.String()}, {"v": pl.Int64(), "at": MOMENT}, expires="at")
LIMITS = Limits(part_rows=40, fold_bytes=0, fold_factor=0.7, max_runs=0)
KEYS = pl.DataFrame({"k": [f"k{number}" for number in range(0, 140, 3)]})


def history(folder: Path, batches: int = 9) -> Both:
    """Return a state with partitions that were folded more than once, and changes since."""
    both = Both(LAYOUT, LIMITS, local(folder))
    for number in range(batches):
        numbers = [(number * 17 + each * 3) % 130 for each in range(30)]
        at = [START.replace(minute=each % 50) for each in numbers]
        put = pl.DataFrame({"k": [f"k{each}" for each in numbers], "v": [number] * 30, "at": at}, schema=LAYOUT.columns)
        gone = pl.DataFrame({"k": [f"k{(number * 7 + each) % 130}" for each in range(4)]})
        put = put.join(gone, on="k", how="anti")
        both.change(StateChange(put=put, remove=gone, expire_upto_us=at_us(number // 4)))
        both.collect()
    return both


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def flip_first(path: Path) -> None:
    path.write_bytes(bytes([path.read_bytes()[0] ^ 255]) + path.read_bytes()[1:])


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def grow(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


DAMAGES: list[Callable[[Path], None]] = [flip, flip_first, cut, empty, grow, Path.unlink]


def outcome(both: Both) -> tuple[Counter[str], ...] | str:
    """Return all that can be read of the newest version by another process, or the refusal."""
    both.reopen()
    try:
        table = both.table()
        return rows_of(table.lookup(KEYS)), rows_of(table.expired(at_us(20))), scanned(table)
    except StateError as exc:
        return str(exc)


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda each: each.__name__)
def test_a_damaged_file_gives_the_same_rows_or_is_refused(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    both = history(tmp_path)
    plain = both.plain[-1]
    expected = rows_of(plain.lookup(KEYS)), rows_of(plain.expired(at_us(20))), scanned(plain)
    fates = Counter[str]()
    for path in sorted(tmp_path.iterdir()):
        content = path.read_bytes()
        damage(path)
        found = outcome(both)
        path.write_bytes(content)
        assert found == expected or (isinstance(found, str) and path.name in found and "--full-refresh" in found)
        fates["refused" if isinstance(found, str) else "read"] += 1
    assert outcome(both) == expected
    snapshots = [part.now.file for part in both.store.version(_ref(both)).tables["t"].parts]
    assert fates["read"] >= len(snapshots) >= 3
    assert fates["refused"] >= 1


def _ref(both: Both):  # type: ignore[no-untyped-def]  # noqa: ANN202
    ref = both.refs[-1]
    assert ref is not None
    return ref


def test_a_damaged_snapshot_is_made_good_by_the_next_batch(tmp_path: Path) -> None:
    both = history(tmp_path)
    part = both.store.version(_ref(both)).tables["t"].parts[0]
    assert part.now.file is not None
    cut(tmp_path / part.now.file.path)
    both.reopen()
    both.check(KEYS, at_us(20))
    both.change(StateChange(put=pl.DataFrame({"k": ["new"], "v": [1], "at": [None]}, schema=LAYOUT.columns)))
    both.collect(1)
    assert part.now.file.path not in both.storage.list()
    both.reopen()
    both.check(KEYS, at_us(20))


def test_a_snapshot_and_its_former_one_that_are_both_damaged_are_refused_by_name(tmp_path: Path) -> None:
    both = history(tmp_path)
    parts = both.store.version(_ref(both)).tables["t"].parts
    part = next(part for part in parts if part.former.file is not None)
    assert part.now.file is not None
    assert part.former.file is not None
    for file in (part.now.file, part.former.file):
        flip(tmp_path / file.path)
    found = outcome(both)
    assert isinstance(found, str)
    assert part.now.file.path in found
    assert "its bytes are not those that were written" in found


def test_a_version_record_that_another_one_took_the_place_of_is_refused(tmp_path: Path) -> None:
    both = history(tmp_path, 3)
    newest, older = _ref(both), both.refs[-2]
    assert older is not None
    with pytest.raises(StateError, match="not those that were written"):
        StateStore(both.storage, Seam(), 1 << 20, LIMITS).open(replace(newest, file=older.file), {"t": LAYOUT}, MADE_BY)


def test_a_record_of_a_later_format_is_refused(tmp_path: Path) -> None:
    from etl.state.segment import digest

    both = history(tmp_path, 1)
    ref = _ref(both)
    content = (tmp_path / ref.file).read_bytes().replace(b'"version":1', b'"version":2')
    (tmp_path / ref.file).write_bytes(content)
    both.reopen()
    with pytest.raises(StateError, match="written by format version 2, hash etl-1; this release reads 1, etl-1"):
        both.store.open(replace(ref, checksum=digest(content)), {"t": LAYOUT}, MADE_BY)
