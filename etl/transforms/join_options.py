"""The options of ``join``, as the YAML file spells them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from etl.options import Options

if TYPE_CHECKING:
    from etl.project import Project

FileFormat = Literal["ndjson", "json", "csv", "tsv", "parquet", "avro", "arrow", "xlsx"]
Name = Annotated[str, Field(min_length=1)]


class AsofOptions(Options):
    """Which row is the nearest one."""

    column: Name = Field(description="of the rows: a moment or a number")
    other: Name | None = Field(default=None, description="of the static table; default: the same name")
    direction: Literal["backward", "forward", "nearest"] = Field(
        default="backward", description="backward: the last static row at or before the row"
    )
    tolerance: str | float | None = Field(
        default=None, description="how far away at most: 1h for moments, a number for numbers; default: any distance"
    )


class JoinOptions(Options):
    """A static table, and how the rows of a batch are joined with it."""

    table: Name | None = Field(default=None, description="a table of the lake; with `url`, of the database")
    path: Name | None = Field(default=None, description="a Delta table, a file, a folder or a glob; any URL")
    url: Name | None = Field(default=None, description="a database: sqlite:///file.db, postgresql://… (extra `sql`)")
    query: Name | None = Field(default=None, description="of the database, instead of `table`")
    on: Name | list[Name] | dict[str, Name] = Field(
        default_factory=list, description="names of the key columns, or {column of the rows: column of the table}"
    )
    how: Literal["left", "inner", "semi", "anti", "asof"] = "left"
    columns: Annotated[list[Name], Field(min_length=1)] | Annotated[dict[str, Name], Field(min_length=1)] | None = (
        Field(default=None, description="what is added: names, or {name: as}; default: all but keys, system columns")
    )
    suffix: Name | None = Field(default=None, description="behind the names of added columns that the rows have too")
    asof: AsofOptions | None = None
    format: FileFormat | Literal["delta"] | None = Field(default=None, description="default: by the file's extension")
    format_options: dict[str, Any] = Field(default_factory=dict)
    declared: dict[str, str] | None = Field(
        default=None, alias="schema", min_length=1, description="types of columns of files and queries"
    )

    @model_validator(mode="after")
    def _names_one_table(self) -> Self:
        if self.url is not None:
            if self.path is not None or (self.table is None) == (self.query is None):
                raise ValueError("with `url` give either `table` or `query`")
        elif self.query is not None:
            raise ValueError("`query` needs the `url` of a database")
        elif (self.table is None) == (self.path is None):
            raise ValueError("give one of `table`, `path` and `url`")
        if self.path is None and (self.format is not None or self.format_options):
            raise ValueError("`format` and `format_options` go with `path`")
        if self.declared is not None and self.path is None and self.url is None:
            raise ValueError("a table of the lake has its types; `schema` goes with `path` or `url`")
        return self

    @model_validator(mode="after")
    def _says_how(self) -> Self:
        if (self.how == "asof") != (self.asof is not None):
            raise ValueError("`how: asof` and `asof: {column: …}` go together")
        if not self.on and self.asof is None:
            raise ValueError("give the key columns in `on`")
        if self.how in ("semi", "anti") and (self.columns is not None or self.suffix is not None):
            raise ValueError(f"`how: {self.how}` adds no columns; leave out `columns` and `suffix`")
        return self

    @property
    def keys(self) -> Mapping[str, str]:
        """Column of the rows to column of the static table."""
        if isinstance(self.on, dict):
            return self.on
        return {name: name for name in ([self.on] if isinstance(self.on, str) else self.on)}

    @property
    def places(self) -> tuple[str, str] | None:
        """The column of the rows and the one of the static table between which the nearest row is looked for."""
        return None if self.asof is None else (self.asof.column, self.asof.other or self.asof.column)

    @property
    def chosen(self) -> Mapping[str, str] | None:
        """Column of the static table to its name behind the join, None for all."""
        if self.how in ("semi", "anti"):
            return {}
        return self.columns if self.columns is None or isinstance(self.columns, dict) else {n: n for n in self.columns}

    @property
    def wanted(self) -> tuple[str, ...] | None:
        """The columns that are read of the static table, None for all."""
        if self.chosen is None:
            return None
        compared = [*self.keys.values(), *(() if self.places is None else self.places[1:])]
        return tuple(dict.fromkeys([*compared, *self.chosen]))

    def read_urls(self, project: Project) -> tuple[str, ...]:
        """Return what is read of the lake or of files, whole: whose pipeline must come first. Raises ConfigError."""
        if self.url is not None:
            return ()
        return (project.url(self.path) if self.path is not None else project.table_url(str(self.table)),)
