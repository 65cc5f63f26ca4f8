"""The options of a ``delta`` sink, as the YAML file spells them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from etl.options import DurationS, Options, SizeBytes

WriteMode = Literal["append", "merge", "overwrite"]
_ALIASES = {"upsert": "merge", "replace": "overwrite"}


def _without_alias(value: object) -> object:
    return _ALIASES.get(value, value) if isinstance(value, str) else value


class DeltaOptions(Options):
    """A Delta table, by name or by path."""

    type: Literal["delta"] = "delta"
    table: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$", description="schema.table under the lake"
    )
    path: str | None = Field(default=None, description="URL or folder of a table outside the lake's layout")
    write_mode: Annotated[
        WriteMode,
        BeforeValidator(_without_alias),
        Field(
            json_schema_extra={"enum": ["append", "merge", "overwrite", *_ALIASES]},
            description="add rows; insert, update and delete by primary_key (or upsert); each batch is the table "
            "(or replace)",
        ),
    ] = "append"
    primary_key: list[str] = Field(default_factory=list, description="columns that tell rows apart, with merge")
    delete_when: str | None = Field(default=None, description="condition of rows that delete their key, with merge")
    sequence_by: str | None = Field(
        default=None, description="column that tells which of two rows of a key is newer, with merge"
    )
    remember_for: DurationS | None = Field(
        default=None, description="how long deletes are kept in mind, with sequence_by; default: for ever"
    )
    partition_by: list[str] = Field(default_factory=list)
    target_file_size: SizeBytes = 128_000_000
    provenance: bool = Field(default=True, description="keep _source_file, _source_offset and _batch_id in the table")

    @model_validator(mode="after")
    def _is_named_once(self) -> DeltaOptions:
        if (self.table is None) == (self.path is None):
            raise ValueError("name the table by either 'table' or 'path'")
        return self

    @model_validator(mode="after")
    def _has_keys_to_merge_by(self) -> DeltaOptions:
        if self.write_mode == "merge" and not self.primary_key:
            raise ValueError("'write_mode: merge' needs a primary_key; without keys rows can only be added: append")
        if self.write_mode != "merge" and self.primary_key:
            raise ValueError(f"'primary_key' goes with 'write_mode: merge'; {self.write_mode} has no use for it")
        if self.write_mode != "merge" and self.delete_when is not None:
            raise ValueError("'delete_when' goes with 'write_mode: merge', which finds what to delete by primary_key")
        if self.write_mode != "merge" and self.sequence_by is not None:
            raise ValueError(f"'sequence_by' goes with 'write_mode: merge'; {self.write_mode} compares no rows")
        if self.remember_for is not None and self.sequence_by is None:
            raise ValueError("'remember_for' goes with 'sequence_by'; without it no delete has to be remembered")
        if len(set(self.primary_key)) < len(self.primary_key):
            raise ValueError("'primary_key' names a column twice")
        return self
