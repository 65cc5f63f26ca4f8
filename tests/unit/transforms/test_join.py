from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import write_deltalake

from etl.balance import Tally
from etl.errors import TransformError
from etl.model import CHANGE, BatchPlan

ORDERS = pl.DataFrame({"id": [1, 2, 3, 4], "user": [10, 20, 30, None], "_source_file": ["f", "f", "g", "g"]})
USERS = pl.DataFrame({"user": [10, 20, 20, None], "name": ["ann", "bob", "bo", "nobody"], "_batch_id": [0, 0, 1, 1]})


@pytest.fixture(autouse=True)
def users(tmp_path: Path) -> Path:
    """Return the folder of the Delta table silver.users."""
    folder = tmp_path / "lake" / "silver" / "users"
    folder.mkdir(parents=True)
    write_deltalake(str(folder), USERS)
    return folder


@pytest.mark.parametrize(
    ("how", "rows", "counts", "by_file"),
    [
        (
            "left",
            [(1, 10, "ann"), (2, 20, "bo"), (2, 20, "bob"), (3, 30, None), (4, None, None)],
            {"added": 1},
            {"f": {"added": 1}},
        ),
        (
            "inner",
            [(1, 10, "ann"), (2, 20, "bo"), (2, 20, "bob")],
            {"added": 1, "filtered": 2},
            {"f": {"added": 1}, "g": {"filtered": 2}},
        ),
        ("semi", [(1, 10), (2, 20)], {"filtered": 2}, {"g": {"filtered": 2}}),
        ("anti", [(3, 30), (4, None)], {"filtered": 2}, {"f": {"filtered": 2}}),
    ],
)
def test_join_gives_the_rows_of_its_kind_and_counts_what_it_drops_and_adds(
    make: Any, how: str, rows: list[Any], counts: dict[str, int], by_file: dict[str, dict[str, int]]
) -> None:
    step, tally = make("join", {"table": "silver.users", "on": "user", "how": how}), Tally()
    plan = BatchPlan(0, datetime(2024, 1, 1, tzinfo=UTC), {}, {}, "d", pins={step.pin_id: step.pin()})

    found = step.apply(ORDERS.lazy(), plan, tally).collect()

    assert sorted(found.drop("_source_file").rows(), key=repr) == sorted(rows, key=repr)
    assert {fate: count for fate, count in tally.counts().items() if count} == counts
    assert tally.by_file() == by_file


@pytest.mark.parametrize(
    ("options", "columns"),
    [
        ({}, ["id", "user", "_source_file", "name"]),
        ({"columns": ["name"]}, ["id", "user", "_source_file", "name"]),
        ({"columns": {"name": "called", "_batch_id": "seen_in"}}, ["id", "user", "_source_file", "called", "seen_in"]),
        ({"columns": ["user", "name"], "suffix": "_of"}, ["id", "user", "_source_file", "user_of", "name"]),
    ],
)
def test_join_adds_all_columns_but_keys_and_system_columns_or_those_that_are_named(
    apply: Any, options: dict[str, Any], columns: list[str]
) -> None:
    rows, _ = apply("join", {"table": "silver.users", "on": ["user"], **options}, ORDERS)

    assert rows.columns == columns
    assert rows.height == 5


def test_join_compares_columns_of_different_names_and_widths(apply: Any) -> None:
    narrow = ORDERS.rename({"user": "buyer"}).with_columns(pl.col("buyer").cast(pl.UInt8))

    rows, _ = apply("join", {"table": "silver.users", "on": {"buyer": "user"}, "how": "inner"}, narrow)

    assert rows.schema == pl.Schema({"id": pl.Int64, "buyer": pl.UInt8, "_source_file": pl.String, "name": pl.String})
    assert sorted(rows.select("buyer", "name").rows()) == [(10, "ann"), (20, "bo"), (20, "bob")]


def test_join_by_several_keys_needs_all_of_them(apply: Any) -> None:
    orders = pl.DataFrame({"user": [20, 20, None], "name": ["bob", None, "nobody"]})

    rows, counts = apply("join", {"table": "silver.users", "on": ["user", "name"], "how": "semi"}, orders)

    assert rows.rows() == [(20, "bob")]
    assert counts == {"filtered": 2}


@pytest.mark.parametrize(
    ("options", "schema", "message"),
    [
        ({"on": "usr"}, {"user": pl.Int64}, "unknown column 'usr'; did you mean 'user'?"),
        ({"on": {"user": "usr"}}, {"user": pl.Int64}, "the static table has no column 'usr'; did you mean 'user'?"),
        ({"on": "user", "columns": ["nam"]}, {"user": pl.Int64}, "has no column 'nam'; did you mean 'name'?"),
        ({"on": "user"}, {"user": pl.Int64, "name": pl.String}, "the rows have name already"),
        ({"on": "user", "suffix": "_"}, {"user": pl.Int64, "name": pl.String, "name_": pl.String}, "name_ already"),
        ({"on": "user", "columns": {"name": "n", "_batch_id": "n"}}, {"user": pl.Int64}, "two columns would be named"),
        ({"on": "user", "columns": {"name": "_batch_id"}}, {"user": pl.Int64}, "'_batch_id' is the name of a system"),
        ({"on": "user"}, {"user": pl.String}, "'user' is String, 'user' of the static table is Int64: no type holds"),
        ({"on": "user"}, {"user": pl.Float64}, "no type holds both"),
        ({"on": {"user": "name"}}, {"user": pl.Datetime("us")}, "no type holds both"),
    ],
)
def test_join_refuses_what_does_not_fit_before_a_row_moves(
    refuse: Any, options: dict[str, Any], schema: dict[str, Any], message: str
) -> None:
    assert message in refuse("join", {"table": "silver.users", **options}, schema).message


def test_join_refuses_a_table_that_does_not_exist(refuse: Any, tmp_path: Path) -> None:
    refused = refuse("join", {"table": "silver.usres", "on": "user"}, {"user": pl.Int64})

    assert refused.message == "there is no table silver.usres"
    assert refused.url == f"{tmp_path}/lake/silver/usres"


def test_join_refuses_a_plan_without_its_pin(make: Any) -> None:
    step = make("join", {"table": "silver.users", "on": "user"})

    with pytest.raises(TransformError, match="pins no version"):
        step.apply(ORDERS.lazy(), BatchPlan(0, datetime(2024, 1, 1, tzinfo=UTC), {}, {}, "d"), Tally())


def test_join_loads_a_version_once_and_a_newer_one_when_it_is_pinned(make: Any, users: Path) -> None:
    step = make("join", {"table": "silver.users", "on": "user", "how": "semi"})
    old = step.pin()

    def joined(pin: Any) -> list[int]:
        plan = BatchPlan(0, datetime(2024, 1, 1, tzinfo=UTC), {}, {}, "d", pins={step.pin_id: pin})
        found: list[int] = step.apply(ORDERS.lazy(), plan, Tally()).collect()["id"].to_list()
        return found

    assert joined(old) == [1, 2]
    kept = step._kept
    write_deltalake(str(users), USERS.head(1).with_columns(user=pl.lit(30, pl.Int64)), mode="append")
    assert joined(old) == [1, 2]
    assert step._kept is kept
    assert joined(step.pin()) == [1, 2, 3]
    assert joined(old) == [1, 2]


CHANGES = pl.DataFrame(
    {
        "user": [10, 30, 10, 30, 10, 30],
        CHANGE: ["insert", "insert", "update", "update", "delete", "delete"],
    }
)


@pytest.mark.parametrize(
    ("how", "rows"),
    [
        ("left", [(10, "insert"), (30, "insert"), (10, "update"), (30, "update"), (10, "delete"), (30, "delete")]),
        ("inner", [(10, "insert"), (10, "update"), (30, "delete"), (10, "delete"), (30, "delete")]),
        ("semi", [(10, "insert"), (10, "update"), (30, "delete"), (10, "delete"), (30, "delete")]),
        ("anti", [(30, "insert"), (10, "delete"), (30, "update"), (10, "delete"), (30, "delete")]),
    ],
)
def test_of_a_changing_result_an_update_that_finds_no_partner_becomes_a_delete(
    apply: Any, users: Path, how: str, rows: list[Any]
) -> None:
    write_deltalake(str(users), USERS.head(1), mode="overwrite")

    found, counts = apply("join", {"table": "silver.users", "on": "user", "how": how}, CHANGES)

    assert found.select("user", CHANGE).rows() == rows
    assert counts == ({} if how == "left" else {"filtered": 1})


def test_a_changing_result_is_not_joined_with_several_rows_of_one_key(apply: Any) -> None:
    with pytest.raises(TransformError, match="several rows of one key"):
        apply("join", {"table": "silver.users", "on": "user"}, CHANGES)
