"""What every storage of records keeps, wherever they lie."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from etl.errors import RecordExistsError
from etl.storage import Storage, open_storage, put_if_absent
from etl.testing import ManualClock, crash_at

Open = Callable[..., Storage]


@pytest.fixture(params=["local", "memory", pytest.param("s3", marks=pytest.mark.s3)])
def open_it(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Return a way to open the same empty folder, as another process would."""
    if request.param == "s3":
        bucket = request.getfixturevalue("s3_bucket")
        return lambda seam=None: open_storage(f"{bucket.url}/lake/it", seam or ManualClock(), bucket.storage_options)
    url = f"{tmp_path}/lake/it" if request.param == "local" else f"memory://{uuid4().hex}/lake/it"
    return lambda seam=None: open_storage(url, seam or ManualClock())


@pytest.fixture
def storage(open_it: Open) -> Storage:
    return open_it()


def put(storage: Storage, path: str, content: bytes = b"x") -> None:
    storage.create(path, content, effect="e")


def test_empty_folder_lists_and_finds_nothing(storage: Storage) -> None:
    assert storage.list() == storage.list("offsets") == []
    assert list(storage.find()) == list(storage.find("offsets")) == []
    assert storage.size("offsets/1.json") is None


def test_missing_record_cannot_be_read_or_opened(storage: Storage) -> None:
    with pytest.raises(FileNotFoundError):
        storage.read("offsets/1.json")
    with pytest.raises(FileNotFoundError):
        storage.open("offsets/1.json").read()


@pytest.mark.parametrize("content", [b"", b"x", bytes(range(256)) * 40])
def test_record_is_read_byte_by_byte_as_it_was_created(storage: Storage, content: bytes) -> None:
    put(storage, "offsets/1.json", content)
    assert storage.read("offsets/1.json") == content
    assert storage.size("offsets/1.json") == len(content)
    with storage.open("offsets/1.json") as file:
        assert file.read() == content


def test_second_creation_is_refused_and_the_first_record_stays(storage: Storage) -> None:
    put(storage, "a/1.json", b"first")
    with pytest.raises(FileExistsError):
        put(storage, "a/1.json", b"second")
    assert storage.read("a/1.json") == b"first"


def test_replacement_writes_over_what_is_there_or_makes_it(storage: Storage) -> None:
    for content in (b"first", b"second", b""):
        storage.replace("a/1.json", content, effect="e")
        assert storage.read("a/1.json") == content
        assert storage.size("a/1.json") == len(content)


def test_removal_may_be_repeated(storage: Storage) -> None:
    put(storage, "a/1.json")
    for _ in range(2):
        storage.remove("a/1.json", effect="e")
    assert storage.size("a/1.json") is None
    assert storage.list("a") == []
    put(storage, "a/1.json", b"again")
    assert storage.read("a/1.json") == b"again"


def test_list_is_the_sorted_names_directly_inside(storage: Storage) -> None:
    for path in ("b.json", "a.json", "a/deep/1.json", "a/2.json", "a-b/3.json"):
        put(storage, path)
    assert storage.list() == ["a", "a-b", "a.json", "b.json"]
    assert storage.list("a") == ["2.json", "deep"]


def test_find_is_the_sorted_paths_at_any_depth(storage: Storage) -> None:
    for path in ("b.json", "a/deep/1.json", "a/2.json", "k=x%20y/3.json"):
        put(storage, path)
    assert list(storage.find()) == ["a/2.json", "a/deep/1.json", "b.json", "k=x%20y/3.json"]
    assert list(storage.find("a")) == ["a/2.json", "a/deep/1.json"]


@pytest.mark.parametrize("name", ["a b", "é", "#", "%2F", "k=v", "it's", "a+b&c", "x~!()"])
def test_name_is_itself_and_nothing_else(storage: Storage, name: str) -> None:
    put(storage, f"f/{name}", name.encode())
    assert storage.list("f") == [name]
    assert list(storage.find()) == [f"f/{name}"]
    assert storage.read(f"f/{name}") == name.encode()


def test_storage_below_is_the_same_records_by_shorter_paths(storage: Storage) -> None:
    below = storage.at("a").at("b")
    put(below, "1.json", b"x")
    assert storage.read("a/b/1.json") == b"x"
    assert below.list() == ["1.json"]
    assert below.url == f"{storage.url}/a/b"
    assert below.is_local == storage.is_local


def test_what_another_process_writes_or_removes_is_seen_at_once(open_it: Open) -> None:
    ours, theirs = open_it(), open_it()
    assert ours.list("a") == []
    put(theirs, "a/1.json", b"one")
    assert (ours.list("a"), list(ours.find()), ours.size("a/1.json")) == (["1.json"], ["a/1.json"], 3)
    theirs.replace("a/1.json", b"longer", effect="e")
    assert (ours.read("a/1.json"), ours.size("a/1.json")) == (b"longer", 6)
    theirs.remove("a/1.json", effect="e")
    assert (ours.list("a"), list(ours.find()), ours.size("a/1.json")) == ([], [], None)


def test_syncing_and_sweeping_leave_records_as_they_are(storage: Storage) -> None:
    put(storage, "a/1.json", b"one")
    storage.sync(["a/1.json"], effect="e")
    storage.sweep("a", older_than_s=0.0, effect="e")
    storage.sweep("", older_than_s=0.0, effect="e")
    assert storage.read("a/1.json") == b"one"


def test_of_many_that_put_one_record_one_wins(open_it: Open) -> None:
    put_if_absent(open_it(), "a/1.json", b"one", effect="e", seam=ManualClock())
    for content in (b"two", b"three"):
        with pytest.raises(RecordExistsError) as caught:
            put_if_absent(open_it(), "a/1.json", content, effect="e", seam=ManualClock())
        assert caught.value.content == b"one"
    put_if_absent(open_it(), "a/1.json", b"one", effect="e", seam=ManualClock())
    assert open_it().read("a/1.json") == b"one"


@pytest.mark.parametrize("failure", ["error_before", "error_after"])
def test_record_is_there_once_whatever_was_lost_on_the_way(open_it: Open, failure: Any) -> None:
    for name in ("e", "e.write", "e.publish", "e.sync"):
        seam = crash_at(name, failure)
        put_if_absent(open_it(seam), f"{name}.json", b"ours", effect="e", seam=seam)
        assert open_it().read(f"{name}.json") == b"ours"
