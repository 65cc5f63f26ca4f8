"""The options of a ``files`` source, as the YAML file spells them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from etl.errors import ConfigError
from etl.formats import FORMATS
from etl.model import ReadLimit
from etl.options import DurationS, Options
from etl.sources.file_pattern import parse_pattern


class ArchiveTo(Options):
    """Where files go once their batch is committed."""

    archive: str = Field(min_length=1, description="folder or URL; the path below the source's root is kept")


class FileOptions(Options):
    """Files, each read once, discovered incrementally."""

    path: str | None = Field(default=None, description="a file, a folder (all below it) or a glob: * ? [abc] {a,b} **")
    include: list[str] = Field(default_factory=list, description="several paths, instead of `path`")
    exclude: list[str] = Field(default_factory=list, description="globs; one without '/' goes by the file's name alone")
    format: Literal["ndjson", "json", "csv", "tsv", "parquet", "avro", "arrow", "text", "binary", "xlsx"] | None = (
        Field(default=None, description="default: by the file's extension")
    )
    format_options: dict[str, Any] = Field(default_factory=dict)
    compression: Literal["auto"] = "auto"
    identity: Literal["path", "path_and_version", "content"] = "path"
    on_change: Literal["ignore", "fail", "reingest"] = "ignore"
    order: Literal["modified", "name"] = "modified"
    stable_for: DurationS = 0.0
    unready_for: DurationS = Field(
        default=60.0,
        description="how long after its last change a file that cannot be read as a whole counts as unfinished",
    )
    start: Literal["all", "now"] = "all"
    hive_partitions: bool = False
    after_commit: Literal["keep", "delete"] | ArchiveTo = "keep"
    ignore_missing: bool = False

    @field_validator("path")
    @classmethod
    def _path_is_a_pattern(cls, value: str | None) -> str | None:
        if value is not None:
            parse_pattern(value)
        return value

    @field_validator("include", "exclude")
    @classmethod
    def _lists_hold_patterns(cls, value: list[str]) -> list[str]:
        for pattern in value:
            parse_pattern(pattern)
        return value

    @field_validator("format_options")
    @classmethod
    def _options_are_those_of_the_format(cls, value: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        if not value or "format" not in info.data:
            return value
        if info.data["format"] is None:
            raise ValueError("needs `format`: the options belong to one of them")
        try:
            FORMATS[info.data["format"]].options_model.model_validate(value)
        except ValidationError as exc:
            faults = (f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in exc.errors())
            raise ValueError("; ".join(faults)) from exc
        return value

    @field_validator("on_change")
    @classmethod
    def _changes_are_seen(cls, value: str, info: ValidationInfo) -> str:
        if value != "ignore" and info.data.get("identity", "path_and_version") != "path_and_version":
            raise ValueError("needs `identity: path_and_version`, the only one that sees changes")
        return value

    @model_validator(mode="after")
    def _names_files_in_one_way(self) -> FileOptions:
        if (self.path is None) == (not self.include):
            raise ValueError("give either `path` or `include`")
        return self

    @property
    def patterns(self) -> list[str]:
        """The patterns to list."""
        return [self.path] if self.path is not None else self.include

    def check_limit(self, limit: ReadLimit) -> None:
        """Refuse a limit that these options cannot keep. Raises ConfigError."""
        if limit.max_rows is not None and self.format != "parquet":
            raise ConfigError(
                "max_rows works for `format: parquet` alone: only its footers tell rows before reading",
                where="batch.max_rows",
                hint="use max_bytes or max_files",
            )
