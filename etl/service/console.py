"""The log of a service: a line for everything that happens in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.service.log_lines import level_of, line_of

if TYPE_CHECKING:
    from etl.service.attendants import Premises
    from etl.service.contract import Happening


@dataclass(frozen=True, slots=True)
class ConsoleLog:
    """The log, until it is closed."""

    leave: Callable[[], None]

    def close(self) -> None:
        """Write no more."""
        self.leave()


def start(premises: Premises) -> ConsoleLog:
    """Begin to write; what happens so often that only its outcome is worth a line (``debug``) is left out."""
    write = premises.log or premises.tell

    def hear(happening: Happening) -> None:
        if level_of(happening) != "debug":
            write(line_of(happening, premises.log_format))

    return ConsoleLog(premises.fleet.listen(hear))
