"""What ``etl.yml`` may say, and what of it pipeline files may say, too."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BeforeValidator, Field

from etl.model import ReadLimit
from etl.notifying import ReceiverOptions
from etl.options import DurationS, Options, SizeBytes
from etl.project import DEFAULT_MEMORY_BYTES
from etl.serve_options import ServeOptions


def _known_version(value: object) -> object:
    """Refuse every version but 1; true, which Python takes for 1, too."""
    if value is True or value != 1:
        raise ValueError("only version 1 is known")
    return value


Version = Annotated[Literal[1], BeforeValidator(_known_version)]


def _option_text(value: object) -> object:
    """Return a scalar as object stores want it: ``true`` and numbers as text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


StorageOption = Annotated[
    str, BeforeValidator(_option_text), Field(json_schema_extra={"type": ["string", "boolean", "number"]})
]
Storage: TypeAlias = dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9+.-]*$")], dict[str, StorageOption]]


class BatchOptions(Options):
    """How much one batch takes; the first bound reached counts."""

    max_files: Annotated[int, Field(ge=1)] | None = None
    max_bytes: SizeBytes | None = None
    max_rows: Annotated[int, Field(ge=1)] | None = None
    max_latency: DurationS = Field(default=0.0, description="how long a continuous run waits for a batch to fill")

    def limit(self, default: ReadLimit) -> ReadLimit:
        """Return the read limit; a bound that is not given is that of ``default``."""
        bounds = ("max_files", "max_bytes", "max_rows")
        given = {name: getattr(self, name) for name in self.model_fields_set if name in bounds}
        return ReadLimit(**{name: given.get(name, getattr(default, name)) for name in bounds})


class DefaultsOptions(Options):
    """What pipelines do unless they say otherwise."""

    batch: BatchOptions = Field(default_factory=BatchOptions)


class ProfileFile(Options):
    """The keys of ``etl.yml`` that a profile may overlay."""

    lake: Annotated[str, Field(min_length=1)] = "lake"
    storage: Storage = Field(default_factory=dict)
    defaults: DefaultsOptions = Field(default_factory=DefaultsOptions)
    memory: SizeBytes = DEFAULT_MEMORY_BYTES
    alerts: list[ReceiverOptions] = Field(default_factory=list, description="who is told when something goes wrong")
    serve: ServeOptions = Field(default_factory=ServeOptions)


class ProjectFile(ProfileFile):
    """``etl.yml``."""

    version: Version = 1
    profiles: dict[str, ProfileFile] = Field(default_factory=dict)
