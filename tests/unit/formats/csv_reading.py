"""CSV in memory for tests: what was read, what was rejected."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from etl.formats.contract import FileOpener
from etl.formats.delimited import Csv, Tsv
from etl.rejects import reject_schema
from etl.schema import to_polars
from etl.schema_contract import EVOLVE, SchemaContract

if TYPE_CHECKING:
    from etl.model import Schema


@dataclass
class Outcome:
    """Rows with their numbers behind them; rejects as (raw, byte, line, rule, reason)."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    rejects: list[tuple[Any, ...]] = field(default_factory=list)
    contexts: set[str] = field(default_factory=set)

    @property
    def rules(self) -> list[str]:
        """The rule of each reject."""
        return [str(reject[3]) for reject in self.rejects]

    @property
    def raws(self) -> list[bytes]:
        """The bytes of each reject."""
        return [reject[0] for reject in self.rejects]


def opener(content: bytes, **bounds: Any) -> FileOpener:
    """Return a file of these bytes."""
    return FileOpener("in/f", len(content), lambda: io.BytesIO(content), **bounds)


def csv(options: dict[str, Any] | None = None, contract: SchemaContract = EVOLVE, *, is_tsv: bool = False) -> Csv:
    """Return the format with these options."""
    kind = Tsv if is_tsv else Csv
    return kind(kind.options_model(**(options or {})), contract)


def read(
    content: bytes,
    schema: Any,
    options: dict[str, Any] | None = None,
    contract: SchemaContract = EVOLVE,
    **bounds: int,
) -> Outcome:
    """Return what becomes of a file, checking what every chunk promises."""
    found = Outcome()
    for task in csv(options, contract).tasks(opener(content, **bounds), schema):
        for chunk in task():
            assert chunk.frame.schema == to_polars(schema)
            assert chunk.rows == chunk.frame.height == len(chunk.offsets)
            assert chunk.offsets.dtype == pl.Int64
            found.rows += chunk.frame.with_columns(chunk.offsets).rows()
            if chunk.rejects is not None:
                assert dict(chunk.rejects.schema) == {
                    name: dtype for name, dtype in reject_schema().items() if name != "_source_file"
                }
                assert set(chunk.rejects["form"]) == {"text"}
                found.contexts |= set(chunk.rejects["context"])
                found.rejects += chunk.rejects.select("raw", "_source_offset", "line", "rule", "reason").rows()
    return found


def texts(*names: str) -> Schema:
    """Return a schema of text columns."""
    return dict.fromkeys(names, "string")
