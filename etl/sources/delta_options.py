"""The options of a ``delta`` source, as the YAML file spells them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from etl.options import Options


class StartAt(Options):
    """A version to begin with: by its number, or the first one that was committed at a time or after it."""

    version: Annotated[int, Field(ge=0)] | None = None
    timestamp: str | None = Field(default=None, description="2026-01-31T12:00:00Z; without a zone it is UTC")

    @field_validator("timestamp")
    @classmethod
    def _timestamp_is_one(cls, value: str | None) -> str | None:
        if value is not None:
            _moment_ms(value)
        return value

    @model_validator(mode="after")
    def _says_one_thing(self) -> StartAt:
        if (self.version is None) == (self.timestamp is None):
            raise ValueError("give either `version` or `timestamp`")
        return self

    @property
    def at_ms(self) -> int | None:
        """The time in milliseconds since 1970, None where a version is given."""
        return None if self.timestamp is None else _moment_ms(self.timestamp)


def _moment_ms(text: str) -> int:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as exc:
        raise ValueError("not a time; write 2026-01-31T12:00:00Z") from exc
    return round((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)


class DeltaSourceOptions(Options):
    """A Delta table, by name or by path, followed version by version."""

    table: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$", description="schema.table under the lake"
    )
    path: str | None = Field(default=None, min_length=1, description="URL or folder of a table outside the lake")
    read: Literal["appends", "changes"] = Field(
        default="appends", description="rows that are added; or a changing result, by primary_key"
    )
    primary_key: list[str] = Field(default_factory=list, description="columns that tell rows apart, with changes")
    starting: Literal["earliest", "latest"] | StartAt = Field(
        default="earliest", description="all that the table holds, what comes from now on, or from a version on"
    )
    on_rewrite: Literal["fail", "skip"] = Field(
        default="fail", description="what becomes of a version that takes rows out, with appends"
    )

    @model_validator(mode="after")
    def _is_named_once(self) -> DeltaSourceOptions:
        if (self.table is None) == (self.path is None):
            raise ValueError("name the table by either 'table' or 'path'")
        return self

    @model_validator(mode="after")
    def _has_keys_for_changes(self) -> DeltaSourceOptions:
        is_changing = self.read == "changes"
        if is_changing and not self.primary_key:
            raise ValueError("'read: changes' needs a primary_key, by which a change finds its row")
        if not is_changing and self.primary_key:
            raise ValueError("'primary_key' goes with 'read: changes'; appends have no use for it")
        if is_changing and "on_rewrite" in self.model_fields_set:
            raise ValueError("'on_rewrite' goes with 'read: appends'; changes read what is rewritten")
        if len(set(self.primary_key)) < len(self.primary_key):
            raise ValueError("'primary_key' names a column twice")
        return self
