"""Queries over SQLite as static tables."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from etl.errors import ConfigError, MissingTableError, PinChangedError, TransformError
from etl.project import default_project
from etl.secrets import mask
from etl.transforms.static_sql import StaticSql, content_hash
from etl.transforms.static_table import TablePlace

URL = "sqlite:///crm%.db"


@pytest.fixture
def execute(tmp_path: Path) -> Any:
    """Return what carries out statements in the database, which has two users."""

    def executed(*statements: str) -> None:
        with closing(sqlite3.connect(tmp_path / "crm%.db")) as database:
            for statement in statements:
                database.execute(statement)
            database.commit()

    executed("CREATE TABLE users (id INTEGER, name TEXT, since TEXT)")
    executed("INSERT INTO users VALUES (1, 'ann', '2024-01-05'), (2, NULL, NULL)")
    return executed


def static(
    folder: Path, table: str | None = "users", query: str | None = None, wanted: Any = None, **declared: Any
) -> StaticSql:
    place = TablePlace(default_project(folder), "transforms[0].join", wanted, declared or None)
    return StaticSql(URL, table, query, place)


@pytest.mark.usefixtures("execute")
@pytest.mark.parametrize(
    ("table", "query", "wanted", "rows"),
    [
        ("users", None, None, [(1, "ann", "2024-01-05"), (2, None, None)]),
        ("main.users", None, ("name",), [("ann",), (None,)]),
        (None, "SELECT id * 2 AS twice FROM users", None, [(2,), (4,)]),
        (None, "SELECT * FROM users WHERE name LIKE 'a%'", ("id",), [(1,)]),
    ],
)
def test_a_table_or_a_query_is_read(tmp_path: Path, table: Any, query: Any, wanted: Any, rows: list[Any]) -> None:
    found = static(tmp_path, table, query, wanted)

    assert found.load(found.pin()).rows() == rows
    assert found.schema() == found.load(found.pin()).schema


@pytest.mark.usefixtures("execute")
def test_declared_types_are_those_of_the_columns(tmp_path: Path) -> None:
    found = static(tmp_path, id="int32", since="date")

    assert found.schema() == pl.Schema({"id": pl.Int32(), "name": pl.String(), "since": pl.Date()})


@pytest.mark.parametrize(
    ("declared", "message"),
    [({"name": "date"}, "name: 'ann' cannot become Date unchanged"), ({"id": "date"}, "Int64 cannot become Date")],
)
@pytest.mark.usefixtures("execute")
def test_a_value_that_is_none_of_the_declared_type_is_refused(
    tmp_path: Path, declared: dict[str, str], message: str
) -> None:
    with pytest.raises((TransformError, ConfigError), match=message):
        static(tmp_path, **declared).pin()


def test_rows_that_are_still_the_same_are_the_same_version_whatever_their_order(tmp_path: Path, execute: Any) -> None:
    pin = static(tmp_path).pin()
    execute("DELETE FROM users WHERE id = 1", "INSERT INTO users VALUES (1, 'ann', '2024-01-05')")

    assert static(tmp_path).pin() == pin
    assert static(tmp_path).load(pin).height == 2


def test_rows_that_were_pinned_are_kept_until_others_are(tmp_path: Path, execute: Any) -> None:
    kept = static(tmp_path, wanted=("id",))
    pin = kept.pin()
    execute("UPDATE users SET id = 7 WHERE id = 1")

    assert kept.load(pin).rows() == [(1,), (2,)]
    with pytest.raises(PinChangedError, match=r"the rows of users \(sqlite:.*\) are no longer those"):
        static(tmp_path, wanted=("id",)).load(pin)
    assert kept.load(kept.pin()).rows() == [(7,), (2,)]
    with pytest.raises(PinChangedError):
        kept.load(pin)


@pytest.mark.parametrize(
    ("table", "query", "message"),
    [
        (None, "DELETE FROM users RETURNING id", "DELETE statements are not valid"),
        (None, "PRAGMA user_version = 7", "attempt to write a readonly database"),
        (None, "SELECT gone FROM users", "no such column: gone"),
        ("gone", None, "no such table: gone"),
        (None, "SELECT 1 AS a UNION ALL SELECT x'00'", "failed to determine supertype of i64 and binary"),
    ],
)
def test_what_the_database_refuses_is_told(tmp_path: Path, execute: Any, table: Any, query: Any, message: str) -> None:
    with pytest.raises(TransformError) as caught:
        static(tmp_path, table, query).pin()

    assert message in str(caught.value)
    assert caught.value.where == "transforms[0].join"
    execute("INSERT INTO users VALUES (3, 'c', NULL)")
    assert static(tmp_path).load(static(tmp_path).pin()).height == 3


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("users.db", "`url` is not that of a database"),
        ("sqlite://", "`url` names no file"),
        ("sqlite:///:memory:", "`url` names no file"),
        ("nope://host/db", "nope: "),
    ],
)
def test_a_url_of_no_database_is_refused(tmp_path: Path, url: str, message: str) -> None:
    place = TablePlace(default_project(tmp_path), "transforms[0].join")

    with pytest.raises(ConfigError, match=message):
        StaticSql(url, "users", None, place).pin()


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(MissingTableError, match="no file"):
        static(tmp_path).pin()
    assert list(tmp_path.iterdir()) == []


def test_the_password_of_a_url_is_masked(tmp_path: Path) -> None:
    StaticSql("mysql://me:zq77word@host/db", "t", None, TablePlace(default_project(tmp_path), "w"))

    assert mask("me:zq77word@host") == "me:***@host"


def test_the_hash_of_rows_tells_values_types_and_how_often_a_row_is_there() -> None:
    rows = pl.DataFrame({"a": [1, 2, 2], "b": ["x", None, None]})
    others = [
        rows.head(2),
        rows.with_columns(pl.col("a").cast(pl.Int32)),
        rows.rename({"a": "c"}),
        rows.with_columns(b=pl.lit("x")),
        pl.DataFrame(schema=rows.schema),
    ]

    assert content_hash(rows) == content_hash(rows.reverse())
    assert len({content_hash(frame) for frame in (rows, *others)}) == 6
