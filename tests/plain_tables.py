"""Readers of plain Parquet tables that share no code with the library under test: records by hand, rows by DuckDB."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb

Row = dict[str, Any]


def recorded_files(table: Path) -> list[str]:
    """Return the data files that the records name, less those of app ids that another record replaces."""
    records = [json.loads(path.read_text())["body"] for path in sorted((table / "_commits").glob("*-*.json"))]
    gone = {app_id for record in records for app_id in record["replaces"]}
    live = [record for record in records if record["app_id"] not in gone]
    batches = [batch for record in live for batch in record.get("kept", [record])]
    return [str(table / file["path"]) for batch in batches for file in batch["tables"].get(batch["role"], ())]


def recorded_rows(table: Path) -> list[Row]:
    """Return every row of the files that the records name."""
    return file_rows(recorded_files(table))


def listed_files(table: Path) -> list[str]:
    """Return what a reader finds who only lists the folder."""
    with duckdb.connect() as connection:
        found = connection.sql("SELECT file FROM glob($pattern)", params={"pattern": f"{table}/**/*.parquet"})
        return sorted(path for (path,) in found.fetchall())


def listed_rows(table: Path) -> list[Row]:
    """Return every row that such a reader sees."""
    return file_rows(listed_files(table))


def file_rows(files: Sequence[str]) -> list[Row]:
    """Return the rows of files, the values of their folders among the columns."""
    if not files:
        return []
    query = "SELECT * FROM read_parquet($files, union_by_name=true, hive_partitioning=true, hive_types_autocast=false)"
    with duckdb.connect() as connection:
        found = connection.sql(query, params={"files": list(files)})
        names = [column[0] for column in found.description]
        return [dict(zip(names, values, strict=True)) for values in found.fetchall()]


def arrow_rows(table: Path, columns: Sequence[str]) -> list[Row]:
    """Return every row that pyarrow finds in the folder, in types that hold those of all files."""
    import pyarrow as pa
    import pyarrow.dataset as ds

    found = ds.dataset(table, format="parquet", partitioning="hive")
    schemas = [part.physical_schema for part in found.get_fragments()]
    schema = pa.unify_schemas([found.schema, *schemas], promote_options="permissive")
    whole = ds.dataset(table, format="parquet", partitioning="hive", schema=schema)
    rows: list[Row] = whole.to_table(columns=list(columns)).to_pylist()
    return rows


def multiset(rows: Sequence[Row], columns: Sequence[str]) -> Counter[tuple[Any, ...]]:
    """Return how often each row is there, by the values of these columns."""
    return Counter(tuple(row.get(name) for name in columns) for row in rows)
