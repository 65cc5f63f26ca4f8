"""A line of console log for everything that happens in a service."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from etl.service.attendants import Premises
    from etl.service.contract import Happening

_QUIET = ("started", "planned", "ended")
"""What happens so often that only its outcome is worth a line."""


@dataclass(frozen=True, slots=True)
class ConsoleLog:
    """The log, until it is closed."""

    leave: Callable[[], None]

    def close(self) -> None:
        """Write no more."""
        self.leave()


def start(premises: Premises) -> ConsoleLog | None:
    """Begin to write."""

    def hear(happening: Happening) -> None:
        if happening.kind not in _QUIET:
            premises.tell(line_of(happening))

    return ConsoleLog(premises.fleet.listen(hear))


def line_of(happening: Happening) -> str:
    """Return a happening as a line of its own."""
    result = happening.result
    what = happening.message
    if result is not None:
        written = result.rows.get("written", 0)
        what = f"batch {result.batch_id}, {written:,} rows written in {result.seconds.get('total', 0.0):.2f} s"
    at = happening.at.isoformat(timespec="milliseconds")
    parts = (at, happening.pipeline, happening.kind, "; ".join(part.strip() for part in what.splitlines()))
    return "  ".join(part for part in parts if part)
