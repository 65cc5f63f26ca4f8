"""A small pipeline whose checkpoint and table lie on an S3 behind a proxy with faults, and who looks past the proxy."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

from etl.checkpoint.lease import Lease
from etl.engine import open_runner
from etl.errors import EtlError
from etl.model import PROVENANCE_COLUMNS
from etl.pipeline import Pipeline
from etl.progress import Silent
from etl.seam import Seam
from etl.sinks.contract import SinkSite
from etl.sinks.delta import DeltaSink
from etl.sinks.delta_options import DeltaOptions
from etl.storage import ObjectStorage, fsspec_options, object_store_options
from etl.testing import MemorySource, memory_pipeline
from tests.faults.s3_proxy import FaultyS3, Rule
from tests.readers import table_rows

BATCHES: list[list[dict[str, Any]]] = [
    [{"id": 3, "kind": "a/b", "amount": 3.5}, {"id": 3, "kind": "a/b", "amount": 3.5}],
    [{"id": 4, "kind": "c", "amount": None, "note": "new"}],
]
EXPECTED = Counter({(3, "a/b", 3.5, None): 2, (4, "c", None, "new"): 1})


class Unhurried(Seam):
    """The real world, ``late_s`` later, but nobody waits."""

    def __init__(self, late_s: float = 0.0) -> None:
        self._late = timedelta(seconds=late_s)

    def now(self) -> datetime:
        return super().now() + self._late

    def sleep(self, delay_s: float) -> None:
        pass


class Lake:
    """One pipeline's checkpoint and table below a prefix of their own."""

    def __init__(self, store: str, proxy: FaultyS3, bucket: str) -> None:
        self.store = store
        self.proxy = proxy
        self.bucket = bucket
        self.prefix = uuid4().hex

    @property
    def options(self) -> dict[str, str]:
        return {
            "endpoint_url": self.proxy.endpoint,
            "region": "eu-west-1",
            "access_key_id": "x",
            "secret_access_key": "y",
        }

    @cached_property
    def client(self) -> Any:
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.store,
            region_name="eu-west-1",
            aws_access_key_id="x",
            aws_secret_access_key="y",
        )

    def storage(self, folder: str, seam: Seam) -> ObjectStorage:
        """Return a folder of the lake, over a filesystem that leaves repeating to us."""
        import s3fs

        quick = {"retries": {"max_attempts": 0}}
        filesystem = s3fs.S3FileSystem(**fsspec_options("s3", self.options), config_kwargs=quick)
        root = f"{self.bucket}/{self.prefix}/{folder}"
        return ObjectStorage(f"s3://{root}", filesystem, root, seam)

    def pipeline(self, seam: Seam) -> Pipeline:
        """Return known rows into a Delta table partitioned by ``kind``."""
        source = MemorySource()
        for rows in BATCHES:
            source.add(rows)
        storage = self.storage("table", seam)
        options = object_store_options("s3", self.options)
        site = SinkSite("table", storage.url, storage, seam, options, PROVENANCE_COLUMNS)
        sink = DeltaSink(DeltaOptions(path=storage.url, partition_by=["kind"]), site)
        return memory_pipeline(source, sink, self.storage("checkpoint", seam), system=PROVENANCE_COLUMNS)

    def run(self, seam: Seam | None = None, lease: Lease | None = None) -> list[int]:
        """Take everything; return the batches that were committed, recovered ones first."""
        seam = seam or Unhurried()
        with open_runner(self.pipeline(seam), seam, Silent(), lease) as runner:
            recovered = runner.recover()
            done = [] if recovered is None else [recovered.batch_id]
            while (result := runner.run_batch() or runner.end_refresh()) is not None:
                done.append(result.batch_id)
        return done

    def finish(self) -> int:
        """Run until a run ends well, twice at most; return how many starts it took."""
        try:
            self.run()
        except EtlError:
            self.run(Unhurried(late_s=60))
            return 2
        return 1

    def keys(self, folder: str = "") -> list[str]:
        """Return the keys below a folder, as the store itself lists them."""
        prefix = f"{self.prefix}/{folder}"
        listed = self.client.list_objects_v2(Bucket=self.bucket, Prefix=prefix).get("Contents", [])
        return [item["Key"].removeprefix(f"{self.prefix}/") for item in listed]

    def read(self, key: str) -> bytes:
        """Return an object, asked of the store itself."""
        content: bytes = self.client.get_object(Bucket=self.bucket, Key=f"{self.prefix}/{key}")["Body"].read()
        return content

    def rows(self, folder: Path) -> Counter[Any]:
        """Return the multiset of rows that an independent reader finds in a copy of the table."""
        for key in self.keys("table/"):
            copy = folder / key
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(self.read(key))
        return Counter((row["id"], row["kind"], row["amount"], row.get("note")) for row in table_rows(folder / "table"))

    def log(self) -> list[dict[str, Any]]:
        """Return the actions of all versions, in order."""
        commits = [key for key in self.keys("table/_delta_log/") if key.endswith(".json")]
        return [json.loads(line) for key in commits for line in self.read(key).splitlines()]

    def batches_of_versions(self) -> list[int]:
        """Return the batch of each version of the table, by the transaction of the pipeline's checkpoint."""
        transactions = [action["txn"] for action in self.log() if "txn" in action]
        return [each["version"] for each in transactions if each["appId"].endswith("/main")]

    def check_rows(self, folder: Path, case: object) -> None:
        """Expect every row once and a version a batch."""
        assert self.rows(folder) == EXPECTED, case
        assert self.batches_of_versions() == [0, 1], case

    def check(self, folder: Path, case: object) -> None:
        """Expect every row once, a version a batch, and no file that nothing refers to."""
        self.check_rows(folder, case)
        data = {key for key in self.keys("table/") if key.endswith(".parquet")}
        assert len(data) == sum("add" in action for action in self.log()), case


class Store:
    """A bucket behind a proxy: lakes are made in it."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.bucket = f"b-{uuid4().hex}"
        self.proxy = FaultyS3(endpoint)
        self.lake().client.create_bucket(
            Bucket=self.bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )

    def lake(self, *rules: Rule) -> Lake:
        """Return an empty lake; only ``rules`` hold from now on."""
        self.proxy.rules = list(rules)
        self.proxy.requests.clear()
        return Lake(self.endpoint, self.proxy, self.bucket)
