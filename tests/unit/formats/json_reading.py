"""What the JSON formats make of bytes, in plain values."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any

from etl.formats.contract import FileOpener
from etl.formats.json_document import Json
from etl.formats.ndjson import Ndjson
from etl.schema_contract import EVOLVE, SchemaContract, Survey

FORMATS: dict[str, type[Ndjson | Json]] = {"ndjson": Ndjson, "json": Json}


@dataclass
class Read:
    """Rows with their offsets behind the values; rejects as offset, line, rule, raw; their reasons."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    rejects: list[tuple[int, int, str, bytes]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    wide: frozenset[str] = frozenset()


def opener(content: bytes, **bounds: Any) -> FileOpener:
    """Return a file of these bytes."""
    return FileOpener("in/f", len(content), lambda: io.BytesIO(content), **bounds)


def read(
    content: bytes,
    schema: Any,
    contract: SchemaContract = EVOLVE,
    *,
    wide: frozenset[str] = frozenset(),
    name: str = "ndjson",
    **bounds: int,
) -> Read:
    """Return what reading finds."""
    found = Read()
    for task in FORMATS[name](contract=contract).tasks(opener(content, **bounds), schema, wide):
        for chunk in task():
            assert list(chunk.frame.columns) == list(schema)
            assert chunk.rows == chunk.frame.height == len(chunk.offsets)
            found.rows += chunk.frame.with_columns(chunk.offsets).rows()
            found.wide |= chunk.wide
            if chunk.rejects is not None:
                columns = ["_source_offset", "line", "rule", "raw"]
                found.rejects += chunk.rejects.select(columns).rows()
                found.reasons += chunk.rejects["reason"].to_list()
                assert set(chunk.rejects["form"]) == {"text"}
    return found


def survey(
    content: bytes,
    known: Any = None,
    contract: SchemaContract = EVOLVE,
    *,
    wide: frozenset[str] = frozenset(),
    name: str = "ndjson",
    **bounds: int,
) -> Survey:
    """Return what a survey finds."""
    before = None if known is None else Survey(known, wide)
    return FORMATS[name](contract=contract).survey(opener(content, **bounds), before)
