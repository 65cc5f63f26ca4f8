"""The sources, transforms and sinks that a pipeline file may name: ours, and those of installed packages."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal, TypeAlias

import etl.sinks
import etl.sources
import etl.transforms
from etl.errors import ConfigError

Kind: TypeAlias = "Literal['sources', 'transforms', 'sinks']"


def registered(kind: Kind, name: str) -> Any:  # noqa: ANN401  a class, by convention of its kind
    """Return the class called ``name``, None where there is none.

    Installed packages are asked (entry points ``etl.sources``, …) only for a name that is not ours. Raises ConfigError
    where such a package cannot be loaded.
    """
    literal = _literal(kind)
    if name in literal:
        return literal[name]
    entry = _installed(kind).get(name)
    if entry is None:
        return None
    try:
        return entry.load()
    except Exception as exc:
        raise ConfigError(f"'{name}' of the installed {entry.value} cannot be loaded: {exc}") from exc


def names(kind: Kind) -> list[str]:
    """Return every name that may be used, sorted."""
    return sorted({*_literal(kind), *_installed(kind)})


def _literal(kind: Kind) -> Mapping[str, Any]:
    registries: Mapping[str, Mapping[str, Any]] = {
        "sources": etl.sources.SOURCES,
        "transforms": etl.transforms.TRANSFORMS,
        "sinks": etl.sinks.SINKS,
    }
    return registries[kind]


@cache
def _installed(kind: Kind) -> Mapping[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=f"etl.{kind}")}
