"""Versions of state: staged, discarded, collected, opened by the definition that made them or another."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import polars as pl
import pytest

from etl.errors import StateError, StorageError
from etl.model import StateRef
from etl.seam import Seam
from etl.state.contract import Fingerprint, StateChange, TableLayout
from etl.state.limits import Limits
from etl.state.store import OpenState, StateStore
from etl.storage import Storage, open_storage
from etl.testing import crash_at
from tests.state_model import MOMENT, START, at_us, local

KEYED = TableLayout({"k": pl.String()}, {"v": pl.Int64()})
TIMED = TableLayout({"k": pl.String()}, {"at": MOMENT}, expires="at")
MADE_BY = Fingerprint("test", {"by": "k"}, {"v": "last"})
EAGER = Limits(fold_bytes=0, fold_factor=1_000_000.0, max_runs=0)


class Keeper:
    """A store with one table, and its newest version."""

    def __init__(self, storage: Storage, layout: TableLayout = KEYED, limits: Limits = EAGER) -> None:
        self.storage = storage
        self.layout = layout
        self.store = StateStore(storage, Seam(), 1 << 20, limits)
        self.refs: list[StateRef] = []

    @property
    def newest(self) -> StateRef | None:
        return self.refs[-1] if self.refs else None

    def open(self, layout: TableLayout | None = None, made_by: Fingerprint = MADE_BY) -> OpenState:
        return self.store.open(self.newest, {"t": layout or self.layout}, made_by)

    def stage(self, attempt: str = "a", **change: Any) -> StateRef:
        changes = {"t": StateChange(**change)} if change else {}
        return self.store.stage(len(self.refs), attempt, self.open(), changes)

    def put(self, rows: Mapping[Any, Any]) -> None:
        columns = self.layout.columns
        frame = pl.DataFrame({"k": list(rows), next(iter(self.layout.values)): list(rows.values())}, schema=columns)
        self.refs.append(self.stage(put=frame))

    def rows(self, layout: TableLayout | None = None) -> dict[Any, Any]:
        frames = self.open(layout).tables["t"].scan()
        return {row[0]: row[1] for frame in frames for row in frame.sort("k").iter_rows()}


@pytest.fixture
def keeper(tmp_path: Path) -> Keeper:
    return Keeper(local(tmp_path))


def test_no_version_is_an_empty_state(keeper: Keeper) -> None:
    table = keeper.open().tables["t"]
    assert table.rows == 0
    assert list(table.lookup(pl.DataFrame({"k": ["a"]})).schema) == ["k", "v"]
    assert table.expired(at_us(0)).height == 0
    assert keeper.rows() == {}


def test_a_version_holds_what_was_put_and_each_older_one_what_was_before(keeper: Keeper) -> None:
    keeper.put({"a": 1, "b": 2})
    keeper.put({"b": 3})
    first, second = keeper.refs
    assert keeper.rows() == {"a": 1, "b": 3}
    keeper.refs = [first]
    assert keeper.rows() == {"a": 1, "b": 2}
    assert (first.file, second.file) == ("0000000000-a.json", "0000000001-a.json")
    assert (first.rows, first.size_bytes) == (2, keeper.storage.size("0000000000-a-1.arrow"))


def test_a_batch_without_changes_writes_nothing(keeper: Keeper) -> None:
    keeper.put({"a": 1})
    before = keeper.storage.list()
    assert keeper.stage() == keeper.newest
    assert keeper.stage(put=pl.DataFrame(schema=KEYED.columns), expire_upto_us=at_us(5)) == keeper.newest
    assert keeper.storage.list() == before


def test_a_new_definition_is_written_down_by_a_batch_without_changes(keeper: Keeper) -> None:
    keeper.put({"a": 1})
    wider = Fingerprint("test", {"by": "k"}, {"v": "last", "w": "first"})
    state = keeper.open(TableLayout(KEYED.keys, {**KEYED.values, "w": pl.Int8()}), wider)
    ref = keeper.store.stage(1, "a", state, {})
    assert keeper.store.version(ref).fingerprint == wider
    assert keeper.store.version(ref).tables["t"].since == {"w": 1}


def test_discard_removes_other_attempts_at_the_batch_alone(keeper: Keeper) -> None:
    keeper.put({"a": 1})
    keeper.stage("b", put=pl.DataFrame({"k": ["x"], "v": [9]}))
    kept = keeper.stage("c", put=pl.DataFrame({"k": ["a"], "v": [2]}))
    keeper.store.discard(1, "c")
    assert {name.split(".")[0][:12] for name in keeper.storage.list()} == {"0000000000-a", "0000000001-c"}
    keeper.refs.append(kept)
    assert keeper.rows() == {"a": 2}
    keeper.store.discard(1, None)
    assert {name[:10] for name in keeper.storage.list()} == {"0000000000"}


def test_collect_keeps_what_the_kept_versions_need_and_nothing_else(keeper: Keeper) -> None:
    for number in range(5):
        keeper.put({"a": number, f"k{number}": number})
    keeper.storage.create("left-by-a-crash.arrow", b"x", effect="e")
    keeper.store.collect(keeper.refs[-2:])
    needed = {file.path for ref in keeper.refs[-2:] for file in keeper.store.version(ref).tables["t"].files()}
    assert set(keeper.storage.list()) == needed | {ref.file for ref in keeper.refs[-2:]}
    expected = {"a": 4, "k0": 0, "k1": 1, "k2": 2, "k3": 3, "k4": 4}
    assert keeper.rows() == Keeper.rows(_reopened(keeper)) == expected


def _reopened(keeper: Keeper) -> Keeper:
    other = Keeper(keeper.storage, keeper.layout)
    other.refs = keeper.refs
    return other


def test_a_table_that_is_new_starts_empty_and_one_that_is_left_out_is_forgotten(keeper: Keeper) -> None:
    keeper.put({"a": 1})
    state = keeper.store.open(keeper.newest, {"u": KEYED}, MADE_BY)
    assert list(state.tables) == ["u"]
    assert state.tables["u"].rows == 0
    ref = keeper.store.stage(1, "a", state, {})
    assert list(keeper.store.version(ref).tables) == ["u"]


def test_a_new_column_is_null_and_one_that_comes_back_has_forgotten_its_values(keeper: Keeper) -> None:
    keeper.put({"a": 1})
    bare, twice = TableLayout(KEYED.keys, {"w": pl.Int8()}), TableLayout(KEYED.keys, {"v": pl.Int64(), "w": pl.Int8()})
    assert keeper.rows(bare) == {"a": None}
    keeper.refs.append(keeper.store.stage(1, "a", keeper.open(bare), {}))
    frames = list(keeper.open(twice).tables["t"].scan())
    assert [frame.rows() for frame in frames] == [[("a", None, None)]]
    assert frames[0].schema == pl.Schema(twice.columns)


def test_types_that_became_wider_find_the_rows_of_the_narrow_ones(tmp_path: Path) -> None:
    narrow = TableLayout({"k": pl.Int8()}, {"v": pl.Float32()})
    wide = TableLayout({"k": pl.Int64()}, {"v": pl.Float64()})
    keeper = Keeper(local(tmp_path), narrow)
    keeper.put({1: 0.5, 2: 1.5})
    state = keeper.open(wide)
    found = state.tables["t"].lookup(pl.DataFrame({"k": [2, 2**40]}))
    assert found.rows() == [(2, 1.5)]
    assert found.schema == pl.Schema(wide.columns)
    put = pl.DataFrame({"k": [2, 2**40], "v": [2.5, 3.5]})
    keeper.refs.append(keeper.store.stage(1, "a", state, {"t": StateChange(put=put)}))
    assert keeper.rows(wide) == {1: 0.5, 2: 2.5, 2**40: 3.5}


@pytest.mark.parametrize(
    ("layout", "made_by", "told"),
    [
        (KEYED, Fingerprint("other", {"by": "k"}), "it was a test and is a other now"),
        (KEYED, Fingerprint("test", {"by": "x"}), "by was k and is x now"),
        (TableLayout({"k": pl.Int64()}, KEYED.values), MADE_BY, "k was string and is int64 now"),
    ],
)
def test_state_of_another_definition_is_refused(
    keeper: Keeper, layout: TableLayout, made_by: Fingerprint, told: str
) -> None:
    keeper.put({"a": 1})
    with pytest.raises(StateError, match="its definition changed") as caught:
        keeper.open(layout, made_by)
    assert told in caught.value.message


def test_expired_rows_leave_and_files_of_nothing_else_are_dropped_unread(tmp_path: Path) -> None:
    lazy = Limits(max_runs=100)
    keeper = Keeper(local(tmp_path), TIMED, lazy)
    for number in range(4):
        keeper.put({f"k{number}": START + timedelta(minutes=number)})
    for run in keeper.store.version(keeper.refs[-1]).tables["t"].runs[:2]:
        keeper.storage.remove(run.file.path, effect="e")
    keeper = _reopened(keeper)
    keeper.refs.append(keeper.stage(expire_upto_us=at_us(1)))
    assert sorted(keeper.rows()) == ["k2", "k3"]
    assert len(keeper.store.version(keeper.refs[-1]).tables["t"].runs) == 2


def test_a_moment_that_moves_back_revives_nothing_and_hides_nothing_that_is_put_later(tmp_path: Path) -> None:
    keeper = Keeper(local(tmp_path), TIMED)
    keeper.put({"a": START, "b": START + timedelta(minutes=9)})
    keeper.refs.append(keeper.stage(expire_upto_us=at_us(5)))
    keeper.put({"c": START})
    keeper.refs.append(keeper.stage(expire_upto_us=at_us(-1)))
    assert sorted(keeper.rows()) == ["b", "c"]


def test_the_effects_of_a_batch_have_names(tmp_path: Path) -> None:
    seam = crash_at(0)
    storage = open_storage(str(tmp_path / "state"), seam)
    store = StateStore(storage, seam, 1 << 20)
    state = store.open(None, {"t": KEYED}, MADE_BY)
    ref = store.stage(0, "a", state, {"t": StateChange(put=pl.DataFrame({"k": ["a"], "v": [1]}))})
    store.open(ref, {"t": KEYED}, MADE_BY).tables["t"].lookup(pl.DataFrame({"k": ["a"]}))
    written = [f"{name}.{step}" for name in ("state.write", "state.version") for step in ("write", "publish", "sync")]
    assert seam.names == ["state.write.folder", *written]
    store.discard(0, None)
    assert seam.names[-2:] == ["state.discard", "state.discard"]


@pytest.mark.parametrize("failure", ["error_before", "error_after", "torn", "full"])
@pytest.mark.parametrize("at", range(1, 8))
def test_an_attempt_that_fails_leaves_the_version_before_and_another_one_succeeds(
    tmp_path: Path, at: int, failure: Any
) -> None:
    first = Keeper(local(tmp_path))
    first.put({"a": 1})
    seam = crash_at(at, failure)
    store = StateStore(open_storage(str(tmp_path), seam), seam, 1 << 20, EAGER)
    put = {"t": StateChange(put=pl.DataFrame({"k": ["a", "b"], "v": [2, 3]}))}
    try:
        first.refs.append(store.stage(1, "b", store.open(first.newest, {"t": KEYED}, MADE_BY), put))
    except StorageError:
        assert _reopened(first).rows() == {"a": 1}
        first.refs.append(store.stage(1, "c", store.open(first.newest, {"t": KEYED}, MADE_BY), put))
        store.discard(1, "c")
    store.collect(first.refs[-1:])
    assert _reopened(first).rows() == {"a": 2, "b": 3}
    assert not [name for name in first.storage.list() if "-b" in name and "c" in first.refs[-1].file]


@pytest.fixture(params=["memory", pytest.param("s3", marks=pytest.mark.s3)])
def objects(request: pytest.FixtureRequest) -> Storage:
    if request.param == "s3":
        bucket = request.getfixturevalue("s3_bucket")
        return open_storage(f"{bucket.url}/state", Seam(), bucket.storage_options)
    return open_storage(f"memory://{uuid4().hex}/state", Seam())


def test_an_object_store_holds_state_as_a_disk_does(objects: Storage) -> None:
    keeper = Keeper(objects)
    for number in range(6):
        keeper.put({"a": number, f"k{number}": number})
        keeper.store.collect(keeper.refs[-2:])
    expected = {"a": 5, **{f"k{number}": number for number in range(6)}}
    assert keeper.rows() == _reopened(keeper).rows() == expected


def test_an_object_store_is_read_within_the_memory_that_it_may_take(objects: Storage) -> None:
    keeper = Keeper(objects, limits=Limits(part_rows=10, fold_bytes=0, fold_factor=1e6, hash_bits=64))
    keeper.put({f"k{number}": number for number in range(200)})
    cold = StateStore(objects, Seam(), 4_000, Limits(part_rows=10))
    table = cold.open(keeper.newest, {"t": KEYED}, MADE_BY).tables["t"]
    assert table.lookup(pl.DataFrame({"k": [f"k{number}" for number in range(300)]})).height == 200
    assert cold.cache.held_bytes <= 4_000
