"""The same rows as files of every format."""

from __future__ import annotations

import csv
import io
import json
from functools import cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tests.unit.formats.files import arrow, avro, parquet, xlsx

if TYPE_CHECKING:
    from etl.model import Schema

TABULAR = ("ndjson", "json", "csv", "tsv", "parquet", "avro", "arrow", "xlsx")
NESTED = ("ndjson", "json", "parquet", "avro", "arrow")
TYPED = ("parquet", "avro", "arrow", "xlsx")
"""Formats of which an empty file is none."""

ROWS = [{"id": f"r{number}", "note": None if number % 5 == 0 else f"n {number}"} for number in range(500)]
NESTED_ROWS = [{"s": {"x": number, "y": f"y{number}"}, "l": [{"x": number}]} for number in range(60)]


@cache
def written(name: str, count: int = 500) -> bytes:
    """Return the first of ``rows_of`` the format as one of its files."""
    rows = ROWS[:count]
    if name == "text":
        return "".join(f"{row['id']}\n" for row in rows).encode()
    if name == "binary":
        return b"\x00\xff bytes"
    if name == "xlsx":
        return xlsx([["id", "note"], *[[row["id"], row["note"]] for row in rows]])
    if name in ("csv", "tsv"):
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, ["id", "note"], delimiter="\t" if name == "tsv" else ",")
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue().encode()
    columns = {column: pa.array([row[column] for row in rows]) for column in ("id", "note")}
    return typed(name, rows, columns, {"id": "string", "note": ["null", "string"]})


@cache
def nested(name: str) -> bytes:
    """Return ``NESTED_ROWS`` as a file of a format that nests."""
    columns = {column: pa.array([row[column] for row in NESTED_ROWS]) for column in ("s", "l")}
    inner = [{"name": "x", "type": "long"}, {"name": "y", "type": "string"}]
    fields = {
        "s": {"type": "record", "name": "s", "fields": inner},
        "l": {"type": "array", "items": {"type": "record", "name": "i", "fields": inner[:1]}},
    }
    return typed(name, NESTED_ROWS, columns, fields)


def typed(name: str, rows: list[dict[str, Any]], columns: dict[str, pa.Array], fields: dict[str, Any]) -> bytes:
    """Return rows in a format that keeps their types."""
    if name == "ndjson":
        return "".join(json.dumps(row) + "\n" for row in rows).encode()
    if name == "json":
        return json.dumps(rows).encode()
    return avro(fields, rows) if name == "avro" else {"parquet": parquet, "arrow": arrow}[name](columns)


def rows_of(name: str) -> list[dict[str, Any]]:
    """Return what ``written`` holds."""
    if name == "text":
        return [{"line": row["id"]} for row in ROWS]
    return [{"content": written(name)}] if name == "binary" else ROWS


def schema_of(name: str) -> Schema:
    """Return the schema of what ``written`` holds."""
    if name in ("text", "binary"):
        return {"line": "string"} if name == "text" else {"content": "binary"}
    return {"id": "string", "note": "string"}
