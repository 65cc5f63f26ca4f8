"""How large the parts of a state are, and how much of it a batch writes anew."""

from __future__ import annotations

from dataclasses import dataclass, replace

_SHARES, _LEAST_BYTES = 32, 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """The measures of a store.

    A partition is split in two beyond ``part_rows`` or ``part_bytes``. A batch writes ``fold_factor`` times the bytes
    of its own change anew, on average. Folding begins at ``fold_bytes`` of changes; where rows expire, and whole runs
    with them, only beyond ``max_runs``. ``fan_in`` runs of fewer than ``small_rows`` become one. ``hash_bits``: see
    ``hash_keys``.
    """

    part_rows: int = 250_000
    part_bytes: int = 32 << 20
    fold_factor: float = 2.0
    fold_bytes: int = 8 << 20
    max_runs: int = 24
    fan_in: int = 8
    small_rows: int = 65_536
    hash_bits: int = 64

    def within(self, memory_bytes: int) -> Limits:
        """Return limits whose partitions can be folded, two at a time, in a small part of a memory."""
        return replace(self, part_bytes=min(self.part_bytes, max(memory_bytes // _SHARES, _LEAST_BYTES)))


USUAL = Limits()
