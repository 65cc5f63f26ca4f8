"""Files in memory for the tests of formats."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from etl.formats import FORMATS, FileOpener

if TYPE_CHECKING:
    from etl.model import Schema


def opener(content: bytes, **bounds: int) -> FileOpener:
    """Return a file of these bytes."""
    return FileOpener("in/f", len(content), lambda: io.BytesIO(content), **bounds)


def read(
    name: str, content: bytes, schema: Any, options: dict[str, Any] | None = None, **bounds: int
) -> list[tuple[Any, ...]]:
    """Return the rows of a file, each with its offset behind the values."""
    model = FORMATS[name].options_model(**(options or {}))
    rows: list[tuple[Any, ...]] = []
    for task in FORMATS[name](model).tasks(opener(content, **bounds), schema):  # type: ignore[arg-type]
        for chunk in task():
            assert list(chunk.frame.columns) == list(schema)
            rows += chunk.frame.with_columns(chunk.offsets).rows()
    return rows


def infer(name: str, content: bytes, known: Any = None, **bounds: int) -> Schema:
    """Return the schema of a file."""
    return FORMATS[name]().infer(opener(content, **bounds), known)
