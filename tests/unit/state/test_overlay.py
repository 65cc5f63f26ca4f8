"""The index of recent changes: where the rows of a hash lie, over any number of runs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from etl.state.overlay import Hits, Overlay, matching_rows
from etl.state.version import Run, StateFile


def run(name: str, rows: int) -> Run:
    return Run(StateFile(name, rows, rows, 1, "", 0), 0, 0)


def words(values: Sequence[int]) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    return np.array(values, np.uint64)


class Runs:
    """Runs of known hashes, by name."""

    def __init__(self, **hashes: list[int]) -> None:
        self.hashes = {name: words(sorted(values)) for name, values in hashes.items()}
        self.overlay = Overlay()
        self.read: list[str] = []

    def follow(self, *names: str) -> None:
        runs = [run(name, self.hashes[name].size) for name in names]
        self.overlay.follow(runs, self.of)

    def of(self, file: StateFile) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
        self.read.append(file.path)
        return self.hashes[file.path]

    def find(self, *needles: int) -> set[tuple[int, int, int]]:
        return pairs(self.overlay.find(words(needles)))


def pairs(hits: Hits) -> set[tuple[int, int, int]]:
    found = list(zip(hits.needle.tolist(), hits.source.tolist(), hits.row.tolist(), strict=True))
    assert len(set(found)) == len(found)
    return set(found)


def test_an_index_of_nothing_finds_nothing() -> None:
    assert Runs().find(1, 2) == set()


def test_every_row_with_the_hash_of_a_needle_is_found_in_the_place_of_its_run() -> None:
    runs = Runs(a=[1, 5, 5, 9], b=[5, 2**64 - 1])
    runs.follow("a", "b")
    assert runs.find(0, 5, 9, 2**64 - 1) == {(1, 0, 1), (1, 0, 2), (1, 1, 0), (2, 0, 3), (3, 1, 1)}


def test_runs_that_are_gone_are_not_found_and_those_that_come_back_are() -> None:
    runs = Runs(a=[1, 2], b=[2, 3], c=[3])
    runs.follow("a", "b")
    runs.follow("b", "c")
    assert runs.find(1, 2, 3) == {(1, 0, 0), (2, 0, 1), (2, 1, 0)}
    runs.follow("a", "b")
    assert runs.find(1, 2, 3) == {(0, 0, 0), (1, 0, 1), (1, 1, 0), (2, 1, 1)}


def test_a_run_is_read_once_and_forgotten_when_most_of_the_index_is_of_gone_ones() -> None:
    runs = Runs(a=list(range(10)), b=[3], c=[4])
    runs.follow("a", "b")
    before = runs.overlay.size_bytes
    runs.follow("b", "c")
    assert runs.read == ["a", "b", "c"]
    assert (before, runs.overlay.size_bytes) == (11 * 16, 2 * 16)
    assert runs.find(3, 4) == {(0, 0, 0), (1, 1, 0)}
    runs.follow("a")
    assert runs.read == ["a", "b", "c", "a"]
    assert runs.find(3) == {(0, 0, 3)}


@pytest.mark.parametrize("seed", range(5))
def test_many_runs_of_any_sizes_are_found_as_one_by_one(seed: int) -> None:
    generator = np.random.default_rng(seed)
    runs = Runs(**{f"r{n}": generator.integers(0, 60, generator.integers(0, 40)).tolist() for n in range(20)})
    needles = sorted(set(generator.integers(0, 60, 30).tolist()))
    for last in range(1, 21):
        first = max(0, last - 7)
        names = [f"r{n}" for n in range(first, last)]
        runs.follow(*names)
        assert runs.find(*needles) == {
            (number, source, row)
            for source, name in enumerate(names)
            for row, value in enumerate(runs.hashes[name].tolist())
            for number, needle in enumerate(needles)
            if value == needle
        }


@pytest.mark.parametrize(
    ("hashes", "needles", "rows", "which"),
    [
        ([], [1, 2], [], []),
        ([1, 2], [], [], []),
        ([1, 2, 2, 2, 4], [0, 2, 3, 4, 5], [1, 2, 3, 4], [1, 1, 1, 3]),
        ([7], [7], [0], [0]),
        ([2**64 - 1, 2**64 - 1], [2**64 - 1], [0, 1], [0, 0]),
    ],
)
def test_rows_are_matched_with_their_needles(
    hashes: list[int], needles: list[int], rows: list[int], which: list[int]
) -> None:
    found = matching_rows(words(hashes), words(needles))
    assert [each.tolist() for each in found] == [rows, which]
