"""The options of a ``delta`` sink, as the YAML file spells them."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, Field, model_validator

from etl.options import DurationS, Options, SizeBytes
from etl.sinks.upkeep_options import MaintainOptions

WriteMode = Literal["append", "merge", "overwrite", "insert_only", "replace_partitions", "scd2"]
_ALIASES = {"upsert": "merge", "replace": "overwrite"}
_CHANGING = ("merge", "scd2")
_NEEDED_FOR_KEYS = {
    "merge": "without keys rows can only be added: append",
    "insert_only": "without keys rows can only be added: append",
    "scd2": "without keys there are no versions: append",
}


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
            json_schema_extra={"enum": [*get_args(WriteMode), *_ALIASES]},
            description="add rows; insert, update and delete by primary_key (or upsert); each batch is the table "
            "(or replace); add rows of new keys; replace the partitions of a batch; keep all versions of a key",
        ),
    ] = "append"
    primary_key: list[str] = Field(
        default_factory=list, description="columns that tell rows apart, with merge, insert_only, scd2"
    )
    delete_when: str | None = Field(default=None, description="condition of rows that delete their key, with merge")
    sequence_by: str | None = Field(
        default=None, description="column that tells which of two rows of a key is newer, with merge, scd2"
    )
    remember_for: DurationS | None = Field(
        default=None, description="how long deletes are kept in mind, with sequence_by; default: for ever"
    )
    track: list[str] = Field(default_factory=list, description="columns whose change makes a version, with scd2")
    key_index_from: int | None = Field(
        default=50_000,
        ge=1,
        description="rows from which a data file gets an index of its keys, once a batch looked into it in vain; "
        "null: none does",
    )
    partition_by: list[str] = Field(default_factory=list)
    z_order_by: list[str] = Field(
        default_factory=list, description="columns by whose values compaction lays rows near one another"
    )
    target_file_size: SizeBytes = 128_000_000
    maintain: MaintainOptions = Field(default_factory=MaintainOptions)
    provenance: bool = Field(default=True, description="keep _source_file, _source_offset and _batch_id in the table")

    @model_validator(mode="after")
    def _is_named_once(self) -> DeltaOptions:
        if (self.table is None) == (self.path is None):
            raise ValueError("name the table by either 'table' or 'path'")
        return self

    @model_validator(mode="after")
    def _goes_with_its_mode(self) -> DeltaOptions:
        mode = self.write_mode
        if mode in _NEEDED_FOR_KEYS and not self.primary_key:
            raise ValueError(f"'write_mode: {mode}' needs a primary_key; {_NEEDED_FOR_KEYS[mode]}")
        if mode == "scd2" and self.sequence_by is None:
            raise ValueError("'write_mode: scd2' needs sequence_by, from whose values rows are valid; or say merge")
        if mode == "replace_partitions" and not self.partition_by:
            raise ValueError("'write_mode: replace_partitions' needs partition_by; to replace all rows say overwrite")
        if shared := [name for name in self.z_order_by if name in self.partition_by]:
            raise ValueError(
                f"'z_order_by' names {shared[0]!r}, which is one value in each file: it partitions the table"
            )
        if len(set(self.primary_key)) < len(self.primary_key):
            raise ValueError("'primary_key' names a column twice")
        return self

    @model_validator(mode="after")
    def _has_use_for_its_keys(self) -> DeltaOptions:
        mode = self.write_mode
        if self.primary_key and mode not in _NEEDED_FOR_KEYS:
            raise ValueError(f"'primary_key' goes with 'write_mode: merge'; {mode} has no use for it")
        if self.delete_when is not None and mode not in _CHANGING:
            raise ValueError("'delete_when' goes with 'write_mode: merge', which finds what to delete by primary_key")
        if self.sequence_by is not None and mode not in _CHANGING:
            raise ValueError(f"'sequence_by' goes with 'write_mode: merge' or scd2; {mode} compares no rows")
        if self.remember_for is not None and self.sequence_by is None:
            raise ValueError("'remember_for' goes with 'sequence_by'; without it no delete has to be remembered")
        if self.track and mode != "scd2":
            raise ValueError("'track' goes with 'write_mode: scd2', which makes versions where one of them changes")
        return self
