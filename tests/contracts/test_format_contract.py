"""What every format promises, over every format and every policy."""

from __future__ import annotations

import gzip
import io
import json
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import polars as pl
import pytest

from etl.errors import RowError, SchemaDriftError, UnreadableFileError
from etl.formats import FORMATS, Chunk, FileOpener
from etl.formats.log_formats import LOG_FORMATS
from etl.model import Schema
from etl.rejects import reject_schema
from etl.schema import to_polars
from etl.schema_contract import EVOLVE, RESCUE, STRICT, SchemaContract, Survey
from tests.contracts.format_samples import NESTED, NESTED_ROWS, TABULAR, TYPED, nested, rows_of, schema_of, written
from tests.unit.formats.files import made, opener, read, survey

FIRST = {"text": "line", "binary": "content"}
KNOWN: dict[str, Schema] = {"text": {"x": "string"}, "binary": {"x": "string"}}
"""A schema that lacks a column of the format's; the others know ``id`` and not ``note``."""

REJECTS = [column for column in reject_schema() if column != "_source_file"]
HOSTILE = "in/a b\n'\"%s{0}[x]*?:: ü\udcff.d"


class Opens:
    """A file that knows which of its handles are open."""

    def __init__(self, content: bytes) -> None:
        self.handles: list[io.BytesIO] = []
        self.file = FileOpener("in/f", len(content), lambda: self._open(content), chunk_bytes=1000)

    def _open(self, content: bytes) -> io.BytesIO:
        self.handles.append(io.BytesIO(content))
        return self.handles[-1]


@pytest.fixture(params=[name for name in FORMATS if name not in LOG_FORMATS])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


tabular = pytest.mark.parametrize("name", [name for name in FORMATS if name in TABULAR])


def chunks(name: str, file: FileOpener, schema: Schema, contract: SchemaContract = EVOLVE) -> list[Chunk]:
    """Return everything that the format reads."""
    return [chunk for task in made(name, contract).tasks(file, schema) for chunk in task()]


def test_rows_come_whole_in_order_with_rising_offsets(name: str) -> None:
    found = chunks(name, Opens(written(name)).file, schema_of(name))
    assert [row for chunk in found for row in chunk.frame.rows(named=True)] == rows_of(name)
    assert [chunk.rows for chunk in found] == [chunk.frame.height for chunk in found]
    offsets = [offset for chunk in found for offset in chunk.offsets]
    assert offsets == sorted(set(offsets))
    assert len(offsets) == len(rows_of(name))
    assert all(chunk.rejects is None or chunk.rejects.is_empty() for chunk in found)


def test_frame_has_the_reading_schema_and_offsets_their_name(name: str) -> None:
    schema: Schema = {"late": "timestamp(UTC)", **schema_of(name), "m": "decimal(5,2)", "s": {"struct": {"x": "int8"}}}
    schema = schema if name not in ("csv", "tsv") else {key: tree for key, tree in schema.items() if key != "s"}
    for chunk in chunks(name, Opens(written(name)).file, schema):
        assert chunk.frame.schema == to_polars(schema)
        assert chunk.offsets.name == "_source_offset"
        assert chunk.offsets.dtype == pl.Int64
        assert len(chunk.offsets) == chunk.frame.height
        assert chunk.frame["late"].null_count() == chunk.rows


def test_tasks_may_run_in_any_order_thread_and_number(name: str) -> None:
    tasks = list(made(name).tasks(Opens(written(name)).file, schema_of(name)))
    expected = [chunk.offsets.to_list() for task in tasks for chunk in task()]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda task: [chunk.offsets.to_list() for chunk in task()], [*reversed(tasks), *tasks]))
    assert [offsets for result in results[len(tasks) :] for offsets in result] == expected


def test_surveyed_schema_reads_the_file_and_is_surveyed_again(name: str) -> None:
    file = opener(written(name))
    found = survey(name, file)
    assert found == Survey(schema_of(name))
    assert survey(name, file, found) == found
    assert len(read(name, file, found.schema).rows) == len(rows_of(name))


def test_every_handle_is_closed(name: str) -> None:
    opens = Opens(written(name))
    chunks(name, opens.file, schema_of(name))
    made(name).survey(opens.file, None)
    with pytest.raises(SchemaDriftError):
        chunks(name, opens.file, KNOWN.get(name, {"id": "string"}))
    assert opens.handles
    assert all(handle.closed for handle in opens.handles)


def test_column_that_the_schema_lacks_is_drift_that_a_survey_mends(name: str) -> None:
    file, known = opener(written(name)), KNOWN.get(name, {"id": "string"})
    with pytest.raises(SchemaDriftError):
        read(name, file, known)
    assert survey(name, file, known).schema == {**known, **schema_of(name)}


def test_column_that_the_schema_lacks_is_ignored_rescued_or_sets_its_rows_aside(name: str) -> None:
    file, lacking, total = opener(written(name)), FIRST.get(name, "note"), len(rows_of(name))
    known: Schema = {column: tree for column, tree in schema_of(name).items() if column != lacking} or {"x": "string"}
    ignored = read(name, file, known, SchemaContract("ignore"))
    assert (len(ignored.rows), ignored.rejects) == (total, [])
    assert [set(row[:-1]) for row in ignored.rows] == [
        {value for column, value in row.items() if column in known} or {None} for row in rows_of(name)
    ]

    set_aside = read(name, file, known, STRICT)
    assert (set_aside.rows, len(set_aside.rejects)) == ([], total)
    assert {each["rule"] for each in set_aside.rejects} == {"new_column"}
    with pytest.raises(RowError, match=r"^in/f"):
        read(name, file, known, SchemaContract("fail"))

    rescued = read(name, file, {**known, "_rescued_data": "string"}, RESCUE)
    assert (len(rescued.rows), rescued.rejects) == (total, [])
    values = [row.get(lacking) for row in rows_of(name)]
    if name != "binary":
        found = [json.loads(row[-2]).get(lacking) if row[-2] else None for row in rescued.rows]
        assert found == values
    for contract in (SchemaContract("ignore"), STRICT, RESCUE):
        assert survey(name, file, known, contract).schema == known


def test_column_that_the_file_lacks_is_null_or_sets_its_rows_aside(name: str) -> None:
    file, total = opener(written(name)), len(rows_of(name))
    known: Schema = {**schema_of(name), "z": "string"}
    found = read(name, file, known)
    assert ([row[-2] for row in found.rows], found.rejects) == ([None] * total, [])
    set_aside = read(name, file, known, SchemaContract("evolve", "widen", "quarantine"))
    assert (set_aside.rows, len(set_aside.rejects)) == ([], total)
    assert {each["rule"] for each in set_aside.rejects} == {"missing_column"}
    with pytest.raises(RowError, match=r"^in/f"):
        read(name, file, known, SchemaContract("evolve", "widen", "fail"))


@tabular
def test_value_that_its_column_cannot_hold_sets_its_row_aside_or_is_rescued(name: str) -> None:
    file = opener(written(name))
    known: Schema = {"id": "string", "note": "int64"}
    fitting = [row["id"] for row in rows_of(name) if row["note"] is None]
    for contract in (EVOLVE, STRICT):
        set_aside = read(name, file, known, contract)
        assert [row[0] for row in set_aside.rows] == fitting
        assert {each["rule"] for each in set_aside.rejects} == {"type"}
        assert len(set_aside.rejects) == len(rows_of(name)) - len(fitting)
        assert survey(name, file, known, contract).schema == known
    rescued = read(name, file, {**known, "_rescued_data": "string"}, RESCUE)
    assert [row[:2] for row in rescued.rows] == [(row["id"], None) for row in rows_of(name)]
    assert [row[2] and json.loads(row[2]) for row in rescued.rows] == [
        row["note"] and {"note": row["note"]} for row in rows_of(name)
    ]
    with pytest.raises(RowError, match=r"^in/f"):
        read(name, file, known, SchemaContract("fail", "fail", "null"))


POLICIES = [
    SchemaContract(*each)  # type: ignore[arg-type]
    for each in product(
        ("evolve", "rescue", "ignore", "quarantine", "fail"),
        ("widen", "rescue", "quarantine", "fail"),
        ("null", "quarantine", "fail"),
    )
]


def settled(name: str, file: FileOpener, known: Schema, contract: SchemaContract) -> tuple[list[Any], list[Any]]:
    """Return rows and rejects, the schema evolved where the format asks for it."""
    kind = made(name, contract)
    reading = {**known, "_rescued_data": "string"} if contract.rescues else known
    for schema in (reading, kind.survey(file, Survey(reading)).schema):
        try:
            found = [chunk for task in kind.tasks(file, schema) for chunk in task()]
        except SchemaDriftError:
            continue
        for chunk in found:
            if chunk.rejects is not None:
                assert chunk.rejects.columns == REJECTS
                told = chunk.rejects.select("raw", "form", "_source_offset", "rule", "reason")
                assert told.null_count().row(0) == (0,) * 5
        good = [offset for chunk in found for offset in chunk.offsets]
        bad = [offset for chunk in found if chunk.rejects is not None for offset in chunk.rejects["_source_offset"]]
        return good, bad
    pytest.fail("the survey did not settle the schema")


@pytest.mark.parametrize(
    "contract", POLICIES, ids=lambda each: f"{each.new_columns}-{each.type_change}-{each.missing_columns}"
)
@tabular
def test_every_row_comes_out_once_under_every_contract(name: str, contract: SchemaContract) -> None:
    file = opener(written(name, 12))
    every = [row[-1] for row in read(name, file, schema_of(name)).rows]
    for known in (
        {"note": "int64"},
        {"id": "string", "note": "string", "z": "int8"},
        {"id": "string", "note": "boolean"},
    ):
        try:
            good, bad = settled(name, file, known, contract)  # type: ignore[arg-type]
        except RowError:
            assert "fail" in (contract.new_columns, contract.type_change, contract.missing_columns)
            continue
        if name in ("csv", "tsv"):  # rows count, rejects tell their byte
            assert len(good) + len(set(bad)) == len(every)
        else:
            assert sorted(good + bad) == every
        assert good == sorted(set(good))


def test_empty_file_has_no_rows_or_cannot_be_read(name: str) -> None:
    if name in TYPED:
        for act in (lambda: read(name, b"", schema_of(name)), lambda: survey(name, b"")):
            with pytest.raises(UnreadableFileError, match=r"^in/f: "):
                act()
    else:
        found = read(name, b"", schema_of(name))
        assert (len(found.rows), found.rejects) == (1 if name == "binary" else 0, [])
        survey(name, b"")


def test_damaged_file_is_named_whatever_its_name(name: str) -> None:
    if name == "binary":
        return
    file = opener(gzip.compress(written(name))[:-1], path=HOSTILE)
    for act in (lambda: read(name, file, schema_of(name)), lambda: survey(name, file)):
        with pytest.raises(UnreadableFileError) as failure:
            act()
        assert failure.value.path == HOSTILE
        assert str(failure.value).startswith(HOSTILE)


nesting = pytest.mark.parametrize("name", [name for name in FORMATS if name in NESTED])
WHOLE: Schema = {"s": {"struct": {"x": "int64", "y": "string"}}, "l": {"list": {"struct": {"x": "int64"}}}}


@nesting
def test_nested_rows_are_read_and_surveyed(name: str) -> None:
    file = opener(nested(name))
    assert survey(name, file).schema == WHOLE
    assert [{"s": row[0], "l": row[1]} for row in read(name, file, WHOLE).rows] == NESTED_ROWS


@nesting
def test_policies_hold_inside_structs_and_lists(name: str) -> None:
    file, total = opener(nested(name)), len(NESTED_ROWS)
    lacking: Schema = {"s": {"struct": {"x": "int64"}}, "l": {"list": {"struct": {"x": "int64"}}}}
    with pytest.raises(SchemaDriftError):
        read(name, file, lacking)
    assert survey(name, file, lacking).schema == WHOLE
    ignored = read(name, file, lacking, SchemaContract("ignore"))
    assert [row[0] for row in ignored.rows] == [{"x": number} for number in range(total)]
    assert {each["rule"] for each in read(name, file, lacking, STRICT).rejects} == {"new_column"}
    rescued = read(name, file, {**lacking, "_rescued_data": "string"}, RESCUE)
    assert [json.loads(row[2]) for row in rescued.rows] == [{"s": {"y": f"y{number}"}} for number in range(total)]

    narrow: Schema = {**WHOLE, "l": {"list": {"struct": {"x": "boolean"}}}}
    assert {each["rule"] for each in read(name, file, narrow, STRICT).rejects} == {"type"}
    more: Schema = {**WHOLE, "l": {"list": {"struct": {"x": "int64", "z": "date"}}}}
    contract = SchemaContract("evolve", "widen", "quarantine")
    assert {each["rule"] for each in read(name, file, more, contract).rejects} == {"missing_column"}
