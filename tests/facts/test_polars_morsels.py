from __future__ import annotations

import inspect
import threading
from pathlib import Path

import polars as pl
import pytest

from etl.balance import observed

ROWS = 500_000


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> pl.LazyFrame:
    path = tmp_path_factory.mktemp("morsels") / "rows.parquet"
    pl.select(id=pl.int_range(ROWS), half=pl.int_range(ROWS) % 2 == 0).write_parquet(path, row_group_size=50_000)
    return pl.scan_parquet(path)


def test_nothing_is_pushed_through_map_batches_unless_it_is_asked_for() -> None:
    parameters = inspect.signature(pl.LazyFrame.map_batches).parameters

    pushed = {name: value.default for name, value in parameters.items() if name.endswith("_pushdown")}
    assert pushed == {"predicate_pushdown": False, "projection_pushdown": False, "slice_pushdown": False}


def test_every_row_is_seen_once_in_pieces_with_all_columns_below_a_filter_and_a_selection(
    many: pl.LazyFrame, tmp_path: Path
) -> None:
    seen: list[tuple[int, list[str]]] = []

    rows = observed(many, lambda frame: seen.append((frame.height, frame.columns)))
    rows.filter(pl.col("half")).select("id").sink_parquet(tmp_path / "out.parquet")

    assert sum(height for height, _ in seen) == ROWS
    assert len(seen) > 1
    assert all(columns == ["id", "half"] for _, columns in seen)


def test_pieces_are_seen_outside_the_main_thread(many: pl.LazyFrame, tmp_path: Path) -> None:
    threads: set[int] = set()

    observed(many, lambda _: threads.add(threading.get_ident())).sink_parquet(tmp_path / "out.parquet")

    assert threading.get_ident() not in threads


def test_fewer_rows_are_seen_below_a_head() -> None:
    totals = []
    for _ in range(50):  # on a busy machine all of it may have been seen before the head has enough
        seen: list[int] = []
        observed(pl.LazyFrame({"id": range(1_000_000)}), lambda frame: seen.append(frame.height)).head(5).collect()
        totals.append(sum(seen))
        if totals[-1] < 1_000_000:
            break

    assert 5 <= min(totals) < 1_000_000


def test_nothing_is_read_below_a_filter_that_is_false_by_itself() -> None:
    seen: list[int] = []

    rows = observed(pl.LazyFrame({"id": [1, 2]}), lambda frame: seen.append(frame.height)).filter(False).collect()

    assert (rows.height, sum(seen)) == (0, 0)


class MarkedError(Exception):
    pass


def test_an_exception_of_a_callback_arrives_as_it_is(tmp_path: Path) -> None:
    def fail(_: pl.DataFrame) -> None:
        raise MarkedError("here")

    with pytest.raises(MarkedError, match="here"):
        observed(pl.LazyFrame({"id": [1]}), fail).sink_parquet(tmp_path / "out.parquet")


def test_explode_keeps_rows_without_elements_only_when_told() -> None:
    rows = pl.LazyFrame({"tags": [["a"], [], None]})

    assert rows.explode("tags", empty_as_null=True, keep_nulls=True).collect()["tags"].to_list() == ["a", None, None]


def test_unpivot_turns_mixed_types_into_text_without_a_word() -> None:
    rows = pl.LazyFrame({"a": [1], "b": ["x"]}).unpivot(["a", "b"])

    assert sorted(rows.collect()["value"].to_list()) == ["1", "x"]
