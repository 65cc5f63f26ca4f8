"""Which generation of a checkpoint counts, and where its records lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from etl.checkpoint.folder import find_checkpoint, open_checkpoint
from etl.checkpoint.generations import identities, identity_name, newest_generation, records_of
from etl.checkpoint.refreshing import begin_generation
from etl.errors import CheckpointError
from etl.seam import Seam
from etl.storage import LocalStorage


def folder_with(root: Path, *names: str) -> LocalStorage:
    for name in names:
        (root / name).write_bytes(b"{}")
    return LocalStorage(root, Seam())


def test_a_folder_without_anything_is_of_the_first_generation(tmp_path: Path) -> None:
    assert newest_generation(LocalStorage(tmp_path / "none", Seam())) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("names", "newest"),
    [
        (("pipeline.json",), 1),
        (("pipeline.json", "pipeline.2.json", "pipeline.10.json"), 10),
        (("pipeline.json", ".tmp-pipeline.2.json-0a", "pipeline.3.json.corrupt", "last_error.json"), 1),
    ],
)
def test_the_highest_identity_counts(tmp_path: Path, names: tuple[str, ...], newest: int) -> None:
    assert newest_generation(folder_with(tmp_path, *names)) == newest


def test_records_without_their_identity_count_too_so_that_nobody_goes_on_before_them(tmp_path: Path) -> None:
    storage = folder_with(tmp_path, "pipeline.json")
    (tmp_path / "generation-0003").mkdir()
    assert newest_generation(storage) == 3
    with pytest.raises(CheckpointError, match=r"pipeline\.3\.json is missing"):
        find_checkpoint(storage, Seam(), 3)
    with pytest.raises(CheckpointError, match=r"pipeline\.3\.json is missing"):
        open_checkpoint(storage, "orders", Seam(), 3)


def test_the_first_generation_lies_in_the_folder_itself_and_others_in_their_own(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path, Seam())
    assert [records_of(storage, number).url for number in (1, 2, 12)] == [
        str(tmp_path),
        str(tmp_path / "generation-0002"),
        str(tmp_path / "generation-0012"),
    ]
    assert [identity_name(number) for number in (1, 2, 12)] == ["pipeline.json", "pipeline.2.json", "pipeline.12.json"]


def test_identities_leaves_out_what_is_lost_or_torn(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path, Seam())
    first = open_checkpoint(storage, "orders", Seam()).identity
    for _ in range(3):
        begin_generation(storage, "orders", Seam())
    (tmp_path / "pipeline.2.json").unlink()
    (tmp_path / "pipeline.3.json").write_bytes(b"{")
    found = identities(storage, 4)
    assert sorted(found) == [1, 4]
    assert found[1] == first
    assert sorted(identities(storage, 3)) == [1]
