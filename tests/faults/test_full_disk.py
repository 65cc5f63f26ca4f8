"""A disk that really is full: a small tmpfs in a user namespace of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from etl.engine import run
from etl.progress import Silent
from etl.seam import Seam
from tests.faults.crash_lab import memory_rows
from tests.faults.test_crash_at_every_step import expected, found

FILL = """
import os, shutil, sys
from pathlib import Path
from etl.errors import EtlError
from tests.faults.crash_lab import memory_rows
from tests.faults.test_crash_at_every_step import expected, found
from etl.engine import run
from etl.progress import Silent
from etl.seam import Seam
small = Path(sys.argv[1])
failures = 0
for free_bytes in range(0, 90_000, 4096):
    folder = small / str(free_bytes)
    folder.mkdir()
    room = shutil.disk_usage(small).free - free_bytes
    (small / "ballast").write_bytes(bytes(max(room, 0)))
    try:
        run(memory_rows(folder, Seam()), Seam(), Silent())
    except EtlError as exc:
        assert "space" in str(exc), exc
        failures += 1
    (small / "ballast").unlink()
    run(memory_rows(folder, Seam()), Seam(), Silent())
    assert found(folder) == expected(), free_bytes
    shutil.rmtree(folder)
assert failures > 5, failures
print("failed cleanly", failures, "times")
"""


def test_a_run_fails_cleanly_on_a_full_disk_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    script = f"mount -t tmpfs -o size=2m none {tmp_path} && exec {sys.executable} -c '{FILL}' {tmp_path}"
    ended = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script],
        capture_output=True,
        text=True,
        check=False,
    )
    if "unshare" in ended.stderr or "mount:" in ended.stderr:
        pytest.fail(f"this machine allows no user namespaces: {ended.stderr}")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("failed cleanly")


def test_the_same_rows_arrive_where_there_is_room(tmp_path: Path) -> None:
    run(memory_rows(tmp_path, Seam()), Seam(), Silent())
    assert found(tmp_path) == expected()
