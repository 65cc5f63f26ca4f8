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
    """Return an error as a fault at ``location``, told with the clause of the query there where it names one."""
    line, column = spec.document.where(location, key=True)
    path = key_path(location)
    clause = exc.where[len(path) + 2 : -1] if names(exc, location) and exc.where != path else ""
    return Fault(spec.document.file, line, column, path, f"{clause}: {reason(exc)}" if clause else reason(exc))


def names(exc: EtlError, location: Location) -> bool:
    """Tell whether an error comes from ``location``, or from a clause of the query there."""
    path = key_path(location)
    return exc.where == path or exc.where.startswith(f"{path} (")
