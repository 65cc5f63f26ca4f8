"""Log files in memory for the tests of formats."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import Any, NamedTuple

import polars as pl

from etl.formats.contract import Chunk, FileOpener
from etl.formats.log_formats import format_from
from etl.schema_contract import EVOLVE, SchemaContract

WRITTEN_AT = datetime(2024, 3, 5, 10, 20, 30, tzinfo=UTC)


class Found(NamedTuple):
    """What a file holds: rows with their offset behind the values, and rejects as offset, line, rule, reason, raw."""

    rows: list[tuple[Any, ...]]
    rejects: list[tuple[int, int, str, str, bytes]]


def opener(content: bytes, **bounds: Any) -> FileOpener:
    return FileOpener("in/f.log", len(content), lambda: io.BytesIO(content), **{"modified_at": WRITTEN_AT, **bounds})


def read(
    form: Any,
    content: bytes,
    schema: Any = None,
    *,
    contract: SchemaContract = EVOLVE,
    options: Any = None,
    **bounds: Any,
) -> Found:
    """Return what a file holds; without ``schema`` in the columns that a survey finds."""
    made, file = format_from(form, options, contract), opener(content, **bounds)
    schema = schema or made.survey(file, None).schema
    found = Found([], [])
    for task in made.tasks(file, schema):
        for chunk in task():
            take(chunk, list(schema), found)
    return found


def take(chunk: Chunk, names: list[str], found: Found) -> None:
    assert chunk.frame.columns == names
    assert chunk.rows == len(chunk.offsets)
    assert chunk.rows == chunk.frame.height or not names
    found.rows.extend(chunk.frame.with_columns(chunk.offsets).rows())
    if chunk.rejects is not None:
        assert chunk.rejects["form"].eq("text").all()
        found.rejects.extend(chunk.rejects.select("_source_offset", "line", "rule", "reason", "raw").rows())


def parsed(form: Any, *lines: str, options: Any = None) -> list[dict[str, Any] | str]:
    """Return each line as its columns, or why it is none."""
    result = format_from(form, options).way.parser.parse(pl.Series(lines, dtype=pl.String), WRITTEN_AT)
    reasons = [None] * len(lines) if result.reasons is None else result.reasons.to_list()
    return [reason or row for reason, row in zip(reasons, result.frame.rows(named=True), strict=True)]
