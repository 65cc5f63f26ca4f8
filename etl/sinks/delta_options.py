"""The options of a ``delta`` sink, as the YAML file spells them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from etl.options import Options, SizeBytes


class DeltaOptions(Options):
    """A Delta table, by name or by path."""

    type: Literal["delta"] = "delta"
    table: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$", description="schema.table under the lake"
    )
    path: str | None = Field(default=None, description="URL or folder of a table outside the lake's layout")
    write_mode: Literal["append"] = "append"
    partition_by: list[str] = Field(default_factory=list)
    target_file_size: SizeBytes = 128_000_000
    provenance: bool = Field(default=True, description="keep _source_file, _source_offset and _batch_id in the table")

    @model_validator(mode="after")
    def _is_named_once(self) -> DeltaOptions:
        if (self.table is None) == (self.path is None):
            raise ValueError("name the table by either 'table' or 'path'")
        return self
