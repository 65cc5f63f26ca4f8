"""Options become parts; what a part refuses is a fault at its place in the file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from etl.config.faults import ConfigFaults, Fault, Location, key_path, reason
from etl.config.specification import PipelineSpec
from etl.errors import ConfigError, EtlError


def built(spec: PipelineSpec, location: Location, build: Callable[[], Any]) -> Any:  # noqa: ANN401  what build returns
    """Return what ``build`` makes. Raises ConfigFaults at ``location`` where it refuses."""
    try:
        return build()
    except ConfigError as exc:
        raise ConfigFaults([fault_at(spec, location, exc)]) from exc


def fault_at(spec: PipelineSpec, location: Location, exc: EtlError) -> Fault:
    """Return an error as a fault at ``location``."""
    line, column = spec.document.where(location, key=True)
    return Fault(spec.document.file, line, column, key_path(location), reason(exc))
