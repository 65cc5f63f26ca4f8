from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import etl.transforms
from etl.config.definition import definition_hash
from etl.config.loader import load
from etl.config.specification import PipelineSpec
from etl.config.wiring import check_plan, wire
from etl.model import PROVENANCE_COLUMNS
from etl.pipeline import Pipeline
from etl.project import Project
from etl.seam import Seam
from etl.transforms.stateful import KeyedFunction

Write = Callable[[str, str], Path]
Faults = Callable[[Callable[[], object]], list[str]]
ORDERS = """
    source: {type: files, path: landing, schema: {id: int64, amount: float64}}
    transforms:
      - filter: amount > 0 AND _ingested_at IS NOT NULL
      - deduplicate: {keys: [id]}
    sink: {type: delta, table: silver.orders}
"""


@pytest.fixture
def loaded(write: Write, tmp_path: Path) -> Callable[..., tuple[Project, PipelineSpec]]:
    def load_one(text: str = ORDERS, project: str = "version: 1") -> tuple[Project, PipelineSpec]:
        write("etl.yml", project)
        write("pipelines/orders.yml", text)
        found, specs = load(tmp_path)
        return found, specs[0]

    return load_one


Loaded = Callable[..., tuple[Project, PipelineSpec]]


def wired(found: tuple[Project, PipelineSpec]) -> Pipeline:
    project, spec = found
    return wire(spec, project, Seam())


def hash_of(found: tuple[Project, PipelineSpec]) -> str:
    return definition_hash(found[1], found[0])


def test_a_specification_becomes_a_pipeline(loaded: Loaded, tmp_path: Path) -> None:
    found = loaded(project="storage: {file: {auto_mkdir: true}}\nmemory: 1GB\n")
    pipeline = wired(found)
    assert (pipeline.name, pipeline.trigger, pipeline.limit) == ("orders", "available_now", found[0].limit)
    assert pipeline.url == pipeline.checkpoint.url == f"{tmp_path}/lake/_checkpoints/orders"
    assert pipeline.definition == definition_hash(found[1], found[0])
    source: Any = pipeline.source
    assert source.declared_schema == {"id": "int64", "amount": "float64"}
    assert (source.site.name, source.site.folder, source.site.memory_bytes) == ("source", tmp_path, 1_000_000_000)
    assert source.site.ledger.url == f"{tmp_path}/lake/_checkpoints/orders/sources/source"
    assert [(step.label, step.site.index, step.site.folder) for step in pipeline.transforms] == [  # type: ignore[attr-defined]
        ("filter", 0, tmp_path),
        ("deduplicate", 1, tmp_path),
    ]
    site: Any = pipeline.sink.site  # type: ignore[attr-defined]
    assert (site.table, site.url, site.storage.url) == ("silver.orders", f"{tmp_path}/lake/silver/orders", site.url)
    assert site.storage_options == {"auto_mkdir": "true"}
    assert site.provenance == PROVENANCE_COLUMNS


def test_rows_carry_the_system_columns_that_are_kept_or_named(loaded: Loaded) -> None:
    assert wired(loaded()).flow.system == ("_source_file", "_source_offset", "_batch_id", "_ingested_at")
    bare = ORDERS.replace("silver.orders", "silver.orders, provenance: false")
    assert wired(loaded(bare)).flow.system == ("_source_file", "_source_offset", "_ingested_at")


def test_wiring_writes_nothing(loaded: Loaded, tmp_path: Path) -> None:
    wired(loaded())
    assert not (tmp_path / "lake").exists()


def test_a_source_that_refuses_its_options_is_a_fault_at_its_place(loaded: Loaded, faults_of: Faults) -> None:
    found = loaded(ORDERS.replace("path: landing", "path: landing/refused"))
    assert faults_of(lambda: wired(found)) == ["1:1 source: this folder is refused; take another"]


def test_a_plan_is_tried_on_empty_frames(loaded: Loaded) -> None:
    found = loaded()
    rows = check_plan(found[1], wired(found))
    assert rows is not None
    assert list(rows) == ["id", "amount", "_source_file", "_source_offset", "_batch_id", "_ingested_at"]


def test_a_plan_with_a_wrong_column_is_a_fault_at_the_transform(loaded: Loaded, faults_of: Faults) -> None:
    found = loaded(ORDERS.replace("[id]", "[idd]"))
    assert faults_of(lambda: check_plan(found[1], wired(found))) == [
        "4:5 transforms[1].deduplicate: unknown column 'idd'"
    ]


def test_a_plan_that_the_sink_cannot_store_is_a_fault_at_the_sink(loaded: Loaded, faults_of: Faults) -> None:
    found = loaded(ORDERS.replace("id: int64", "id: int64, forbidden: int64"))
    assert faults_of(lambda: check_plan(found[1], wired(found))) == ["5:1 sink: column 'forbidden' cannot be stored"]


def test_an_inferred_plan_is_tried_once_the_checkpoint_knows_the_schema(loaded: Loaded, faults_of: Faults) -> None:
    found = loaded(ORDERS.replace(", schema: {id: int64, amount: float64}", ""))
    pipeline = wired(found)
    assert check_plan(found[1], pipeline) is None
    assert check_plan(found[1], pipeline, {"source": {"id": "string"}}) is not None
    assert faults_of(lambda: check_plan(found[1], pipeline, {"source": {"key": "string"}})) == [
        "4:5 transforms[1].deduplicate: unknown column 'id'"
    ]


def test_the_definition_is_the_same_for_the_same_results(loaded: Loaded) -> None:
    project, spec = loaded()
    first = definition_hash(spec, project)
    said_again = ORDERS.replace("path: landing", "format: ndjson, batch: {max_files: 1}, path: landing")
    assert definition_hash(loaded(said_again + "    description: x\n    trigger: once\n")[1], project) == first
    assert definition_hash(replace(spec, name="other"), project) == first


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("path: landing", "path: elsewhere"),
        ("amount: float64", "amount: float32"),
        ("{id: int64, amount: float64}", "{amount: float64, id: int64}"),
        ("amount > 0", "amount > 1"),
        ("silver.orders", "silver.other"),
        ("silver.orders", "silver.orders, provenance: false"),
    ],
)
def test_the_definition_is_another_for_other_results(loaded: Loaded, old: str, new: str) -> None:
    first = hash_of(loaded())
    assert hash_of(loaded(ORDERS.replace(old, new))) != first


@pytest.mark.parametrize(
    "step",
    [
        "python: clean.shop:tidy",
        "stateful: {python: clean.shop:tidy, keys: [id], state_schema: {seen: 'list<struct{a: int64}>'}}",
    ],
)
def test_the_definition_follows_the_content_of_python_files(
    loaded: Loaded, write: Write, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known: Any = etl.transforms.TRANSFORMS
    monkeypatch.setitem(known, "stateful", KeyedFunction)
    project, spec = loaded(ORDERS.replace("filter: amount > 0 AND _ingested_at IS NOT NULL", step))
    missing = definition_hash(spec, project)
    write("transforms/clean/shop.py", "def tidy(rows): return rows\n")
    first = definition_hash(spec, project)
    write("transforms/clean/shop.py", "def tidy(rows): return rows.head(1)\n")
    assert len({missing, first, definition_hash(spec, project)}) == 3


def test_the_definition_does_not_depend_on_secrets(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    text = ORDERS.replace("silver.orders", "silver.orders, password: '${secret:table}'")
    monkeypatch.setenv("ETL_SECRET_TABLE", "zq61first")
    first = hash_of(loaded(text))
    monkeypatch.setenv("ETL_SECRET_TABLE", "zq61second")
    assert hash_of(loaded(text)) == first
