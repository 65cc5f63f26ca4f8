"""Pipelines of several sources in memory: what a batch takes of each, what is kept, what a restart finds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from etl.engine import run
from etl.errors import CheckpointError, ConfigError, QuarantineError, TransformError
from etl.flow import Branch
from etl.model import ReadLimit
from etl.progress import Silent
from etl.seam import Seam
from etl.storage import LocalStorage
from etl.testing import MemorySink, MemorySource, memory_pipeline
from etl.transforms.contract import TransformSite
from etl.transforms.filter import Filter, FilterOptions
from etl.transforms.project import WithColumns, WithColumnsOptions
from etl.transforms.union import Union, UnionOptions
from tests.wiring import fed

REFUNDS = ([{"id": 10, "reason": "late"}], [{"id": 11, "reason": "broken"}])


def union(*names: str) -> Union:
    return Union(UnionOptions.model_validate({"with": list(names)}), TransformSite(Path(), 0))


def step(options: str, source: str = "", index: int = 0) -> Filter:
    return Filter(FilterOptions(options), TransformSite(Path(), index, source))


class Home:
    """A pipeline of orders and refunds, whose sources and table outlive its runs."""

    def __init__(self, folder: Path, orders: MemorySource, **branches: MemorySource) -> None:
        self.folder = folder
        self.orders = orders
        self.branches = branches
        self.sink = MemorySink()
        self.own: dict[str, tuple[Any, ...]] = {}
        self.limits = dict.fromkeys(branches, ReadLimit(max_files=1))
        self.reporter = Told()
        self.changes: dict[str, Any] = {}

    def pipeline(self, **changes: Any) -> Any:
        branches = tuple(
            Branch(name, source, self.own.get(name, ()), limit=self.limits[name])
            for name, source in self.branches.items()
        )
        taken = (union(*self.branches),) if self.branches else ()
        given = {"transforms": taken, "branches": branches, **self.changes, **changes}
        return memory_pipeline(self.orders, self.sink, LocalStorage(self.folder, Seam()), **given)

    def run(self, **changes: Any) -> list[Any]:
        return run(self.pipeline(**changes), Seam(), self.reporter)

    def ids(self) -> list[int]:
        return sorted(row["id"] for row in self.sink.rows())

    def inputs(self, batch_id: int) -> dict[str, Any]:
        record = json.loads((self.folder / "offsets" / f"{batch_id:010d}.json").read_text())
        inputs: dict[str, Any] = record["body"]["inputs"]
        return inputs


class Told(Silent):
    """Keeps what is noted."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def noted(self, pipeline: str, message: str) -> None:
        self.notes.append(message)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path, fed([{"id": 1}], [{"id": 2}], [{"id": 3}]), refunds=fed(*REFUNDS))


def test_a_batch_takes_of_every_source_what_its_limit_allows(home: Home) -> None:
    results = home.run()
    assert [result.rows["read"] for result in results] == [2, 2, 1]
    assert home.ids() == [1, 2, 3, 10, 11]
    assert [row for row in home.sink.rows() if row["id"] == 11] == [{"id": 11, "reason": "broken"}]


def test_every_source_has_a_limit_of_its_own(home: Home) -> None:
    home.limits["refunds"] = ReadLimit(max_files=9)
    home.run(limit=ReadLimit(max_files=2))
    assert [list(home.inputs(number)["refunds"]["units"].get("unit", ())) for number in range(2)] == [[0, 1], []]
    assert home.ids() == [1, 2, 3, 10, 11]


def test_a_source_without_news_keeps_its_place_in_a_small_entry(home: Home) -> None:
    home.run()
    home.orders.add([{"id": 4}])
    home.run()
    assert home.inputs(3)["refunds"] == {
        "start": {"units": 2}, "end": {"units": 2}, "files": 0, "size_bytes": 0,
        "schema": {"id": "int64", "reason": "string"}, "wide": [], "units": {}, "previous": 1,
    }  # fmt: skip
    home.branches["refunds"].add([{"id": 12, "reason": None}])
    home.run()
    assert (home.inputs(4)["refunds"]["previous"], home.inputs(4)["refunds"]["units"]) == (1, {"unit": [2]})
    assert home.inputs(4)["source"]["units"] == {}
    assert home.ids() == [1, 2, 3, 4, 10, 11, 12]


def test_each_source_hears_only_of_the_batches_that_it_is_in(home: Home) -> None:
    home.run()
    home.orders.add([{"id": 4}])
    home.run()
    assert (home.orders.acknowledged, home.branches["refunds"].acknowledged) == ([0, 1, 2, 2, 3], [0, 1])


def test_nothing_new_anywhere_plans_no_batch(home: Home) -> None:
    home.run()
    assert home.run() == []


def test_own_transforms_touch_the_rows_of_their_source_alone(home: Home) -> None:
    home.own["refunds"] = (step("id > 10", "refunds"),)
    results = home.run()
    assert home.ids() == [1, 2, 3, 11]
    assert sum(result.rows["filtered"] for result in results) == 1


def test_the_own_transforms_of_the_main_source_come_before_the_list(home: Home) -> None:
    pipeline = home.pipeline(transforms=(step("id > 2"), union("refunds")))
    run(pipeline, Seam(), Silent())
    assert home.ids() == [3, 10, 11]


def test_schema_versions_are_kept_by_source(home: Home) -> None:
    home.run()
    home.branches["refunds"].add([{"id": 12, "reason": "x", "by": "ann"}])
    home.run()
    records = [json.loads(path.read_text())["body"] for path in sorted((home.folder / "schemas").iterdir())]
    assert [(each["batch"], each["source"], list(each["schema"])) for each in records] == [
        (0, "source", ["id"]),
        (0, "refunds", ["id", "reason"]),
        (3, "refunds", ["id", "reason", "by"]),
    ]
    assert records[-1]["changes"] == [
        {"column": "by", "before": None, "after": "string", "file": "", "source": "refunds"}
    ]


def test_a_source_that_is_empty_from_the_start_does_not_hold_a_union_back(tmp_path: Path) -> None:
    home = Home(tmp_path, fed([{"id": 1}]), refunds=MemorySource())
    home.run()
    assert home.sink.rows() == [{"id": 1}]
    home.branches["refunds"].add([{"id": 10, "reason": "late"}])
    home.run()
    assert home.sink.rows() == [{"id": 1}, {"id": 10, "reason": "late"}]


def test_rows_of_others_wait_until_the_columns_of_the_main_source_are_known(tmp_path: Path) -> None:
    home = Home(tmp_path, MemorySource(), refunds=fed(*REFUNDS))
    assert home.run() == []
    assert home.reporter.notes == ["waiting for the first rows of source: the columns are not known, and not declared"]
    home.orders.add([{"id": 1}])
    home.run()
    assert home.ids() == [1, 10, 11]


def test_rows_wait_for_a_source_whose_columns_a_later_transform_needs(tmp_path: Path) -> None:
    home = Home(tmp_path, fed([{"id": 1}]), refunds=MemorySource())
    home.changes["transforms"] = (union("refunds"), step("id > 0 AND reason IS NULL", index=1))
    assert home.run() == []
    assert home.reporter.notes == ["waiting for the first rows of refunds: the columns are not known, and not declared"]
    home.branches["refunds"].add([])
    assert [result.rows["read"] for result in home.run()] == [0]
    home.branches["refunds"].add([{"id": 10, "reason": "late"}, {"id": 11, "reason": None}])
    home.run()
    assert home.ids() == [1, 11]


def test_a_declared_main_source_holds_nothing_back(tmp_path: Path) -> None:
    home = Home(tmp_path, MemorySource({"id": "int64"}), refunds=fed(*REFUNDS))
    home.run()
    assert home.ids() == [10, 11]


def test_an_empty_first_unit_of_the_main_source_is_passed_over(tmp_path: Path) -> None:
    home = Home(tmp_path, fed([], [{"id": 1}]), refunds=fed(*REFUNDS))
    home.run()
    assert home.ids() == [1, 10, 11]


def test_an_error_in_a_source_s_own_transforms_says_so(home: Home) -> None:
    options = WithColumnsOptions.model_validate({"n": "CAST(reason AS INT)"})
    home.own["refunds"] = (WithColumns(options, TransformSite(Path(), 0, "refunds")),)
    with pytest.raises(TransformError) as caught:
        home.run()
    assert caught.value.where == "sources.refunds.transforms[0].with_columns"


def test_an_error_behind_the_union_names_the_place_in_the_list(home: Home) -> None:
    options = WithColumnsOptions.model_validate({"n": "CAST(reason AS INT)"})
    last = WithColumns(options, TransformSite(Path(), 2))
    with pytest.raises(TransformError) as caught:
        home.run(transforms=(union("refunds"), step("id > 0", index=1), last))
    assert caught.value.where == "transforms[2].with_columns"


def test_an_unknown_column_in_own_transforms_is_told_at_its_place(home: Home) -> None:
    home.own["refunds"] = (step("idd > 10", "refunds"),)
    with pytest.raises(ConfigError) as caught:
        home.run()
    assert caught.value.where == "sources.refunds.transforms[0].filter"


def test_rejected_rows_without_a_quarantine_fail_the_batch_whichever_source_they_are_of(home: Home) -> None:
    home.branches["refunds"].add([{"id": 12, "reason": "x"}], rejected=[{"rule": "syntax", "reason": "cut off"}])
    with pytest.raises(QuarantineError, match="cut off"):
        home.run()


def test_a_source_that_is_added_later_is_read_from_its_beginning(home: Home) -> None:
    home.run()
    home.branches["returns"] = fed([{"id": 20}])
    home.limits["returns"] = ReadLimit()
    home.run(definition="more")
    assert home.ids() == [1, 2, 3, 10, 11, 20]


def test_a_source_that_goes_keeps_its_place_should_it_come_back(home: Home) -> None:
    home.run()
    refunds = home.branches.pop("refunds")
    home.orders.add([{"id": 4}])
    home.run(definition="fewer")
    assert home.inputs(3)["refunds"]["retired"] is True
    refunds.add([{"id": 12, "reason": "x"}])
    home.branches["refunds"] = refunds
    home.run(definition="again")
    assert home.ids() == [1, 2, 3, 4, 10, 11, 12]
    assert "retired" not in home.inputs(4)["refunds"]


def test_a_source_that_was_renamed_is_refused_before_anything_is_read(home: Home) -> None:
    home.run()
    home.branches = {"returns": home.branches["refunds"]}
    home.limits = {"returns": ReadLimit()}
    with pytest.raises(CheckpointError) as caught:
        home.run(definition="renamed")
    assert caught.value.message == (
        "source refunds is gone and returns is new: if it was renamed, all of it would be read again"
    )
    assert caught.value.hint.startswith("keep the name `refunds` under `sources:`")
    assert home.ids() == [1, 2, 3, 10, 11]


def test_a_batch_that_was_begun_with_a_source_that_is_gone_is_refused(home: Home) -> None:
    home.run()
    home.branches["refunds"].add([{"id": 12, "reason": None}])
    broken = WithColumns(
        WithColumnsOptions.model_validate({"n": "CAST(id AS INT8) / 0 + missing"}), TransformSite(Path(), 0)
    )
    with pytest.raises(ConfigError):
        home.run(transforms=(union("refunds"), broken))
    home.branches.clear()
    with pytest.raises(CheckpointError) as caught:
        home.run(definition="fewer")
    assert caught.value.message == "batch 3 was begun with rows of refunds, which is no longer among the sources"


def test_a_single_source_s_records_name_no_other_and_have_no_new_keys(tmp_path: Path) -> None:
    home = Home(tmp_path, fed([{"id": 1}], [{"id": 2}]))
    home.run()
    assert list(home.inputs(1)) == ["source"]
    assert list(home.inputs(1)["source"]) == ["start", "end", "files", "size_bytes", "schema", "wide", "units"]
