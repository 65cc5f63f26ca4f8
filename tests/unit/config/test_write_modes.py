"""The keys of a pipeline file that say what a batch does to the rows of the table before it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import etl.sinks
import etl.sources
import etl.transforms
from etl.config.json_schema import json_schema
from etl.config.loader import load_pipelines
from etl.config.specification import PipelineSpec
from etl.config.wiring import check_plan, wire
from etl.project import default_project
from etl.seam import Seam

Write = Callable[[str, str], Path]
Faults = Callable[[Callable[[], object]], list[str]]
Load = Callable[..., PipelineSpec]


REAL = [
    (module, name, getattr(module, name))
    for module, name in (
        (etl.sources, "SOURCES"),
        (etl.transforms, "TRANSFORMS"),
        (etl.sinks, "SINKS"),
    )
]


@pytest.fixture(autouse=True)
def real_registries(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    request.getfixturevalue("small_registries")
    for module, name, registry in REAL:
        monkeypatch.setattr(module, name, registry)


@pytest.fixture
def loaded(write: Write, tmp_path: Path) -> Load:
    def load(sink: str, source: str = "", transforms: str = "[]") -> PipelineSpec:
        text = f"source: {{type: files, path: a/*.csv, schema: {{id: int64, v: string}}{source}}}\n"
        text += f"transforms: {transforms}\nsink: {{type: delta, table: silver.orders, {sink}}}\n"
        write("pipelines/orders.yml", text)
        return load_pipelines(default_project(tmp_path))[0]

    return load


def planned(spec: PipelineSpec, folder: Path) -> object:
    return check_plan(spec, wire(spec, default_project(folder), Seam()))


@pytest.mark.parametrize("word", ["merge", "upsert"])
def test_a_pipeline_merges_by_columns_that_reach_its_sink(loaded: Load, tmp_path: Path, word: str) -> None:
    spec = loaded(f"write_mode: {word}, primary_key: [id]")
    assert planned(spec, tmp_path) is not None


@pytest.mark.parametrize(
    ("sink", "message"),
    [
        ("write_mode: merge", "sink: 'write_mode: merge' needs a primary_key"),
        ("primary_key: [id]", "sink: 'primary_key' goes with 'write_mode: merge'"),
        (
            "write_mode: history",
            "sink.write_mode: unknown value 'history'; known: append, merge, overwrite, insert_only",
        ),
        ("write_mode: insert_only", "sink: 'write_mode: insert_only' needs a primary_key"),
        ("write_mode: scd2, sequence_by: v", "sink: 'write_mode: scd2' needs a primary_key"),
        ("write_mode: scd2, primary_key: [id]", "sink: 'write_mode: scd2' needs sequence_by"),
        ("write_mode: replace_partitions", "sink: 'write_mode: replace_partitions' needs partition_by"),
        ("write_mode: insert_only, primary_key: [id], delete_when: id > 1", "sink: 'delete_when' goes with"),
        ("write_mode: insert_only, primary_key: [id], sequence_by: v", "or scd2; insert_only compares no rows"),
        ("write_mode: merge, primary_key: [id], track: [v]", "sink: 'track' goes with 'write_mode: scd2'"),
        ("sequence_by: v", "sink: 'sequence_by' goes with 'write_mode: merge' or scd2; append compares no rows"),
        ("write_mode: merge, primary_key: [id], remember_for: 1d", "sink: 'remember_for' goes with 'sequence_by'"),
    ],
)
def test_write_modes_are_refused_where_something_is_missing_or_unknown(
    loaded: Load, faults_of: Faults, sink: str, message: str
) -> None:
    (found,) = faults_of(lambda: loaded(sink))
    assert message in found


@pytest.mark.parametrize(
    ("sink", "transforms", "message"),
    [
        ("write_mode: merge, primary_key: [idd]", "[]", "the primary_key names 'idd', which is not among the columns"),
        ("write_mode: merge, primary_key: [id]", "[drop: [id]]", "the primary_key names 'id'"),
        ("write_mode: merge, primary_key: [_ingested_at]", "[]", "the primary_key names '_ingested_at'"),
        ("write_mode: merge, primary_key: [id], sequence_by: w", "[]", "sequence_by names 'w', which is not among"),
        (
            "write_mode: scd2, primary_key: [id], sequence_by: v, track: [w]",
            "[]",
            "track names 'w', which is not among",
        ),
        ("write_mode: append", "[deduplicate: {keys: [id], keep: last}]", "the rows are a changing result"),
    ],
)
def test_a_plan_whose_rows_do_not_go_with_the_write_mode_is_refused_at_the_sink(
    loaded: Load, faults_of: Faults, tmp_path: Path, sink: str, transforms: str, message: str
) -> None:
    spec = loaded(sink, transforms=transforms)
    (found,) = faults_of(lambda: planned(spec, tmp_path))
    assert ": sink: " in found or found.startswith("3:1 sink:")
    assert message in found


def test_partitions_are_not_replaced_by_what_a_stateful_transform_gives(
    loaded: Load, faults_of: Faults, tmp_path: Path
) -> None:
    spec = loaded("write_mode: replace_partitions, partition_by: [v]", transforms="[deduplicate: {keys: [id]}]")
    (found,) = faults_of(lambda: planned(spec, tmp_path))
    assert "deduplicate gives new rows only, and `write_mode: replace_partitions` drops the other ones" in found


@pytest.mark.parametrize("mode", ["merge, primary_key: [id]", "overwrite"])
def test_rows_of_changed_files_are_replaced_by_appending_alone(loaded: Load, faults_of: Faults, mode: str) -> None:
    source = ", identity: path_and_version, on_change: replace_rows"
    (found,) = faults_of(lambda: loaded(f"write_mode: {mode}", source))
    assert "sink.write_mode: `on_change: replace_rows` takes out rows by their file" in found


def test_the_schema_for_editors_knows_every_name_of_a_write_mode() -> None:
    sinks = json_schema()["pipeline"]["properties"]["sink"]["anyOf"]
    (found,) = [sink for sink in sinks if sink["properties"]["type"] == {"const": "delta"}]
    assert found["properties"]["write_mode"]["enum"] == [
        "append",
        "merge",
        "overwrite",
        "insert_only",
        "replace_partitions",
        "scd2",
        "upsert",
        "replace",
    ]
