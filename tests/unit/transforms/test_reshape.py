from __future__ import annotations

from typing import Any

import polars as pl
import pytest

LISTS = pl.DataFrame({"id": [1, 2, 3], "tags": [["a", None], [], None], "_batch_id": [0, 0, 0]})
STRUCTS = pl.DataFrame({"id": [1, 2], "place": [{"city": "Bonn", "zip": 5}, None], "last": [True, False]})
MONTHS = pl.DataFrame({"id": [1, 2], "jan": [10, 20], "feb": [11, None], "_source_file": ["f", "g"]})


def test_explode_gives_a_row_per_element_and_keeps_rows_without_one(apply: Any) -> None:
    rows, counts = apply("explode", ["tags"], LISTS)

    assert rows.rows() == [(1, "a", 0), (1, None, 0), (2, None, 0), (3, None, 0)]
    assert counts == {"added": 1}


def test_explode_opens_lists_side_by_side(apply: Any) -> None:
    rows, counts = apply("explode", ["a", "b"], pl.DataFrame({"a": [[1, 2]], "b": [["x", "y"]]}))

    assert rows.rows() == [(1, "x"), (2, "y")]
    assert counts == {"added": 1}


def test_unnest_puts_fields_in_the_place_of_the_struct(apply: Any) -> None:
    rows, counts = apply("unnest", ["place"], STRUCTS)

    assert rows.columns == ["id", "city", "zip", "last"]
    assert rows.rows() == [(1, "Bonn", 5, True), (2, None, None, False)]
    assert counts == {}


def test_unpivot_gives_a_row_per_column_and_carries_the_others(apply: Any) -> None:
    rows, counts = apply("unpivot", {"on": ["jan", "feb"], "variable_name": "month", "value_name": "sold"}, MONTHS)

    assert rows.columns == ["id", "_source_file", "month", "sold"]
    assert sorted(rows.rows()) == [
        (1, "f", "feb", 11),
        (1, "f", "jan", 10),
        (2, "g", "feb", None),
        (2, "g", "jan", 20),
    ]
    assert counts == {"added": 2}


def test_unpivot_carries_system_columns_beside_the_index(apply: Any) -> None:
    rows, _ = apply("unpivot", {"on": ["jan"], "index": ["feb"]}, MONTHS)

    assert rows.columns == ["feb", "_source_file", "variable", "value"]


@pytest.mark.parametrize(
    ("key", "value", "schema", "message"),
    [
        ("explode", ["id"], LISTS.schema, "'id' is Int64, not a list"),
        ("explode", ["tag"], LISTS.schema, "unknown column 'tag'; did you mean 'tags'?"),
        ("unnest", ["id"], STRUCTS.schema, "'id' is Int64, not a struct"),
        (
            "unnest",
            ["s"],
            {"city": pl.String, "s": pl.Struct({"city": pl.String})},
            "two columns would be named 'city'",
        ),
        ("unnest", ["s"], {"s": pl.Struct({"_batch_id": pl.Int64})}, "'_batch_id' is the name of a system column"),
        ("unpivot", {"on": ["jan", "_source_file"]}, MONTHS.schema, "system column"),
        ("unpivot", {"on": ["jan", "id"]}, {"jan": pl.Int64, "id": pl.String}, "different types: Int64, String"),
        ("unpivot", {"on": ["jan"], "index": ["jan"]}, MONTHS.schema, "two columns would be named 'jan'"),
        ("unpivot", {"on": ["jan"], "value_name": "id"}, MONTHS.schema, "two columns would be named 'id'"),
        ("unpivot", {"on": ["mar"]}, MONTHS.schema, "unknown column 'mar'"),
    ],
)
def test_reshaping_refuses(refuse: Any, key: str, value: object, schema: Any, message: str) -> None:
    assert message in refuse(key, value, dict(schema)).message
