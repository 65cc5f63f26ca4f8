"""What proving a pipeline's invariants comes to: checks, what each looked at, what disagrees, what it could not see."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from etl.errors import EtlError


@dataclass(slots=True)
class Check:
    """One thing that was proven, or not.

    ``looked_at`` counts what was looked at, by noun. ``faults`` are what disagrees; ``repair`` is the command that
    mends it. ``unproven`` is what could not be looked at: no fault, and no proof.
    """

    name: str
    proves: str
    repair: str = ""
    looked_at: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    unproven: list[str] = field(default_factory=list)

    @property
    def is_ok(self) -> bool:
        """Whether nothing disagrees."""
        return not self.faults

    def count(self, noun: str, number: int = 1) -> None:
        """Count what was looked at; a noun that was named is told even where there was none."""
        self.looked_at[noun] = self.looked_at.get(noun, 0) + number

    def expect(self, fault: str, *, holds: bool) -> None:
        """Note a fault unless something ``holds``."""
        if not holds:
            self.faults.append(fault)

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Note as a fault what is raised in the block because of what it looks at."""
        try:
            yield
        except EtlError as exc:
            self.faults.append(f"{exc.where}: {exc.message}" if exc.where else exc.message)
        except OSError as exc:
            self.faults.append(f"{exc.filename or ''}: {exc.strerror or exc}".removeprefix(": "))


@dataclass(frozen=True, slots=True)
class Verification:
    """What came of proving one pipeline. ``batches`` are those that are committed."""

    pipeline: str
    table: str
    batches: int
    checks: tuple[Check, ...]

    @property
    def is_ok(self) -> bool:
        """Whether nothing disagrees."""
        return all(check.is_ok for check in self.checks)

    @property
    def unproven(self) -> list[str]:
        """What could not be looked at, each once."""
        return list(dict.fromkeys(note for check in self.checks for note in check.unproven))


def verification_to_json(found: Verification) -> dict[str, Any]:
    """Return a verification as plain values."""
    return {
        "pipeline": found.pipeline,
        "table": found.table,
        "batches": found.batches,
        "is_ok": found.is_ok,
        "checks": [
            {
                "check": check.name,
                "proves": check.proves,
                "is_ok": check.is_ok,
                "looked_at": check.looked_at,
                "faults": check.faults,
                "unproven": check.unproven,
                "repair": "" if check.is_ok else check.repair,
            }
            for check in found.checks
        ],
    }
