"""What a pipeline file says of the upkeep of its table: ``maintain:``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator

from etl.options import DurationS, Options

LEAST_KEPT_S = 3600.0
"""The shortest time for which a policy may keep files and log: what is read or written meanwhile is younger."""

_OFF = {"enum": ["off", False]}


def _word(value: object) -> object:
    return "off" if value is False else value


Off = Annotated[Literal["off"], BeforeValidator(_word), Field(json_schema_extra=_OFF)]


class CompactOptions(Options):
    """When small files are worth being written anew."""

    min_files: int = Field(default=32, ge=2, description="so many small files of one partition are made into one")


class MaintainOptions(Options):
    """What is done to the table when no batch waits. Nothing is ever deleted unless it is said here."""

    compact: Off | Literal["auto"] | CompactOptions = Field(
        default="auto", description="make few large files of many small ones"
    )
    vacuum: Off | DurationS = Field(
        default="off", description="delete files that no version of the last so many days has (7d)"
    )
    retain: Off | DurationS = Field(default="off", description="delete log entries older than this (30d)")

    @field_validator("vacuum", "retain")
    @classmethod
    def _keeps_enough(cls, value: object) -> object:
        if isinstance(value, float) and value < LEAST_KEPT_S:
            raise ValueError("at least 1h: younger files may belong to a batch or a reader under way")
        return value

    @property
    def min_files(self) -> int | None:
        """How many small files of a partition are rewritten without being asked, None for never."""
        if self.compact == "off":
            return None
        return CompactOptions().min_files if self.compact == "auto" else self.compact.min_files

    @property
    def vacuum_s(self) -> float | None:
        """For how long files are kept that no version has any more, None for ever."""
        return None if self.vacuum == "off" else self.vacuum

    @property
    def retain_s(self) -> float | None:
        """For how long log entries are kept, None for ever."""
        return None if self.retain == "off" else self.retain
