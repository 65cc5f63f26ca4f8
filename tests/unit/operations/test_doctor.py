from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest

from etl.operations import doctor
from etl.operations.doctor import Finding, examine
from etl.operations.workspace import Workspace
from etl.seam import Seam
from etl.testing import FailingSeam

T = TypeVar("T")


def states(findings: Any) -> dict[str, str]:
    return {finding.check: finding.state for finding in findings}


def test_a_sound_machine_has_no_failures_and_nothing_is_left_behind(home: Workspace) -> None:
    found = states(examine(home, Seam()))

    assert "failed" not in found.values()
    assert {"write and read", "conditional create", "replace", "clock", "fsync", "lock"} <= found.keys()
    assert [found[check] for check in ("conditional create", "fsync", "lock")] == ["ok", "ok", "ok"]
    assert list((home.folder / "lake" / "_checkpoints").iterdir()) == []


def test_a_wrong_project_file_is_told(home: Workspace) -> None:
    (home.folder / "etl.yml").write_text("lake: 3\n")

    findings = list(examine(home, Seam()))

    assert findings[-1].check == "configuration"
    assert findings[-1].state == "failed"
    assert "lake" in findings[-1].detail


def test_a_lake_that_cannot_be_written_is_told_once(home: Workspace) -> None:
    (home.folder / "lake").write_text("a file")

    found = states(examine(home, Seam()))

    assert found["write and read"] == "failed"
    assert "conditional create" not in found


@pytest.mark.parametrize(
    ("effect", "check"),
    [
        ("doctor.create.write", "write and read"),
        ("doctor.replace.publish", "replace"),
        ("doctor.sync", "fsync"),
    ],
)
def test_a_primitive_that_fails_is_told(effect: str, check: str, home: Workspace) -> None:
    found = states(examine(home, FailingSeam(effect, "error_before")))

    assert found[check] == "failed"


class ForgivingSeam(Seam):
    """A disk on which a link replaces what is there, and a lock that everybody gets."""

    def effect(self, name: str, act: Callable[[], T], torn: Callable[[], object] | None = None) -> T:
        if name == "probe.create.publish":
            try:
                return act()
            except FileExistsError:
                return None  # type: ignore[return-value]
        if name == "lease.lock":
            return None  # type: ignore[return-value]
        return super().effect(name, act, torn)


def test_a_disk_that_overwrites_and_locks_twice_is_refused(home: Workspace) -> None:
    found = {finding.check: finding for finding in examine(home, ForgivingSeam())}

    assert found["conditional create"].state == "failed"
    assert "created twice" in found["conditional create"].detail
    assert found["lock"].state == "failed"
    assert "given twice" in found["lock"].detail


class LateSeam(Seam):
    """A clock that is years off."""

    def now(self) -> datetime:
        return datetime(2020, 1, 1, tzinfo=UTC)


def test_a_clock_that_is_far_off_is_a_warning_with_a_next_step(home: Workspace) -> None:
    found = {finding.check: finding for finding in examine(home, LateSeam())}

    assert found["clock"].state == "warning"
    assert found["clock"].next_step


def test_files_that_anybody_may_write_are_a_warning(home: Workspace) -> None:
    pipelines = home.folder / "pipelines"
    os.chmod(pipelines, 0o777)  # noqa: S103

    found = {finding.check: finding for finding in examine(home, Seam())}

    assert found["permissions"] == Finding(
        "permissions", "warning", f"anybody may write {pipelines}", f"chmod o-w {pipelines}"
    )


def test_a_storage_without_its_package_is_told(home: Workspace) -> None:
    (home.folder / "etl.yml").write_text("lake: nosuch://bucket/lake\n")

    findings = list(examine(home, Seam()))

    assert (findings[-1].check, findings[-1].state) == ("lake", "failed")


@pytest.mark.parametrize(
    ("requirement", "is_met"),
    [
        ("polars>=1.0", True),
        ("polars>=999.0", False),
        ("no-such-package>=1.0", False),
        ("fsspec[s3]>=2020.1.0", True),
        ("pytest", True),
    ],
)
def test_a_lower_bound_is_compared_with_what_is_installed(requirement: str, is_met: bool) -> None:
    assert doctor._is_met(requirement) is is_met


def test_a_full_disk_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.statvfs(tmp_path)
    small = os.statvfs_result((*real[:4], 10, *real[5:]))
    monkeypatch.setattr(os, "statvfs", lambda _: small)

    found = doctor._found("disk space", lambda: doctor._space(tmp_path / "not" / "yet"))

    assert (found.state, found.detail) == ("warning", "0.0 GB free")
