"""Where the rows of recent changes lie, by the hash of their key: one sorted index over many files, in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl.state.version import Run, StateFile

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from etl.state.key_hash import Hashes

    Numbers = npt.NDArray[np.int64]

_ROW_BITS = 32
_GROWTH = 2


@dataclass(frozen=True, slots=True)
class Hits:
    """Pairs of a needle and a row with its hash: the number of the needle, of the source, and of the row in it."""

    needle: Numbers
    source: Numbers
    row: Numbers

    def chosen(self, which: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> Hits:
        """Return some of them, by number or by a mask."""
        return Hits(self.needle[which], self.source[which], self.row[which])


class Overlay:
    """An index of runs of changes, kept in tiers that are merged when they come near to one another in size.

    Sixteen bytes a row. It can be built again from the files at any time, and follows any version.
    """

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._sizes: dict[int, int] = {}
        self._tiers: list[tuple[Hashes, Numbers]] = []
        self._followed: tuple[str, ...] = ()
        self._rank: Numbers | None = None
        self._next = 0

    @property
    def size_bytes(self) -> int:
        """How much memory the index takes."""
        return sum(hashes.nbytes + places.nbytes for hashes, places in self._tiers)

    def follow(self, runs: Iterable[Run], hashes_of: Callable[[StateFile], Hashes]) -> None:
        """Know exactly these runs, oldest first: their places in that order are the sources of hits."""
        import numpy as np

        files = [run.file for run in runs]
        paths = tuple(file.path for file in files)
        if paths == self._followed:
            return
        gone = self._numbers.keys() - set(paths)
        if 2 * sum(self._sizes[self._numbers[path]] for path in gone) > sum(self._sizes.values()):
            self._purge(gone)
        for file in files:
            if file.path not in self._numbers:
                self._add(file, hashes_of(file))
        self._rank = np.full(self._next, -1, np.int64)
        self._rank[[self._numbers[path] for path in paths]] = np.arange(len(paths))
        self._followed = paths

    def _add(self, file: StateFile, hashes: Hashes) -> None:
        import numpy as np

        number, self._next = self._next, self._next + 1
        self._numbers[file.path], self._sizes[number] = number, file.rows
        places = np.arange(file.rows, dtype=np.int64) + (number << _ROW_BITS)
        self._tiers.append((np.array(hashes), places))
        while len(self._tiers) > 1 and self._tiers[-2][0].size < _GROWTH * self._tiers[-1][0].size:
            younger, older = self._tiers.pop(), self._tiers.pop()
            self._tiers.append(_merge(older, younger))

    def _purge(self, gone: set[str]) -> None:
        import numpy as np

        numbers = np.array([self._numbers[path] for path in gone])
        for path in gone:
            del self._sizes[self._numbers.pop(path)]
        kept = []
        for hashes, places in self._tiers:
            is_kept = ~np.isin(places >> _ROW_BITS, numbers)
            kept.append((hashes[is_kept], places[is_kept]))
        self._tiers = [tier for tier in kept if tier[0].size]

    def find(self, needles: Hashes) -> Hits:
        """Return where sorted hashes occur."""
        import numpy as np

        if self._rank is None or not self._tiers:
            return Hits(*(np.zeros(0, np.int64) for _ in range(3)))
        found = [_matches(hashes, places, needles) for hashes, places in self._tiers]
        needle, places = (np.concatenate(parts) for parts in zip(*found, strict=True))
        source = self._rank[places >> _ROW_BITS]
        is_known = source >= 0
        return Hits(needle[is_known], source[is_known], (places & ((1 << _ROW_BITS) - 1))[is_known])


def _merge(older: tuple[Hashes, Numbers], younger: tuple[Hashes, Numbers]) -> tuple[Hashes, Numbers]:
    import numpy as np

    hashes = np.concatenate([older[0], younger[0]])
    order = np.argsort(hashes, kind="stable")  # two sorted runs: merged, not sorted
    return hashes[order], np.concatenate([older[1], younger[1]])[order]


def _matches(hashes: Hashes, places: Numbers, needles: Hashes) -> tuple[Numbers, Numbers]:
    rows, which = matching_rows(hashes, needles)
    return which, places[rows]


def matching_rows(hashes: Hashes, needles: Hashes) -> tuple[Numbers, Numbers]:
    """Return the numbers of the rows whose hash is a needle, and which needle; both are sorted."""
    import numpy as np

    begin = np.searchsorted(hashes, needles, "left")
    inside = np.flatnonzero(begin < hashes.size)
    which = inside[hashes[begin[inside]] == needles[inside]]
    begin = begin[which]
    following = np.minimum(begin + 1, max(hashes.size - 1, 0))
    is_several = (hashes[following] == needles[which]) & (following > begin)
    if not is_several.any():
        return begin, which
    counts = np.ones(begin.size, np.int64)
    counts[is_several] = np.searchsorted(hashes, needles[which[is_several]], "right") - begin[is_several]
    which = np.repeat(which, counts)
    offsets = np.arange(which.size) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(begin, counts) + offsets, which
