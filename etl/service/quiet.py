"""What libraries log by themselves stays inside: it may hold secrets, and it is told where it matters."""

from __future__ import annotations

import logging
from collections import deque

from etl.secrets import scrubbed


class Overheard(logging.Handler):
    """Keeps the newest message of a library."""

    def __init__(self) -> None:
        super().__init__()
        self._newest: deque[str] = deque(maxlen=1)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        self._newest.append(scrubbed(record.getMessage()))

    def taken(self) -> str:
        """Return the newest message since the last one that was taken, empty where there is none."""
        return self._newest.pop() if self._newest else ""


def quieted(library: str) -> Overheard:
    """Keep what a library logs from the standard error stream; return what hears it instead. *Repeat*: safe."""
    logger = logging.getLogger(library)
    logger.propagate = False
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
    overheard = Overheard()
    logger.addHandler(overheard)
    return overheard
