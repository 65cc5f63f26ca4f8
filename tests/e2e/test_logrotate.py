"""A live tail while Debian's logrotate does its work."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.log_watch import Watch

LOGROTATE = shutil.which("logrotate", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") or "/usr/sbin/logrotate"
pytestmark = pytest.mark.skipif(
    os.getuid() != 0 or not os.access(LOGROTATE, os.X_OK), reason="needs Debian's logrotate, and to be root"
)
CONFIGURATIONS = {
    "create": "create",
    "nocreate": "nocreate",
    "copytruncate": "copytruncate",
    "compress": "create\n compress",
    "copytruncate and compress": "copytruncate\n compress",
    "delaycompress": "create\n compress\n delaycompress",
    "dateext": "create\n dateext\n dateformat -%Y%m%d-NUMBER",
    "dateext and compress": "create\n compress\n dateext\n dateformat -%Y%m%d-NUMBER\n extension .log",
    "extension": "create\n extension .log",
}


class Rotation:
    """A log, its writer, its configuration and its reader, each doing one step at a time."""

    def __init__(self, root: Path, directives: str) -> None:
        root.mkdir()
        self.watch = Watch(root)
        self.written: list[str] = []
        self.configuration = root.parent / "logrotate.conf"
        self.directives = directives
        self.rotations = 0
        root.chmod(0o755)

    def write(self, count: int) -> None:
        lines = [f"line {len(self.written) + number}" for number in range(count)]
        self.written += lines
        self.watch.write("".join(f"{line}\n" for line in lines))

    def rotate(self) -> None:
        self.rotations += 1
        # Dates have names of their own only once a day: numbered, so that nothing waits for tomorrow.
        directives = self.directives.replace("NUMBER", str(self.rotations))
        head = f"{self.watch.root}/app.log {{\n su root root\n rotate 9\n missingok\n"
        self.configuration.write_text(f"{head} {directives}\n}}\n")
        self.configuration.chmod(0o644)
        state = self.configuration.with_name("state")
        done = subprocess.run(
            [LOGROTATE, "--force", "--state", str(state), str(self.configuration)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture(
    params=[
        pytest.param(name, marks=[] if name in {"create", "copytruncate and compress", "dateext"} else pytest.mark.slow)
        for name in CONFIGURATIONS
    ]
)
def rotation(request: pytest.FixtureRequest, tmp_path: Path) -> Rotation:
    directives = CONFIGURATIONS[request.param]
    return Rotation(tmp_path / "logs", directives)


def test_every_line_is_taken_once_while_logs_are_rotated(rotation: Rotation) -> None:
    watch = rotation.watch
    for _ in range(5):
        rotation.write(3)
        watch.take(max_bytes=20)
        rotation.write(2)
        rotation.rotate()
        watch.take()
        rotation.write(1)
        watch.restart()
        watch.take()
    watch.drain()
    assert sorted(watch.lines) == sorted(rotation.written)
    assert watch.lost == []


def test_every_line_is_taken_once_after_rotations_that_nobody_saw(rotation: Rotation) -> None:
    watch = rotation.watch
    rotation.write(3)
    watch.take(max_bytes=15)
    for number in range(3):
        rotation.rotate()
        rotation.write(2 + number)
        os.utime(watch.path("app.log"))
    watch.restart()
    watch.drain()
    assert sorted(watch.lines) == sorted(rotation.written)
    assert watch.lost == []
