"""The state of stateful transforms, proven."""

from __future__ import annotations

from typing import Any

import pytest

from etl.operations.workspace import Workspace
from tests.unit.operations.proving import WINDOWS, check_of, define, failed, proven, records, rewrite


@pytest.fixture
def windows(home: Workspace, run_all: Any, put_orders: Any) -> Workspace:
    """Return a pipeline of windows that ran two batches."""
    put_orders("1", [{"at": "2026-01-01T00:10:00Z", "kind": "a", "amount": 1.0}])
    put_orders("2", [{"at": "2026-01-01T01:10:00Z", "kind": "a", "amount": 2.0}])
    home = define(home, WINDOWS)
    (outcome,) = run_all(home)
    assert outcome.error is None
    return home


def test_state_that_is_whole_is_proven(windows: Workspace) -> None:
    found = proven(windows)

    assert failed(found) == {}
    assert check_of(found, "state").looked_at["versions"] == 2
    assert check_of(found, "state").looked_at["files"] >= 2


def test_files_of_state_that_are_gone_or_altered_are_found(windows: Workspace) -> None:
    folder = records(windows) / "state" / "group_by"
    first, second = sorted(folder.glob("*.arrow"))[:2]
    first.unlink()
    second.write_bytes(second.read_bytes()[:-1] + b"!")
    check = check_of(proven(windows), "state")

    assert sorted(check.faults) == [
        f"{first} is missing",
        f"{second} its bytes are not those that were written",
    ]
    assert "--full-refresh" in check.repair


def test_a_version_of_state_that_is_gone_is_found(windows: Workspace) -> None:
    (version,) = (records(windows) / "state" / "group_by").glob("0000000001-*.json")
    version.unlink()

    assert failed(proven(windows))["state"] == [f"{version}: is missing"]


def test_state_of_another_batch_is_found(windows: Workspace) -> None:
    (newer,) = (records(windows) / "state" / "group_by").glob("0000000001-*.json")

    def mistake(body: dict[str, Any]) -> None:
        body["state"]["group_by"]["rows"] = 7

    rewrite(records(windows) / "manifests" / "0000000001.json", mistake)
    (fault,) = failed(proven(windows))["state"]

    assert fault.startswith(newer.name)
    assert fault.endswith("rows where 7 were told")


def test_a_newest_manifest_without_state_is_found(windows: Workspace) -> None:
    rewrite(records(windows) / "manifests" / "0000000001.json", lambda body: body.pop("state"))

    assert failed(proven(windows))["state"] == ["group_by: the newest manifest names no state"]
