"""A literal registry whose classes are imported when they are first asked for: a start pays only for what it uses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any


class Registry(Mapping[str, Any]):
    """Name to class, from name to ``module:class``. Names are known without an import."""

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = dict(places)
        self._found: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401  a class, by convention of its registry
        """Return the class of a name. Raises KeyError."""
        if name not in self._found:
            module, _, class_ = self._places[name].partition(":")
            self._found[name] = getattr(import_module(module), class_)
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        """Go through the names in their order."""
        return iter(self._places)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._places)
