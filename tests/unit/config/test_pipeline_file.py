from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from etl.config.loader import load_pipelines
from etl.config.specification import PipelineSpec
from etl.model import ReadLimit
from etl.project import default_project
from tests.unit.config.conftest import ArchiveTo, FolderOptions, KeysOptions

Faults = Callable[[Callable[[], object]], list[str]]
ORDERS = """
    version: 1
    description: Orders, cleaned.
    source:
      type: files
      path: landing/orders/*.jsonl
      schema: {id: int64, amount: "decimal(18,2)"}
      batch: {max_bytes: 1MB}
      stable_for: 5s
      after_commit: {archive: done}
    transforms:
      - filter: amount >= 0
      - deduplicate: {keys: [id], within: 1h}
    sink: {type: delta, table: silver.orders}
    trigger: once
"""


@pytest.fixture
def loaded(write: Callable[[str, str], Path], tmp_path: Path) -> Callable[[str], PipelineSpec]:
    def load(text: str) -> PipelineSpec:
        write("pipelines/orders.yml", text)
        return load_pipelines(default_project(tmp_path))[0]

    return load


def test_a_whole_pipeline_file_is_read(loaded: Callable[[str], PipelineSpec], tmp_path: Path) -> None:
    spec = loaded(ORDERS)
    assert (spec.name, spec.description, spec.trigger) == ("orders", "Orders, cleaned.", "once")
    assert spec.source.schema == {"id": "int64", "amount": "decimal(18,2)"}
    assert spec.source.limit == ReadLimit(max_files=1000, max_bytes=1_000_000)
    assert isinstance(spec.source.options, FolderOptions)
    assert spec.source.options.after_commit == ArchiveTo(archive="done")
    assert spec.source.options.stable_for == 5.0
    assert [(step.key, step.index) for step in spec.transforms] == [("filter", 0), ("deduplicate", 1)]
    assert spec.transforms[1].options == KeysOptions.model_validate({"keys": ["id"], "within": "1h"})
    assert (spec.sink.table, spec.sink.url) == ("silver.orders", f"{tmp_path}/lake/silver/orders")
    assert spec.reads == (f"{tmp_path}/landing/orders/*.jsonl",)


def test_a_minimal_pipeline_has_defaults(loaded: Callable[[str], PipelineSpec]) -> None:
    spec = loaded("source: {type: files, path: a}\nsink: {type: delta, path: s3://company/t}\n")
    assert (spec.name, spec.trigger, spec.transforms, spec.source.schema) == ("orders", "available_now", (), None)
    assert spec.source.limit == ReadLimit(max_files=1000, max_bytes=256_000_000)
    assert (spec.sink.table, spec.sink.url) == ("s3://company/t", "s3://company/t")


def test_faults_are_all_told_at_once_in_the_layout_of_the_command_line(
    loaded: Callable[[str], PipelineSpec],
) -> None:
    text = """
        version: 1
        source:
          type: fiels
          path: a
        transforms:
          - deduplicate:
              keep: first
        sink:
          type: delta
          write_mode: merge
    """
    with pytest.raises(Exception, match="4 problems") as caught:
        loaded(text)
    assert str(caught.value) == dedent("""\
        pipelines/orders.yml: 4 problems
          3:9    source.type: unknown source 'fiels'; did you mean 'files'?
          6:5    transforms[0].deduplicate.keys: missing
          7:7    transforms[0].deduplicate.keep: unknown key; known: keys, within
          10:15  sink.write_mode: unknown value 'merge'; known: append""")


GOOD_SOURCE = "source: {type: files, path: a}\n"
GOOD_SINK = "sink: {type: delta, table: silver.orders}\n"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("version: 2\n" + GOOD_SOURCE + GOOD_SINK, "1:10 version: only version 1 is known, got 2"),
        ("version: true\n" + GOOD_SOURCE + GOOD_SINK, "1:10 version: only version 1 is known, got true"),
        ("name: a/b\n" + GOOD_SOURCE + GOOD_SINK, None),
        (GOOD_SOURCE, "1:1 sink: missing"),
        (GOOD_SINK, "1:1 source: missing"),
        ("source: [a]\n" + GOOD_SINK, "1:9 source: expected a mapping, got a list"),
        ("source:\n" + GOOD_SINK, "1:8 source: expected a mapping, got null"),
        ("source: {path: a}\n" + GOOD_SINK, "1:1 source.type: missing"),
        ("source: {type: 3, path: a}\n" + GOOD_SINK, "1:16 source.type: expected text, got 3"),
        ("source: {type: kafka}\n" + GOOD_SINK, "1:16 source.type: unknown source 'kafka'; known: files"),
        ("source: {type: files, path: a, stable_for: 5}\n" + GOOD_SINK,
         "1:44 source.stable_for: not a duration; write 500ms, 30s, 5m, 2h or 7d, got 5"),
        ("source: {type: files, path: a, stable_for: 1.5}\n" + GOOD_SINK,
         "1:44 source.stable_for: not a duration; write 500ms, 30s, 5m, 2h or 7d, got 1.5"),
        ("source: {type: files, path: a, include: b}\n" + GOOD_SINK, "1:41 source.include: expected a list, got 'b'"),
        ("source: {type: files, include: [a, 2]}\n" + GOOD_SINK, "1:36 source.include[1]: expected text, got 2"),
        ("source: {type: files, path: a, after_commit: kepe}\n" + GOOD_SINK,
         "1:46 source.after_commit: unknown value 'kepe'; did you mean 'keep'?"),
        ("source: {type: files, path: a, after_commit: 12}\n" + GOOD_SINK,
         "1:46 source.after_commit: expected 'keep' or 'delete' or a mapping, got 12"),
        ("source: {type: files, path: a, after_commit: {archive: 12}}\n" + GOOD_SINK,
         "1:56 source.after_commit.archive: expected text, got 12"),
        ("source: {type: files, path: a, batch: {max_files: 0}}\n" + GOOD_SINK,
         "1:51 source.batch.max_files: expected at least 1, got 0"),
        ("source: {type: files, path: a, batch: {max_files: '1'}}\n" + GOOD_SINK,
         "1:51 source.batch.max_files: expected a whole number, got '1'"),
        ("source: {type: files, path: a, batch: {max_bytes: 1MiB}}\n" + GOOD_SINK,
         "1:51 source.batch.max_bytes: not a size; write 64KB, 256MB or 2GB, got '1MiB'"),
        ("source: {type: files, path: a, format: csv, batch: {max_rows: 5}}\n" + GOOD_SINK,
         "1:63 source.batch.max_rows: rows of csv are not known before reading; use max_bytes"),
        ("source: {type: files, path: a, schema: {}}\n" + GOOD_SINK,
         "1:40 source.schema: expected at least 1 entries, got a mapping"),
        ("source: {type: files, path: a, schema: {a: 3}}\n" + GOOD_SINK, "1:44 source.schema.a: expected text, got 3"),
        ("source: {type: files, path: a, schema: {_batch_id: int64}}\n" + GOOD_SINK,
         "1:41 source.schema._batch_id: the name of a system column"),
        (GOOD_SOURCE + "transforms: {filter: a}\n" + GOOD_SINK, "2:13 transforms: expected a list, got a mapping"),
        (GOOD_SOURCE + "transforms: [filter]\n" + GOOD_SINK, "2:14 transforms[0]: expected a mapping, got 'filter'"),
        (GOOD_SOURCE + "transforms: [{filter: a, python: b}]\n" + GOOD_SINK,
         "2:14 transforms[0]: expected one key, got filter, python; each entry of the list is one transform"),
        (GOOD_SOURCE + "transforms: [{}]\n" + GOOD_SINK,
         "2:14 transforms[0]: expected one key, got none; each entry of the list is one transform"),
        (GOOD_SOURCE + "transforms: [{fliter: a}]\n" + GOOD_SINK,
         "2:15 transforms[0].fliter: unknown transform 'fliter'; did you mean 'filter'?"),
        (GOOD_SOURCE + "transforms: [{filter: [a, 1]}]\n" + GOOD_SINK,
         "2:27 transforms[0].filter[1]: expected text, got 1"),
        (GOOD_SOURCE + "sink: {type: delta}\n", "2:1 sink: give either table or path"),
        (GOOD_SOURCE + "sink: {type: delta, table: a.b, path: c}\n", "2:1 sink: give either table or path"),
        (GOOD_SOURCE + "sink: {type: delta, table: orders}\n", None),
        (GOOD_SOURCE + GOOD_SINK + "trigger: always\n",
         "3:10 trigger: unknown value 'always'; known: available_now, once, continuous"),
        (GOOD_SOURCE + GOOD_SINK + "trigger: [at, noon]\n",
         "3:10 trigger: unknown value a list; known: available_now, once, continuous"),
        (GOOD_SOURCE + GOOD_SINK + "description: 12\n", "3:14 description: expected text, got 12"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_told_in_our_words_at_its_place(
    loaded: Callable[[str], PipelineSpec], faults_of: Faults, text: str, fault: str | None
) -> None:
    found = faults_of(lambda: loaded(text))
    assert len(found) == 1
    assert fault is None or found == [fault]


@pytest.mark.parametrize("key", ["outlets", "schema_contract", "watermark"])
def test_what_is_not_offered_is_an_unknown_key(
    loaded: Callable[[str], PipelineSpec], faults_of: Faults, key: str
) -> None:
    (fault,) = faults_of(lambda: loaded(f"{GOOD_SOURCE}{GOOD_SINK}{key}: []\n"))
    assert fault.startswith(f"3:1 {key}: unknown key; ")
    assert fault.endswith(
        "known: version, name, description, source, sources, transforms, sink, sinks, trigger, isolation, expect, "
        "quarantine, sla, tests"
    )


def test_unknown_keys_of_a_source_are_told_with_those_that_every_source_has(
    loaded: Callable[[str], PipelineSpec], faults_of: Faults
) -> None:
    known = "type, schema, schema_contract, batch, path, include, format, stable_for, after_commit"
    assert faults_of(lambda: loaded("source: {type: files, path: a, starting: latest}\n" + GOOD_SINK)) == [
        f"1:32 source.starting: unknown key; known: {known}"
    ]


def test_a_wrong_type_word_of_a_column_is_told_at_the_column(
    loaded: Callable[[str], PipelineSpec], faults_of: Faults
) -> None:
    (fault,) = faults_of(lambda: loaded("source: {type: files, path: a, schema: {id: itn64}}\n" + GOOD_SINK))
    assert fault.startswith("1:45 source.schema.id: ")
    assert "int64" in fault


def test_faults_of_the_yaml_itself_are_told_with_the_others(
    loaded: Callable[[str], PipelineSpec], faults_of: Faults
) -> None:
    text = "source: {type: files, path: a, path: b}\nsink: {type: delta, table: !t silver.orders, mode: x}\n"
    assert faults_of(lambda: loaded(text)) == [
        "1:32 duplicate key 'path'; the first is at 1:23",
        "2:28 tag '!t'; tags are not allowed",
        "2:46 sink.mode: unknown key; known: type, name, columns, table, path, write_mode, provenance, password",
    ]
