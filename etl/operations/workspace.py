"""A project folder as the operations see it: its pipelines by name, wired when asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from etl.config.faults import nearest
from etl.config.loader import load, load_project
from etl.config.wiring import wire
from etl.errors import ConfigError

if TYPE_CHECKING:
    from etl.config.specification import PipelineSpec
    from etl.pipeline import Pipeline
    from etl.project import Project
    from etl.seam import Seam


@dataclass(frozen=True)
class Workspace:
    """A project folder and the profile that is in force."""

    folder: Path
    profile: str | None = None

    @cached_property
    def project(self) -> Project:
        """The project. Raises ConfigFaults."""
        return load_project(self.folder, self.profile)

    def specs(self, names: Sequence[str] | None = None) -> list[PipelineSpec]:
        """Return the pipelines, or those named, each after those whose tables it reads. Raises ConfigError."""
        _, specs = load(self.folder, self.profile, names)
        return specs

    def spec(self, name: str) -> PipelineSpec:
        """Return one pipeline. Raises ConfigError for a name that none has."""
        return self.specs([name])[0]

    def wired(self, name: str, seam: Seam) -> Pipeline:
        """Return one pipeline, ready. Raises ConfigError."""
        return wire(self.spec(name), self.project, seam)

    def writer_of(self, table: str) -> PipelineSpec:
        """Return the pipeline that writes ``table`` (a name, or a URL), be it beside its own. Raises ConfigError."""
        specs = self.specs()
        for spec in specs:
            if any(table in named for named in spec.tables.values()):
                return spec
        known = [spec.sink.table for spec in specs]
        raise ConfigError(f"no pipeline writes the table '{table}'{nearest(table, known)}")
