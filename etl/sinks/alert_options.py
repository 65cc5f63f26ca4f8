"""The options of an ``alert`` sink, as the YAML file spells them."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator

from etl.options import DurationS, Options

PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/\s]\S*")


class AlertOptions(Options):
    """Rows that become notifications."""

    type: Literal["alert"] = "alert"
    to: str | list[str] = Field(
        description="names of `alerts:` in etl.yml, or URLs: http(s):// is a webhook, any other one of Apprise"
    )
    primary_key: list[str] = Field(
        default_factory=list, description="a batch notifies once of each key; default: of every row"
    )
    title: str = Field(default="{_pipeline}", min_length=1, description="with {column} for the value of a column")
    message: str = Field(default="", description="with {column} for the value of a column; default: all columns")
    max_per_batch: int = Field(default=100, ge=1, description="beyond, one notification says how many there were more")
    tries: int = Field(default=3, ge=1, le=10, description="before a receiver counts as down for a batch")
    timeout: DurationS = Field(default=10.0, gt=0, description="how long a receiver may take to answer")
    give_up_after: DurationS = Field(default=604800.0, gt=0, description="how long one that cannot be sent is kept")

    @field_validator("to")
    @classmethod
    def _names_somebody(cls, to: str | list[str]) -> str | list[str]:
        named = [to] if isinstance(to, str) else to
        if not named:
            raise ValueError("name at least one receiver")
        wrong = [each for each in named if _NAME.fullmatch(each) is None and _URL.fullmatch(each) is None]
        if wrong:
            raise ValueError("write the name of an entry of `alerts:` in etl.yml, or a URL")
        return to

    @property
    def named(self) -> list[str]:
        """Whom it tells."""
        return [self.to] if isinstance(self.to, str) else self.to

    @property
    def target(self) -> str:
        """What people call it, without URLs, which are secret."""
        shown = [each.partition(":")[0] if "://" in each else each for each in self.named]
        return f"alert:{','.join(shown)}"
