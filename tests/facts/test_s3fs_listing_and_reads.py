"""What ``etl.sources`` rests on in s3fs."""

from __future__ import annotations

import pytest

from etl.storage import open_filesystem
from tests.servers import S3Bucket

pytestmark = pytest.mark.s3


def test_find_sees_an_object_that_was_put_by_somebody_else_after_the_last_listing(s3_bucket: S3Bucket) -> None:
    import boto3

    client = boto3.client(
        "s3", endpoint_url=s3_bucket.endpoint, aws_access_key_id="t", aws_secret_access_key="t", region_name="us-east-1"
    )
    filesystem, name = open_filesystem(s3_bucket.url, s3_bucket.options)
    client.put_object(Bucket=name, Key="in/a", Body=b"1")
    assert list(filesystem.find(f"{name}/in", detail=True)) == [f"{name}/in/a"]
    client.put_object(Bucket=name, Key="in/b", Body=b"2")
    found = filesystem.find(f"{name}/in", detail=True)
    assert list(found) == [f"{name}/in/a", f"{name}/in/b"]
    assert {"ETag", "LastModified", "size"} <= set(found[f"{name}/in/a"])


def test_an_open_file_reads_with_the_etag_that_it_was_opened_with(s3_bucket: S3Bucket) -> None:
    filesystem, name = open_filesystem(s3_bucket.url, s3_bucket.options)
    filesystem.pipe_file(f"{name}/a", b"old")
    with filesystem.open(f"{name}/a", "rb") as handle:
        filesystem.pipe_file(f"{name}/a", b"new")
        with pytest.raises(OSError, match="no longer exists"):
            handle.read()


def test_a_missing_bucket_raises_and_a_missing_prefix_lists_nothing(s3_bucket: S3Bucket) -> None:
    filesystem, name = open_filesystem(s3_bucket.url, s3_bucket.options)
    assert filesystem.find(f"{name}/nothing", detail=True) == {}
    with pytest.raises(FileNotFoundError):
        filesystem.find("no-such-bucket-here", detail=True)
