"""Columns that folders name, beside those of the files."""

from __future__ import annotations

from datetime import time

import pytest

from etl.errors import NotReadyError, RowError, SchemaDriftError
from etl.model import Schema
from tests.landing import Landing, planned, read, survey

HIVE = ["day=2024-01-02/region=a%2Fb/1.jsonl", "day=2024-01-03/region=__HIVE_DEFAULT_PARTITION__/2.jsonl"]


def test_partition_folders_become_columns_decoded_once(landing: Landing) -> None:
    for number, name in enumerate(HIVE):
        landing.put(name, number, modified_s=100)
    walk = landing.run(hive_partitions=True)
    plan = planned(walk)
    assert survey(walk, plan).schema == {"id": "int64", "day": "string", "region": "string"}
    assert walk.rows(plan) == [
        {"id": 0, "day": "2024-01-02", "region": "a/b"},
        {"id": 1, "day": "2024-01-03", "region": None},
    ]
    typed: Schema = {"day": "date", "id": "int64", "region": "string", "hour": "int64"}
    frame = read(walk, plan, typed)
    assert frame.columns == ["day", "id", "region", "hour"]
    assert [day.isoformat() for day in frame["day"]] == ["2024-01-02", "2024-01-03"]
    assert frame["hour"].to_list() == [None, None]


@pytest.mark.parametrize(
    ("tree", "value", "expected"),
    [
        ("int64", "07", 7),
        ("float64", "1.5", 1.5),
        ("boolean", "true", True),
        ("string", "07", "07"),
        ("time", "10%3A20%3A30", time(10, 20, 30)),
    ],
)
def test_partition_values_take_the_declared_type(landing: Landing, tree: str, value: str, expected: object) -> None:
    landing.put(f"k={value}/a.jsonl", 1)
    walk = landing.run(hive_partitions=True)
    (found,) = read(walk, planned(walk), {"id": "int64", "k": tree})["k"]
    assert found == expected


@pytest.mark.parametrize(
    ("tree", "value"), [("int64", "x"), ("int8", "300"), ("boolean", "yes"), ("date", "2024-13-01"), ("binary", "a")]
)
def test_a_partition_value_of_another_type_is_refused(landing: Landing, tree: str, value: str) -> None:
    landing.put(f"k={value}/a.jsonl", 1)
    walk = landing.run(hive_partitions=True)
    with pytest.raises(RowError, match=f"folder k={value} is not a {tree}") as caught:
        read(walk, planned(walk), {"id": "int64", "k": tree})
    assert caught.value.where == f"in/k={value}/a.jsonl"


def test_a_column_both_in_the_file_and_in_its_folder_is_refused(landing: Landing) -> None:
    landing.put("id=7/a.jsonl", 1)
    walk = landing.run(hive_partitions=True)
    plan = planned(walk)
    with pytest.raises(NotReadyError, match="column 'id' is both in the file and in its folder's name") as caught:
        survey(walk, plan)
    assert caught.value.where == "in/id=7/a.jsonl"
    with pytest.raises(SchemaDriftError):
        read(walk, plan, {"id": "int64"})
    with pytest.raises(NotReadyError, match="both in the file"):
        survey(walk, plan, {"id": "int64"})


def test_a_column_both_in_an_old_file_and_in_its_folder_makes_the_file_unreadable(landing: Landing) -> None:
    landing.put("id=7/a.jsonl", 1, modified_s=100)
    walk = landing.run(hive_partitions=True)
    assert survey(walk, planned(walk)).unreadable == {
        "in/id=7/a.jsonl": "column 'id' is both in the file and in its folder's name; "
        "rename one of the two, or set `hive_partitions: false`"
    }
