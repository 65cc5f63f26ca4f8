"""The options of a ``files`` source, as the YAML file spells them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from etl.errors import ConfigError, SourceError
from etl.formats import FORMATS
from etl.model import ReadLimit
from etl.options import DurationS, Options
from etl.schema_contract import EVOLVE, SchemaContract
from etl.sources.file_pattern import parse_pattern

if TYPE_CHECKING:
    from etl.formats.log_lines import LogFormat

LINE_FORMATS = (
    *("ndjson", "csv", "tsv", "text", "lines", "common", "combined"),
    *("syslog_rfc3164", "syslog_rfc5424", "logfmt"),
)
"""The formats whose files can grow at their end: a record ends with its line. So do those of patterns."""


class ArchiveTo(Options):
    """Where files go once their batch is committed."""

    archive: str = Field(min_length=1, description="folder or URL; the path below the source's root is kept")


BulkName = Literal["ndjson", "json", "csv", "tsv", "parquet", "avro", "arrow", "text", "binary", "xlsx"]
LogName = Literal["lines", "common", "combined", "syslog_rfc3164", "syslog_rfc5424", "logfmt", "cri"]


class LogPattern(Options):
    """A format of log lines that is spelt out."""

    regex: str | None = Field(default=None, description="an expression that matches a whole line; named groups")
    grok: str | None = Field(default=None, description="the same with patterns by name: %{IP:client}")

    @model_validator(mode="after")
    def _is_one_pattern(self) -> LogPattern:
        if (self.regex is None) == (self.grok is None):
            raise ValueError("give either `regex` or `grok`")
        return self

    def made(self, options: Mapping[str, Any], contract: SchemaContract = EVOLVE) -> LogFormat:
        """Return the format. Raises ConfigError."""
        from etl.formats.log_formats import format_from

        return format_from(self.model_dump(exclude_none=True), options, contract)


class FileOptions(Options):
    """Files, each read once, discovered incrementally."""

    path: str | None = Field(default=None, description="a file, a folder (all below it) or a glob: * ? [abc] {a,b} **")
    include: list[str] = Field(default_factory=list, description="several paths, instead of `path`")
    exclude: list[str] = Field(default_factory=list, description="globs; one without '/' goes by the file's name alone")
    format: BulkName | LogName | LogPattern | None = Field(default=None, description="default: by the file's extension")
    format_options: dict[str, Any] = Field(default_factory=dict)
    compression: Literal["auto"] = "auto"
    identity: Literal["path", "path_and_version", "content"] = "path"
    on_change: Literal["ignore", "fail", "append_tail", "replace_rows", "reingest"] = Field(
        default="ignore", description="what a known file is whose size, time or ETag is another"
    )
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
        if isinstance(info.data["format"], LogPattern):
            return value
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
        if value == "append_tail":
            _refuse_without_tails(info.data)
        return value

    @model_validator(mode="after")
    def _keeps_files_that_grow(self) -> FileOptions:
        if self.on_change == "append_tail" and self.after_commit != "keep":
            raise ValueError("`on_change: append_tail` needs `after_commit: keep`: a file grows in its place")
        return self

    @model_validator(mode="after")
    def _pattern_is_sound(self) -> FileOptions:
        if isinstance(self.format, LogPattern):
            try:
                self.format.made(self.format_options)
            except ConfigError as exc:
                raise ValueError(f"{exc.message}; {exc.hint}") from exc
        return self

    @model_validator(mode="after")
    def _names_files_in_one_way(self) -> FileOptions:
        if (self.path is None) == (not self.include):
            raise ValueError("give either `path` or `include`")
        return self

    @property
    def needs_provenance(self) -> bool:
        """Whether rows of earlier batches are found by the file that they came from."""
        return self.on_change == "replace_rows"

    @property
    def patterns(self) -> list[str]:
        """The patterns to list."""
        return [self.path] if self.path is not None else self.include

    def check_replay(self) -> None:
        """Refuse to read all anew where read files are disposed of, or old ones not read. Raises SourceError."""
        if self.after_commit != "keep":
            raise SourceError(
                "files that were read are no longer in their place: the new table would lack their rows",
                where="source.after_commit",
                hint="put them back and say after_commit: keep for as long as the refresh takes",
            )
        if self.start == "now":
            raise SourceError(
                "files that are there already are not read: the new table would lack their rows",
                where="source.start",
                hint="say start: all for as long as the refresh takes",
            )

    def check_rebuild(self, *, has_start: bool) -> None:
        """Refuse to go on without the record of files that were there before the first batch. Raises SourceError."""
        if self.start == "now" and not has_start:
            raise SourceError(
                "which files were there before the first batch was in the checkpoint alone: they would be read now",
                where="source.start",
                hint="put its folder sources/ back, or move those files away and say start: all",
            )

    def check_limit(self, limit: ReadLimit) -> None:
        """Refuse a limit that these options cannot keep. Raises ConfigError."""
        if limit.max_rows is not None and self.format != "parquet":
            raise ConfigError(
                "max_rows works for `format: parquet` alone: only its footers tell rows before reading",
                where="batch.max_rows",
                hint="use max_bytes or max_files",
            )


def _refuse_without_tails(options: Mapping[str, Any]) -> None:
    """Refuse to read tails of what cannot be read from its middle on. Raises ValueError."""
    name, given = options.get("format"), options.get("format_options", {})
    if isinstance(name, str) and name not in LINE_FORMATS:
        raise ValueError(f"append_tail reads {', '.join(LINE_FORMATS)}; {name} files cannot be read from a middle on")
    if str(given.get("encoding", "")).startswith("utf-16"):
        raise ValueError("append_tail cannot tell where a line of UTF-16 ends")
    if given.get("multiline") is not None:
        raise ValueError("append_tail cannot tell whether a record of several lines has ended")
