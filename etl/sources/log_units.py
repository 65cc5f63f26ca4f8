"""The units of a plan of logs: which bytes of which logs a batch reads, as columns of plain JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from etl.errors import CheckpointError
from etl.model import Json
from etl.sources.log_identity import Mark

_COLUMNS = ("path", "generation", "device", "inode", "born_ns", "start", "end", "head", "tail", "modified_ns", "origin")


class LogUnit(NamedTuple):
    """Whole lines of one log: the bytes from ``start`` to before ``end``, uncompressed.

    ``path`` is where the log lay when this was planned, ``origin`` where it was first seen; origin and ``generation``
    name it for ever. ``head`` and ``tail`` are the mark of its first ``end`` bytes, which proves it.
    """

    path: str
    generation: int
    device: int
    inode: int
    born_ns: int
    start: int
    end: int
    head: str
    tail: str
    modified_ns: int
    origin: str

    @property
    def key(self) -> tuple[str, int]:
        """The name of the log: origin and generation."""
        return self.origin, self.generation

    @property
    def mark(self) -> Mark:
        """The mark of the first ``end`` bytes."""
        return Mark(self.end, self.head, self.tail)


class Loss(NamedTuple):
    """Bytes of a log that nobody can read any more, from ``offset`` on.

    ``size_bytes`` is what had been seen there; without ``is_exact`` more may have been written after the last look.
    """

    path: str
    generation: int
    offset: int
    size_bytes: int
    is_exact: bool
    reason: str

    def to_json(self) -> dict[str, Json]:
        """Return it as the plan record and ``etl trace --explain`` show it."""
        return {
            "path": self.path,
            "generation": self.generation,
            "offset": self.offset,
            "bytes": self.size_bytes,
            "is_exact": self.is_exact,
            "reason": self.reason,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Loss:
        """Return what ``to_json`` wrote."""
        names = ("path", "generation", "offset", "bytes", "is_exact", "reason")
        return cls(*(value[name] for name in names))

    def told(self) -> str:
        """Return it in words."""
        bound = "" if self.is_exact else "at least "
        return f"{self.path}: {self.reason}; {bound}{self.size_bytes} bytes after byte {self.offset} are lost"


@dataclass(frozen=True, slots=True)
class LogUnits:
    """What a batch reads, in order, and the losses that were found since the batch before."""

    ranges: tuple[LogUnit, ...]
    lost: tuple[Loss, ...] = ()

    @classmethod
    def from_json(cls, units: Mapping[str, Any]) -> LogUnits:
        """Return what ``to_json`` wrote. Raises CheckpointError."""
        try:
            columns = {name: units[name] for name in _COLUMNS if name != "origin"}
            columns["origin"] = units.get("origin", units["path"])
            ranges = tuple(map(LogUnit._make, zip(*(columns[name] for name in LogUnit._fields), strict=True)))
            return cls(ranges, tuple(Loss.from_json(value) for value in units.get("lost", ())))
        except (KeyError, TypeError, ValueError) as exc:
            raise CheckpointError(
                f"units of a plan that are not those of logs: {exc}",
                hint="restore the checkpoint folder from a backup",
            ) from exc

    def to_json(self) -> dict[str, Json]:
        """Return one list a column; what says nothing is left out."""
        units: dict[str, Json] = {name: [getattr(unit, name) for unit in self.ranges] for name in _COLUMNS}
        if units["origin"] == units["path"]:
            del units["origin"]
        if self.lost:
            units["lost"] = [loss.to_json() for loss in self.lost]
        return units

    @property
    def size_bytes(self) -> int:
        """The bytes of all ranges together."""
        return sum(unit.end - unit.start for unit in self.ranges)


def paths_of(units: Iterable[LogUnit]) -> int:
    """Return how many different logs there are."""
    return len({unit.key for unit in units})
