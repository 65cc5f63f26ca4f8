"""From a URL to a storage, and from the options of `etl.yml` to those of each library."""

from __future__ import annotations

from pathlib import Path

import pytest

from etl.errors import StorageError
from etl.seam import Seam
from etl.storage import LocalStorage, ObjectStorage, fsspec_options, object_store_options, open_filesystem, open_storage


@pytest.mark.parametrize("prefix", ["", "file://"])
def test_local_path_and_file_url_are_the_local_disk(tmp_path: Path, prefix: str) -> None:
    storage = open_storage(f"{prefix}{tmp_path}/a b", Seam())
    assert isinstance(storage, LocalStorage)
    assert (storage.root, storage.url, storage.is_local) == (tmp_path / "a b", f"{tmp_path}/a b", True)


def test_other_scheme_is_an_object_store() -> None:
    storage = open_storage("memory://bucket/folder/", Seam(), {"s3": {"region": "x"}})
    assert isinstance(storage, ObjectStorage)
    assert (storage.url, storage.is_local) == ("memory://bucket/folder", False)
    assert storage.at("deeper").url == "memory://bucket/folder/deeper"


def test_filesystem_comes_with_the_path_on_it() -> None:
    filesystem, path = open_filesystem("memory://bucket/folder", {})
    assert (type(filesystem).__name__, path) == ("MemoryFileSystem", "/bucket/folder")


def test_unknown_scheme_is_refused_with_the_package_to_install() -> None:
    with pytest.raises(StorageError) as caught:
        open_storage("carrier-pigeon://loft", Seam())
    assert caught.value.where == "carrier-pigeon://loft"
    assert caught.value.hint == "pip install 'lakehouse-etl[carrier-pigeon]'"


S3 = {
    "access_key_id": "k", "secret_access_key": "s", "session_token": "t", "endpoint_url": "http://h:1", "region": "r",
    "other": "o", "empty": "",
}  # fmt: skip


def test_s3_options_for_fsspec_are_renamed_and_listings_never_cached() -> None:
    assert fsspec_options("s3", S3) == {
        "key": "k", "secret": "s", "token": "t", "endpoint_url": "http://h:1",
        "client_kwargs": {"region_name": "r"}, "use_listings_cache": False,
    }  # fmt: skip
    assert fsspec_options("s3", {"access_key_id": ""}) == {"use_listings_cache": False}
    assert fsspec_options("gs", {"token": "t"}) == {"token": "t"}


def test_s3_options_for_polars_and_deltalake_are_prefixed_and_plain_http_is_allowed_where_it_is_asked_for() -> None:
    given = {**S3, "aws_profile": "p"}
    assert object_store_options("s3", given) == {
        "aws_access_key_id": "k", "aws_secret_access_key": "s", "aws_session_token": "t", "aws_endpoint_url": "http://h:1",
        "aws_region": "r", "aws_other": "o", "aws_profile": "p", "aws_allow_http": "true",
    }  # fmt: skip
    assert object_store_options("s3", {"endpoint_url": "https://h"}) == {"aws_endpoint_url": "https://h"}
    assert object_store_options("gs", {"a": "b", "c": ""}) == {"a": "b"}
