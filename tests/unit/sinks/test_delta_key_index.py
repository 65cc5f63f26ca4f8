"""Notes of the keys of files: which files they spare a batch, and that they never hide a row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from etl.sinks.delta import DeltaSink
from tests.unit.sinks.merging import bring, held, merging_sink

ROWS = 300


def keys_of(numbers: range) -> list[str]:
    """Return texts whose order is not that of the numbers, so that the bounds of files tell nothing."""
    return [f"{number * 7919 % 10_007:05d}" for number in numbers]


def rows_of(numbers: range, v: int) -> pl.DataFrame:
    return pl.DataFrame({"id": keys_of(numbers), "v": [v] * len(numbers)})


def scattered(root: Path, **options: object) -> DeltaSink:
    """Return the sink of a table of three files, each with keys all over."""
    sink = merging_sink(root, **{"key_index_from": ROWS, **options})  # type: ignore[arg-type]
    for number in range(3):
        bring(sink, number, rows_of(range(number * ROWS, (number + 1) * ROWS), v=0))
    return sink


def notes(root: Path) -> list[Path]:
    return sorted((root / "_keys").iterdir()) if (root / "_keys").exists() else []


def expected(changed: range) -> dict[tuple[str, int], int]:
    return {(key, 1 if number in changed else 0): 1 for number, key in enumerate(keys_of(range(3 * ROWS)))}


def without_data(root: Path, sink: DeltaSink, batch_id: int, rows: pl.DataFrame) -> None:
    """Bring a batch while the files that nobody is to read are not there."""
    hidden = [file for file in root.glob("part-*.parquet") if (pl.read_parquet(file)["v"] == 0).all()]
    for file in hidden:
        file.rename(file.with_suffix(".hidden"))
    bring(sink, batch_id, rows)
    for file in hidden:
        file.with_suffix(".hidden").rename(file)


def test_a_file_that_was_looked_into_in_vain_is_not_read_again(tmp_path: Path) -> None:
    sink = scattered(tmp_path)
    assert len(notes(tmp_path)) == 2, "the first file for the second batch, both for the third"
    bring(sink, 3, rows_of(range(2 * ROWS, 3 * ROWS), v=1))
    without_data(tmp_path, sink, 4, rows_of(range(2 * ROWS, 2 * ROWS + 1), v=1).with_columns(v=pl.lit(2)))
    changed = expected(range(2 * ROWS, 3 * ROWS))
    changed[keys_of(range(2 * ROWS, 2 * ROWS + 1))[0], 2] = changed.pop((keys_of(range(2 * ROWS, 2 * ROWS + 1))[0], 1))
    assert held(tmp_path, "id", "v") == changed


@pytest.mark.parametrize("changed", [range(1), range(290, 310), range(3 * ROWS), range(599, 601)])
def test_notes_never_hide_a_row(tmp_path: Path, changed: range) -> None:
    sink = scattered(tmp_path)
    bring(sink, 3, rows_of(range(5_000, 5_001), v=0))
    assert len(notes(tmp_path)) == 3
    bring(sink, 4, rows_of(changed, v=1))
    assert held(tmp_path, "id", "v") == {**expected(changed), (keys_of(range(5_000, 5_001))[0], 0): 1}


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-6],
        lambda content: content[:0],
        lambda content: bytes([*content[:9], 255, *content[10:]]),
    ],
)
def test_a_damaged_note_is_not_believed(tmp_path: Path, damage: object) -> None:
    sink = scattered(tmp_path)
    for note in notes(tmp_path):
        note.write_bytes(damage(note.read_bytes()))  # type: ignore[operator]
    bring(sink, 3, rows_of(range(3 * ROWS), v=1))
    assert held(tmp_path, "id", "v") == expected(range(3 * ROWS))


def test_notes_of_files_that_are_gone_are_removed_with_the_next_new_one(tmp_path: Path) -> None:
    sink = scattered(tmp_path)
    before = notes(tmp_path)
    bring(sink, 3, rows_of(range(2 * ROWS), v=1))
    bring(sink, 4, rows_of(range(2 * ROWS, 2 * ROWS + 1), v=1))
    assert not set(before) & set(notes(tmp_path))
    assert len(notes(tmp_path)) == 2


@pytest.mark.parametrize("least", [None, ROWS + 1])
def test_without_it_or_for_small_files_there_are_no_notes(tmp_path: Path, least: int | None) -> None:
    scattered(tmp_path, key_index_from=least)
    assert notes(tmp_path) == []


def test_keys_of_floats_are_read_each_time(tmp_path: Path) -> None:
    sink = merging_sink(tmp_path, key_index_from=1)
    for number, keys in enumerate(([0.0, 9.0], [5.0, 7.0], [-0.0])):
        bring(sink, number, {"id": keys, "v": [number] * len(keys)})
    assert notes(tmp_path) == []
    assert held(tmp_path, "id", "v") == {(0.0, 2): 1, (9.0, 0): 1, (5.0, 1): 1, (7.0, 1): 1}


def test_a_key_that_becomes_wider_is_found(tmp_path: Path) -> None:
    sink = merging_sink(tmp_path, key_index_from=1)
    for number, keys in enumerate(([1, 9], [3, 7], [5])):
        bring(sink, number, pl.DataFrame({"id": keys, "v": [number] * len(keys)}, schema_overrides={"id": pl.Int32}))
    assert len(notes(tmp_path)) == 2
    wide = pl.DataFrame({"id": [7, 9], "v": [3, 3]}, schema_overrides={"id": pl.Int64})
    bring(merging_sink(tmp_path, key_index_from=1), 3, wide, may_widen=True)
    assert held(tmp_path, "id", "v") == {(1, 0): 1, (3, 1): 1, (5, 2): 1, (7, 3): 1, (9, 3): 1}


def test_keys_of_several_columns_with_nulls_are_told_apart(tmp_path: Path) -> None:
    sink = merging_sink(tmp_path, ["id", "part"], key_index_from=1)
    batches: list[tuple[list[Any], list[Any]]] = [
        ([1, 9], ["a", None]),
        ([1, 8], [None, "a"]),
        ([5], ["x"]),
        ([9, 1], [None, "a"]),
        ([1], [None]),
    ]
    for number, (keys, parts) in enumerate(batches):
        bring(sink, number, {"id": keys, "part": parts, "v": [number] * len(keys)})
    assert held(tmp_path, "id", "part", "v") == {
        (1, "a", 3): 1, (9, None, 3): 1, (1, None, 4): 1, (8, "a", 1): 1, (5, "x", 2): 1
    }  # fmt: skip
