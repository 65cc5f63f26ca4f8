"""The options of a ``logs`` source, as the YAML file spells them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from etl.errors import ConfigError
from etl.formats.delimited import Csv
from etl.options import DurationS, Options, SizeBytes
from etl.sources.file_pattern import parse_pattern, split_scheme
from etl.sources.log_csv import CsvBorders
from etl.sources.log_formats import made


class Multiline(Options):
    """Records of several lines."""

    start: str = Field(min_length=1, description="regular expression that the first line of a record matches")
    timeout: DurationS = Field(default=5.0, description="a record that nothing was added to for so long is whole")


class LogOptions(Options):
    """Growing files on a local disk, tailed by byte offset."""

    path: str | None = Field(default=None, description="a file, a folder (all below it) or a glob: * ? [abc] {a,b} **")
    include: list[str] = Field(default_factory=list, description="several paths, instead of `path`")
    exclude: list[str] = Field(default_factory=list, description="globs; one without '/' goes by the file's name alone")
    format: str | dict[str, Any] = Field(
        default="lines", description="lines, ndjson, csv, tsv, a log format by its name, {regex: …} or {grok: …}"
    )
    format_options: dict[str, Any] = Field(default_factory=dict)
    multiline: Multiline | None = None
    read_from: Literal["beginning", "end"] = "beginning"
    max_line: SizeBytes = 1_000_000
    ignore_older: DurationS | None = None
    close_partial_after: DurationS = 30.0

    @field_validator("path")
    @classmethod
    def _path_is_a_local_pattern(cls, value: str | None) -> str | None:
        if value is not None:
            _check_pattern(value)
        return value

    @field_validator("include", "exclude")
    @classmethod
    def _lists_hold_local_patterns(cls, value: list[str]) -> list[str]:
        for pattern in value:
            _check_pattern(pattern)
        return value

    @model_validator(mode="after")
    def _format_is_known(self) -> LogOptions:
        try:
            found = made(self)
            if isinstance(found, Csv):
                CsvBorders.of(found.options, self.max_line)
        except ConfigError as exc:
            raise ValueError(f"{exc.message}; {exc.hint}") from exc
        return self

    @model_validator(mode="after")
    def _names_files_in_one_way(self) -> LogOptions:
        if (self.path is None) == (not self.include):
            raise ValueError("give either `path` or `include`")
        return self

    @property
    def patterns(self) -> list[str]:
        """The patterns to list."""
        return [self.path] if self.path is not None else self.include


def _check_pattern(text: str) -> None:
    scheme, _, _ = split_scheme(text)
    if scheme not in {"", "file"}:
        raise ValueError(f"{scheme}:// holds no growing files; `logs` reads local files, `type: files` reads objects")
    parse_pattern(text)
