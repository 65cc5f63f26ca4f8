from __future__ import annotations

import gzip
import json
import os
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from etl.balance import Tally
from etl.errors import SchemaDriftError, SourceChangedError, SourceError
from etl.model import ReadLimit
from etl.schema_contract import Survey
from etl.sources.contract import SourceSite
from etl.sources.file_access import LocalAccess
from etl.sources.file_options import FileOptions
from etl.sources.file_units import FileUnits
from etl.sources.files import FileSource
from etl.storage import LocalStorage
from tests.landing import Landing, paths, planned, read, survey

SYSTEM = ("_source_file", "_source_offset", "_source_modified_at", "_batch_id")


def test_rows_come_in_order_with_where_they_are_from(landing: Landing) -> None:
    landing.put("a.jsonl", 1, 2, modified_s=1.5)
    landing.put("b.jsonl", modified_s=2)
    landing.put("c.jsonl", 3, modified_s=3)
    walk = landing.run()
    plan = planned(walk)
    tally = Tally()
    reading = walk.source.read(plan, Survey({"id": "int64"}), SYSTEM, tally)
    first, last = datetime(1970, 1, 1, 0, 0, 1, 500_000, UTC), datetime(1970, 1, 1, 0, 0, 3, 0, UTC)
    names = ("id", "_source_file", "_source_offset", "_source_modified_at")
    expected = [(1, "in/a.jsonl", 0, first), (2, "in/a.jsonl", 10, first), (3, "in/c.jsonl", 0, last)]
    assert reading.rows.collect().rows(named=True) == [dict(zip(names, row, strict=True)) for row in expected]
    assert tally.counts()["read"] == 3
    assert reading.units == {"rows": [2, 0, 1]}
    assert reading.bytes_read == 30


def test_reading_again_gives_the_same_rows(landing: Landing) -> None:
    for number in range(20):
        landing.put(f"{number}.jsonl", number, number, modified_s=100)
    walk = landing.run()
    plan = planned(walk)
    first, second = (walk.rows(plan, SYSTEM) for _ in range(2))
    assert first == second
    assert [row["id"] for row in first] == [
        number for name in sorted(map(str, range(20))) for number in [int(name)] * 2
    ]


def test_only_the_columns_and_rows_asked_for_are_handed_on_but_all_are_counted(landing: Landing) -> None:
    landing.put_bytes("a.jsonl", b'{"id": 1, "x": 5}\n{"id": 2, "x": 6}\n')
    walk = landing.run()
    tally = Tally()
    reading = walk.source.read(planned(walk), Survey({"id": "int64", "x": "int64"}), SYSTEM, tally)
    assert reading.rows.filter(pl.col("id") == 2).select("x").collect().rows() == [(6,)]
    assert tally.counts()["read"] == 2
    assert reading.units == {"rows": [2]}


def test_the_first_rows_alone_can_be_read(landing: Landing) -> None:
    for number in range(30):
        landing.put(f"{number:02}.jsonl", number, modified_s=100)
    walk = landing.run()
    reading = walk.source.read(planned(walk), Survey({"id": "int64"}), (), Tally())
    assert reading.rows.head(3).collect()["id"].to_list() == [0, 1, 2]


def test_a_large_file_is_read_in_parts_and_in_order(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    content = b"".join(b'{"id": %d}\n' % number for number in range(50_000))
    (tmp_path / "in" / "a.jsonl").write_bytes(content)
    (tmp_path / "in" / "b.jsonl.gz").write_bytes(gzip.compress(content))
    landing = Landing(tmp_path)
    site = SourceSite("files", tmp_path, LocalStorage(tmp_path / "ledger", landing.seam), landing.seam, memory_bytes=1)
    source = FileSource(FileOptions(path="in", order="name"), None, site)
    plan = source.latest(None, ReadLimit())
    assert plan is not None
    reading = source.read(plan, Survey({"id": "int64"}), ("_source_offset",), Tally())
    frame = reading.rows.collect(engine="streaming")
    assert frame["id"].to_list() == [*range(50_000), *range(50_000)]
    assert frame["_source_offset"].to_list()[:3] == [0, 10, 20]
    assert reading.units == {"rows": [50_000, 50_000]}


@pytest.mark.parametrize(
    "content", [b'{"id": 2}\n', b'{"id": 1}\n{"id": 2}\n', b""], ids=["equal size", "longer", "empty"]
)
def test_a_file_that_changed_after_the_plan_is_refused(landing: Landing, content: bytes) -> None:
    landing.put("a.jsonl", 1, modified_s=100)
    walk = landing.run()
    plan = planned(walk)
    landing.put_bytes("a.jsonl", content, modified_s=200)
    with pytest.raises(SourceChangedError, match="changed since it was planned") as caught:
        read(walk, plan)
    assert caught.value.path == "in/a.jsonl"


def test_an_empty_file_that_grew_after_the_plan_is_refused(landing: Landing) -> None:
    landing.put("a.jsonl", modified_s=100)
    walk = landing.run()
    plan = planned(walk)
    landing.put("a.jsonl", 1, modified_s=100)
    with pytest.raises(SourceChangedError):
        read(walk, plan)


def test_a_file_that_changes_while_it_is_read_is_refused(landing: Landing) -> None:
    path = landing.put("a.jsonl", 1, modified_s=100)
    walk = landing.run()
    (unit,) = FileUnits.from_json(planned(walk).units).files
    handle = LocalAccess(landing.root).open(unit)
    handle.read()
    os.utime(path, (200, 200))
    with pytest.raises(SourceChangedError):
        handle.close()


def test_a_vanished_file_is_refused_with_a_hint(landing: Landing) -> None:
    path = landing.put("a.jsonl", 1)
    walk = landing.run()
    plan = planned(walk)
    path.unlink()
    with pytest.raises(SourceChangedError, match="ignore_missing: true"):
        read(walk, plan)
    with pytest.raises(SourceChangedError, match="ignore_missing: true"):
        survey(walk, plan)


def test_a_vanished_file_is_noted_and_passed_over_under_ignore_missing(landing: Landing) -> None:
    for number, name in enumerate("abc"):
        landing.put(f"{name}.jsonl", number, modified_s=100)
    walk = landing.run(ignore_missing=True)
    plan = planned(walk)
    (landing.root / "in" / "b.jsonl").unlink()
    known = survey(walk, plan)
    reading = walk.source.read(plan, known, (), Tally())
    assert reading.rows.collect()["id"].to_list() == [0, 2]
    assert reading.units == {"rows": [1, 0, 1], "missing": ["in/b.jsonl"]}


def test_refresh_gives_the_same_files_as_they_are_now(landing: Landing) -> None:
    landing.put("a.jsonl", 1, modified_s=100)
    walk = landing.run(identity="path_and_version", on_change="reingest")
    plan = planned(walk)
    landing.put("a.jsonl", 1, 2, modified_s=200)
    with pytest.raises(SourceChangedError) as caught:
        read(walk, plan)
    refreshed = walk.source.refresh(plan, caught.value)
    assert (paths(refreshed), refreshed.size_bytes, refreshed.span) == (["in/a.jsonl"], 20, plan.span)
    assert read(walk, refreshed)["id"].to_list() == [1, 2]
    assert walk.take() == []


def test_refresh_refuses_a_gone_file_unless_it_may_go_missing(landing: Landing) -> None:
    cause = SourceChangedError("in/a.jsonl", "is gone")
    for ignore_missing in (False, True):
        path = landing.put("a.jsonl", 1)
        landing.put("b.jsonl", 2)
        walk = landing.run(ignore_missing=ignore_missing)
        plan = planned(walk)
        path.unlink()
        if not ignore_missing:
            with pytest.raises(SourceChangedError, match="is gone"):
                walk.source.refresh(plan, cause)
        else:
            assert paths(walk.source.refresh(plan, cause)) == ["in/b.jsonl"]
            landing.put("a.jsonl", 1)
            assert walk.take() == ["in/a.jsonl"]


def test_refresh_refuses_any_change_under_on_change_fail(landing: Landing) -> None:
    landing.put("a.jsonl", 1)
    walk = landing.run(identity="path_and_version", on_change="fail")
    with pytest.raises(SourceChangedError, match="other"):
        walk.source.refresh(planned(walk), SourceChangedError("in/a.jsonl", "other"))


def test_the_schema_is_that_of_all_files_together(landing: Landing) -> None:
    landing.put_bytes("a.jsonl", b'{"id": 1, "x": 1}\n')
    landing.put_bytes("b.jsonl", b'{"id": 2, "x": 1.5, "y": {"z": "t"}}\n')
    walk = landing.run(order="name")
    plan = planned(walk)
    assert survey(walk, plan).schema == {"id": "int64", "x": "float64", "y": {"struct": {"z": "string"}}}
    assert survey(walk, plan, {"x": "float64"}).schema == {
        "x": "float64",
        "id": "int64",
        "y": {"struct": {"z": "string"}},
    }


def test_errors_and_rejects_of_a_format_reach_the_reader(landing: Landing) -> None:
    landing.put_bytes("a.jsonl", b'{"id": 1}\n{"id": 2, "new": 3}\n')
    landing.put_bytes("b.jsonl", b'{"id": 1}\n{"id": "two"}\n')
    walk = landing.run(include=["in/a.jsonl"])
    with pytest.raises(SchemaDriftError):
        read(walk, planned(walk))
    walk = landing.run(include=["in/b.jsonl"])
    tally = Tally()
    reading = walk.source.read(planned(walk), Survey({"id": "int64"}), (), tally)
    assert reading.rows.collect()["id"].to_list() == [1]
    rejected = tally.rejected.take()
    assert rejected.select("_source_file", "_source_offset", "rule").rows() == [("in/b.jsonl", 10, "type")]
    assert tally.by_file() == {"in/b.jsonl": {"read": 2, "quarantined": 1}}


def test_a_file_that_may_not_be_read_is_a_source_error(landing: Landing) -> None:
    folder = landing.root / "in" / "a.jsonl"
    landing.put("a.jsonl", 1)
    walk = landing.run()
    plan = planned(walk)
    folder.unlink()
    folder.mkdir()
    with pytest.raises(SourceError, match="cannot be read"):
        read(walk, plan)


def test_the_format_follows_the_ending_unless_declared(landing: Landing) -> None:
    landing.put("a.jsonl", 1)
    landing.put_bytes("b.csv", b"id\n2\n")
    landing.put_bytes("c.txt", json.dumps({"id": 3}).encode())
    walk = landing.run(format=None, path="in/*.{jsonl,csv}", order="name")
    assert [row["id"] for row in read(walk, planned(walk)).to_dicts()] == [1, 2]
    walk = landing.run(path="in/c.txt")
    assert [row["id"] for row in read(walk, planned(walk)).to_dicts()] == [3]
