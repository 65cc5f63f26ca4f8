"""The options of a ``key_value`` sink, as the YAML file spells them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from etl.options import Options

if TYPE_CHECKING:
    from etl.project import Project

REDIS = ("redis", "rediss")
_POSTGRES = ("postgresql", "postgres", "postgresql+psycopg")
_SQL_NAME = r"^[A-Za-z_][A-Za-z0-9_]{0,62}(\.[A-Za-z_][A-Za-z0-9_]{0,62})?$"


class KeyValueOptions(Options):
    """Rows by key, in Redis, SQLite or PostgreSQL."""

    type: Literal["key_value"] = "key_value"
    url: str = Field(description="redis://host:6379/0, sqlite:///file.db or postgresql://user:password@host/database")
    table: str = Field(
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_:.-]{0,126}$", description="table; with Redis what keys begin with"
    )
    primary_key: list[str] = Field(min_length=1, description="columns that tell rows apart")
    delete_when: str | None = Field(default=None, description="condition of rows that delete their key")
    sequence_by: str | None = Field(default=None, description="column that tells which of two rows of a key is newer")
    value: Literal["hash", "json"] = Field(default="hash", description="with Redis: a hash of the columns, or JSON")

    @field_validator("url")
    @classmethod
    def _is_known(cls, url: str) -> str:
        scheme = url.partition(":")[0]
        if scheme not in (*REDIS, *_POSTGRES, "sqlite"):
            raise ValueError("write redis://…, rediss://…, sqlite:///… or postgresql://…")
        if scheme == "sqlite" and url.removeprefix("sqlite://").lstrip("/") in ("", ":memory:"):
            raise ValueError("name a file, sqlite:///file.db: a database in memory forgets which batches it holds")
        return url

    @model_validator(mode="after")
    def _fits_its_server(self) -> KeyValueOptions:
        import re

        if not self.is_redis and re.fullmatch(_SQL_NAME, self.table) is None:
            raise ValueError("'table' is no name of a table: write table or schema.table, of letters, digits and _")
        if len(set(self.primary_key)) < len(self.primary_key):
            raise ValueError("'primary_key' names a column twice")
        if not self.is_redis and "value" in self.model_fields_set:
            raise ValueError("'value' goes with redis://; in a table each column is one of its own")
        if self.is_redis and self.sequence_by is not None and self.value == "json":
            raise ValueError("'sequence_by' goes with 'value: hash', of which the column is a field")
        return self

    @property
    def is_redis(self) -> bool:
        """Whether the server is Redis."""
        return self.url.partition(":")[0] in REDIS

    @property
    def server(self) -> str:
        """What the server is, in a word."""
        scheme = self.url.partition(":")[0]
        return "redis" if self.is_redis else ("sqlite" if scheme == "sqlite" else "postgresql")

    @property
    def target(self) -> str:
        """What people call it."""
        return f"{self.server}:{self.table}"

    def url_of(self, project: Project) -> str:
        """Return what tells it from all others, without user and password."""
        if self.server == "sqlite":
            return f"{self.server}:{project.url(self.url.removeprefix('sqlite:///'))}#{self.table}"
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        return f"{self.server}://{host}{parts.path}#{self.table}"
