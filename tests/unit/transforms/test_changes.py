"""A changing result (rows with the column _change) on its way through transforms that remember nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from etl.balance import Tally
from etl.errors import ConfigError, TransformError
from etl.model import CHANGE, BatchPlan
from etl.transforms.expectations import ExpectationOptions, Expectations

CHANGES = pl.DataFrame(
    {
        "page": ["a", "b", "c", "d", "e", None],
        "n": [5, 1, 5, 1, 5, None],
        CHANGE: ["insert", "insert", "update", "update", "delete", "delete"],
    }
)
PLAN = BatchPlan(0, datetime(2024, 3, 5, tzinfo=UTC), {}, {}, "definition")


@pytest.mark.parametrize(
    ("key", "value"), [("filter", "n > 2"), ("filter", ["n > 2", "TRUE"]), ("sql", "SELECT * FROM input WHERE n > 2")]
)
def test_an_update_that_a_filter_drops_becomes_a_delete(apply: Any, key: str, value: object) -> None:
    rows, counts = apply(key, value, CHANGES)

    assert rows.select("page", CHANGE).rows() == [
        ("a", "insert"),
        ("c", "update"),
        ("d", "delete"),
        ("e", "delete"),
        (None, "delete"),
    ]
    assert counts == {"filtered": 1}


def test_an_update_of_which_a_filter_cannot_tell_becomes_a_delete(apply: Any) -> None:
    rows, counts = apply("filter", "n > NULL", CHANGES.filter(pl.col(CHANGE) != "insert"))

    assert rows[CHANGE].to_list() == ["delete"] * 4
    assert counts == {}


def test_a_filter_that_all_rows_pass_changes_nothing(apply: Any) -> None:
    rows, counts = apply("filter", "TRUE", CHANGES)

    assert rows.rows() == CHANGES.rows()
    assert counts == {}


@pytest.mark.parametrize(
    ("key", "value", "columns", "keys"),
    [
        ("select", ["n", "page"], ["n", "page", CHANGE], ["page"]),
        ("select", {"p": "page", "twice": "n * 2"}, ["p", "twice", CHANGE], ["p"]),
        ("with_columns", {"twice": "n * 2"}, ["page", "n", CHANGE, "twice"], ["page"]),
        ("rename", {"page": "p"}, ["p", "n", CHANGE], ["p"]),
        ("drop", ["n"], ["page", CHANGE], ["page"]),
        ("cast", {"page": "string"}, ["page", "n", CHANGE], ["page"]),
        ("fill_null", {"n": 0}, ["page", "n", CHANGE], ["page"]),
        ("filter", "n > 2", ["page", "n", CHANGE], ["page"]),
        ("sql", "SELECT i.page AS p, n + 1 AS m FROM input AS i", ["p", "m", CHANGE], ["p"]),
        ("sql", "SELECT * EXCLUDE (n) FROM input", ["page", CHANGE], ["page"]),
    ],
)
def test_a_changing_result_stays_one(
    make: Any, apply: Any, key: str, value: object, columns: list[str], keys: list[str]
) -> None:
    rows, _ = apply(key, value, CHANGES)

    assert rows.columns == columns
    assert set(rows[CHANGE]) == {"insert", "update", "delete"}
    assert make(key, value).kept_keys(["page"]) == keys


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("select", ["n"]),
        ("select", {"page": "LOWER(page)"}),
        ("with_columns", {"page": "LOWER(page)"}),
        ("drop", ["page"]),
        ("fill_null", {"page": "?"}),
        ("fill_null", "?"),
        ("sql", "SELECT n FROM input"),
        ("sql", "SELECT LOWER(page) AS page FROM input"),
        ("sql", "SELECT * EXCLUDE (page) FROM input"),
    ],
)
def test_a_key_of_a_changing_result_cannot_be_lost(make: Any, key: str, value: object) -> None:
    with pytest.raises(
        ConfigError, match="leaves out page, by which the rows of a changing result are found"
    ) as caught:
        make(key, value).kept_keys(["page"])

    assert caught.value.where == f"transforms[2].{key}"
    assert caught.value.hint == "keep all columns that the result is grouped by"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("rename", {CHANGE: "change"}),
        ("rename", {"n": CHANGE}),
        ("drop", [CHANGE]),
        ("with_columns", {CHANGE: "'insert'"}),
        ("select", {CHANGE: "'insert'"}),
        ("cast", {CHANGE: "int64"}),
        ("fill_null", {CHANGE: "insert"}),
        ("sql", "SELECT 'insert' AS _change FROM input"),
        ("sql", "SELECT * EXCLUDE (_change) FROM input"),
    ],
)
def test_what_a_change_is_cannot_be_changed(refuse: Any, key: str, value: object) -> None:
    with pytest.raises(ConfigError) as caught:
        raise refuse(key, value, dict(CHANGES.schema))

    assert "'_change' is the name of a system column" in caught.value.message


def test_columns_whose_names_only_begin_like_that_are_free(apply: Any) -> None:
    rows, _ = apply("with_columns", {"_changed_at": "n"}, CHANGES)

    assert "_changed_at" in rows.columns


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("explode", ["items"]),
        ("unnest", ["place"]),
        ("unpivot", {"on": ["n"]}),
        ("parse", {"column": "page", "format": "combined"}),
    ],
)
def test_what_makes_other_rows_takes_no_changing_result(refuse: Any, key: str, value: object) -> None:
    given = {**CHANGES.schema, "items": pl.List(pl.Int64), "place": pl.Struct({"city": pl.String})}

    refused = refuse(key, value, given)

    assert refused.message == "takes no rows of a result that changes"
    assert refused.hint == "put it before the group_by, or emit: final"


def test_a_python_transform_takes_no_changing_result(refuse: Any, tmp_path: Path) -> None:
    (tmp_path / "transforms").mkdir()
    (tmp_path / "transforms" / "mine.py").write_text("def same(rows):\n    return rows\n")

    assert refuse("python", "mine:same", dict(CHANGES.schema)).message == "takes no rows of a result that changes"


def expected(otherwise: Any, **more: Any) -> Expectations:
    return Expectations([ExpectationOptions(name="big", check="n > 2", otherwise=otherwise, **more)])


@pytest.mark.parametrize("otherwise", ["drop", "quarantine"])
def test_an_expectation_cannot_take_rows_out_of_a_changing_result(otherwise: str) -> None:
    with pytest.raises(ConfigError) as caught:
        expected(otherwise).output_schema(CHANGES.schema)

    assert caught.value.message == f"otherwise: {otherwise} cannot take rows out of a changing result"
    assert caught.value.where == "expect[0].check"
    assert caught.value.hint == "say otherwise: warn or fail, or use a filter"


def test_an_expectation_does_not_look_at_deletes() -> None:
    tally = Tally()

    rows = expected("warn").apply(CHANGES.lazy(), PLAN, tally).collect()

    assert rows.rows() == CHANGES.rows()
    assert (tally.asked, tally.failed()) == (4, {"big": 2})


def test_an_expectation_on_a_changing_result_may_fail_the_batch() -> None:
    with pytest.raises(TransformError, match="big: a row does not satisfy n > 2: page 'b', n 1"):
        expected("fail").apply(CHANGES.lazy(), PLAN, Tally()).collect()

    deletes = CHANGES.filter(pl.col(CHANGE) == "delete")
    assert expected("fail").apply(deletes.lazy(), PLAN, Tally()).collect().height == 2
