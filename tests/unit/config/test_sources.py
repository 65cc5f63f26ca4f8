"""``sources:``: several in one pipeline, by name, each taken in by one transform."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import etl.transforms
from etl.config.definition import definition_hash
from etl.config.json_schema import json_schema
from etl.config.loader import load
from etl.config.specification import PipelineSpec
from etl.config.wiring import check_plan, wire
from etl.model import ReadLimit
from etl.pipeline import Pipeline
from etl.project import Project
from etl.seam import Seam
from etl.transforms.union import Union

Write = Callable[[str, str], Path]
Faults = Callable[[Callable[[], object]], list[str]]
Loaded = Callable[..., tuple[Project, PipelineSpec]]

SHOP = """
    sources:
      orders: {type: files, path: in/orders, schema: {id: int64}, batch: {max_files: 3}}
      refunds:
        type: files
        path: in/refunds
        schema: {id: int64, reason: string}
        batch: {max_files: 5, max_latency: 2s}
        transforms:
          - filter: id > 0
    transforms:
      - union: {with: [refunds]}
      - deduplicate: {keys: [id]}
    sink: {type: delta, table: silver.orders}
"""


@pytest.fixture(autouse=True)
def with_union(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: Any = etl.transforms.TRANSFORMS
    monkeypatch.setattr(etl.transforms, "TRANSFORMS", {**steps, "union": Union}, raising=False)


@pytest.fixture
def loaded(write: Write, tmp_path: Path) -> Loaded:
    def load_one(text: str = SHOP) -> tuple[Project, PipelineSpec]:
        write("pipelines/orders.yml", text)
        project, specs = load(tmp_path)
        return project, specs[0]

    return load_one


def wired(found: tuple[Project, PipelineSpec]) -> Pipeline:
    return wire(found[1], found[0], Seam())


def test_the_first_source_is_the_main_one_and_the_others_stand_beside_it(loaded: Loaded, tmp_path: Path) -> None:
    pipeline = wired(loaded())
    flow = pipeline.flow
    assert (flow.source_name, list(flow.sources), flow.own) == ("orders", ["orders", "refunds"], 0)
    sites: list[Any] = [source.site for source in flow.sources.values()]  # type: ignore[attr-defined]
    assert [(site.name, site.ledger.url.removeprefix(str(tmp_path))) for site in sites] == [
        ("orders", "/lake/_checkpoints/orders/sources/orders"),
        ("refunds", "/lake/_checkpoints/orders/sources/refunds"),
    ]
    assert pipeline.limits == {
        "orders": ReadLimit(max_files=3, max_bytes=256_000_000),
        "refunds": ReadLimit(max_files=5, max_bytes=256_000_000),
    }
    assert pipeline.max_latency_s == 2.0
    (own,) = flow.branches[0].transforms
    assert own.site.place("filter") == "sources.refunds.transforms[0].filter"  # type: ignore[attr-defined]


def test_what_every_source_reads_counts(loaded: Loaded, tmp_path: Path) -> None:
    assert loaded()[1].reads == (f"{tmp_path}/in/orders", f"{tmp_path}/in/refunds")


def test_the_own_transforms_of_the_main_source_come_first(loaded: Loaded) -> None:
    own = "batch: {max_files: 3}, transforms: [{filter: id > 1}]"
    flow = wired(loaded(SHOP.replace("batch: {max_files: 3}", own))).flow
    assert [step.label for step in flow.transforms] == ["filter", "union", "deduplicate"]
    assert [flow.place_of(index) for index in range(3)] == [
        "sources.orders.transforms[0].filter",
        "transforms[0].union",
        "transforms[1].deduplicate",
    ]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("[refunds]", "[refund]", "11:20 transforms[0].union.with[0]: unknown source 'refund'; did you mean 'refunds'"),
        ("[refunds]", "[orders]", "11:20 transforms[0].union.with[0]: 'orders' is the main source, with whose"),
        ("[refunds]", "[refunds, refunds]", "11:29 transforms[0].union.with[1]: 'refunds' is taken in already, by"),
        ("      - union: {with: [refunds]}\n", "", "3:3 sources.refunds: no transform takes it in; say union: {with:"),
        ("- filter: id > 0", "- union: {with: [orders]}", "9:9 sources.refunds.transforms[0].union: a source's own"),
        ("- filter: id > 0", "- filtr: id > 0", "9:9 sources.refunds.transforms[0].filtr: unknown transform 'filtr'; "),
        ("- filter: id > 0", "- filter: 7", "9:17 sources.refunds.transforms[0].filter: expected a list, got 7"),
        ("- filter: id > 0", "- 7", "9:9 sources.refunds.transforms[0]: expected a mapping, got 7"),
        ("        transforms:\n          - filter: id > 0\n", "        transforms: 7\n",
         "8:17 sources.refunds.transforms: expected a list, got 7"),
        ("reason: string", "reason: strng", "6:33 sources.refunds.schema.reason: type 'strng': unknown type 'strng'"),
        ("  refunds:\n", "  Orders:\n", "3:3 sources.Orders: differs from 'orders' only in upper and lower case"),
        ("  refunds:\n", "  re/funds:\n", None),
        ("sources:", "source: {type: files, path: x}\n    sources:", "2:1 sources: give either source or sources"),
        ("type: files\n", "type: fils\n", "4:11 sources.refunds.type: unknown source 'fils'; did you mean 'files'?"),
        ("path: in/refunds", "path: in/refunds\n        starting: now", None),
        ("path: in/refunds", "path: lake/silver/orders/*", "5:11 sources.refunds.path: reads what the sink writes"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_one_of_several_is_told_at_its_place(
    loaded: Loaded, faults_of: Faults, old: str, new: str, fault: str | None
) -> None:
    assert old in SHOP
    found = faults_of(lambda: loaded(SHOP.replace(old, new)))
    assert found
    assert fault is None or found[0].startswith(fault)
    assert all("sources" in each or "transforms[0]" in each for each in found)


def test_a_source_is_not_called_left_out_where_the_transform_that_means_it_is_wrong(
    loaded: Loaded, faults_of: Faults
) -> None:
    found = faults_of(lambda: loaded(SHOP.replace("{with: [refunds]}", "{wth: [refunds]}")))
    assert [fault.split(": ", 1)[0].split(" ")[0] for fault in found] == ["11:5", "11:13"]


def test_a_pipeline_with_one_source_has_none_to_take_in(loaded: Loaded, faults_of: Faults) -> None:
    text = (
        "source: {type: files, path: in}\ntransforms: [{union: {with: [refunds]}}]\nsink: {type: delta, table: a.b}\n"
    )
    assert faults_of(lambda: loaded(text)) == [
        "2:30 transforms[0].union.with[0]: 'refunds' is no source: there is only one; list several under `sources:`"
    ]


def test_a_list_of_sources_may_have_one(loaded: Loaded) -> None:
    text = "sources: {orders: {type: files, path: in}}\nsink: {type: delta, table: a.b}\n"
    assert wired(loaded(text)).flow.source_name == "orders"


def test_a_plan_over_several_sources_is_tried_on_empty_frames(loaded: Loaded, faults_of: Faults) -> None:
    found = loaded()
    rows = check_plan(found[1], wired(found))
    assert rows is not None
    assert list(rows) == ["id", "reason", "_source_file", "_source_offset", "_batch_id"]
    other = loaded(SHOP.replace("id: int64, reason", "id: string, reason"))
    assert faults_of(lambda: check_plan(other[1], wired(other))) == [
        (
            "11:5 transforms[0].union: column 'id' is String in one source and Int64 in another; make them one type: "
            "transforms: [{cast: {id: …}}] of one of the sources"
        )
    ]


def test_a_plan_is_not_tried_before_every_source_is_known(loaded: Loaded) -> None:
    found = loaded(SHOP.replace("        schema: {id: int64, reason: string}\n", ""))
    assert check_plan(found[1], wired(found)) is None
    assert check_plan(found[1], wired(found), {"refunds": {"id": "int64"}}) is not None
    assert check_plan(found[1], wired(found), {"refunds": {}}) is not None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("in/refunds", "in/returns"),
        ("id > 0", "id > 1"),
        ("refunds", "returns"),
        ("reason: string", "reason: binary"),
        ("schema: {id: int64}", "schema: {id: int64}, schema_contract: rescue"),
    ],
)
def test_the_definition_is_another_for_other_results_of_any_source(loaded: Loaded, old: str, new: str) -> None:
    project, spec = loaded()
    first = definition_hash(spec, project)
    assert definition_hash(loaded(SHOP.replace(old, new))[1], project) != first
    assert definition_hash(loaded(SHOP.replace("max_files: 5", "max_files: 6"))[1], project) == first


def test_the_json_schema_knows_both_spellings() -> None:
    pipeline = json_schema()["pipeline"]
    assert pipeline["allOf"][0]["oneOf"] == [{"required": ["source"]}, {"required": ["sources"]}]
    (several,) = pipeline["properties"]["sources"]["anyOf"]
    (files,) = several["additionalProperties"]["anyOf"]
    assert {"type", "path", "batch", "transforms"} <= set(files["properties"])
