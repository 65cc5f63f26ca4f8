"""The options of a ``parquet`` sink, as the YAML file spells them."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from etl.options import Options, SizeBytes


def _append_alone(value: object) -> object:
    if value != "append":
        raise ValueError(f"a plain Parquet table can only be added to; for 'write_mode: {value}' say 'type: delta'")
    return value


class ParquetOptions(Options):
    """A folder of Parquet files, by name or by path."""

    is_append_only: ClassVar[bool] = True

    type: Literal["parquet"] = "parquet"
    table: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$", description="schema.table under the lake"
    )
    path: str | None = Field(default=None, description="URL or folder of a table outside the lake's layout")
    write_mode: Annotated[Literal["append"], BeforeValidator(_append_alone)] = "append"
    partition_by: list[str] = Field(default_factory=list, description="columns whose values name folders")
    target_file_size: SizeBytes = 128_000_000
    provenance: bool = Field(default=True, description="keep _source_file, _source_offset and _batch_id in the table")

    @model_validator(mode="after")
    def _is_named_once(self) -> ParquetOptions:
        if (self.table is None) == (self.path is None):
            raise ValueError("name the table by either 'table' or 'path'")
        return self
