"""Servers that tests talk to, each started on a free loopback port and stopped with the last test that needs it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import uuid4

import pytest

REGION = "us-east-1"
_START_S = 30.0


@dataclass(frozen=True, slots=True)
class S3Bucket:
    """An empty bucket on a local S3, and the options that reach it."""

    name: str
    endpoint: str

    @property
    def url(self) -> str:
        return f"s3://{self.name}"

    @property
    def options(self) -> dict[str, str]:
        keys = {"access_key_id": "test", "secret_access_key": "test"}
        return {**keys, "endpoint_url": self.endpoint, "region": REGION}

    @property
    def storage_options(self) -> dict[str, dict[str, str]]:
        return {"s3": self.options}


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The URL of a moto server."""
    pytest.importorskip("moto")
    port = free_port()
    command = [sys.executable, "-c", "from moto.server import main; main()", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ.copy()
    ) as server:
        try:
            wait_for(port, server)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


@pytest.fixture
def s3_bucket(s3_endpoint: str) -> S3Bucket:
    """A bucket of its own for each test."""
    import s3fs

    bucket = S3Bucket(f"b-{uuid4().hex}", s3_endpoint)
    filesystem = s3fs.S3FileSystem(key="test", secret="test", endpoint_url=s3_endpoint, use_listings_cache=False)
    filesystem.mkdir(bucket.name)
    return bucket


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    """Wait until a server listens."""
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if server.poll() is not None:
            break
        time.sleep(0.05)
    raise RuntimeError(f"the server on port {port} did not start")
