"""Redis and PostgreSQL for tests: real servers, started on free ports of loopback and stopped with the last test.

Where a server is not installed the test is skipped; with ``CI`` or ``ETL_REQUIRE_SERVERS`` set it fails.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest

from tests.servers import free_port, wait_for

_START_S = 60.0
_POSTGRES = "/usr/lib/postgresql/*/bin"
"""Where Debian puts what is not on the path."""


def program(name: str) -> str:
    """Return where a program is. Skips the test, or fails it, where it is nowhere."""
    found = shutil.which(name) or next(iter(sorted(map(str, Path("/").glob(f"{_POSTGRES[1:]}/{name}")))), None)
    if found is not None:
        return found
    reason = f"{name} is not installed"
    if os.environ.get("CI") or os.environ.get("ETL_REQUIRE_SERVERS"):
        pytest.fail(reason)
    pytest.skip(reason)


@dataclass
class RedisServer:
    """A Redis that writes every answer to disk before it is given, and can die and come back with all that it had."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        options = ["--save", "", "--appendonly", "yes", "--appendfsync", "always", "--dir", str(self.folder)]
        command = [program("redis-server"), "--port", str(self.port), "--bind", "127.0.0.1", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self.port, self.process)

    def kill(self) -> None:
        """End it as a loss of power does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """The Redis of all tests of this process."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The URL of an empty Redis."""
    import redis

    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    return redis_server.url


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a PostgreSQL server, without a database; as root it runs as another user, which it insists on."""
    owner = _owner()
    with tempfile.TemporaryDirectory(prefix="etl-postgres-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if owner is not None:
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        who = {} if owner is None else {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        data = str(folder / "data")
        made = [program("initdb"), "-D", data, "-U", "tester", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"]
        subprocess.run(made, check=True, capture_output=True, cwd=folder, **who)  # type: ignore[call-overload]
        port = free_port()
        settings = ["listen_addresses=127.0.0.1", f"unix_socket_directories={folder}", "fsync=off"]
        command = [
            program("postgres"),
            "-D",
            data,
            "-p",
            str(port),
            *(part for each in settings for part in ("-c", each)),
        ]
        with subprocess.Popen(  # type: ignore[call-overload]
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder, **who
        ) as server:
            try:
                wait_for(port, server)
                _wait_until_answered(f"postgresql://tester@127.0.0.1:{port}/postgres")
                yield f"postgresql://tester@127.0.0.1:{port}"
            finally:
                server.send_signal(signal.SIGINT)


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """The URL of an empty database of its own for each test."""
    import psycopg

    name = f"t_{uuid4().hex}"
    with psycopg.connect(f"{postgres_server}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield f"{postgres_server}/{name}"
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _owner() -> pwd.struct_passwd | None:
    """Return whom a server runs as that refuses root, None for whoever we are."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    pytest.skip("PostgreSQL does not run as root, and there is no user nobody")


def _wait_until_answered(url: str) -> None:
    """Wait until a server that listens also lets somebody in: for a moment it only says that it is starting."""
    import psycopg

    deadline = time.monotonic() + _START_S
    while True:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
