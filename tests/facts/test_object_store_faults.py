"""What storage, sources and the sink rest on in s3fs, Polars and deltalake when an object store misbehaves."""

from __future__ import annotations

import errno
import math
from collections.abc import Iterator
from typing import Any

import deltalake
import polars as pl
import pytest
from deltalake.exceptions import DeltaError

from etl.storage import object_store_options, open_filesystem
from tests.faults.s3_proxy import FaultyS3, Rule
from tests.servers import S3Bucket

pytestmark = pytest.mark.s3


class Fixture:
    """A bucket behind a proxy."""

    def __init__(self, bucket: S3Bucket, proxy: FaultyS3) -> None:
        self.bucket = bucket.name
        self.proxy = proxy
        given = {**bucket.options, "endpoint_url": proxy.endpoint}
        self.options = object_store_options("s3", given)
        self.filesystem: Any = open_filesystem(bucket.url, given)[0]

    def create(self, key: str) -> None:
        self.filesystem.pipe_file(f"{self.bucket}/{key}", b"ours", mode="create")

    def asked(self, method: str) -> int:
        return sum(asked == method for asked, _ in self.proxy.requests)


@pytest.fixture
def faulty(s3_bucket: S3Bucket) -> Iterator[Fixture]:
    proxy = FaultyS3(s3_bucket.endpoint)
    yield Fixture(s3_bucket, proxy)
    proxy.close()


def test_s3fs_says_exists_of_our_own_object_when_an_answer_was_lost(faulty: Fixture) -> None:
    faulty.proxy.rules = [Rule("lost", "PUT")]
    with pytest.raises(FileExistsError):
        faulty.create("a")
    assert faulty.filesystem.cat_file(f"{faulty.bucket}/a") == b"ours"


def test_s3fs_knows_412_as_exists_only_where_the_condition_is_named(faulty: Fixture) -> None:
    faulty.proxy.rules = [Rule("412", "PUT")]
    with pytest.raises(OSError, match="by rule") as caught:
        faulty.create("a")
    assert caught.value.errno == errno.EINVAL
    assert caught.value.__cause__.response["ResponseMetadata"]["HTTPStatusCode"] == 412  # type: ignore[union-attr]


def test_s3fs_does_not_repeat_409(faulty: Fixture) -> None:
    faulty.proxy.rules = [Rule("409", "PUT")]
    with pytest.raises(OSError, match="ConditionalRequestConflict") as caught:
        faulty.create("a")
    assert caught.value.errno == errno.EIO
    assert faulty.asked("PUT") == 1


def test_s3fs_gives_a_short_answer_without_a_checksum_as_if_it_were_whole(faulty: Fixture) -> None:
    faulty.filesystem.pipe_file(f"{faulty.bucket}/a", b"0123456789")
    faulty.proxy.rules = [Rule("short", "GET", times=math.inf)]
    with faulty.filesystem.open(f"{faulty.bucket}/a", "rb") as handle:
        assert handle.read() == b"01234"


def test_s3fs_raises_what_is_no_os_error_where_a_checksum_differs(faulty: Fixture) -> None:
    faulty.filesystem.pipe_file(f"{faulty.bucket}/a", b"0123456789")
    faulty.proxy.rules = [Rule("garbled", "GET")]
    with pytest.raises(Exception, match="did not match calculated checksum") as caught:
        faulty.filesystem.cat_file(f"{faulty.bucket}/a")
    assert not isinstance(caught.value, OSError)


@pytest.mark.parametrize("fault", ["503", "409", "lost", "503 after"])
def test_polars_repeats_an_upload_that_failed(faulty: Fixture, fault: Any) -> None:
    faulty.proxy.rules = [Rule(fault, "PUT")]
    url = f"s3://{faulty.bucket}/a.parquet"
    pl.LazyFrame({"a": [1]}).sink_parquet(url, storage_options=faulty.options)
    assert faulty.asked("PUT") == 2


def test_polars_raises_an_os_error_for_an_upload_that_is_refused(faulty: Fixture) -> None:
    faulty.proxy.rules = [Rule("403", "PUT", times=math.inf)]
    with pytest.raises(PermissionError):
        pl.LazyFrame({"a": [1]}).sink_parquet(f"s3://{faulty.bucket}/a.parquet", storage_options=faulty.options)


def test_deltalake_raises_os_errors_for_the_store_and_its_own_for_the_table(faulty: Fixture) -> None:
    url = f"s3://{faulty.bucket}/t"
    deltalake.write_deltalake(url, pl.DataFrame({"a": [1]}), storage_options=faulty.options)
    faulty.proxy.rules = [Rule("403", "GET", times=math.inf)]
    with pytest.raises(OSError, match="privileges"):
        deltalake.DeltaTable(url, storage_options=faulty.options)
    faulty.proxy.rules = []
    faulty.filesystem.pipe_file(f"{faulty.bucket}/t/_delta_log/{0:020d}.json", b'{"commitIn')
    with pytest.raises(DeltaError):
        deltalake.DeltaTable(url, storage_options=faulty.options)


def test_deltalake_refuses_a_plain_http_endpoint_that_was_not_allowed(faulty: Fixture) -> None:
    options = {name: value for name, value in faulty.options.items() if name != "aws_allow_http"}
    with pytest.raises(OSError, match="URL scheme is not allowed"):
        deltalake.DeltaTable(f"s3://{faulty.bucket}/t", storage_options=options)
