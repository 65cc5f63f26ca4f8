"""What every format promises, over every format."""

from __future__ import annotations

import csv
import io
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from etl.errors import SchemaDriftError
from etl.formats import FORMATS, Chunk, FileOpener
from etl.formats.log_formats import LOG_FORMATS
from etl.model import Schema
from etl.schema import to_polars

ROWS = [{"id": f"r{number}", "note": None if number % 5 == 0 else f"n {number}"} for number in range(500)]
SCHEMA: Schema = {"id": "string", "note": "string"}


def written(name: str, rows: list[dict[str, Any]]) -> bytes:
    """Return the rows as bytes of the format."""
    if name == "ndjson":
        return "".join(json.dumps(row) + "\n" for row in rows).encode()
    if name == "parquet":
        stream = io.BytesIO()
        pq.write_table(
            pa.Table.from_pylist(rows, schema=pa.schema([("id", pa.string()), ("note", pa.string())])), stream
        )
        return stream.getvalue()
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, ["id", "note"], delimiter="\t" if name == "tsv" else ",")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


class Opens:
    """A file that counts how many handles are open."""

    def __init__(self, content: bytes) -> None:
        self.still_open: list[io.BytesIO] = []
        self.file = FileOpener("f", len(content), lambda: self._open(content), chunk_bytes=1000)

    def _open(self, content: bytes) -> io.BytesIO:
        self.still_open.append(io.BytesIO(content))
        return self.still_open[-1]


@pytest.fixture(params=[name for name in FORMATS if name not in LOG_FORMATS])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def chunks(name: str, file: FileOpener, schema: dict[str, Any]) -> list[Chunk]:
    """Return everything that the format reads."""
    return [chunk for task in FORMATS[name]().tasks(file, schema) for chunk in task()]


def test_rows_come_whole_in_order_with_rising_offsets(name: str) -> None:
    found = chunks(name, Opens(written(name, ROWS)).file, SCHEMA)
    assert [row for chunk in found for row in chunk.frame.rows(named=True)] == ROWS
    offsets = [offset for chunk in found for offset in chunk.offsets]
    assert offsets == sorted(set(offsets))
    assert len(offsets) == 500
    assert offsets[0] == 0


def test_frame_has_the_reading_schema_and_offsets_their_name(name: str) -> None:
    schema: Schema = {"late": "timestamp(UTC)", "note": "string", "id": "string", "m": "decimal(5,2)"}
    for chunk in chunks(name, Opens(written(name, ROWS)).file, schema):
        assert chunk.frame.schema == to_polars(schema)
        assert chunk.offsets.name == "_source_offset"
        assert chunk.offsets.dtype == pl.Int64
        assert len(chunk.offsets) == chunk.frame.height


def test_tasks_may_run_in_any_order_thread_and_number(name: str) -> None:
    file = Opens(written(name, ROWS)).file
    tasks = list(FORMATS[name]().tasks(file, SCHEMA))
    expected = [chunk.offsets.to_list() for task in tasks for chunk in task()]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda task: [chunk.offsets.to_list() for chunk in task()], [*reversed(tasks), *tasks]))
    assert [offsets for result in results[len(tasks) :] for offsets in result] == expected


def test_inferred_schema_reads_the_file(name: str) -> None:
    opens = Opens(written(name, ROWS))
    schema = FORMATS[name]().infer(opens.file, None)
    assert schema == SCHEMA
    assert sum(chunk.frame.height for chunk in chunks(name, opens.file, schema)) == 500


def test_column_that_the_schema_lacks_is_drift_that_inference_mends(name: str) -> None:
    file = Opens(written(name, ROWS)).file
    with pytest.raises(SchemaDriftError):
        chunks(name, file, {"id": "string"})
    assert FORMATS[name]().infer(file, {"id": "string"}) == SCHEMA


def test_every_handle_is_closed(name: str) -> None:
    opens = Opens(written(name, ROWS))
    chunks(name, opens.file, SCHEMA)
    FORMATS[name]().infer(opens.file, None)
    with pytest.raises(SchemaDriftError):
        chunks(name, opens.file, {"id": "string"})
    assert opens.still_open
    assert all(handle.closed for handle in opens.still_open)
