from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from etl.errors import ConfigError

ROWS = pl.DataFrame({"id": [1], "name": ["a"], "_batch_id": [0]})


def test_rename_lets_two_columns_change_places(apply: Any) -> None:
    rows, _ = apply("rename", {"id": "name", "name": "id"}, ROWS)

    assert rows.to_dicts() == [{"name": 1, "id": "a", "_batch_id": 0}]


def test_drop_leaves_the_others(apply: Any) -> None:
    rows, _ = apply("drop", ["name"], ROWS)

    assert rows.to_dicts() == [{"id": 1, "_batch_id": 0}]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("rename", {"id": "name"}, "two columns would be named 'name'"),
        ("rename", {"idd": "x"}, "unknown column 'idd'; did you mean 'id'?"),
        ("drop", ["idd"], "unknown column 'idd'; did you mean 'id'?"),
        ("drop", ["id", "name"], "drops every column"),
    ],
)
def test_rename_and_drop_refuse(refuse: Any, key: str, value: object, message: str) -> None:
    assert refuse(key, value, {"id": pl.Int64, "name": pl.String}).message == message


@pytest.mark.parametrize(
    ("key", "value"), [("rename", {"_batch_id": "b"}), ("rename", {"id": "_source_file"}), ("drop", ["_batch_id"])]
)
def test_rename_and_drop_leave_system_columns_alone(make: Any, key: str, value: object) -> None:
    with pytest.raises(ConfigError, match="system column"):
        make(key, value)
