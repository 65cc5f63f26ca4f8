"""Random histories of a Delta table by another engine, followed in any steps: the changes always give the table."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import polars as pl
from deltalake import DeltaTable, write_deltalake
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.model import ReadLimit
from tests.flowing import after_changes
from tests.following import Follower

KEYS = st.integers(0, 6)
ROWS = st.dictionaries(KEYS, st.one_of(st.none(), st.sampled_from([0.5, 1.5, float("nan")])), min_size=1, max_size=4)
ACTIONS = st.one_of(
    st.tuples(st.just("merge"), ROWS),
    st.tuples(st.just("delete"), st.lists(KEYS, min_size=1, max_size=3)),
    st.tuples(st.just("update"), st.lists(KEYS, min_size=1, max_size=3)),
    st.tuples(st.just("overwrite"), ROWS),
    st.tuples(st.just("compact"), st.none()),
    st.tuples(st.just("follow"), st.sampled_from([1, 2, None])),
)
SCHEMA = {"id": pl.Int64, "part": pl.Int64, "v": pl.Float64}


def frame_of(rows: dict[int, float | None]) -> pl.DataFrame:
    return pl.DataFrame([(key, key % 2, v) for key, v in rows.items()], schema=SCHEMA, orient="row")


def act(table: Path, action: str, value: Any) -> None:
    opened = DeltaTable(table)
    if action == "merge":
        merge = opened.merge(frame_of(value), "t.id = s.id", "s", "t")
        merge.when_matched_update_all().when_not_matched_insert_all().execute()
    elif action == "delete":
        opened.delete(f"id in ({', '.join(map(str, value))})")
    elif action == "update":
        opened.update({"v": "9.0"}, predicate=f"id in ({', '.join(map(str, value))})")
    elif action == "overwrite":
        write_deltalake(opened, frame_of(value), mode="overwrite")
    else:
        opened.optimize.compact()


def check_words(result: pl.DataFrame, changes: pl.DataFrame) -> None:
    """Check that inserts are of keys that were not there, and updates and deletes of those that were."""
    there = set(result["id"])
    words = dict(changes.select("id", "_change").iter_rows())
    assert {key for key, word in words.items() if word == "insert"} & there == set()
    assert {key for key, word in words.items() if word != "insert"} <= there


def sorted_rows(frame: pl.DataFrame) -> list[str]:
    return sorted(map(repr, frame.select(list(SCHEMA)).rows()))


@given(
    has_feed=st.booleans(),
    is_partitioned=st.booleans(),
    first=ROWS,
    history=st.lists(ACTIONS, max_size=8),
)
@settings(deadline=None, max_examples=25)
def test_the_changes_of_any_history_followed_in_any_steps_give_the_table(
    has_feed: bool,
    is_partitioned: bool,
    first: dict[int, float | None],
    history: list[tuple[str, Any]],
) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        feed = {"delta.enableChangeDataFeed": "true"} if has_feed else None
        by = ["part"] if is_partitioned else None
        write_deltalake(root / "table", frame_of(first), configuration=feed, partition_by=by)
        follower = Follower(root, {"read": "changes", "primary_key": ["id"]})
        result = pl.DataFrame(schema=SCHEMA)
        for action, value in [*history, ("follow", None)]:
            if action != "follow":
                act(root / "table", action, value)
                continue
            while (changes := follower.take(ReadLimit(max_files=value))) is not None:
                check_words(result, changes)
                result = after_changes(result, changes.select([*SCHEMA, "_change"]), ["id"])
                follower.reopen()
        assert sorted_rows(result) == sorted_rows(pl.DataFrame(DeltaTable(root / "table").scan()))
