"""The keys that decide which rows are set aside: ``schema_contract``, ``expect``, ``quarantine``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from etl.config.definition import definition_hash
from etl.config.loader import load_pipelines
from etl.config.specification import PipelineSpec
from etl.config.wiring import check_plan, wire
from etl.model import PROVENANCE_COLUMNS
from etl.project import default_project
from etl.schema_contract import EVOLVE, RESCUE, STRICT, SchemaContract
from etl.seam import Seam
from tests.unit.config.test_wiring import ORDERS

Write = Callable[[str, str], Path]
Faults = Callable[[Callable[[], object]], list[str]]
Load = Callable[..., PipelineSpec]
SINK = "sink: {type: delta, table: silver.orders}\n"


@pytest.fixture
def loaded(write: Write, tmp_path: Path) -> Load:
    def load(rules: str = "", source: str = "", sink: str = SINK) -> PipelineSpec:
        write("pipelines/orders.yml", f"source: {{type: files, path: a{source}}}\n{sink}{rules}")
        return load_pipelines(default_project(tmp_path))[0]

    return load


@pytest.mark.parametrize(
    ("said", "contract"),
    [
        ("", EVOLVE),
        (", schema: {id: int64}", STRICT),
        (", schema: {id: int64}, schema_contract: evolve", EVOLVE),
        (", schema_contract: strict", STRICT),
        (", schema_contract: rescue", RESCUE),
        (", schema: {id: int64}, schema_contract: {missing_columns: null}", STRICT),
        (", schema_contract: {missing_columns: 'null', new_columns: fail}", SchemaContract("fail", "widen", "null")),
        (", schema_contract: {new_columns: ignore}", SchemaContract("ignore", "widen", "null")),
        (", schema: {id: int64}, schema_contract: {missing_columns: fail}",
         SchemaContract("quarantine", "quarantine", "fail")),
        (", schema_contract: {new_columns: fail, type_change: rescue, missing_columns: quarantine}",
         SchemaContract("fail", "rescue", "quarantine")),
    ],
)  # fmt: skip
def test_a_schema_contract_is_a_word_or_its_policies_and_what_is_not_said_is_the_default(
    loaded: Load, said: str, contract: SchemaContract
) -> None:
    assert loaded(source=said).source.contract == contract


@pytest.mark.parametrize(
    ("contract", "place"),
    [
        ("stricht", "1:49 source.schema_contract"),
        ("{new_columns: widen}", "1:63 source.schema_contract.new_columns"),
        ("{type_change: null}", "1:63 source.schema_contract.type_change"),
        ("{other: fail}", "1:50 source.schema_contract.other"),
    ],
)
def test_a_wrong_contract_is_told_at_its_place(loaded: Load, faults_of: Faults, contract: str, place: str) -> None:
    (fault,) = faults_of(lambda: loaded(source=f", schema_contract: {contract}"))
    assert fault.startswith(f"{place}: ")


def test_expectations_are_read_in_order_and_quarantine_by_default(loaded: Load) -> None:
    rules = (
        "expect:\n  - {name: paid, check: amount >= 0}\n  - {name: b, check: x, otherwise: warn, max_fraction: 0.5}\n"
    )
    found = loaded(rules).expect
    assert [(each.name, each.check, each.otherwise, each.max_fraction) for each in found] == [
        ("paid", "amount >= 0", "quarantine", None),
        ("b", "x", "warn", 0.5),
    ]


@pytest.mark.parametrize(
    ("rules", "fault"),
    [
        ("expect: {name: a}\n", "3:9 expect: expected a list, got a mapping"),
        ("expect:\n  - {check: id > 0}\n", "4:5 expect[0].name: missing"),
        ("expect:\n  - {name: a}\n", "4:5 expect[0].check: missing"),
        ("expect:\n  - {name: a, check: b, otherwise: panic}\n", "4:36 expect[0].otherwise: "),
        ("expect:\n  - {name: a, check: b, max_fraction: 2}\n", "4:39 expect[0].max_fraction: "),
        ("expect:\n  - {name: a b, check: b}\n", "4:12 expect[0].name: "),
        ("expect:\n  - {name: a, check: b, when: c}\n", "4:25 expect[0].when: unknown key"),
        ("expect:\n  - {name: a, check: b}\n  - {name: c, check: b}\n  - {name: a, check: c}\n",
         "6:12 expect[2].name: 'a' is the name of expectation 0 too"),
        ("quarantine: silver.q\n", "3:13 quarantine: expected a mapping, got 'silver.q'"),
        ("quarantine: {max_fraction: -1}\n", "3:28 quarantine.max_fraction: "),
        ("quarantine: {raw: often}\n", "3:19 quarantine.raw: "),
        ("quarantine: {tabel: silver.q}\n", "3:14 quarantine.tabel: unknown key; did you mean 'table'?"),
        ("quarantine: {table: q}\n", "3:21 quarantine.table: "),
        ("quarantine: {table: silver.orders}\n",
         "3:21 quarantine.table: silver.orders is not beside the sink's table silver.orders"),
    ],
)  # fmt: skip
def test_a_wrong_rule_is_told_at_its_place(loaded: Load, faults_of: Faults, rules: str, fault: str) -> None:
    found = faults_of(lambda: loaded(rules))
    assert len(found) == 1
    assert found[0].startswith(fault)


def test_the_quarantine_lies_beside_the_table_unless_it_is_named(loaded: Load, tmp_path: Path) -> None:
    found = loaded().sink
    assert (found.quarantine, found.quarantine_url) == (
        "silver.orders__quarantine",
        f"{tmp_path}/lake/silver/orders__quarantine",
    )
    named = loaded("quarantine: {table: ops.bad}\n").sink
    assert (named.quarantine, named.quarantine_url) == ("ops.bad", f"{tmp_path}/lake/ops/bad")
    by_path = loaded(sink="sink: {type: delta, path: out/orders/}\n").sink
    assert by_path.quarantine_url == f"{tmp_path}/out/orders__quarantine"


def test_a_pipeline_is_wired_with_its_rules(loaded: Load, tmp_path: Path) -> None:
    rules = (
        "expect: [{name: young, check: _source_modified_at IS NOT NULL}]\nquarantine: {max_fraction: 0.1, raw: false}\n"
    )
    spec = loaded(rules, ", schema: {id: int64}", "sink: {type: delta, table: silver.orders, provenance: false}\n")
    flow = wire(spec, default_project(tmp_path), Seam()).flow
    assert flow.contract == STRICT
    assert flow.source.site.contract == STRICT  # type: ignore[attr-defined]
    assert flow.system == ("_source_file", "_source_offset", "_source_modified_at")
    assert flow.quarantine is not None
    assert (flow.quarantine.keeps_raw, flow.quarantine.max_fraction) == (False, 0.1)
    assert flow.quarantine.sink.table == "silver.orders__quarantine"
    assert list(flow.sinks) == ["quarantine", "main"]
    assert flow.quarantine.sink._site.provenance == PROVENANCE_COLUMNS  # type: ignore[attr-defined]


def test_a_check_that_cannot_be_asked_is_a_fault_at_its_place(loaded: Load, faults_of: Faults, tmp_path: Path) -> None:
    rules = "expect:\n  - {name: a, check: id > 0}\n  - {name: b, check: idd > 0}\n"
    spec = loaded(rules, ", schema: {id: int64}")
    (fault,) = faults_of(lambda: check_plan(spec, wire(spec, default_project(tmp_path), Seam())))
    assert fault.startswith("5:15 expect[1].check: ")
    assert "idd" in fault


def hash_of(spec: PipelineSpec, folder: Path) -> str:
    return definition_hash(spec, default_project(folder))


def test_the_definition_of_a_pipeline_without_rules_is_what_it_always_was(write: Write, tmp_path: Path) -> None:
    write("pipelines/orders.yml", ORDERS)  # what releases without these keys made of it
    spec = load_pipelines(default_project(tmp_path))[0]
    assert hash_of(spec, tmp_path) == "86b1fa129f40c2f201852067d9c6328a5421df8489f146a01428373ad2326ad7"


@pytest.mark.parametrize(
    ("rules", "source"),
    [
        ("expect: []\n", ""),
        ("quarantine: {raw: true}\n", ""),
        ("", ", schema_contract: evolve"),
        ("", ", schema_contract: {missing_columns: null}"),
    ],
)
def test_saying_a_default_changes_no_definition(loaded: Load, tmp_path: Path, rules: str, source: str) -> None:
    assert hash_of(loaded(rules, source), tmp_path) == hash_of(loaded(), tmp_path)


def test_each_rule_changes_the_definition(loaded: Load, tmp_path: Path) -> None:
    found = [
        loaded(),
        loaded("expect: [{name: a, check: id > 0}]\n"),
        loaded("expect: [{name: a, check: id > 1}]\n"),
        loaded("expect: [{name: a, check: id > 1, otherwise: drop}]\n"),
        loaded("quarantine: {max_fraction: 0.5}\n"),
        loaded("quarantine: {table: ops.bad}\n"),
        loaded("", ", schema_contract: strict"),
        loaded("", ", schema_contract: rescue"),
    ]
    assert len({hash_of(spec, tmp_path) for spec in found}) == len(found)


def pipeline(source: str, table: str, more: str = "") -> str:
    return f"source: {{type: files, path: {source}}}\nsink: {{type: delta, table: {table}}}\n{more}"


@pytest.mark.parametrize(
    ("first", "second", "fault"),
    [
        (pipeline("x", "s.a", "quarantine: {table: s.q}\n"), pipeline("x", "s.b", "quarantine: {table: s.q}\n"),
         "3:21 quarantine.table: s.q is written by pipelines/a.yml too"),
        (pipeline("x", "s.a"), pipeline("x", "s.b", "quarantine: {table: S.A}\n"),
         "3:21 quarantine.table: S.A is written by pipelines/a.yml too"),
        (pipeline("x", "s.a"), pipeline("x", "s.a__quarantine"),
         "2:28 sink.table: s.a__quarantine is written by pipelines/a.yml too"),
        (pipeline("x", "s.a__quarantine"), pipeline("x", "s.a"),
         "2:28 sink.table: s.a__quarantine is written by pipelines/a.yml too"),
        (pipeline("x", "s.a"), pipeline("x", "s.a"), "2:28 sink.table: s.a is written by pipelines/a.yml too"),
        (pipeline("x", "s.a"), pipeline("lake/s/b__quarantine", "s.b"),
         "1:29 source.path: reads its own quarantine (s.b__quarantine): rejected rows would come back"),
    ],
)  # fmt: skip
def test_tables_that_rejected_rows_go_to_belong_to_one_pipeline(
    write: Write, tmp_path: Path, faults_of: Faults, first: str, second: str, fault: str
) -> None:
    write("pipelines/a.yml", first)
    write("pipelines/b.yml", second)
    assert faults_of(lambda: load_pipelines(default_project(tmp_path))) == [fault]


def test_a_pipeline_that_reads_the_quarantine_of_another_comes_after_it(write: Write, tmp_path: Path) -> None:
    write("pipelines/a.yml", pipeline("lake/s/z__quarantine", "s.a"))
    write("pipelines/z.yml", pipeline("landing", "s.z"))
    assert [spec.name for spec in load_pipelines(default_project(tmp_path))] == ["z", "a"]


def test_a_declared_schema_has_no_column_of_rescued_data(loaded: Load, faults_of: Faults) -> None:
    assert faults_of(lambda: loaded(source=", schema: {_rescued_data: string}")) == [
        "1:41 source.schema._rescued_data: the name of a system column"
    ]
