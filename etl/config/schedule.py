"""The block ``trigger:`` of a pipeline that a service starts: every so often, by the clock, or after another one."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Literal, TypeAlias
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from etl.cron import Cron
from etl.options import DurationS, Options, duration_text

TriggerName: TypeAlias = Literal["available_now", "once", "continuous"]
_LEAST_S = 0.1


def _known_zone(value: object) -> object:
    """Refuse a time zone that the system does not know."""
    try:
        ZoneInfo(str(value))
    except (ValueError, OSError, LookupError):
        raise ValueError("unknown time zone; write one like Europe/Berlin or UTC") from None
    return value


def _sound_cron(value: object) -> object:
    """Refuse text that is no cron expression, or that names no day at all."""
    if isinstance(value, str):
        Cron(value, ZoneInfo("UTC"))
    return value


def _long_enough(value: float) -> float:
    if value < _LEAST_S:
        raise ValueError("at least 100ms; `trigger: continuous` is quicker")
    return value


class ScheduleOptions(Options):
    """When a service starts a pipeline: exactly one of ``every``, ``cron`` and ``after``."""

    every: Annotated[DurationS, Field(description="the time between two starts")] | None = None
    cron: Annotated[str, BeforeValidator(_sound_cron)] | None = Field(
        default=None, description="minute, hour, day of the month, month, day of the week"
    )
    after: Annotated[list[str], Field(min_length=1)] | None = Field(
        default=None, description="pipelines; a new version of the table of one of them starts this one"
    )
    timezone: Annotated[str, BeforeValidator(_known_zone)] = Field(default="UTC", description="of cron")
    overlap: Literal["skip", "queue"] = Field(
        default="skip", description="what becomes of a tick while a run is under way: nothing, or a run right behind it"
    )
    jitter: DurationS = Field(default=0.0, description="a tick comes later by a random time up to this")
    catch_up: bool = Field(default=False, description="one run for all ticks that were missed")

    @model_validator(mode="after")
    def _one_kind(self) -> ScheduleOptions:
        given = [key for key in ("every", "cron", "after") if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError(f"give exactly one of every, cron and after, not {' and '.join(given) or 'none'}")
        of_cron = [key for key in ("timezone", "catch_up") if key in self.model_fields_set and self.cron is None]
        if of_cron:
            raise ValueError(f"{of_cron[0]} belongs to cron")
        if self.every is not None:
            _long_enough(self.every)
        if self.jitter and self.after is not None:
            raise ValueError("jitter belongs to every and cron")
        if self.every is not None and self.jitter > self.every:
            raise ValueError("jitter is at most every")
        return self

    @cached_property
    def clock(self) -> Cron | None:
        """The cron expression in its zone."""
        return None if self.cron is None else Cron(self.cron, ZoneInfo(self.timezone))

    def __str__(self) -> str:
        """Return it for people.

        >>> str(ScheduleOptions(every="5m"))
        'every 5m'
        """
        if self.every is not None:
            return f"every {duration_text(round(self.every * 1_000_000))}"
        return f"cron {self.cron} {self.timezone}" if self.cron is not None else f"after {', '.join(self.after or ())}"


def _kind(value: Any) -> str:  # noqa: ANN401  whatever stands in the file
    return "ScheduleOptions" if isinstance(value, dict | ScheduleOptions) else "name"


TriggerOption = Annotated[
    Annotated[TriggerName, Tag("name")] | Annotated[ScheduleOptions, Tag("ScheduleOptions")], Discriminator(_kind)
]
"""A word, or a schedule: faults are those of the one that stands there."""
