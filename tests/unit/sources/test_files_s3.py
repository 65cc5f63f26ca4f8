from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from etl.errors import SourceChangedError, SourceError
from etl.model import ReadLimit
from etl.storage import open_filesystem
from tests.landing import Landing, Walk
from tests.servers import S3Bucket

pytestmark = pytest.mark.s3

HOSTILE = [
    "a b",
    "a?b",
    "a*b",
    "a[1]",
    "a{b,c}",
    "a#b",
    "a%2Fb",
    "a%20b",
    "a::b",
    "-rf",
    "é",
    'q"q',
    "it's",
    "a+b",
    "a&b=c",
]


class Cloud:
    """A bucket, and a project that reads it."""

    def __init__(self, root: Path, bucket: S3Bucket) -> None:
        self.bucket = bucket
        self.landing = Landing(root, storage=bucket.storage_options)
        self.filesystem: Any = open_filesystem(bucket.url, bucket.options)[0]

    def put(self, key: str, content: bytes) -> None:
        self.filesystem.pipe_file(f"{self.bucket.name}/{key}", content)

    def keys(self) -> dict[str, bytes]:
        self.filesystem.invalidate_cache()
        found = self.filesystem.find(self.bucket.name)
        return {key.removeprefix(f"{self.bucket.name}/"): self.filesystem.cat_file(key) for key in found}

    def run(self, path: str = "in", **options: Any) -> Walk:
        return self.landing.run(path=f"{self.bucket.url}/{path}", **options)


@pytest.fixture
def cloud(tmp_path: Path, s3_bucket: S3Bucket) -> Cloud:
    return Cloud(tmp_path, s3_bucket)


def test_objects_are_read_once_also_those_that_come_late(cloud: Cloud) -> None:
    cloud.put("in/b.jsonl", b'{"id": 1}\n')
    walk = cloud.run()
    assert walk.take() == [f"{cloud.bucket.url}/in/b.jsonl"]
    assert walk.rows(system=["_source_file"]) == [{"id": 1, "_source_file": f"{cloud.bucket.url}/in/b.jsonl"}]
    cloud.put("in/a.jsonl", b'{"id": 2}\n')
    assert walk.take() == [f"{cloud.bucket.url}/in/a.jsonl"]
    walk.restart()
    assert walk.take() == []


def test_every_legal_key_is_read_as_itself(cloud: Cloud) -> None:
    for number, name in enumerate(HOSTILE):
        cloud.put(f"in/{name}.jsonl", b'{"id": %d}\n' % number)
    walk = cloud.run(order="name")
    assert len(walk.take()) == len(HOSTILE)
    told = {row["id"]: row["_source_file"] for row in walk.rows(system=["_source_file"])}
    assert told == {number: f"{cloud.bucket.url}/in/{name}.jsonl" for number, name in enumerate(HOSTILE)}


def test_patterns_exclusions_and_hidden_names_count_as_on_a_disk(cloud: Cloud) -> None:
    for key in ("in/a.jsonl", "in/x/b.jsonl", "in/x/c.csv", "in/_tmp/d.jsonl", "in/x/e.jsonl.tmp", "in/old.jsonl"):
        cloud.put(key, b'{"id": 1}\n')
    walk = cloud.run("in/**/*.jsonl", exclude=["old*"], order="name")
    assert walk.take() == [f"{cloud.bucket.url}/in/{name}.jsonl" for name in ("a", "x/b")]
    assert cloud.run("in/x/b.jsonl").take() == [f"{cloud.bucket.url}/in/x/b.jsonl"]
    assert walk.source.explain(f"{cloud.bucket.url}/in/old.jsonl")["reason"] == "excluded by 'old*'"


def test_a_missing_bucket_is_an_error(cloud: Cloud) -> None:
    walk = cloud.landing.run(path="s3://no-such-bucket-here/in")
    with pytest.raises(SourceError, match="source unavailable"):
        walk.take()


def test_an_object_replaced_after_the_plan_is_refused(cloud: Cloud) -> None:
    cloud.put("in/a.jsonl", b'{"id": 1}\n')
    walk = cloud.run()
    plan = walk.plan()
    assert plan is not None
    assert plan.units["etag"] == [cloud.filesystem.info(f"{cloud.bucket.name}/in/a.jsonl")["ETag"].strip('"')]
    cloud.put("in/a.jsonl", b'{"id": 2}\n')
    with pytest.raises(SourceChangedError, match="changed since it was planned"):
        walk.rows(plan)
    cloud.filesystem.rm_file(f"{cloud.bucket.name}/in/a.jsonl")
    with pytest.raises(SourceChangedError, match="is gone since it was planned"):
        walk.rows(plan)


def test_an_object_replaced_while_it_is_read_is_refused(cloud: Cloud) -> None:
    from etl.sources.file_access import RemoteAccess
    from etl.sources.file_units import FileUnits

    cloud.put("in/a.jsonl", b'{"id": 1}\n')
    plan = cloud.run().plan()
    assert plan is not None
    (unit,) = FileUnits.from_json(plan.units).files
    handle = RemoteAccess(cloud.filesystem, "s3://").open(unit)
    cloud.put("in/a.jsonl", b'{"id": 2}\n')
    with pytest.raises(SourceChangedError):
        handle.read()
    with pytest.raises(SourceChangedError):
        handle.close()


def test_a_changed_object_is_seen_by_its_etag(cloud: Cloud) -> None:
    cloud.put("in/a.jsonl", b'{"id": 1}\n')
    walk = cloud.run(identity="path_and_version", on_change="reingest")
    assert len(walk.take()) == 1
    cloud.put("in/a.jsonl", b'{"id": 1}\n')
    assert walk.take() == []
    cloud.put("in/a.jsonl", b'{"id": 2}\n')
    assert len(walk.take()) == 1
    assert walk.rows() == [{"id": 2}]


def test_an_object_that_has_grown_gives_its_tail(cloud: Cloud) -> None:
    cloud.put("in/a.jsonl", b'{"id": 1}\n')
    walk = cloud.run(identity="path_and_version", on_change="append_tail")
    assert len(walk.take()) == 1
    cloud.put("in/a.jsonl", b'{"id": 1}\n{"id": 2}\n')
    assert len(walk.take()) == 1
    assert walk.rows(system=["_source_offset"]) == [{"id": 2, "_source_offset": 10}]
    cloud.put("in/a.jsonl", b'{"id": 9}\n{"id": 2}\n{"id": 3}\n')
    with pytest.raises(SourceError, match="has other bytes in the part that was read"):
        walk.take()


def test_identity_content_reads_equal_objects_once(cloud: Cloud) -> None:
    cloud.put("in/a.jsonl", b'{"id": 1}\n')
    cloud.put("in/b.jsonl", b'{"id": 1}\n')
    assert len(cloud.run(identity="content").take(ReadLimit())) == 1


def test_objects_are_archived_without_overwriting_and_deleted(cloud: Cloud) -> None:
    cloud.put("in/x/a.jsonl", b'{"id": 1}\n')
    cloud.put("done/x/a.jsonl", b"other")
    walk = cloud.run(after_commit={"archive": f"{cloud.bucket.url}/done"})
    plan = walk.plan()
    assert plan is not None
    for _ in range(2):
        walk.source.acknowledge(0, plan)
        assert cloud.keys() == {"done/x/a.jsonl": b"other", "done/x/a-1.jsonl": b'{"id": 1}\n'}


def test_objects_are_archived_to_a_local_folder(cloud: Cloud) -> None:
    cloud.put("in/x/a.jsonl", b'{"id": 1}\n')
    walk = cloud.run(after_commit={"archive": "done"})
    plan = walk.plan()
    assert plan is not None
    walk.source.acknowledge(0, plan)
    assert cloud.keys() == {}
    assert (cloud.landing.root / "done" / "x" / "a.jsonl").read_bytes() == b'{"id": 1}\n'
    assert [path.name for path in (cloud.landing.root / "done" / "x").iterdir()] == ["a.jsonl"]
