"""A lease that everybody gets: what is left when heartbeats expire while a runner is stopped."""

from __future__ import annotations


class Free:
    """Never refuses."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        """Nothing was held."""

    def is_held(self) -> bool:
        return False
